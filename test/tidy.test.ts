/**
 * Tidy: what the layout promises, checked by reading the source.
 * From: every file of the repository.  To: one line for each breach, `file:line: what`.
 * Bound: the tables below are the rules; a new folder or package has to be entered here first.
 */
import t from 'tap';
import {
  functionsOf,
  type Import,
  readSource,
  readText,
  repositoryFiles,
} from './helpers/sources.ts';

const COLUMNS_MAX = 100;
const LINES_MAX: Readonly<Record<string, number>> = { src: 400, loadgen: 450, examples: 450 };
const FUNCTION_LINES_MAX = 60;

/** Besides files and folders whose name begins with a dot. */
const TOP_LEVEL = `package.json package-lock.json tsconfig.json Makefile README.md CHANGELOG.md
  LICENSE src bench test loadgen tla docs examples`.split(/\s+/);

/** Where a run begins; all other code must be reached from here. */
const ENTRIES = [
  'src/cli/cli.ts',
  'src/supervisor/childMain.ts',
  'src/registrar/store/sqliteThread.ts',
  'src/kit/kitThread.ts',
  'src/kit/loadThread.ts',
  'src/kit/public.ts',
  'src/observer/page/page.js',
  'loadgen/cli.ts',
  'loadgen/worker.ts',
];

/** Lists, arithmetic and pure functions that hold no state: free for all. */
const BASE = [
  'src/base/limits.ts',
  'src/base/errors.ts',
  'src/base/names.ts',
  'src/base/units.ts',
  'src/base/amqpUrl.ts',
  'src/base/redact.ts',
];
const METRICS = 'src/base/metrics.ts';
/** It alone in src/ imports amqplib. */
const AMQP = 'src/broker/amqp.ts';

interface Layer {
  /** Paths that this layer holds: a file, or a folder with its slash. */
  readonly holds: string;
  /** What its files may import, besides each other. */
  readonly values: readonly string[];
  /** What they may import as types only, besides `values`. */
  readonly types?: readonly string[];
}

