/** Greeting: HELLO, WELCOME, what was sent along with HELLO, and the greeting deadline. */
import { stringify } from 'uuid';
import { TYPE } from '../../src/wire/message.ts';
import { event, hello, request } from '../helpers/fakes/device.ts';
import { onBoth, settle } from '../helpers/worlds/endpoints.ts';

onBoth(
  'endpoint: WELCOME has the connection id, the limits and the time',
  {},
  async (t, served) => {
    const device = await served.connect();

    device.send(hello('door-17', { frameBytesMax: 4_096 }));
    const welcome = await device.expect(TYPE.WELCOME);

    const endpoint = served.endpoint();
    t.equal(stringify(welcome.connectionId), endpoint.id);
    t.match(endpoint.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    t.equal(served.registry.find(endpoint.id), endpoint);
    t.equal(welcome.keepalive, 60);
    t.equal(welcome.frameBytesMax, 65_536);
    t.equal(welcome.time, served.clock.wall());
    t.equal(endpoint.replyBytesMax, 4_096 - 15, 'what a REPLY needs besides its payload');
    t.equal(endpoint.state, 'open');
  },
);

onBoth('endpoint: the keepalive of WELCOME is the wish, clamped', {}, async (t, served) => {
  const ruled: (number | undefined)[][] = [];
  for (const wish of [undefined, 1, 9, 10, 11, 3_600, 3_601, 4_294_967_295]) {
    const device = await served.connect();
    device.send(hello('d', { keepalive: wish }));
    const { keepalive } = await device.expect(TYPE.WELCOME);
    ruled.push([wish, keepalive]);
  }

  t.same(ruled, [
    [undefined, 60],
    [1, 10],
    [9, 10],
    [10, 10],
    [11, 11],
    [3_600, 3_600],
    [3_601, 3_600],
    [4_294_967_295, 3_600],
  ]);
});

onBoth(
  'endpoint: what came with HELLO is handled after WELCOME, in order',
  {},
  async (t, served) => {
    const device = await served.connect();

    const ping = { type: TYPE.PING } as const;
    device.send(hello('door-17'), ping, event(1), request(2), ping, event(3), { type: TYPE.PING });

    await device.expect(TYPE.WELCOME);
    for (let pongs = 0; pongs < 3; pongs += 1) await device.expect(TYPE.PONG);
    t.same(served.routes.ids(), [1, 2, 3]);
  },
);

onBoth('endpoint: what came with a refused HELLO is not handled', {}, async (t, served) => {
  const device = await served.connect();

  device.send(hello('not a device id'), event(1), { type: TYPE.PING });

  t.match(await device.rest(), [
    { type: TYPE.ERROR, code: 'bad-device-id' },
    { type: TYPE.BYE, reason: 'bad-device-id' },
  ]);
  t.same(served.routes.handed, []);
});

onBoth('endpoint: a second HELLO is unexpected, even the same', {}, async (t, served) => {
  const device = await served.open('door-17');

  device.send(hello('door-17'), event(1));

  t.match(await device.rest(), [
    { type: TYPE.ERROR, code: 'unexpected' },
    { type: TYPE.BYE, reason: 'unexpected' },
  ]);
  t.same(served.routes.handed, []);
});

onBoth('endpoint: no HELLO within the deadline closes greeting-timeout', {}, async (t, served) => {
  const silent = await served.connect();
  const halfway = await served.connect();
  halfway.sendBytes(Buffer.from('0000', 'hex'));
  await settle();

  served.pass(served.limits.greetingMs - 1);
  await settle();
  t.equal(silent.waiting, 0, 'not before the deadline');
  served.pass(1);

  for (const device of [silent, halfway]) {
    t.match(await device.rest(), [{ type: TYPE.BYE, reason: 'greeting-timeout' }]);
  }
  t.equal(served.counters.closes['greeting-timeout'], 2);
});

onBoth('endpoint: HELLO within the deadline ends it', {}, async (t, served) => {
  const device = await served.connect();
  served.pass(served.limits.greetingMs - 1);
  device.send(hello('door-17'));
  await device.expect(TYPE.WELCOME);

  served.pass(served.limits.greetingMs);
  device.send({ type: TYPE.PING });

  await device.expect(TYPE.PONG);
  t.equal(served.counters.greetings, 0);
});
