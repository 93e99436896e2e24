/**
 * What one reload changes in a node that works: fewer acceptors, and then more of them together
 * with all else that may be changed; and what is refused of it.
 */
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeConfig, type Options } from '../../src/base/config.ts';
import { makeToken, newGroupKey, readGroupKeys } from '../../src/base/deviceKeys.ts';
import type { Logger } from '../../src/base/log.ts';
import { names } from '../../src/broker/topology.ts';
import type { StatusAnswer } from '../../src/node/statusAnswer.ts';
import { preflight } from '../../src/supervisor/preflight.ts';
import { proveReload } from '../../src/supervisor/proof.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Talker } from '../chaos/talker.ts';
import { Backend, echo } from '../helpers/fakes/backend.ts';
import { Device, END, hello, request } from '../helpers/fakes/device.ts';
import { type Page, Subscriber } from '../helpers/fakes/subscriber.ts';
import { Knocking } from '../helpers/processes/knocker.ts';
import { listeningOf } from '../helpers/processes/listening.ts';
import { askOnce, startNode } from '../helpers/processes/node.ts';
import { reloadNode } from '../helpers/processes/reloads.ts';
import { makeVhost } from '../helpers/processes/vhost.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LINKS = 300;
const TALKING = 10;
/** Of one acceptor, by the limit `listenSockets`. */
const SOCKETS = 16;

const folder = mkdtempSync(join(tmpdir(), 'ot-'));
const vhost = await makeVhost();
t.teardown(async () => {
  await vhost.remove();
  rmSync(folder, { recursive: true, force: true });
});
const at = (name: string) => join(folder, name);
const newKey = (name: string) => {
  writeFileSync(at(name), `g1: ${newGroupKey()}\n`, { mode: 0o600 });
  const key = readGroupKeys(at(name)).get('g1');
  if (key === undefined) throw new Error('it was just made');
  return makeToken(key, 'g1', 'keyed', 0);
};
const [oldToken, newToken] = [newKey('old.yaml'), newKey('new.yaml')];
const keyedBy = (keys: string) => ({ name: 'keyed', port: 0, auth: ['key'], keys: at(keys) });
const unixAt = (name: string) => ({
  ...{ name, unix: at(name), auth: ['none'], 'proxy-protocol': 'none' },
});
const before = {
  amqp: vhost.broker.url,
  listeners: [keyedBy('old.yaml'), unixAt('goes')],
};
const file = at('owsla.yaml');
const write = (config: object) => writeFileSync(file, JSON.stringify(config));
write({ ...before, acceptors: 3 });
const limits = {
  ...{ drainMs: 200, drainPaceMs: 100, lingerMs: 100, reportMs: 500, reloadMs: 60_000 },
  // A machine that is busy with other work starts processes slowly.
  ...{ connectsPerSecond: 10_000, connectBurst: 10_000, childReadyMs: 120_000 },
};
const started = { acceptors: 0, limits, flags: ['--config', file], amqp: '' };
const { broker } = vhost;
const { server: node, backend, runDir, prefix } = await startNode(t, { ...started, broker });
const subscriber = await Subscriber.start(broker.url, prefix);
t.teardown(() => subscriber.close());
const devices = await Promise.all(
  Array.from({ length: LINKS }, (_, nth) => Device.open(node.port, `fewer-${nth}`)),
);
let closed = 0;
for (const device of devices) device.socket.once('close', () => (closed += 1));
await waitFor('all to be on record', () => subscriber.online().length === LINKS);

t.test('from 3 to 2, while devices connect: none is refused, none reset', async (t) => {
  const knocking = await Knocking.start(node.port, 1_000);
  t.teardown(() => knocking.kill());
  write({ ...before, acceptors: 2 });

  const { end } = await reloadNode(runDir);

  const { faults, ...knocks } = await knocking.stop();
  t.same(faults, {}, JSON.stringify(knocks));
  t.match(end, { phase: 'done', drained: 0 }, `${end?.why}`);
  t.equal(closed, 0);
  const answers = devices.map((device) => device.next());
  for (const [nth, device] of devices.entries()) device.send(request(nth + 1));
  t.ok((await Promise.all(answers)).every((one) => one !== END && one.type === TYPE.REPLY));
  const serving = await servingNow();
  t.equal(serving.length, 2);
  t.same(socketsOfEach(), [SOCKETS * 1.5, SOCKETS * 1.5], 'none of 3 was closed');
  const rows = await subscriber.query<Page>({ limit: 1_000 });
  t.equal(rows.devices.length, LINKS);
  t.ok(rows.devices.every(({ acceptor, seq }) => serving.includes(acceptor) && seq === 1));
  t.equal(subscriber.heard.length, LINKS, 'nobody heard of it');
});

const QUIET = { warn: () => {} } as unknown as Logger;