/** Import directions: the first layer that holds a file decides. What is not named is forbidden. */
const LAYERS: readonly Layer[] = [
  { holds: 'src/base/limits.ts', values: [] },
  { holds: 'src/base/errors.ts', values: [] },
  { holds: 'src/base/names.ts', values: [] },
  { holds: 'src/base/linkPhase.ts', values: [] },
  { holds: 'src/base/units.ts', values: [] },
  { holds: 'src/base/bucket.ts', values: [] },
  { holds: 'src/base/runtime.ts', values: [] },
  { holds: 'src/base/operands.ts', values: [] },
  { holds: 'src/base/later.ts', values: ['node:module'] },
  { holds: 'src/base/signals.ts', values: [] },
  { holds: 'src/base/clock.ts', values: [] },
  { holds: 'src/base/v8.ts', values: ['node:module', 'node:v8', 'node:vm'] },
  { holds: 'src/base/heapGrowth.ts', values: ['src/base/v8.ts'] },
  { holds: 'src/base/deadlines.ts', values: [] },
  { holds: 'src/base/openQuestions.ts', values: [] },
  { holds: 'src/base/ticker.ts', values: [] },
  { holds: 'src/base/amqpUrl.ts', values: ['src/base/units.ts'] },
  { holds: 'src/base/redact.ts', values: [] },
  { holds: 'src/base/networks.ts', values: ['node:net'] },
  {
    holds: 'src/base/listeners.ts',
    values: ['src/base/names.ts', 'src/base/networks.ts', 'src/base/units.ts'],
  },
  {
    holds: 'src/base/listenerReader.ts',
    values: ['src/base/units.ts', 'src/base/listeners.ts', 'node:path'],
  },
  {
    holds: 'src/base/config.ts',
    values: [
      ...BASE,
      'src/base/listeners.ts',
      'src/base/listenerReader.ts',
      'src/base/networks.ts',
      'src/base/options.ts',
      'node:os',
      'node:path',
    ],
  },
  { holds: 'src/base/privateFile.ts', values: [...BASE, 'node:fs'] },
  {
    holds: 'src/base/deviceKeys.ts',
    values: [...BASE, 'src/base/later.ts', 'src/base/privateFile.ts', 'node:crypto', 'yaml'],
  },
  { holds: 'src/base/options.ts', values: [] },
  { holds: 'src/base/histogram.ts', values: [] },
  { holds: 'src/base/traceContext.ts', values: [] },
  {
    holds: METRICS,
    values: [
      ...[...BASE, 'src/base/histogram.ts', 'src/base/listeners.ts'],
      'src/base/traceContext.ts',
    ],
  },
  {
    holds: 'src/base/log.ts',
    values: [...BASE, 'src/base/later.ts', 'pino', 'pino-pretty', 'node:tty'],
    types: ['src/base/'],
  },
  { holds: 'src/base/trace.ts', values: ['node:fs', 'node:path'] },
  {
    holds: 'src/wire/mqtt/',
    values: [...BASE, 'src/base/traceContext.ts', 'src/wire/', 'mqtt-packet', 'node:buffer'],
  },
  // What an author's own code needs to be loaded; the others are pure.
  {
    holds: 'src/wire/module/loadModule.ts',
    values: [...BASE, 'src/wire/', 'node:url'],
  },
  { holds: 'src/wire/module/moduleTypes.ts', values: [] },
  { holds: 'src/wire/', values: [...BASE, 'src/base/traceContext.ts', 'msgpackr'] },
  { holds: AMQP, values: ['amqplib'], types: ['src/broker/content.ts'] },
  {
    holds: 'src/broker/',
    values: [
      ...BASE,
      ...[METRICS, 'src/base/histogram.ts'],
      'src/base/networks.ts',
      'src/base/options.ts',
      ...['node:timers/promises', 'node:events'],
    ],
    types: ['src/base/config.ts', 'pino', 'node:net'],
  },
  { holds: 'src/node/', values: ['src/base/', 'src/wire/frame.ts', 'msgpackr', 'node:'] },
  {
    holds: 'src/acceptor/endpoint/',
    values: ['src/base/', 'uuid', 'node:net'],
    types: ['src/wire/message.ts', 'src/wire/protocol.ts', 'node:tls'],
  },
  {
    holds: 'src/acceptor/establish/',
    values: [
      ...['ws', 'node:http', 'node:stream'],
      'src/base/',
      'src/acceptor/endpoint/',
      'src/acceptor/identity/',
      'node:crypto',
      'node:fs',
      'node:net',
      'node:tls',
    ],
    types: ['src/node/alarmNames.ts'],
  },
  {
    holds: 'src/acceptor/identity/',
    values: [
      ...['src/base/', 'src/acceptor/endpoint/', 'src/node/verdicts.ts'],
      ...['jose', 'node:crypto', 'node:fs'],
    ],
    types: ['src/acceptor/establish/', 'src/wire/protocol.ts', 'src/node/messages.ts'],
  },
  {
    holds: 'src/acceptor/move/',
    values: ['src/base/', 'src/acceptor/endpoint/', 'src/node/drain.ts', 'msgpackr'],
    types: [
      'src/node/ipc.ts',
      'src/acceptor/linkChanges.ts',
      'src/acceptor/route/deviceCommands.ts',
    ],
  },
  {
    holds: 'src/acceptor/route/',
    values: [
      'src/base/',
      'src/wire/message.ts',
      'src/acceptor/endpoint/',
      'src/broker/content.ts',
      'src/broker/topology.ts',
    ],
    types: ['src/broker/', 'src/node/messages.ts'],
  },
  {
    holds: 'src/acceptor/identity/',
    values: ['src/base/', 'node:crypto', 'node:fs', 'jose'],
  },
  {
    holds: 'src/acceptor/trace/',
    values: ['src/base/', 'src/node/', 'src/acceptor/endpoint/', 'src/acceptor/operate/'],
    types: ['src/wire/message.ts', 'src/wire/protocol.ts'],
  },
  {
    // It alone, with devices.ts, picks what links speak.
    holds: 'src/acceptor/acceptor.ts',
    values: ['src/base/', 'src/wire/', 'src/acceptor/', 'src/broker/', 'src/node/'],
    types: ['pino', 'node:net'],
  },
  {
    holds: 'src/acceptor/ownProtocols.ts',
    values: ['src/base/', 'src/wire/'],
  },
  {
    holds: 'src/acceptor/devices.ts',
    values: ['src/base/', 'src/wire/', 'src/acceptor/', 'src/broker/', 'src/node/'],
    types: ['pino', 'node:net'],
  },
  {
    holds: 'src/acceptor/',
    values: ['src/base/', 'src/broker/', 'src/node/', 'node:'],
    types: ['pino', 'src/wire/protocol.ts'],
  },
  {
    holds: 'src/registrar/store/',
    values: [
      'src/base/',
      'node:crypto',
      'node:fs',
      'node:path',
      'node:sqlite',
      'node:worker_threads',
    ],
  },
  {
    holds: 'src/registrar/command/',
    values: ['src/base/', AMQP, 'src/broker/content.ts', 'src/registrar/store/', 'node:crypto'],
    types: ['src/registrar/presence/', 'src/broker/', 'src/node/messages.ts'],
  },
  {
    holds: 'src/registrar/presence/',
    values: [
      ...['src/base/', 'src/node/alarmNames.ts', 'src/broker/', 'src/registrar/store/'],
      'node:crypto',
    ],
    types: ['pino', 'src/node/ipc.ts', 'src/registrar/will/'],
  },
  {
    holds: 'src/registrar/will/',
    values: ['src/base/', 'src/broker/', 'src/registrar/store/'],
  },
  {
    holds: 'src/registrar/',
    values: ['src/base/', 'src/broker/', 'src/node/', 'node:'],
    types: ['pino'],
  },
  // It runs in a browser: it has what the node serves of it, and nothing else.
  { holds: 'src/observer/page/', values: [] },
  {
    holds: 'src/observer/',
    values: [
      'src/base/',
      'src/wire/message.ts',
      'src/broker/brokerErrors.ts',
      'src/node/',
      'fastify',
      'prom-client',
      'node:',
    ],
  },
  { holds: 'src/supervisor/restart.ts', values: ['src/base/limits.ts'] },
  {
    holds: 'src/supervisor/',
    values: [
      'src/base/',
      'src/broker/',
      'src/node/',
      'src/acceptor/',
      'src/registrar/',
      'src/observer/',
      'src/kit/',
      'node:',
    ],
  },
  // Checks of protocol modules, outside of any process of a node.
  { holds: 'src/kit/', values: ['src/base/', 'src/wire/', 'node:'] },
  {
    holds: 'src/cli/cli.ts',
    values: ['src/base/runtime.ts', 'src/base/signals.ts', 'src/cli/commandLine.ts'],
  },
  {
    holds: 'src/cli/',
    values: [
      'src/base/',
      'src/broker/',
      'src/node/',
      'src/registrar/',
      'src/supervisor/',
      'src/kit/',
      'yargs',
      'yaml',
      'node:',
    ],
    types: ['src/wire/module/moduleTypes.ts'],
  },
  {
    holds: 'loadgen/',
    values: [
      'src/wire/',
      'src/base/limits.ts',
      'src/base/errors.ts',
      'src/base/deviceKeys.ts',
      'src/base/runtime.ts',
      'src/base/operands.ts',
      'src/base/signals.ts',
      'src/broker/topology.ts',
      'node:',
      'amqplib',
      'hdr-histogram-js',
      'mqtt-packet',
      'prom-client',
      'yaml',
      'yargs',
    ],
  },
];

