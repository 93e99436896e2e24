/** The conformance kit: a right module passes, and each way to be wrong is found by name. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { checkModule } from '../../src/kit/kit.ts';
import { samplesIn } from '../../src/kit/samples.ts';
import type { CheckOptions } from '../../src/wire/module/moduleTypes.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-kit-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** A protocol of lines, right in all; what a test changes of it makes it wrong. */
const RIGHT = `
const common = {};
export const createProtocol = ({ framing }) => ({
  name: 'lines',
  capabilities: { events: true, acknowledgements: true, requests: true, commands: 'results',
    keepalive: 'none' },
  connect: (saved = { id: '' }) => new Link(framing.lines(), saved),
});
class Link {
  constructor(frame, saved) { this.lines = frame; this.id = saved.id; }
  frame(bytes) { return this.lines(bytes); }
  read(line) {
    const [word, id] = line.toString('latin1').trim().split(' ');
    if (word === 'login') { this.id = id; return { type: 'login', deviceId: id }; }
    if (word === 'done') return { type: 'result' };
    if (word === 'ask') return { type: 'request', topic: 'ask', reply: () => this.id };
    if (word === 'event') return { type: 'event', topic: 'x', payload: this.id, ack: 'ok' };
    throw new Error('no such word');
  }
  welcome() { return 'hello ' + this.id; }
  command({ topic }) { return topic === 'go' ? 'go' : undefined; }
  save() { return { id: this.id }; }
}
export const samples = [
  { name: 'one', device: ['login a\\n', 'event\\n', 'ask\\n'] },
  { name: 'two', commands: [{ topic: 'go' }], device: ['login b\\n', 'done\\n'] },
];
`;

let modules = 0;

async function check(text: string, options: CheckOptions = {}) {
  modules += 1;
  const path = join(folder, `module-${modules}.js`);
  writeFileSync(path, text);
  const { isGood, findings } = await checkModule(path, { rounds: 100, ...options });
  const wrong = findings.filter(({ state }) => state === 'failed');
  return { isGood, findings, wrong: wrong.map(({ check, what }) => `${check}: ${what}`) };
}

t.test('kit: a module that is right holds all of it', async (t) => {
  const { isGood, findings, wrong } = await check(RIGHT);
  t.same(wrong, []);
  t.equal(isGood, true);
  t.same(
    findings.map(({ check }) => check),
    'module samples samples cuts noise sizes writing links moves memory time'.split(' '),
  );
  t.match(findings[1], { what: '“one”: 1 login, 1 event, 1 request' });
});

/** What is wrong, what is said of it, and how a right module is spoiled. */
type Case = readonly [string, RegExp | readonly RegExp[], (right: string) => string];

const WRONG: readonly Case[] = [
  [
    'a frame that depends on what has come by then',
    /^cuts: “one” means something else byte by byte: .* becomes ends: bad-frame$/,
    (right) => {
      const looksAhead =
        "return bytes.length > 3 && !bytes.includes('\\n') ? 3 : this.lines(bytes)";
      return right.replace('return this.lines(bytes)', looksAhead);
    },
  ],
  [
    'one state for all links',
    /^links: “(?:one|two)” means something else beside another link/,
    (right) => right.replaceAll('this.id', 'common.id'),
  ],
  [
    'links that are kept, nonsense for noise, a command that nobody expects, a save that forgets',
    [
      /^memory: each link that is over leaves about \d+ bytes$/,
      /^noise: the protocol module’s read gave a message without a topic; the bytes were [0-9a-f]+/,
      /^writing: a command \S+ of 0 bytes: the protocol module’s command threw TypeError at module/,
      /^moves: “one” is another link after a move: /,
    ],
    (right) =>
      right
        .replace('this.lines = frame;', 'this.lines = frame; (common.all ??= []).push(this);')
        .replace("throw new Error('no such word')", "return { type: 'event' }")
        .replace("topic === 'go' ? 'go' : undefined", "({ go: { x: 'go' } })[topic].x")
        .replace('return { id: this.id }', "return { id: 'x' }"),
  ],
  [
    'a sample that it does not read',
    /^samples: “one” ends after 1 messages: .*read threw Error at module-\d+\.js.*: no such word$/,
    (right) => right.replace("'event\\n', 'ask", "'evnt\\n', 'ask"),
  ],
  [
    'a sample that stops within a frame',
    /^samples: “one” ends with 3 bytes that are no whole frame$/,
    (right) => right.replace("'ask\\n']", "'ask']"),
  ],
  [
    'acknowledgements that are promised, and not given',
    /^samples: “one” has an event without `ack`/,
    (right) => right.replace(", ack: 'ok'", ''),
  ],
  [
    'no samples',
    /^samples: there are no samples/,
    (right) => right.replace('export const samples', 'const samples'),
  ],
  [
    'something beside its functions',
    /^module: something beside its functions fails: later$/,
    (right) =>
      right.replace(
        'this.lines = frame;',
        "this.lines = frame; Promise.reject(new Error('later'));",
      ),
  ],
  [
    'it ends its process',
    /^module: (?:the protocol module \S+ ends its process|it ends its own process)$/,
    (right) => right.replace('this.lines = frame;', 'this.lines = frame; process.exit();'),
  ],
  ['no code', /^module: the protocol module \S+ cannot be loaded: SyntaxError/, () => 'no code'],
  [
    'an async function',
    /^module: the protocol module \S+ has an async read: it must answer at once$/,
    (right) => right.replace('  read(line)', '  async read(line)'),
  ],
];

for (const [what, wanted, spoil] of WRONG) {
  t.test(`kit: ${what}`, async (t) => {
    const text = spoil(RIGHT);
    t.not(text, RIGHT);
    const { isGood, wrong } = await check(text);
    t.equal(isGood, false);
    for (const one of [wanted].flat()) {
      t.ok(
        wrong.some((sentence) => one.test(sentence)),
        `${one}\n${wrong.join('\n')}`,
      );
    }
  });
}

t.test('kit: a function that does not return is named, with what it was given', async (t) => {
  const loop = 'if (bytes[0] === 0x65) for (;;); return this.lines(bytes)';
  const { wrong } = await check(RIGHT.replace('return this.lines(bytes)', loop), { callMs: 400 });
  t.match(wrong, [/^time: frame does not return within 400 ms, given 6576656e740a/]);
});

t.test('kit: samples come from files too', async (t) => {
  const samples = join(folder, 'samples');
  mkdirSync(samples);
  writeFileSync(join(samples, 'a.hex'), '6c6f67696e20 61 # login a\n0a\n');
  writeFileSync(join(samples, 'b.txt'), 'login b\nevent\n');
  const found = samplesIn(samples);
  t.same(
    found.map(({ name, device }) => [name, String(device[0])]),
    [
      ['a.hex', 'login a\n'],
      ['b.txt', 'login b\nevent\n'],
    ],
  );
  writeFileSync(join(samples, 'c.hex'), 'xyz');
  t.throws(() => samplesIn(samples), /c\.hex has no hexadecimal digits/);

  const without = RIGHT.replace('export const samples', 'const samples');
  const { isGood, findings } = await check(without, { samples: found });
  t.equal(isGood, true, JSON.stringify(findings));
  t.match(
    findings.filter(({ state }) => state === 'note').map(({ what }) => what),
    [/^no sample shows a request/, /^no sample shows the result of a command/],
  );
});
