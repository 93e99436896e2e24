/** How a link ends: FIN, BYE and loss from the device, our BYE, linger. */
import type { Socket } from 'node:net';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { END, event, hello, request } from '../helpers/fakes/device.ts';
import { on, onBoth, settle, until } from '../helpers/worlds/endpoints.ts';

const bye = { type: TYPE.BYE, reason: 'done', retryAfter: undefined } as const;

onBoth('endpoint: frames complete before a FIN are handed on', {}, async (t, served) => {
  const device = await served.open();
  const incomplete = encode(event(3)).subarray(0, -1);

  device.sendBytes(Buffer.concat([encode(event(1)), encode(request(2)), incomplete]));
  device.socket.end();

  t.same(await device.rest(), []);
  t.same(served.routes.ids(), [1, 2], 'the incomplete one is not');
  t.equal(served.counters.closes['peer-fin'], 1);
});

onBoth('endpoint: HELLO, messages and FIN in one go are handled', {}, async (t, served) => {
  const device = await served.connect();

  device.send(hello('door-17'), event(1), request(2));
  device.socket.end();

  t.match(await device.rest(), [{ type: TYPE.WELCOME }]);
  t.same(served.routes.ids(), [1, 2]);
});

onBoth('endpoint: a FIN before HELLO ends the link without a word', {}, async (t, served) => {
  const device = await served.connect();

  device.socket.end();

  t.same(await device.rest(), []);
  t.equal(served.counters.closes['peer-fin'], 1);
});

onBoth(
  'endpoint: BYE ends the link; frames before it count, later do not',
  {},
  async (t, served) => {
    const device = await served.open();

    device.send(event(1), bye, event(2), { type: TYPE.PING });

    t.same(await device.rest(), [], 'no BYE answers a BYE, no PONG follows it');
    t.same(served.routes.ids(), [1]);
    t.equal(served.counters.closes['peer-bye'], 1);
  },
);

for (const [name, finish] of [
  ['FIN', []],
  ['BYE', [bye]],
] as const) {
  const limits = { inFlightMax: 2 };
  onBoth(
    `endpoint: frames before a ${name} outlive the in-flight limit`,
    { limits },
    async (t, s) => {
      const device = await s.open();

      device.send(...[1, 2, 3, 4, 5].map((id) => event(id)), ...finish);
      device.socket.end();
      await until(() => s.routes.held.length === 2);
      await settle();
      t.same(s.routes.ids(), [1, 2], 'the limit holds');
      while (s.routes.held.length > 0) {
        s.routes.release();
        await settle();
      }

      t.same(s.routes.ids(), [1, 2, 3, 4, 5]);
      t.same(await device.rest(), []);
      t.equal(s.counters.closes[name === 'FIN' ? 'peer-fin' : 'peer-bye'], 1);
    },
  );
}

onBoth('endpoint: frames before a FIN outlive full routes', {}, async (t, served) => {
  const device = await served.open();
  served.routes.room = 1;

  device.send(event(1), event(2), event(3));
  device.socket.end();
  await until(() => served.routes.handed.length === 1);
  await settle();
  served.makeRoom();
  await settle();

  t.same(served.routes.ids(), [1, 2, 3]);
  t.same(await device.rest(), []);
});

onBoth('endpoint: after our BYE what still comes is discarded', {}, async (t, served) => {
  const device = await served.open();

  served.endpoint().close('draining', 1_234);
  device.send(event(1), hello('other'), { type: TYPE.PING });
  device.sendBytes(Buffer.from('00000000ffff', 'hex'));

  t.match(await device.rest(), [{ type: TYPE.BYE, reason: 'draining', retryAfter: 1_234 }]);
  await settle();
  t.same(served.routes.handed, []);
  t.equal(served.counters.closes.draining, 1);
  t.equal(served.counters.errors['bad-frame'], 0);
});

onBoth('endpoint: our BYE lingers, and then the socket is destroyed', {}, async (t, served) => {
  const device = await served.open();

  served.endpoint().close('draining', 0);
  await device.rest();
  t.strictSame(served.gauges(), { links: 0, greetings: 0, lingering: 1, pausedLinks: 0 });
  served.pass(served.limits.lingerMs - 1);
  device.send(event(1));
  await settle();
  t.equal(served.counters.lingering, 1, 'not before the linger time');
  served.pass(1);

  await until(() => served.counters.lingering === 0);
  t.same(served.routes.handed, []);
});

onBoth(
  'endpoint: a device that answers our BYE with FIN does not linger',
  {},
  async (t, served) => {
    const device = await served.open();

    served.endpoint().close('draining', 0);
    await device.rest();
    device.socket.end();

    await until(() => served.counters.lingering === 0);
    t.equal(served.counters.links, 0);
  },
);

onBoth('endpoint: when it is over nothing more is sent or closed', {}, async (t, served) => {
  const device = await served.open();
  const endpoint = served.endpoint();

  endpoint.close('draining', 0);
  endpoint.acknowledge(1);
  endpoint.close('taken-over', 0);
  endpoint.hold();
  endpoint.release();

  t.match(await device.rest(), [{ type: TYPE.BYE, reason: 'draining' }]);
  t.equal(served.routes.ended.length, 1);
  t.equal(served.counters.closes['taken-over'], 0);
});

on('TCP', 'endpoint: a reset is counted and costs no other link', {}, async (t, served) => {
  const device = await served.open('reset');
  const other = await served.open('other');
  device.send(event(1));
  await until(() => served.routes.handed.length === 1);

  (device.socket as Socket).resetAndDestroy();

  await until(() => served.counters.closes['peer-reset'] === 1);
  served.routes.release();
  other.send(event(1), { type: TYPE.PING });
  await other.expect(TYPE.PONG);
  t.same(served.routes.ids('other'), [1]);
  t.equal(served.counters.links, 1);
});

on('TCP', 'endpoint: a reset while reading is paused ends the link', {}, async (t, served) => {
  const device = await served.open();
  served.routes.room = 1;
  device.send(event(1), event(2));
  await until(() => served.counters.pausedLinks === 1);

  (device.socket as Socket).resetAndDestroy();

  await until(() => served.counters.links === 0);
  t.equal(served.counters.closes['peer-reset'], 1);
  t.equal(served.counters.pausedLinks, 0);
});

on('TCP', 'endpoint: the address of the peer is known', {}, async (t, served) => {
  const device = await served.open();

  const { peer } = served.endpoint();

  t.equal(peer, `127.0.0.1:${(device.socket as Socket).localPort}`);
});

on(
  'TCP',
  'endpoint: a peer that reset before it was asked for is unknown',
  {},
  async (t, served) => {
    const device = await served.open();

    device.send(event(1));
    (device.socket as Socket).resetAndDestroy();
    await until(() => served.routes.handed.length === 1);

    t.match(served.routes.handed[0]?.endpoint.peer, /^127\.0\.0\.1:\d+$|^$/);
  },
);

onBoth('endpoint: a half-open greeting that ends leaves nothing', {}, async (t, served) => {
  const device = await served.connect();
  device.sendBytes(Buffer.from('000000', 'hex'));
  await settle();

  device.close();

  await until(() => served.counters.links === 0);
  t.equal(await device.next(), END);
});
