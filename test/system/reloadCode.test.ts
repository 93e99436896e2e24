/** Reloads that find code which does not work, on a real node of one acceptor: what each costs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { Device, request } from '../helpers/fakes/device.ts';
import { type Change, Editions } from '../helpers/processes/editions.ts';
import { startNode } from '../helpers/processes/node.ts';
import { reloadNode } from '../helpers/processes/reloads.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LINKS = 1_100;
const FATAL_LINKS = 1_000;
const WINDOW = 32;

const folder = mkdtempSync(join(tmpdir(), 'ot-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const editions = new Editions(folder);
const file = join(folder, 'owsla.yaml');
writeFileSync(file, '');
const limits = { drainMs: 200, drainPaceMs: 100, lingerMs: 100, reportMs: 500 };
const flags = ['--config', file];
const { server, runDir } = await startNode(t, {
  ...{ acceptors: 1, cli: editions.cli, limits, flags },
});
const CHILDREN = ['observer', 'registrar', 'acceptor 1'];
const pids = () => CHILDREN.map((child) => server.childPid(child));

const devices: Device[] = [];
for (let at = 0; at < LINKS; at += 100) {
  const some = Array.from({ length: 100 }, (_, one) => Device.open(server.port, `d${at + one}`));
  devices.push(...(await Promise.all(some)));
}
/** Of those that are there. */
let closed = 0;
const open = new Set(devices);
for (const device of devices) {
  device.socket.once('close', () => {
    closed += 1;
    open.delete(device);
  });
}
let id = 0;
async function answered(): Promise<number> {
  id += 1;
  const asked = [...open];
  for (const device of asked) device.send(request(id));
  const answers = await Promise.all(asked.map((device) => device.next()));
  return answers.filter((one) => one !== 'end' && one.type === TYPE.REPLY).length;
}

/** Each child's pid is another one, or not. */
const NONE = [false, false, false];
const WRONG: readonly (readonly [string, Change, string, RegExp, readonly boolean[]])[] = [
  [
    'that cannot be loaded',
    { file: 'acceptor/move/taker.ts', from: 'export class', to: 'export klass' },
    '',
    /^the code in \S+ cannot be loaded: /,
    NONE,
  ],
  [
    'whose registrar does not start',
    {
      file: 'registrar/registrar.ts',
      from: 'export async function startRegistrar(',
      to: 'throwing();\nfunction throwing() { if (process.send && process.argv[2] !== "prove") throw new Error("planted"); }\nexport async function startRegistrar(',
    },
    '',
    /^the new registrar did not start: planted$/,
    NONE,
  ],
  [
    'whose registrar does not begin',
    {
      file: 'registrar/registrar.ts',
      from: '  await registrar.open();',
      to: '  throw new Error("planted");',
    },
    '',
    /^the new registrar did not start: planted$/,
    [false, true, false],
  ],
  [
    'whose acceptor is not ready in time',
    {
      file: 'acceptor/acceptor.ts',
      from: '    await blockList.known;',
      to: '    await blockList.known.then(() => new Promise(() => {}));',
    },
    // The registrar before it must not be late on a busy machine.
    'set: { childReadyMs: 8s }\n',
    /^the new acceptor 1 did not start: it was late$/,
    [false, true, false],
  ],
  [
    'whose observer does not start',
    {
      file: 'observer/adminSocket.ts',
      from: '    await this.#admin.ready();',
      to: '    throw new Error("planted");',
    },
    '',
    /^the new observer did not start: /,
    [true, true, true],
  ],
];

for (const [what, change, config, why, isOther] of WRONG) {
  t.test(`code ${what}: refused in one sentence; no link notices`, async (t) => {
    editions.install(change);
    writeFileSync(file, config);
    const before = pids();

    const { code, end } = await reloadNode(runDir);
    writeFileSync(file, '');

    t.equal(code, 3);
    t.match(end, { phase: 'refused', why });
    t.notMatch(end?.why, /\n/);
    const isAsExpected = () => pids().every((pid, at) => (pid !== before[at]) === isOther[at]);
    await waitFor('what was started again', isAsExpected);
    await waitFor('it is ready', () => server.isReady());
    t.equal(closed, 0);
    t.equal(await answered(), LINKS);
  });
}

t.test('code that crashes when 1,000 links have moved to it: those alone are lost', async (t) => {
  editions.install({
    file: 'acceptor/move/taker.ts',
    from: '    this.#adopted.set(connection, { endpoint, from });',
    to: `    this.#adopted.set(connection, { endpoint, from });
    Object.assign(this, { taken: (this.taken ?? 0) + 1 });
    if (this.taken > ${FATAL_LINKS}) throw new Error('planted');`,
  });
  const before = server.childPid('acceptor 1');

  const { code, end } = await reloadNode(runDir);

  t.equal(code, 3);
  t.match(end, { phase: 'refused', why: /^the new acceptor 1 ended while links moved to it: / });
  t.doesNotThrow(() => process.kill(before, 0), 'the old one goes on');
  await waitFor('links that are lost', () => closed >= FATAL_LINKS - 2 * WINDOW);
  t.ok(closed <= FATAL_LINKS, `${closed} links are lost`);
  t.equal(await answered(), LINKS - closed);
  const comes = await Device.open(server.port, 'comes');
  comes.close();
});

t.test('then code that works: the rest moves', async (t) => {
  editions.install();
  const lost = closed;

  const { code, end } = await reloadNode(runDir);

  t.equal(code, 0, `${end?.why}`);
  t.equal(closed, lost);
  t.equal(await answered(), LINKS - lost);
});