t.test(
  'all at once: acceptors, listeners, keys, a limit, the broker, the admin page',
  async (t) => {
    const published = new Set<string>();
    const far = await Backend.connect(vhost.admin);
    t.teardown(() => far.close());
    // As `owsla check` with the new URL: backends bind there before any device's word comes.
    await preflight(makeConfig({ prefix, amqp: vhost.admin, port: 0, 'admin-port': 0 }), QUIET);
    let comesFar = 0;
    for (const [one, count] of [
      [backend, 0],
      [far, 1],
    ] as const) {
      await one.on(names(prefix).requests, '#', echo);
      await one.on(names(prefix).events, '#', ({ content }) => {
        published.add(content.toString());
        comesFar += count;
      });
    }
    const talkers = await Promise.all(
      Array.from({ length: TALKING }, (_, nth) => Talker.open(node.port, `talks-${nth}`, true)),
    );
    const knocking = await Knocking.start(node.port, 300);
    t.teardown(() => knocking.kill());
    write({
      ...{ acceptors: 3, amqp: vhost.admin, 'admin-host': '127.0.0.2', set: { linksMax: 1_000 } },
      listeners: [keyedBy('new.yaml'), unixAt('comes')],
    });

    const { end } = await reloadNode(runDir);

    t.match(end, { phase: 'done', drained: 0 }, `${end?.why}`);
    const { faults, ...knocks } = await knocking.stop();
    t.same(faults, {}, JSON.stringify(knocks));
    t.same(socketsOfEach(), [SOCKETS, SOCKETS, SOCKETS], 'new links are spread evenly again');
    const seen = comesFar;
    await waitFor('events at the new broker', () => comesFar > seen);
    const acked = talkers.flatMap((talker) => talker.acked);
    await waitFor('what was ACKed', () => acked.every((payload) => published.has(payload)));
    t.same(
      talkers.flatMap(({ wrong, ended }) => [...wrong, ...(ended ?? [])]),
      [],
    );
    t.equal(closed, 0);
    const status = await askOnce<StatusAnswer>(runDir, 'status');
    t.match(status, { adminHost: '127.0.0.2', linksMax: 3_000, state: 'ready' });
    const page = `http://127.0.0.2:${status.adminPort}/health/ready`;
    t.ok((await fetch(page)).ok, 'health is at the new address');
    await t.rejects(fetch(`http://127.0.0.1:${node.adminPort}/health/ready`));
    const [gone] = await once(connect(at('goes')), 'error');
    t.match(gone, { code: 'ENOENT' });
    const came = new Device(connect(at('comes')));
    came.send(hello('comes'));
    await came.expect(TYPE.WELCOME);
    for (const [token, type] of [
      [oldToken, TYPE.ERROR],
      [newToken, TYPE.WELCOME],
    ] as const) {
      const device = await Device.connect(node.portOf('keyed'));
      device.send(hello('keyed', { token }));
      await device.expect(type);
      device.close();
    }
    const farSubscriber = await Subscriber.start(vhost.admin, prefix);
    t.teardown(() => farSubscriber.close());
    const rows = await farSubscriber.query<Page>({ limit: 1_000 });
    const online = rows.devices.filter((row) => row.online && row.device.startsWith('fewer-'));
    t.equal(online.length, LINKS, 'presence is asked for there');
    for (const { device } of [...talkers, { device: came }]) device.close();
  },
);

const port = new URL(broker.url).port;
const REFUSED: readonly [string, Options, RegExp][] = [
  [
    'a virtual host that there is not',
    { amqp: `amqp://guest:guest@127.0.0.1:${port}/nowhere` },
    /nowhere/,
  ],
  ['a password', { amqp: `amqp://guest:wrong@127.0.0.1:${port}` }, /password|refuse/],
  ['an admin port that another one has', { 'admin-port': Number(port) }, /^admin port \d+ /],
  [
    'an admin address that is none of ours',
    { 'admin-host': '192.0.2.1', 'admin-auth': 'none' },
    /192/,
  ],
];
for (const [what, change, sentence] of REFUSED) {
  t.test(`refused, in one sentence: ${what}`, async (t) => {
    const options = { prefix, amqp: broker.url, port: node.port, 'admin-port': node.adminPort };
    const proof = proveReload(makeConfig(options), makeConfig({ ...options, ...change }), QUIET);
    const why = await proof.then(
      () => '',
      (error: Error) => error.message,
    );
    t.match(why, sentence);
    t.notMatch(why, /\n|guest:/);
  });
}

/** Incarnations of acceptors. */
async function servingNow(): Promise<string[]> {
  const { processes } = await askOnce<StatusAnswer>(runDir, 'status');
  return processes.flatMap(({ role, incarnation }) =>
    role === 'acceptor' && incarnation !== undefined ? incarnation : [],
  );
}

/** Sockets of the port where devices connect, of each acceptor that is there. */
function socketsOfEach(): number[] {
  const pids = [1, 2, 3].map((index) => node.childPid(`acceptor ${index}`));
  return pids
    .filter((pid) => existsSync(`/proc/${pid}/fd`))
    .map((pid) => listeningOf(pid, node.port));
}
