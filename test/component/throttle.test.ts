/** A link that floods is read at the permitted rate; nobody else notices, and nothing is lost. */
import { pack } from 'msgpackr';
import { TYPE } from '../../src/wire/message.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { type Device, event } from '../helpers/fakes/device.ts';
import { onBoth, type Served, settle } from '../helpers/worlds/endpoints.ts';

// Nothing here is answered: the outbox has room for the answers to all of it.
const unanswered = { inFlightMax: 65_536, outboxHardBytes: 64 * 1_024 * 1_024 };
const limits = { linkMessagesPerSecond: 100, linkMessagesBurst: 20, ...unanswered };

onBoth('throttle: a flood is read at linkMessagesPerSecond', { limits }, async (t, served) => {
  const flooding = await served.open('flooding');
  flooding.send(...Array.from({ length: 500 }, (_, i) => event(i + 1)));
  await settle();
  const first = served.routes.handed.length;
  t.ok(first >= 19 && first <= 21, `${first} of the burst were handed on`);
  t.equal(served.counters.pausedLinks, 1);

  for (let tick = 0; tick < 20; tick += 1) {
    served.pass(50);
    await settle();
  }

  const after = served.routes.handed.length - first;
  t.ok(after >= 95 && after <= 105, `${after} more in a second`);
  t.ok(served.counters.throttled > 0);
});

const patient = { limits: { ...limits, stallMs: 3_600_000, keepaliveMs: 3_600_000 } };
onBoth(
  'throttle: no link freezes when the clock moves between two looks',
  patient,
  async (t, served) => {
    const { clock } = served;
    const now = clock.now.bind(clock);
    // As a real clock does at the worst moment, it moves on each time that it is read.
    clock.now = () => {
      clock.advance(1);
      return now();
    };
    const flooding = await served.open('flooding');
    flooding.send(...Array.from({ length: 2_000 }, () => ({ type: TYPE.PING }) as const));
    for (let pongs = 0; pongs < 2_000; ) {
      served.pass(50);
      await settle();
      while (flooding.waiting > 0) {
        await flooding.expect(TYPE.PONG);
        pongs += 1;
      }
    }
    t.pass('every PING was answered');
  },
);

onBoth('throttle: other links feel nothing of a flood', { limits }, async (t, served) => {
  const flooding = await served.open('flooding');
  const quiet = await served.open('quiet');
  flooding.send(...Array.from({ length: 500 }, (_, i) => event(i + 1)));
  await settle();

  quiet.send({ type: TYPE.PING });

  await quiet.expect(TYPE.PONG);
  t.equal(served.counters.pausedLinks, 1);
});

onBoth(
  'throttle: every message of a flood is handled in the end',
  { limits },
  async (t, served) => {
    const flooding = await served.open('flooding');
    flooding.send(...Array.from({ length: 200 }, (_, i) => event(i + 1)));
    while (served.routes.handed.length < 200) {
      served.pass(50);
      await settle();
    }

    served.pass(50);

    const ids = served.routes.ids();
    t.same(
      ids,
      Array.from({ length: 200 }, (_, i) => i + 1),
    );
    t.equal(served.counters.pausedLinks, 0);
  },
);

/** PINGs with something behind them that nobody wants. */
function laden(count: number, extra: unknown): Buffer {
  const payload = pack([CODE.ping, extra]);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  const frame = Buffer.concat([header, payload]);
  return Buffer.concat(Array.from({ length: count }, () => frame));
}

/** Messages that are read at once, and then in a second, of a device that floods. */
async function flood(served: Served, device: Device, bytes: Buffer): Promise<number[]> {
  const { messagesIn } = served.counters;
  const before = messagesIn.ping ?? 0;
  device.sendBytes(bytes);
  let last = -1;
  while (last !== messagesIn.ping) {
    last = messagesIn.ping ?? 0;
    await settle();
  }
  const atOnce = last - before;
  for (let tick = 0; tick < 20; tick += 1) {
    served.pass(50);
    await settle();
  }
  return [atOnce, (messagesIn.ping ?? 0) - before - atOnce];
}

const ITEMS = Array.from({ length: 997 }, () => null);
// With the array, the type, the PING's own and so on, 1,000 elements.
const elements = {
  limits: { linkMessagesPerSecond: 1_000, linkMessagesBurst: 2_000, linkElementsPerSecond: 20_000 },
};
onBoth('throttle: elements count, whatever holds them', elements, async (t, served) => {
  const device = await served.open();
  const shapes = [
    ITEMS,
    Array.from({ length: 332 }, () => [null, null]),
    Object.fromEntries(Array.from({ length: 498 }, (_, i) => [`k${i}`, i])),
  ];

  for (const shape of shapes) {
    const [atOnce = 0, inOneSecond = 0] = await flood(served, device, laden(200, shape));
    t.ok(atOnce >= 39 && atOnce <= 42, `${atOnce} at once`);
    t.ok(inOneSecond >= 19 && inOneSecond <= 21, `${inOneSecond} in a second`);
    while (served.counters.pausedLinks > 0) {
      served.pass(50);
      await settle();
    }
    served.pass(2_000);
  }
});

const bytes = {
  limits: { linkMessagesPerSecond: 1_000, linkMessagesBurst: 2_000, linkBytesPerSecond: 100_000 },
};
onBoth('throttle: bytes count, also of what nobody wants', bytes, async (t, served) => {
  const device = await served.open();
  const flooded = await flood(served, device, laden(150, Buffer.alloc(5_000)));

  const [atOnce = 0, inOneSecond = 0] = flooded;
  t.ok(atOnce >= 39 && atOnce <= 42, `${atOnce} at once`);
  t.ok(inOneSecond >= 19 && inOneSecond <= 21, `${inOneSecond} in a second`);
});

onBoth('throttle: small messages have the whole of their own rate', {}, async (t, served) => {
  const device = await served.open();
  const small = laden(4_000, ITEMS.slice(0, 10));

  const [atOnce = 0, inOneSecond = 0] = await flood(served, device, small);

  // HELLO was one of them.
  t.equal(atOnce, served.limits.linkMessagesBurst);
  t.ok(Math.abs(inOneSecond - served.limits.linkMessagesPerSecond) <= 1, `${inOneSecond}`);
});