/**
 * Folders are processes, and what they share. Imports point down this list, those of types too;
 * the three in one row never import each other.
 */
const ORDER: readonly (readonly string[])[] = [
  ['src/cli/'],
  ['src/supervisor/'],
  ['src/acceptor/', 'src/registrar/', 'src/observer/'],
  ['src/node/'],
  ['src/broker/'],
  ['src/kit/'],
  ['src/wire/'],
  ['src/base/'],
];

/**
 * They put their process together, and leave what it does to others. The supervisor's file is not
 * one of them: it is a state machine itself, and has nothing to put together.
 */
const ROOTS = [
  'src/acceptor/acceptor.ts',
  'src/registrar/registrar.ts',
  'src/observer/observer.ts',
];
/** A timer, a loop, or a wait for a time. */
const WORK = /\b(?:set(?:Timeout|Interval|Immediate)|pause)\(|\b(?:for|while|do)\b(?! of\b)/;

/** Pure files: the clock and chance arrive as arguments. */
const PURE = ['src/wire/', 'src/supervisor/restart.ts', 'src/acceptor/endpoint/keepalive.ts'];
const IMPURE = new RegExp(
  [
    /Date\.now|Math\.random|random(?:Bytes|UUID)|performance\./,
    /set(?:Timeout|Interval|Immediate)|queueMicrotask|process\.|console\./,
  ]
    .map(({ source }) => `\\b(?:${source})`)
    .join('|'),
);

interface Worded {
  readonly path: string;
  readonly imports: readonly { readonly to: string }[];
  readonly text: string;
}

/** Words that the vocabulary has a better one for; in `src/`, in code and comments. */
const BANNED: Readonly<Record<string, string>> = {
  packet: 'frame',
  master: 'supervisor',
  slave: 'acceptor',
  worker: 'acceptor (a thread: say thread)',
  session: 'link, or endpoint',
  inbound: 'uplink or downlink',
  outbound: 'uplink or downlink',
  serializer: 'codec',
  deserializer: 'codec',
  kick: 'takeover',
};
const isMqtt = ({ path, imports }: Worded) =>
  /\bmqtt/i.test(path) || imports.some(({ to }) => to === 'mqtt-packet');
const isTls = ({ imports }: Worded) => imports.some(({ to }) => to === 'node:tls');

/** Words that a standard has: its code may say them, and must where the standard means that. */
const STANDARD: Readonly<Record<string, (source: Worded) => boolean>> = {
  packet: isMqtt,
  session: (source) => isMqtt(source) || isTls(source),
};

const BANNED_SUFFIX = /\b\w+(?:Impl|Manager|Helper)\b/;

const files = repositoryFiles();
const sources = files
  .filter((path) => path.endsWith('.ts') || /^src\/.*\.js$/.test(path))
  .map(readSource);
const ours = sources.filter(({ path }) => /^(?:src|loadgen)\//.test(path));
const inSrc = sources.filter(({ path }) => path.startsWith('src/'));
const byPath = new Map(sources.map((source) => [source.path, source]));

const isIn = (path: string, places: readonly string[]) =>
  places.some((place) => (/[/:]$/.test(place) ? path.startsWith(place) : path === place));

/** `file:line: what` for each line of `text` that `find` has something to say about. */
function linesOf(path: string, text: string, find: (line: string) => string | undefined): string[] {
  return text.split('\n').flatMap((line, at) => {
    const what = find(line);
    return what === undefined ? [] : [`${path}:${at + 1}: ${what}`];
  });
}

t.test('tidy: imports go only in the directions of the layer table', async (t) => {
  const breaches = ours.flatMap(({ path, imports }) => {
    const layer = LAYERS.find(({ holds }) => isIn(path, [holds]));
    if (layer === undefined) return [`${path}: is in no layer of test/tidy.test.ts`];
    const { holds, values, types = [] } = layer;
    return imports
      .filter(({ to, isType }) => !isIn(to, [holds, ...values, ...(isType ? types : [])]))
      .map(({ to, line, isType }) => {
        const also = !isType && isIn(to, types) ? ' (as a type it may)' : '';
        return `${path}:${line}: ${holds} may not import ${to}${also}`;
      });
  });

  t.same(breaches, []);
});

t.test('tidy: imports point down the list of folders, those of types too', async (t) => {
  const rankOf = (path: string) => ORDER.findIndex((row) => isIn(path, row));
  const folderOf = (path: string) => path.split('/').slice(0, 2).join('/');
  const breaches = inSrc.flatMap(({ path, imports }) =>
    imports
      .filter(({ to }) => to.startsWith('src/') && folderOf(to) !== folderOf(path))
      .filter(({ to }) => rankOf(to) <= rankOf(path))
      .map(({ to, line }) => `${path}:${line}: imports ${to}`),
  );

  t.same(breaches, []);
  t.same(
    inSrc.map(({ path }) => path).filter((path) => rankOf(path) < 0),
    [],
    'each folder has its place in the list',
  );
});

t.test('tidy: no name is exported twice in src/', async (t) => {
  const rule =
    /^export (?:async |abstract )*(?:const|let|function\*?|class|interface|type) (\w+)/gm;
  const places = new Map<string, string[]>();
  for (const { path, code } of inSrc) {
    for (const { 1: name = '' } of code.matchAll(rule)) {
      places.set(name, [...(places.get(name) ?? []), path]);
    }
  }

  t.same(
    [...places].filter(([, paths]) => paths.length > 1).map(([name, paths]) => [name, ...paths]),
    [],
  );
});

t.test('tidy: a file that a comment of src/ names exists', async (t) => {
  const names = (path: string, named: string) => path === named || path.endsWith(`/${named}`);
  const breaches = inSrc.flatMap(({ path, text, code }) => {
    const comments = text
      .split('\n')
      .map((line, at) => (code.split('\n')[at] === line ? '' : line));
    return comments.flatMap((line, at) =>
      [...line.matchAll(/[\w./-]*\w\.ts\b/g)]
        .map(([named]) => named)
        .filter((named) => !files.some((file) => names(file, named)))
        .map((named) => `${path}:${at + 1}: names ${named}`),
    );
  });

  t.same(breaches, []);
});

t.test('tidy: what puts a process together has no timer and no loop', async (t) => {
  const breaches = inSrc
    .filter(({ path }) => isIn(path, ROOTS))
    .flatMap(({ path, bare }) => linesOf(path, bare, (line) => WORK.exec(line)?.[0]));

  t.same(breaches, []);
});

t.test('tidy: src/ imports nothing of bench, test, loadgen or examples', async (t) => {
  const breaches = inSrc.flatMap(({ path, imports }) =>
    imports
      .filter(({ to }) => isIn(to, ['bench/', 'test/', 'loadgen/', 'examples/']))
      .map(({ to, line }) => `${path}:${line}: imports ${to}`),
  );

  t.same(breaches, []);
});

t.test('tidy: each study of bench/ asks its question, and bench/README.md has it', async (t) => {
  const page = readText('bench/README.md');
  const studies = sources.filter(({ path }) => path.startsWith('bench/studies/'));
  const names = new Map([['bench/studies/links.ts', 'make bench-links']]);
  const breaches = studies.flatMap(({ path, text }) => [
    ...(/^\/\*\*\n \* \w+: .*\?\n/.test(text) ? [] : [`${path}:1: asks nothing`]),
    ...(page.includes(names.get(path) ?? path) ? [] : [`bench/README.md: has no ${path}`]),
  ]);

  t.ok(studies.length > 0);
  t.same(breaches, []);
});

t.test('tidy: the pure files use no clock, timer, chance, process or log', async (t) => {
  const breaches = inSrc
    .filter(({ path }) => isIn(path, PURE))
    .flatMap(({ path, bare }) => linesOf(path, bare, (line) => IMPURE.exec(line)?.[0]));

  t.same(breaches, []);
});

/** `childSlot.ts` hands the environment on to children, without what is ours. */
const READERS = [
  ...['src/cli/cli.ts', 'src/cli/commandLine.ts', 'src/cli/terminal.ts'],
  'src/supervisor/childSlot.ts',
];

t.test('tidy: only the command line reads arguments and environment, or prints', async (t) => {
  const rule = /\bconsole\.\w+|\bprocess\.(?:argv|env|stdout)\b/;
  const breaches = inSrc
    .filter(({ path }) => !READERS.includes(path))
    .flatMap(({ path, bare }) => linesOf(path, bare, (line) => rule.exec(line)?.[0]));

  t.same(breaches, []);
});

t.test('tidy: there is no import cycle', async (t) => {
  const breaches: string[] = [];
  const done = new Set<string>();
  const walk = (path: string, trail: readonly string[]) => {
    const at = trail.indexOf(path);
    if (at >= 0) breaches.push([...trail.slice(at), path].join(' -> '));
    if (at >= 0 || done.has(path)) return;
    for (const { to, isType } of byPath.get(path)?.imports ?? []) {
      if (!isType && byPath.has(to)) walk(to, [...trail, path]);
    }
    done.add(path);
  };
  for (const { path } of sources) walk(path, []);

  t.same(breaches, []);
});

/** By the imports that are followed; all of them when not said otherwise. */
function reachedFrom(
  entries: readonly string[],
  isFollowed: (one: Import) => boolean = () => true,
): Set<string> {
  const reached = new Set<string>();
  const walk = (path: string) => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const one of byPath.get(path)?.imports ?? []) if (isFollowed(one)) walk(one.to);
  };
  for (const entry of entries) walk(entry);
  return reached;
}

