/**
 * Every block of every page, and every command within a sentence, is accounted for. What nobody
 * runs fails here, or in the test file of its page (helpers/docs.ts).
 */
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { blocksOf, type Inline, inlinesOf, LANGUAGES, PAGES } from '../../helpers/docs.ts';
import { cleanEnvironment } from '../../helpers/processes/environment.ts';
import { leashFolder } from '../../helpers/processes/leash.ts';
import { at } from '../../helpers/processes/programs.ts';
import { LOOKED_UP, scriptOf } from '../../helpers/worlds/docsWorld.ts';

/** Not `top`, with whose name what it draws begins. */
const OF_OWSLA = [
  ...['serve', 'check', 'config', 'limits', 'status', 'trace', 'links?', 'closed', 'disconnect'],
  ...['drain', 'resume', 'block(?:ed)?', 'unblock', 'devices', 'command', 'presence', 'key'],
  'completion',
];
const OURS = `owsla (?:${OF_OWSLA.join('|')})|owsla-loadgen (?:run|backend|compare)`;
const TOOLS = 'make|npm|npx|node|ruby|python3?|rabbitmqctl|sqlite3|cc|curl|gem|apt|pip|git|sudo';
const OTHERS = 'owsla|owsla-loadgen|head|systemctl|journalctl|sysctl|ulimit|export|kill|\\./\\w+';

/** What a line of a command looks like; no drawing and no output has one. */
const COMMAND = new RegExp(`^\\s*(?:\\$ |(?:${OURS})\\b|(?:${TOOLS}) [\\w./-])`, 'm');

/** Inline code that a reader would type. */
const TYPED = new RegExp(`^(?:(?:${TOOLS}|${OTHERS}) \\S|[A-Z_]{4,}=\\S)`);

/** Mentioned, not typed: there is more to it than these words. */
const MENTIONED = ['npm run', 'npm exec -- node FILE'];

/** They change the machine for good, so nobody's test runs them. */
const NOT_RUN: Readonly<Record<string, string>> = {
  'npm ci': 'the Makefile does it before any test',
  'npm install --global node@26': 'it changes the machine; package.json pins what tests use',
  'npm install amqplib': 'package.json has it',
  'gem install bunny': 'Debian has it, as ruby-bunny',
  'pip install pika': 'Debian has it, as python3-pika',
};

const tests = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'));

/** Where commands may leave what they leave. */
const folder = mkdtempSync(join(tmpdir(), 'od-'));
leashFolder(folder);
t.teardown(() => rmSync(folder, { recursive: true }));

t.test(
  'census: each fence says its language, and each page with programs has its test',
  async (t) => {
    for (const page of PAGES) {
      const blocks = blocksOf(page);
      const known = [...LANGUAGES, 'text'];
      const strange = blocks.filter(({ language }) => !known.includes(language));
      t.same(strange, [], `${page}: a language of helpers/docs.ts`);
      if (!blocks.some(({ language }) => LANGUAGES.includes(language))) continue;
      const owners = tests.filter((text) => text.includes(`everyBlockOf('${page}'`));
      t.equal(owners.length, 1, `${page} has one test that runs every block of it`);
    }
  },
);

t.test('census: no command hides in a drawing or in an output', async (t) => {
  for (const { page, line, language, text } of PAGES.flatMap(blocksOf)) {
    if (!LANGUAGES.includes(language)) t.notMatch(text, COMMAND, `${page}:${line}`);
  }
});

interface Told {
  readonly code: number;
  readonly output: string;
}

function run(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Told> {
  const all = { ...cleanEnvironment(), ...env };
  return new Promise((resolve) => {
    execFile(file, args, { cwd: folder, env: all }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), output: stdout + stderr });
    });
  });
}

/** Nothing listens there: who gets so far has understood every flag. */
const NOWHERE = { OWSLA_AMQP: 'amqp://127.0.0.1:1', OWSLA_PORT: '0', OWSLA_ADMIN_PORT: '0' };
const UNREACHABLE = 69;
const USAGE = 64;

const helps = new Map<string, Promise<string>>();

/** What `owsla serve --help` prints, asked for once. */
function helpOf(text: string): Promise<string> {
  const [name = '', ...words] = text.split(' ');
  const asked = helps.get(text) ?? start(name, [...words, '--help']).then(({ output }) => output);
  helps.set(text, asked);
  return asked;
}

