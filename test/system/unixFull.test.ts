/** A full acceptor leaves what comes on a Unix socket to others; it waits while all are full. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import { startNode } from '../helpers/processes/node.ts';

const ACCEPTORS = 2;
const LINKS_MAX = 20;

t.test('full acceptors and a Unix socket', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ot-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const unix = join(folder, 'devices.sock');
  const file = join(folder, 'owsla.yaml');
  const listener = `{ name: behind, unix: ${unix}, auth: none, proxy-protocol: none }`;
  writeFileSync(file, `listeners: [${listener}]\n`);
  const limits = { linksMax: LINKS_MAX, lingerMs: 100 };
  const started = { acceptors: ACCEPTORS, limits, flags: ['--config', file] };
  const { server } = await startNode(t, started);
  const come = (at: number): Device => {
    const device = new Device(connect(unix));
    t.teardown(() => device.socket.destroy());
    device.send(hello(`door-${at}`));
    return device;
  };

  // One by one: whoever has room is asked by the kernel as often as who has none.
  const inside: Device[] = [];
  for (let at = 0; at < ACCEPTORS * LINKS_MAX; at += 1) {
    const device = come(at);
    await device.expect(TYPE.WELCOME);
    inside.push(device);
  }
  t.equal(inside.length, ACCEPTORS * LINKS_MAX, 'each is full, and nobody was refused');

  const waiting = [come(1_000), come(1_001)];
  const [first] = inside;
  first?.send(event(1));
  await first?.expect(TYPE.ACK);
  t.equal(await server.metricNow('owsla_closes_total', 'reason="server-full"'), 0);
  for (const device of inside.slice(1, 11)) device.socket.destroy();
  for (const device of waiting) t.ok(await device.expect(TYPE.WELCOME), 'there is room again');
  first?.send(event(2));
  t.match(await first?.expect(TYPE.ACK), { id: 2 });
});
