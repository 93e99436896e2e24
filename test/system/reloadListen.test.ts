/** Listening sockets in a reload: devices connect all the time, over TCP and a Unix socket. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Device, hello, request } from '../helpers/fakes/device.ts';
import { Knocking } from '../helpers/processes/knocker.ts';
import { listeningOf } from '../helpers/processes/listening.ts';
import { startNode } from '../helpers/processes/node.ts';
import { reloadNode } from '../helpers/processes/reloads.ts';
import { waitFor } from '../helpers/waitFor.ts';

const PER_SECOND = 1_000;
const folder = mkdtempSync(join(tmpdir(), 'ot-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const unix = join(folder, 'devices.sock');
const file = join(folder, 'owsla.yaml');
const listener = `{ name: behind, unix: ${unix}, auth: none, proxy-protocol: none }`;
writeFileSync(file, `listeners: [${listener}]\n`);
const limits = {
  ...{ drainMs: 200, drainPaceMs: 100, lingerMs: 100, reportMs: 500, reloadQuietMs: 60_000 },
  ...{ reloadMs: 60_000, connectsPerSecond: 100_000, connectBurst: 100_000, requestMs: 600_000 },
};
// With one acceptor, nobody else can take what it does not.
const started = { acceptors: 1, limits, flags: ['--config', file] };
const { server: node, runDir, backend, prefix } = await startNode(t, started);

async function knockAtBoth(t: Test, perSecond: number): Promise<Knocking[]> {
  const both = await Promise.all([node.port, unix].map((at) => Knocking.start(at, perSecond)));
  t.teardown(() => both.map((knocking) => knocking.kill()));
  return both;
}

/** Does it have a socket that listens on the node's port? */
const listens = (pid: number) => listeningOf(pid, node.port) > 0;

t.test('2,000 connects a second: none is refused, none reset', async (t) => {
  const both = await knockAtBoth(t, PER_SECOND);

  const { code, end } = await reloadNode(runDir);

  const knocks = await Promise.all(both.map((knocking) => knocking.stop()));
  t.equal(code, 0, JSON.stringify(end));
  for (const { faults, ...others } of knocks) t.same(faults, {}, JSON.stringify(others));
});

t.test('the successor dies: its predecessor listens again', async (t) => {
  await backend.on(names(prefix).requests, '#', () => {});
  const busy = await Device.open(node.port, 'busy');
  busy.send(request(1, 'slow.one'));
  const both = await knockAtBoth(t, 100);
  const seen = node.log.length;
  const before = node.childPid('acceptor 1');
  node.signal('SIGHUP');
  await node.untilSaid('reload: acceptor 1 moving', seen);
  const after = node.childPid('acceptor 1');
  await waitFor('the successor alone to listen', () => listens(after) && !listens(before));

  process.kill(after, 'SIGKILL');

  await node.untilSaid('reload refused', seen);
  await waitFor('the predecessor to listen', () => listens(before));
  for (const at of [{ port: node.port, host: '127.0.0.1' }, { path: unix }]) {
    const device = new Device(connect(at));
    device.send(hello('comes'));
    t.ok(await device.expect(TYPE.WELCOME));
    device.close();
  }
  for (const knocking of both) {
    const { answered } = await knocking.stop();
    t.ok(answered > 0);
  }
});
