/**
 * Greedy devices beside a healthy one, in a real node whose links may hold little together: who
 * holds most is closed with `memory-full`, the process goes on, and the healthy link feels nothing.
 */
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { echo } from '../helpers/fakes/backend.ts';
import { Device, event, request } from '../helpers/fakes/device.ts';
import { startNode } from '../helpers/processes/node.ts';

const KiB = 1_024;
const MiB = 1_024 * KiB;
const GREEDY = 24;

const { prefix, server, backend } = await startNode(t, {
  acceptors: 1,
  limits: { linksBytesMax: MiB },
});
await backend.on(names(prefix).requests, '#', echo);
const healthy = await Device.open(server.port, 'healthy');
const children = server.log.filter(({ msg }) => msg === 'child ready').length;
let id = 0;

async function roundTrip(): Promise<void> {
  id += 1;
  healthy.send(request(id));
  const { id: answered, status } = await healthy.expect(TYPE.REPLY);
  if (answered !== id || status !== 0) throw new Error(`REPLY ${answered}, status ${status}`);
}

const isClosed = (closes: number) => closes > 0;

t.test(
  'frames that are never whole: some get memory-full, and the healthy link goes on',
  async (t) => {
    const before = await server.metric('owsla_closes_total', 'reason="memory-full"');
    const frame = encode(event(1, 'a', 'x'.repeat(60 * KiB)));
    const devices: Device[] = [];
    for (let i = 0; i < GREEDY; i += 1) devices.push(await Device.open(server.port, `slow-${i}`));
    for (const device of devices) device.sendBytes(frame.subarray(0, -1));

    await server.untilMetric('owsla_closes_total', 'reason="memory-full"', isClosed);
    const ended = await Promise.race(devices.map((device) => device.next()));
    for (let rounds = 0; rounds < 20; rounds += 1) await roundTrip();

    t.equal(before, 0);
    t.match(ended, { type: TYPE.BYE, reason: 'memory-full' });
    await server.untilMetric('owsla_heavy_bytes', '', (bytes) => bytes > 0 && bytes <= MiB);
    for (const device of devices) device.close();
    await server.untilMetric('owsla_heavy_bytes', '', (bytes) => bytes === 0);
    await server.untilMetric('owsla_sockets', '', (sockets) => sockets === 1);
    await roundTrip();
    t.equal(healthy.waiting, 0);
    const ready = server.log.filter(({ msg }) => msg === 'child ready');
    t.equal(ready.length, children, 'no process has ended');
  },
);