t.test('tidy: every file of src and loadgen is reached from an entry', async (t) => {
  const reached = reachedFrom(ENTRIES);
  const dead = ours.map(({ path }) => path).filter((path) => !reached.has(path));

  t.same(dead, []);
});

// test/run.ts does, and lifts that bound.
t.test('tidy: programs beside the tests do not load tap, which ends them after 30 s', async (t) => {
  const programs = ['test/chaos/run.ts', 'test/trace/run.ts'];
  const loads = (program: string) => reachedFrom([program], ({ isType }) => !isType);

  t.same(
    programs.filter((program) => loads(program).has('tap')),
    [],
  );
});

t.test('tidy: every relative import names a file that exists', async (t) => {
  const breaches = sources.flatMap(({ path, imports }) =>
    imports
      .filter(({ to }) => to.includes('/') && /\.[cm]?[tj]s$/.test(to) && !files.includes(to))
      .map(({ to, line }) => `${path}:${line}: imports ${to}`),
  );

  t.same(breaches, []);
});

t.test('tidy: no barrel, and no file whose name says nothing', async (t) => {
  const breaches = ours
    .map(({ path }) => path)
    .filter((path) => /\/(?:index|utils?|helpers?|common|misc|types)\.ts$/.test(path));

  t.same(breaches, []);
});

