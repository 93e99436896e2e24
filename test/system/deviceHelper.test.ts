/** The device that other tests connect: what it makes of an acceptor that dies meanwhile. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import t from 'tap';
import { Device, END } from '../helpers/fakes/device.ts';
import { isThere } from '../helpers/processes/cli.ts';

/** Listens, and tells the port. */
const LISTENER = `
  const server = require('node:net').createServer();
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

t.test('a link that was reset before anybody accepted it is one that ended', async (t) => {
  const listener = spawn(process.execPath, ['--eval', LISTENER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => listener.kill('SIGKILL'));
  const [port] = await once(listener.stdout, 'data');
  const pid = Number(listener.pid);
  listener.kill('SIGSTOP');

  const connecting = Device.connect(Number(port));
  // The kernel's part of it; then, in the same turn of our event loop, the other side's death.
  await new Promise(process.nextTick);
  listener.kill('SIGKILL');
  while (isThere(pid) || readdirSync(`/proc/${pid}/task`).length > 1);

  const device = await connecting;
  t.equal(await device.next(), END);
});

t.test('a port at which nobody listens is an error', async (t) => {
  await t.rejects(Device.connect(1), { code: 'ECONNREFUSED' });
});
