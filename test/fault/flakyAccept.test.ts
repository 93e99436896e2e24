/** A listener whose accepts fail: it goes on, and no link that is open notices. */
import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Server } from 'node:net';
import t from 'tap';
import { Listener } from '../../src/acceptor/endpoint/listener.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Device, event } from '../helpers/fakes/device.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { Served } from '../helpers/worlds/endpoints.ts';

/** What accept(2) may say of one connection, or of the process. */
const ERRORS = ['EMFILE', 'ENFILE', 'ECONNABORTED', 'ENETDOWN', 'EPROTO', 'ENOBUFS', 'EPERM'];

/** The net.Server that `listening` sets up. */
async function serverOf(listening: () => Promise<void>): Promise<Server> {
  let server: Server | undefined;
  const onListen = (message: unknown) => {
    server = (message as { server: Server }).server;
  };
  subscribe('tracing:net.server.listen:asyncStart', onListen);
  await listening();
  unsubscribe('tracing:net.server.listen:asyncStart', onListen);
  return server as Server;
}

t.test('listener: failed accepts end neither it nor a link', async (t) => {
  const served = new Served('TCP', {});
  const server = await serverOf(() => served.begin());
  const before = await served.open('before');

  for (const code of ERRORS) {
    for (let times = 0; times < 100; times += 1) {
      server.emit('error', Object.assign(new Error(`accept ${code}`), { code, syscall: 'accept' }));
    }
    before.send({ type: TYPE.PING });
    await before.expect(TYPE.PONG);
    const after = await served.open(`after-${code}`);
    after.send(event(1), { type: TYPE.PING });
    await after.expect(TYPE.PONG);
  }

  t.equal(served.counters.links, 1 + ERRORS.length);
  t.equal(served.routes.handed.length, ERRORS.length);
  await served.end();
});

t.test('listener: a port that cannot be bound rejects with the system’s error', async (t) => {
  const limits = makeLimits();
  const listener = new Listener(limits, () => {});

  await t.rejects(listener.listen('192.0.2.1', 0), { code: 'EADDRNOTAVAIL' });
});

t.test('listener: suspended, it takes no new links and keeps those it has', async (t) => {
  const served = new Served('TCP', { limits: { listenSockets: 1 } });
  const server = await serverOf(() => served.begin());
  const device = await served.open();

  const { port } = served;
  server.close();
  await t.rejects(Device.connect(port), { code: 'ECONNREFUSED' });
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);

  t.equal(served.counters.links, 1);
  await served.end();
});

/**
 * A process with few open files: more links come than it has files for, so its accepts really
 * fail. It prints its port, then answers PING for ever.
 */
const SCRIPT = new URL('../helpers/processes/fewFiles.ts', import.meta.url);

t.test('listener: out of open files it goes on, and takes links when some are free', async (t) => {
  const few = spawn(
    '/bin/sh',
    ['-c', 'ulimit -n 64 && exec "$@"', 'few', process.execPath, SCRIPT.pathname],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  t.teardown(() => few.kill('SIGKILL'));
  const [line] = await once(few.stdout, 'data');
  const port = Number(String(line));
  const first = await Device.open(port, 'first');
  const openFiles = () => readdirSync(`/proc/${few.pid}/fd`).length;
  const before = openFiles();

  // A connect succeeds while the server is out of files: the kernel completes it.
  const crowd = await Promise.all(Array.from({ length: 120 }, () => Device.connect(port)));
  first.send({ type: TYPE.PING });
  await first.expect(TYPE.PONG);
  for (const device of crowd) device.close();
  await waitFor('the crowd’s files to be free', () => openFiles() <= before);
  const last = await Device.open(port, 'last');

  for (const device of [first, last]) {
    device.send({ type: TYPE.PING });
    await device.expect(TYPE.PONG);
    device.close();
  }
  t.equal(few.exitCode, null, 'the process lives');
});