t.test('tidy: each file of src and loadgen opens with what it owns, and its bound', async (t) => {
  const breaches = ours.flatMap(({ path, text }) => {
    const header = /^(?:#![^\n]*\n)?\/\*\*\n([\s\S]*?)\n \*\//.exec(text)?.[1];
    if (header === undefined) return [`${path}:1: does not open with a header comment`];
    if (!path.startsWith('src/')) return [];
    const missing = ['From:', 'To:', 'Bound'].filter((word) => !header.includes(word));
    return missing.map((word) => `${path}:1: its header has no "${word}"`);
  });

  t.same(breaches, []);
});

t.test(`tidy: no line is longer than ${COLUMNS_MAX} columns, strings of code apart`, async (t) => {
  const find = (line: string) =>
    [...line].length > COLUMNS_MAX ? `${[...line].length} columns` : undefined;
  const breaches = files
    .filter((path) => /\.(?:ts|js|css|html|c|h|rb|sh)$|^Makefile$|^\.ci\//.test(path))
    .flatMap((path) => linesOf(path, byPath.get(path)?.stringless ?? readText(path), find));

  t.same(breaches, []);
});

t.test('tidy: files are short', async (t) => {
  const styles = files.filter((path) => path.endsWith('.css') || path.endsWith('.html'));
  const breaches = [...sources, ...styles.map(readSource)].flatMap(({ path, lines }) => {
    const most = LINES_MAX[path.split('/')[0] ?? ''] ?? Number.POSITIVE_INFINITY;
    return lines.length - 1 > most ? [`${path}: ${lines.length - 1} lines, at most ${most}`] : [];
  });

  t.same(breaches, []);
});

t.test(`tidy: functions of src and loadgen have at most ${FUNCTION_LINES_MAX} lines`, async (t) => {
  const breaches = ours.flatMap((source) =>
    functionsOf(source)
      .filter(({ length }) => length > FUNCTION_LINES_MAX)
      .map(({ name, line, length }) => `${source.path}:${line}: ${length} lines: ${name}`),
  );

  t.same(breaches, []);
});

t.test('tidy: no type is any', async (t) => {
  const rule = /(?:[:<,|&(]\s*|\bas\s+|\bextends\s+)any(?=[\s;,)>\]|&={[]|$)/;
  const breaches = sources.flatMap(({ path, bare }) =>
    linesOf(path, bare, (line) => (rule.test(line) ? line.trim() : undefined)),
  );

  t.same(breaches, []);
});

t.test('tidy: work left to do names its issue', async (t) => {
  const rule = /\b(?:TO-?DO|FIX-?ME|XXX|HACK)\b(?!.*#\d)/;
  const breaches = files
    .filter((path) => /\.(?:ts|js|css|html|c|h|rb|sh|md|tla)$|^Makefile$/.test(path))
    .filter((path) => path !== 'test/tidy.test.ts')
    .flatMap((path) => linesOf(path, readText(path), (line) => rule.exec(line)?.[0]));

  t.same(breaches, []);
});

/** What a file says that the vocabulary has a better word for. */
function wordsOf(source: Worded): string[] {
  const words = Object.keys(BANNED).filter((word) => STANDARD[word]?.(source) !== true);
  const rule = new RegExp(`\\b(${words.join('|')})s?\\b`, 'i');
  return linesOf(source.path, source.text, (line) => {
    // Node's own name for the class, said once and never again.
    const word = rule.exec(line.replace('Worker as Thread', ''))?.[1]?.toLowerCase();
    return word === undefined ? BANNED_SUFFIX.exec(line)?.[0] : `"${word}": say ${BANNED[word]}`;
  });
}

t.test('tidy: src keeps to the vocabulary', async (t) => {
  t.same(inSrc.flatMap(wordsOf), []);
});

t.test('tidy: the words of a standard are for its own code', async (t) => {
  const files = [
    ['src/wire/frame.ts', 'msgpackr'],
    ['src/acceptor/establish/tlsServer.ts', 'node:tls'],
    ['src/wire/mqtt/topics.ts', 'node:crypto'],
  ] as const;
  const mayNot = (text: string) =>
    files.map(([path, to]) => wordsOf({ path, imports: [{ to }], text }).length > 0);

  t.same(mayNot('Two packets'), [true, true, false]);
  t.same(mayNot('of one session'), [true, false, false]);
  t.same(mayNot('and a worker'), [true, true, true]);
});

t.test('tidy: no file names a package registry', async (t) => {
  const rule =
    /"resolved":|^\s*(?:@[\w-]+:)?registry\s*=|\bregistry\.[\w-]+\.\w+|\/-\/[\w.-]+\.tgz/;
  const breaches = files
    .filter((path) => path !== 'test/tidy.test.ts')
    .flatMap((path) => linesOf(path, readText(path), (line) => rule.exec(line)?.[0]));

  t.same(breaches, []);
});

t.test('tidy: the lock file has every optional dependency, or npm ci refuses it', async (t) => {
  interface Locked {
    readonly packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  }
  const { packages } = JSON.parse(readText('package-lock.json')) as Locked;
  const locked = new Set(Object.keys(packages).map((at) => at.split('node_modules/').at(-1)));
  const breaches = Object.entries(packages).flatMap(([at, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !locked.has(name))
      .map((name) => `package-lock.json: ${name}, which ${at} may use, has no entry`),
  );

  t.same(breaches, []);
});

t.test('tidy: the published package has every file that its programs read', async (t) => {
  const { files: published } = JSON.parse(readText('package.json')) as { files: string[] };
  const isPublished = (path: string) =>
    published.some((entry) => path === entry || path.startsWith(`${entry}/`));
  const read = files.filter((path) => /^(?:src|loadgen)\//.test(path) && !path.endsWith('.ts'));

  t.ok(read.length > 0);
  t.same(
    read.filter((path) => !isPublished(path)),
    [],
    'what tsc does not compile is published as it is',
  );
  const made = ['dist'];
  t.same(
    published.filter(
      (entry) =>
        !made.includes(entry) &&
        !files.some((path) => path === entry || path.startsWith(`${entry}/`)),
    ),
    [],
    'nothing is promised that is not there',
  );
});

t.test('tidy: the top level holds only what a newcomer expects there', async (t) => {
  const top = new Set(files.map((path) => path.split('/')[0] ?? ''));

  t.same(
    [...top].filter((name) => !name.startsWith('.') && !TOP_LEVEL.includes(name)),
    [],
  );
});
