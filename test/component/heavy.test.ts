/** All links' memory: the greediest is not read, then closed with `memory-full`; nobody else. */
import type { Endpoint } from '../../src/acceptor/endpoint/endpoint.ts';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { event } from '../helpers/fakes/device.ts';
import { on, onBoth, type Served, settle, until } from '../helpers/worlds/endpoints.ts';

const KiB = 1_024;
const MiB = 1_024 * KiB;
const bounds = {
  limits: { linksBytesMax: MiB, outboxSoftBytes: 2 * MiB, outboxHardBytes: 4 * MiB },
};

function reply(endpoint: Endpoint, bytes: number, id = 1): void {
  endpoint.reply(id, 0, Buffer.alloc(bytes, 7));
}

/** Send to a device that does not read until at least `bytes` wait in its outbox. */
async function fill(served: Served, name: string, bytes: number): Promise<void> {
  const endpoint = served.endpoint(name);
  for (let id = 1; endpoint.outboxBytes < bytes; id += 1) {
    reply(endpoint, 16 * KiB, id);
    await settle();
  }
}

onBoth(
  'heavy: who does not read is closed memory-full, and nobody else',
  bounds,
  async (t, served) => {
    const names = ['some', 'greediest', 'more'];
    for (const name of names) (await served.open(name)).socket.pause();
    const healthy = await served.open('healthy');
    await fill(served, 'some', 200 * KiB);
    await fill(served, 'more', 300 * KiB);
    await fill(served, 'greediest', 650 * KiB);
    const before = served.counters.closes['memory-full'];
    t.equal(before, 0);

    served.endpoints.tick();

    t.equal(served.counters.closes['memory-full'], 1);
    t.throws(() => served.endpoint('greediest'));
    t.equal(served.counters.links, 3);
    healthy.send(event(1), { type: TYPE.PING });
    await healthy.expect(TYPE.PONG);
    t.same(served.routes.ids('healthy'), [1]);
  },
);

on(
  'TCP',
  'heavy: it is told why, and when to come back, if it reads',
  bounds,
  async (t, served) => {
    const device = await served.open('greediest');
    device.socket.pause();
    await fill(served, 'greediest', 1_100 * KiB);

    served.endpoints.tick();
    device.socket.resume();

    const rest = await device.rest();
    t.match(rest.at(-1), { type: TYPE.BYE, reason: 'memory-full', retryAfter: 15_000 });
    t.ok(served.counters.heavyBytes < MiB);
  },
);

onBoth('heavy: frames not whole count, on links that are silent', bounds, async (t, served) => {
  const frame = encode(event(1, 'a', 'x'.repeat(60 * KiB)));
  const devices = [];
  for (let i = 0; i < 20; i += 1) devices.push(await served.open(`d${i}`));
  for (const device of devices) device.sendBytes(frame.subarray(0, -1));
  await until(() => served.counters.bytesIn > 20 * (frame.length - 1));

  served.endpoints.tick();

  const closed = served.counters.closes['memory-full'] ?? 0;
  t.ok(closed >= 2 && closed <= 4, `${closed} of 20 links with 60 KiB each, for 1 MiB`);
  t.ok(served.counters.heavyBytes <= MiB);
  const left = devices.filter((_, i) => {
    try {
      return served.endpoint(`d${i}`).isLive;
    } catch {
      return false;
    }
  });
  for (const device of left) device.sendBytes(frame.subarray(-1));
  await until(() => served.routes.handed.length === left.length);
  t.equal(left.length, 20 - closed, 'the others’ frames are whole in the end');
});

onBoth('heavy: above the watermark the greediest is not read', bounds, async (t, served) => {
  const device = await served.open('greediest');
  const other = await served.open('other');
  device.socket.pause();
  const endpoint = served.endpoint('greediest');
  for (let bytes = 0; endpoint.heldBytes <= 768 * KiB; bytes += 16 * KiB) {
    await fill(served, 'greediest', bytes);
  }
  t.equal(served.counters.pausedLinks, 0);

  served.endpoints.tick();
  t.equal(served.counters.pausedLinks, 1);
  t.equal(served.counters.greedy, 1);
  device.send(event(1));
  other.send(event(1));
  await until(() => served.routes.handed.length === 1);
  await settle();
  t.same(served.routes.ids('other'), [1]);
  t.same(served.routes.ids('greediest'), []);

  device.socket.resume();
  await until(() => {
    served.endpoints.tick();
    return served.counters.pausedLinks === 0;
  });
  await until(() => served.routes.handed.length === 2);
  t.same(served.routes.ids('greediest'), [1], 'and read again when its outbox is empty');
});

onBoth(
  'heavy: a link that is over and does not go is dropped at once',
  bounds,
  async (t, served) => {
    (await served.open('over')).socket.pause();
    await fill(served, 'over', 900 * KiB);
    served.endpoint('over').close('draining', 0);
    (await served.open('live')).socket.pause();
    await fill(served, 'live', 300 * KiB);
    t.equal(served.counters.lingering, 1);

    served.endpoints.tick();
    await until(() => served.counters.lingering === 0);

    t.equal(served.counters.closes['memory-full'], 0);
    t.equal(served.endpoint('live').state, 'open');
  },
);