function start(name: string, words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Told> {
  return run('/bin/sh', ['-c', `exec env ${scriptOf(name)} "$@"`, name, ...words], env);
}

/** A command of ours: subcommand and flag by its help; a whole one, by a broker that is away. */
async function ours(text: string): Promise<string | undefined> {
  const [name = '', ...words] = text.replaceAll(/[<>'"]/g, '').split(' ');
  if (words[0] === '--version') {
    const { code, output } = await start(name, words);
    return code === 0 ? undefined : output;
  }
  const flag = words.at(-1)?.startsWith('--') === true ? (words.pop() ?? '') : '';
  if (flag !== '' || words.every((word) => /^[a-z]+$/.test(word))) {
    const command = [name, ...words].join(' ');
    const help = await helpOf(command);
    return help.startsWith(command) && help.includes(flag) ? undefined : `there is no ${text}`;
  }
  const { code, output } = await start(name, words, NOWHERE);
  return code === UNREACHABLE ? undefined : `exit ${code}: ${output}`;
}

async function make(args: string): Promise<string | undefined> {
  const words = ['-C', at('.'), '-o', 'node_modules/.owsla-ready', '-n', ...args.split(' ')];
  const { code, output } = await run('make', words);
  return code === 0 ? undefined : output;
}

/** A script with flags: both are there. A page's own program has no path. */
function script(args: string): string | undefined {
  const [file = '', ...words] = args.split(' ');
  if (/^(?:backend|device|rescue|command)\.(?:rb|py|mjs)$/.test(file)) return undefined;
  if (!existsSync(at(file))) return `there is no ${file}`;
  const text = readFileSync(at(file), 'utf8');
  const flags = words.filter((word) => word.startsWith('--')).map((word) => word.slice(2));
  const strange = flags.filter((flag) => !new RegExp(`\\b${flag}\\b`).test(text));
  return strange.length === 0 ? undefined : `${file} has no ${strange}`;
}

const RULES: readonly [RegExp, (rest: string, all: string) => Promise<string | undefined>][] = [
  [/^(?=owsla(?:-loadgen)? )/, ours],
  [/^make /, make],
  [/^(?:npm exec -- )?(?:node|ruby|python3) /, async (rest) => script(rest)],
  [
    /^npm run (?:--silent )?/,
    async (rest) => (scriptOf(rest.replace(/ --$/, '')) === '' ? 'no such script' : undefined),
  ],
  [
    /^npm version /,
    async (_, all) => {
      copyFileSync(at('package.json'), join(folder, 'package.json'));
      const { code, output } = await run('/bin/sh', ['-c', all]);
      return code === 0 ? undefined : output;
    },
  ],
  [
    /^npm prefix /,
    async () => ((await run('npm', ['prefix', '--global'])).code === 0 ? undefined : 'no npm'),
  ],
  [
    /^apt install /,
    async (name) =>
      readFileSync(at('.ci/setup.sh'), 'utf8').includes(name) ? undefined : 'not in .ci/setup.sh',
  ],
  [
    /^head .*/,
    async (_, all) =>
      (await run('/bin/sh', ['-c', `cd '${at('.')}' && ${all} >/dev/null`])).code === 0
        ? undefined
        : 'no such files',
  ],
  [/^export OWSLA_AMQP=\.\.\.$/, async () => undefined],
  [
    // Of a machine with systemd: the unit is examples/deploy's.
    /^(?:systemctl (?:reload|status|stop)|journalctl -u) (?=owsla\b)/,
    async () => (existsSync(at('examples/deploy/owsla.service')) ? undefined : 'no such unit'),
  ],
  // The broker's own, on its machine: they look, and change nothing.
  [/^rabbitmqctl (?:status|list_connections|list_queues name messages.*)$/, async () => undefined],
  [
    /^OWSLA_PORT=tcp:\/\/.*/,
    // The page names it as what goes wrong.
    async (_, all) => {
      const OWSLA_PORT = all.slice('OWSLA_PORT='.length);
      const { code } = await start('owsla', ['serve'], { OWSLA_PORT });
      return code === USAGE ? undefined : 'it is no mistake';
    },
  ],
  [
    /^OWSLA_SET=/,
    async (OWSLA_SET) => {
      const env = { ...NOWHERE, OWSLA_SET };
      const { code, output } = await start('owsla', ['serve'], env);
      return code === UNREACHABLE ? undefined : output;
    },
  ],
];

/** Undefined when it is accounted for; else what is wrong. */
async function complaint({ text }: Inline): Promise<string | undefined> {
  if (text in NOT_RUN || MENTIONED.includes(text)) return undefined;
  const inlines = tests.flatMap((test) => [...test.matchAll(/inline\('([^']+)'\)/g)]);
  if (inlines.some(([, words = ' ']) => text.startsWith(words) && words.includes(' ')))
    return undefined;
  for (const [pattern, check] of RULES) {
    if (pattern.test(text)) return check(text.replace(pattern, ''), text);
  }
  return 'no test runs it, and no rule of the census checks it';
}

t.test('census: every command in a sentence or a table is one', async (t) => {
  const typed = PAGES.flatMap(inlinesOf).filter(({ text }) => TYPED.test(text));
  const once = [...new Map(typed.map((inline) => [inline.text, inline])).values()];
  t.ok(once.length >= 60, `${once.length} of them`);
  // A few at a time: each starts a process.
  const left = [...once];
  const complaints: string[] = [];
  const lane = async () => {
    for (let inline = left.shift(); inline !== undefined; inline = left.shift()) {
      const wrong = await complaint(inline);
      if (wrong !== undefined) {
        complaints.push(`${inline.page}:${inline.line}: ${inline.text}: ${wrong}`);
      }
    }
  };
  await Promise.all([lane(), lane(), lane()]);
  t.same(complaints, []);
  for (const [command, why] of Object.entries(NOT_RUN)) t.comment(`not run: ${command}: ${why}`);
  for (const [target, why] of Object.entries(LOOKED_UP)) {
    t.comment(`looked up by make -n: ${target}: ${why}`);
  }
});

const OWSLA = [
  ...['serve', 'status', 'devices', 'command', 'presence restore'],
  ...['links', 'closed', 'disconnect', 'top', 'trace'],
  ...['key new', 'key derive', 'key token', 'protocol check'],
].map((sub) => `owsla ${sub}`);
const LOADGEN = ['run', 'backend', 'compare'].map((sub) => `owsla-loadgen ${sub}`);

/** Flags of benches, by the defaults that they hand to bench/lib/options.ts. */
function flagsOfBenches(): string[] {
  return readdirSync(at('bench'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(at(`bench/${name}`), 'utf8'))
    .flatMap((text) => [...text.matchAll(/\boptions\(\{([\s\S]*?)\}\);$/gm)])
    .flatMap(([, defaults = '']) => [...defaults.matchAll(/(?<=[{,\s])(\w+): /g)])
    .map(([, name = '']) => `--${name.replace(/[A-Z]/g, (a) => `-${a.toLowerCase()}`)}`);
}

/** Where the flags of a page's sentences and tables stand: in our helps, Node's, or a source. */
async function flagsOf(page: string): Promise<string> {
  const commands = page.includes('loadgen') ? [...OWSLA, ...LOADGEN] : OWSLA;
  const texts = await Promise.all(commands.map(helpOf));
  texts.push((await run(process.execPath, ['--v8-options'])).output);
  texts.push(...process.allowedNodeEnvironmentFlags);
  if (/performance|decisions/.test(page)) texts.push(...flagsOfBenches());
  const devices = page.startsWith('examples/') ? ['device.c', 'device.ts'] : [];
  texts.push(...devices.map((name) => readFileSync(at(`examples/${name}`), 'utf8')));
  return texts.join('\n');
}

t.test('census: every flag that a sentence or a table names is one', async (t) => {
  for (const page of PAGES) {
    const named = inlinesOf(page).filter(({ text }) => /^--\w/.test(text));
    if (named.length === 0) continue;
    const known = new Set(
      [...(await flagsOf(page)).matchAll(/--(?:no-)?([\w-]+)/g)].map(([, f]) => f),
    );
    const strange = named.flatMap(({ line, text }) =>
      [...text.matchAll(/(?<=^| )--(?:no-)?([\w-]+)/g)]
        .filter(([, flag]) => !known.has(flag))
        .map(([flag]) => `${page}:${line}: ${flag}`),
    );
    t.same(strange, []);
  }
});
