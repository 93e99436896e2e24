/** The outbox: its soft and hard bounds, and who is stalled. Frozen is not the same as slow. */
import type { Socket } from 'node:net';
import type { Endpoint } from '../../src/acceptor/endpoint/endpoint.ts';
import { TYPE } from '../../src/wire/message.ts';
import { type Device, event } from '../helpers/fakes/device.ts';
import { on, onBoth, type Served, settle, until } from '../helpers/worlds/endpoints.ts';

const KiB = 1_024;
const bounds = {
  limits: { outboxSoftBytes: 16 * KiB, outboxHardBytes: 64 * KiB, linkMessagesBurst: 100_000 },
};

function reply(endpoint: Endpoint, bytes: number, id = 1): void {
  endpoint.reply(id, 0, Buffer.alloc(bytes, 7));
}

/** Send to a device that does not read until at least `bytes` wait in its outbox. */
async function fill(served: Served, bytes: number, name = 'door-17'): Promise<number> {
  const endpoint = served.endpoint(name);
  let sent = 0;
  while (endpoint.isLive && endpoint.outboxBytes < bytes) {
    reply(endpoint, 4 * KiB - 8, sent + 1);
    sent += 1;
    // The kernel takes what it can before the next.
    await settle();
  }
  return sent;
}

onBoth('outbox: above the soft bound reading stops, drain resumes', bounds, async (t, served) => {
  const device = await served.open();
  device.socket.pause();
  const sent = await fill(served, 16 * KiB);

  device.send(event(1), event(2));
  await until(() => served.counters.pausedLinks === 1);
  await settle();
  t.same(served.routes.ids(), []);
  device.socket.resume();
  for (let id = 1; id <= sent; id += 1) await device.expect(TYPE.REPLY);
  await until(() => served.routes.handed.length === 2);

  t.same(served.routes.ids(), [1, 2]);
  t.equal(served.counters.pausedLinks, 0);
});

onBoth(
  'outbox: many answers of one write pause and go on by themselves',
  bounds,
  async (t, served) => {
    const device = await served.open();
    const pings = Array.from({ length: 20_000 }, () => ({ type: TYPE.PING }) as const);

    device.send(...pings, event(1));
    for (const _ of pings) await device.expect(TYPE.PONG);
    await until(() => served.routes.handed.length === 1);

    t.equal(served.counters.messagesOut.pong, 20_000);
  },
);

onBoth('outbox: at the hard bound the link closes outbox-full', bounds, async (t, served) => {
  const frozen = await served.open('frozen');
  const other = await served.open('other');
  frozen.socket.pause();

  await fill(served, Number.POSITIVE_INFINITY, 'frozen');

  t.equal(served.counters.closes['outbox-full'], 1);
  t.equal(served.counters.links, 1);
  t.equal(served.routes.ended.length, 1);
  other.send(event(1), { type: TYPE.PING });
  await other.expect(TYPE.PONG);
  t.same(served.routes.ids('other'), [1]);
});

onBoth(
  'outbox: one frame above the hard bound closes, one below not',
  bounds,
  async (t, served) => {
    const { outboxHardBytes } = served.limits;
    const device = await served.open('fits');
    // Length, array, type, id, status and the header of the bin.
    const overhead = 4 + 4 + 3;
    reply(served.endpoint('fits'), outboxHardBytes - overhead - 2);
    t.equal((await device.expect(TYPE.REPLY)).id, 1);

    const other = await served.open('too-much');
    reply(served.endpoint('too-much'), outboxHardBytes + 1);
    t.match(await other.rest(), [{ type: TYPE.BYE, reason: 'outbox-full' }]);
  },
);

onBoth('outbox: no byte taken for the stall time closes outbox-full', bounds, async (t, served) => {
  const device = await served.open();
  device.socket.pause();
  await fill(served, 8 * KiB);

  served.pass(1);
  served.pass(served.limits.stallMs - 1);
  t.equal(served.counters.links, 1, 'not before the stall time');
  served.pass(1);

  t.equal(served.counters.links, 0);
  t.equal(served.counters.closes['outbox-full'], 1);
  served.pass(served.limits.lingerMs);
  await until(() => served.counters.lingering === 0);
});

onBoth('outbox: an empty one never stalls, however long it is idle', bounds, async (t, served) => {
  const device = await served.open();
  reply(served.endpoint(), 10);
  await device.expect(TYPE.REPLY);
  await settle();

  served.pass(30_000);
  served.pass(30_000);
  reply(served.endpoint(), 10);
  served.pass(1);

  t.equal(served.counters.links, 1);
});

onBoth('outbox: one that was idle for long stalls like any other', bounds, async (t, served) => {
  const device = await served.open();
  await settle();
  served.pass(30_000);
  device.socket.pause();
  await fill(served, 8 * KiB);

  served.pass(1);
  served.pass(served.limits.stallMs);

  t.equal(served.counters.closes['outbox-full'], 1);
  served.pass(served.limits.lingerMs);
  await until(() => served.counters.lingering === 0);
});

/** Bytes that the kernel has taken. */
function taken(socket: Socket | undefined): number {
  type Figures = { _handle: { bytesWritten: number; writeQueueSize: number } };
  const { bytesWritten, writeQueueSize } = (socket as unknown as Figures)._handle;
  return bytesWritten - writeQueueSize;
}

/** Let a device that otherwise does not read take bytes until the kernel can send on. */
async function sip(device: Device, socket: Socket | undefined): Promise<void> {
  const before = taken(socket);
  while (taken(socket) === before) {
    device.socket.resume();
    await settle();
    device.socket.pause();
    await settle();
  }
}

on('TCP', 'outbox: a slow device that still takes bytes is not closed', {}, async (t, served) => {
  const device = await served.open();
  const [socket] = served.sockets;
  device.socket.pause();
  await fill(served, 100 * KiB);

  for (let rounds = 0; rounds < 4; rounds += 1) {
    served.pass(served.limits.stallMs - 1);
    await sip(device, socket);
    await fill(served, 100 * KiB);
  }

  t.equal(served.counters.closes['outbox-full'], 0);
  t.equal(served.endpoint().state, 'open');
  t.equal(served.counters.links, 1);
});

on(
  'TCP',
  'outbox: a frozen device costs no other link its round trip',
  bounds,
  async (t, served) => {
    const frozen = await served.open('frozen');
    frozen.socket.pause();
    await fill(served, 32 * KiB, 'frozen');
    const others = await Promise.all(['a', 'b', 'c'].map((name) => served.open(name)));

    for (const device of others) device.send({ type: TYPE.PING }, event(1));
    for (const device of others) await device.expect(TYPE.PONG);

    t.equal(served.routes.handed.length, 3);
    t.equal(served.counters.links, 4);
  },
);
