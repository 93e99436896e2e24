/** An open link: PING, ids, ACK and RESULT of the device, and its keepalive. */
import { SHARDS, SHARDS_PER_TICK } from '../../src/base/limits.ts';
import { TYPE } from '../../src/wire/message.ts';
import { event, hello, request } from '../helpers/fakes/device.ts';
import { onBoth, settle } from '../helpers/worlds/endpoints.ts';

const many = { limits: { linkMessagesBurst: 2_000 } };
onBoth(
  'endpoint: each PING is answered by one PONG, a PONG by nothing',
  many,
  async (t, served) => {
    const device = await served.open();
    const pings = Array.from({ length: 1_000 }, () => ({ type: TYPE.PING }) as const);

    device.send({ type: TYPE.PONG }, ...pings, { type: TYPE.PONG });

    for (const _ of pings) await device.expect(TYPE.PONG);
    await settle();
    t.equal(device.waiting, 0);
    t.equal(served.counters.messagesIn.ping, 1_000);
    t.equal(served.counters.messagesOut.pong, 1_000);
  },
);

onBoth('endpoint: ids of EVENT and REQUEST share one rising counter', {}, async (t, served) => {
  const device = await served.open();

  device.send(event(1), request(2), event(0), event(0), event(900), request(4_294_967_295));
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);

  t.same(served.routes.ids(), [1, 2, 0, 0, 900, 4_294_967_295]);
  t.equal(served.endpoint().inFlight, 4, 'an EVENT without an id is not under way');
});

for (const [kind, make] of [
  ['an EVENT', event],
  ['a REQUEST', request],
] as const) {
  onBoth(`endpoint: ${kind} whose id does not rise closes bad-id`, {}, async (t, served) => {
    for (const ids of [
      [5, 5],
      [5, 4],
    ] as const) {
      const device = await served.open();
      device.send(request(ids[0]), make(ids[1]), event(9));

      t.match(await device.rest(), [
        { type: TYPE.ERROR, code: 'bad-id' },
        { type: TYPE.BYE, reason: 'bad-id' },
      ]);
    }
    t.same(served.routes.ids(), [5, 5]);
  });
}

onBoth(
  'endpoint: ACK and RESULT are handed on, in order; the link stays',
  {},
  async (t, served) => {
    const device = await served.open();

    const result = { type: TYPE.RESULT, id: 41, status: 7, payload: Buffer.from('done') } as const;
    device.send({ type: TYPE.ACK, id: 41 }, result, event(1), { type: TYPE.PING });
    await device.expect(TYPE.PONG);

    t.match(served.routes.answers, [{ type: TYPE.ACK, id: 41 }, result]);
    t.same(served.routes.ids(), [1]);
  },
);

const unthrottled = { limits: { linkMessagesBurst: 100_000 } };
onBoth('endpoint: 10,000 RESULTs in one write do not overflow', unthrottled, async (t, served) => {
  const device = await served.open();
  const result = { type: TYPE.RESULT, status: 0, payload: Buffer.alloc(0) } as const;

  device.send(...Array.from({ length: 10_000 }, (_, i) => ({ ...result, id: i + 1 })));
  device.send({ type: TYPE.PING });

  await device.expect(TYPE.PONG);
  t.same(
    served.routes.answers.map(({ id }) => id),
    Array.from({ length: 10_000 }, (_, i) => i + 1),
  );
});

onBoth('endpoint: silence of 1.5 keepalives closes, and not before', {}, async (t, served) => {
  const device = await served.connect();
  device.send(hello('door-17', { keepalive: 20 }));
  await device.expect(TYPE.WELCOME);

  served.pass(30_000);
  await settle();
  t.equal(device.waiting, 0, '1.5 keepalives are allowed');
  served.pass(1);

  t.match(await device.rest(), [{ type: TYPE.BYE, reason: 'keepalive-timeout' }]);
  t.equal(served.counters.closes['keepalive-timeout'], 1);
});

onBoth('endpoint: one round of the sweep finds whoever is silent', {}, async (t, served) => {
  const { sweepTickMs } = served.limits;
  const devices = Array.from({ length: 20 }, (_, index) => `door-${index}`);
  for (const device of devices) await served.open(device, { keepalive: 10 });
  const pass = (ticks: number) => {
    for (let tick = 0; tick < ticks; tick += 1) {
      served.clock.advance(sweepTickMs);
      served.endpoints.tick();
    }
  };

  pass(Math.floor(15_000 / sweepTickMs));
  t.equal(served.counters.links, devices.length, 'none too early');
  pass(SHARDS / SHARDS_PER_TICK);

  t.equal(served.counters.links, 0);
  t.equal(served.counters.closes['keepalive-timeout'], devices.length);
});

onBoth('endpoint: any frame of the device starts its silence anew', {}, async (t, served) => {
  const device = await served.open();
  const frames = [
    { type: TYPE.PING },
    { type: TYPE.PONG },
    { type: TYPE.ACK, id: 1 },
    event(0),
  ] as const;

  for (const frame of frames) {
    served.pass(90_000);
    const { bytesIn } = served.counters;
    device.send(frame);
    while (served.counters.bytesIn === bytesIn) await settle();
  }
  served.pass(90_000);
  await settle();

  t.equal(served.counters.links, 1);
  t.equal(served.counters.closes['keepalive-timeout'], 0);
});

onBoth('endpoint: one silent link’s end is felt by no other', {}, async (t, served) => {
  const silent = await served.open('silent');
  const talker = await served.open('talker');

  served.pass(60_000);
  talker.send({ type: TYPE.PING });
  await talker.expect(TYPE.PONG);
  served.pass(60_000);

  t.match(await silent.rest(), [{ type: TYPE.BYE, reason: 'keepalive-timeout' }]);
  talker.send(event(1), { type: TYPE.PING });
  await talker.expect(TYPE.PONG);
  t.same(served.routes.ids('talker'), [1]);
});

onBoth('endpoint: nothing is sent twice, and counted once', {}, async (t, served) => {
  const device = await served.open();
  const { bytesOut, messagesOut } = served.counters;
  const welcomed = bytesOut;

  served.endpoint().acknowledge(5);
  await device.expect(TYPE.ACK);
  await settle();

  t.equal(device.waiting, 0);
  t.equal(messagesOut.ack, 1);
  t.equal(served.counters.bytesOut - welcomed, 7);
});
