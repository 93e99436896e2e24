/**
 * loadgen's devices of a protocol module: which plans one can carry out, told before anything is
 * started, and how its links are heard. Against a real node: test/system/protocolModules.test.ts.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ModuleSpeech } from '../../loadgen/fleet/moduleSpeech.ts';
import {
  blindSpots,
  contentOf,
  loadSimulation,
  withModule,
} from '../../loadgen/fleet/simulation.ts';
import type { Given } from '../../loadgen/plan/options.ts';
import { KIND } from '../../loadgen/plan/payload.ts';
import { deviceId, type ModulePlan } from '../../loadgen/plan/plan.ts';
import { makePlan } from '../../loadgen/plan/settings.ts';
import { ProtocolError } from '../../src/base/errors.ts';
import { at } from '../helpers/processes/programs.ts';

const folder = mkdtempSync(join(tmpdir(), 'ot-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const GPS103 = at('examples/protocols/gps103.js');
const TELTONIKA = at('examples/protocols/teltonika.js');

/** Lines with a number and hex digits: `event 1 00`, `ask`, `done`; and `ok`, `answer`, `do`. */
const METER = `
const line = (...words) => words.join(' ') + '\\n';
const hex = (bytes) => bytes.toString('hex');
const bytes = (text) => Buffer.from(text, 'hex');
export const createProtocol = ({ framing }) => ({
  name: 'meter',
  capabilities: { events: true, acknowledgements: true, requests: true, commands: 'results',
    keepalive: 'none' },
  connect: () => ({
    frame: framing.lines(),
    read(frame) {
      const [word, number, rest = ''] = frame.toString().trim().split(' ');
      if (word === 'login') return { type: 'login', deviceId: number };
      const said = { topic: 'x', payload: bytes(rest) };
      if (word === 'event') return { ...said, type: 'event', ack: line('ok', number) };
      const reply = (status, payload) => line('answer', number, hex(payload), status);
      if (word === 'ask') return { ...said, type: 'request', reply };
      return { type: 'result', number: Number(number), payload: bytes(rest) };
    },
    command: ({ number, payload }) => line('do', number, hex(payload)),
  }),
});
export const createDevice = ({ framing }) => ({
  connect: (id) => ({
    frame: framing.lines(),
    read(frame) {
      const [word, text, rest = '', status] = frame.toString().trim().split(' ');
      const [number, payload] = [Number(text), bytes(rest)];
      if (word === 'ok') return { type: 'ack', number };
      if (word === 'do') return { type: 'command', number, payload };
      if (word === 'answer') return { type: 'reply', number, payload, status: Number(status) };
      throw new Error('no such line');
    },
    login: () => line('login', id),
    event: ({ number, payload }) => line('event', number, hex(payload)),
    request: ({ number, payload }) => line('ask', number, hex(payload)),
    result: ({ number, payload }) => line('done', number, hex(payload)),
  }),
});
`;

let written = 0;
function module(text: string): string {
  written += 1;
  const file = join(folder, `meter-${written}.js`);
  writeFileSync(file, text);
  return file;
}

function planOf(protocol: string, more: Given = {}) {
  return makePlan({ target: 'localhost:1', protocol, devices: '20', rate: '1', ...more }, [], 7);
}

const EVENTS: Given = { eventShare: '100%' };
const COMMANDS: Given = { ...EVENTS, commandRate: '1' };

/** What cannot be: of the line that `createDevice` begins with. */
const SPOILED = (from: string | RegExp, to: string) => module(METER.replace(from, to));
const REFUSED: readonly (readonly [string, string, Given, RegExp])[] = [
  ['no module', 'gps', {}, /'gps' is not owsla, mqtt, mqtt5, or the path of a module/],
  ['no file', './none.js', EVENTS, /none\.js cannot be loaded/],
  ['no device', SPOILED('createDevice', 'other'), EVENTS, /exports no function createDevice/],
  [
    'another login',
    SPOILED("'login', id)", "'login', 'x')"),
    EVENTS,
    /not read as one of lg-000000/,
  ],
  ['requests', GPS103, {}, /^--protocol: no requests by gps103: its devices have no requests; use/],
  ['commands', GPS103, COMMANDS, /no commands by gps103: its simulated device answers none; leave/],
  [
    'replies',
    SPOILED('hex(payload), status', "'00', status"),
    {},
    /replies of meter .* --expect ok/,
  ],
  [
    'no ack',
    SPOILED("word === 'ok'", "word === 'o'"),
    EVENTS,
    /no events by meter: .*no such line/,
  ],
  [
    'ids',
    TELTONIKA,
    { ...EVENTS, devicePrefix: '12345678901234' },
    /no place for 20 numbers in 15/,
  ],
  ['too long', TELTONIKA, { ...EVENTS, bytes: '70000' }, /no events by teltonika: .*65535/],
  [
    'a command that it has not',
    SPOILED('command: (', 'command: () => undefined, c: ('),
    COMMANDS,
    /--command-topic/,
  ],
];

t.test('module: what a plan wants and the module cannot do is one sentence', async (t) => {
  for (const [what, protocol, more, expected] of REFUSED) {
    const tried = async () => withModule(planOf(protocol, more));
    await t.rejects(tried(), { name: 'UsageError', message: expected }, what);
  }
});

t.test('module: what is found out by trying it is in the plan', async (t) => {
  const meter = await withModule(planOf(module(METER), { commandRate: '1' }));
  const truck = await withModule(planOf(TELTONIKA, COMMANDS));
  const tracker = await withModule(planOf(GPS103, EVENTS));

  const all = { acknowledges: true, carriesEvents: true };
  t.match(meter.module, { ...all, carriesReplies: true, isWelcomed: false, keepaliveS: 0 });
  t.match(truck.module, { ...all, carriesReplies: false, isWelcomed: true, keepaliveS: 300 });
  t.match(tracker.module, { acknowledges: false, carriesEvents: false, keepaliveS: 180 });
  t.equal(deviceId(meter, 7), 'lg-000007');
  t.equal(deviceId(truck, 7), '356307000000007');
  t.equal(truck.commands.topic, 'gprs');
  const found = await contentOf(truck.module as ModulePlan);
  t.same(found(Buffer.from('[{"io":{"10000":"0aff"}}]')), Buffer.from([10, 255]));
  t.same(blindSpots(truck, true), []);
  t.equal(blindSpots(tracker, false).length, 1);
  t.match(blindSpots(tracker, true), [/acknowledges no events/, /broker has is not compared/]);
});

t.test('module: a link’s answers, with and without numbers, cut anywhere', async (t) => {
  const { devices } = await loadSimulation(module(METER));
  const manners = { keepaliveS: 0, isWelcomed: false, acknowledges: true };
  const link = new ModuleSpeech(devices, manners).linkOf('m-1');
  const cutter = link.cutter();
  const heard = [];
  for (const byte of Buffer.from('ok 3\nanswer 4 aa 5\ndo 9 bb\nok\n')) {
    cutter.push(Buffer.from([byte]));
    for (let next = cutter.next(); next; next = cutter.next()) heard.push(link.read(next));
  }

  t.match(heard, [
    { is: 'ack', id: 3 },
    { is: 'reply', id: 4, status: 5, payload: Buffer.from([0xaa]) },
    { is: 'command', id: 9, payload: Buffer.from([0xbb]) },
    { is: 'ack' },
  ]);
  t.equal(String(link.wrap(KIND.event, 8, Buffer.from([1]))), 'event 8 01\n');
  cutter.push(Buffer.from('nonsense\n'));
  t.throws(() => link.read(cutter.next() as Buffer), ProtocolError);
});
