/** A full acceptor: links beyond linksMax are told when to come back; live links feel nothing. */
import type { Socket } from 'node:net';
import { duplexPair } from 'node:stream';
import { Admission } from '../../src/acceptor/endpoint/admission.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { TYPE } from '../../src/wire/message.ts';
import { PLAIN_ORIGIN } from '../helpers/fakes/anyDevice.ts';
import { Device, END, event, hello } from '../helpers/fakes/device.ts';
import { on, onBoth, type Served, settle, until } from '../helpers/worlds/endpoints.ts';

const full = { linksMax: 1 };

onBoth('endpoints: a link above linksMax gets BYE server-full', full, async (t, served) => {
  const device = await served.open();
  const refused = await served.connect();

  refused.send(hello('late'), event(1));

  t.match(await refused.rest(), [{ type: TYPE.BYE, reason: 'server-full' }]);
  t.equal(served.counters.closes['server-full'], 1);
  t.equal(served.counters.links, 1);
  device.send(event(1), { type: TYPE.PING });
  await device.expect(TYPE.PONG);
  t.same(served.routes.ids(), [1]);
});

onBoth('endpoints: a link that ends makes room for the next', full, async (t, served) => {
  const first = await served.open('first');
  first.send({ type: TYPE.BYE, reason: '', retryAfter: undefined });
  await first.rest();
  // A link that is over holds its file until its socket is gone.
  first.close();
  await until(() => served.counters.lingering === 0);

  const second = await served.open('second');

  t.equal(served.counters.links, 1);
  second.send({ type: TYPE.PING });
  await second.expect(TYPE.PONG);
});

for (const [random, retryAfter] of [
  [0, 0],
  [0.25, 7_500],
  [0.999_999, 30_000],
] as const) {
  const options = { ...full, random: () => random };
  on('pair', `endpoints: retryAfter is spread, ${retryAfter} ms`, options, async (t, served) => {
    await served.open();
    const refused = await served.connect();

    t.match(await refused.rest(), [{ reason: 'server-full', retryAfter }]);
    t.ok(retryAfter <= served.limits.serverFullRetryMs);
  });
}

/** Connects, and tells how it ends; a reset may come before the connect is seen. */
async function attempt(served: Served): Promise<'told' | 'reset'> {
  try {
    const device = await Device.connect(served.port);
    const item = await device.next();
    device.close();
    return item === END ? 'reset' : 'told';
  } catch {
    return 'reset';
  }
}

const few = { linksMax: 1, limits: { refusingMax: 2, linkMessagesBurst: 200 } };

on('TCP', 'endpoints: more than refusingMax refused at once are reset', few, async (t, served) => {
  const device = await served.open();
  // They do not answer our FIN, so they linger.
  const first = await served.connect();
  const second = await served.connect();

  const third = await attempt(served);

  t.equal(third, 'reset');
  for (const refused of [first, second]) {
    t.match(await refused.rest(), [{ type: TYPE.BYE, reason: 'server-full' }]);
  }
  t.equal(served.counters.closes['server-full'], 3);
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
});

on('TCP', 'endpoints: refused links that are gone make room for more', few, async (t, served) => {
  await served.open();
  for (let rounds = 0; rounds < 20; rounds += 1) {
    const outcome = await attempt(served);
    t.equal(outcome, 'told');
    await until(() => served.counters.lingering === 0);
  }
});

on(
  'TCP',
  'endpoints: refused links that stay are gone after the linger time',
  few,
  async (t, served) => {
    await served.open();
    await served.connect();
    await served.connect();
    t.equal(await attempt(served), 'reset');

    served.pass(served.limits.lingerMs);
    await until(() => served.counters.lingering === 0);

    t.equal(await attempt(served), 'told');
  },
);

on(
  'TCP',
  'endpoints: a stampede of refused links is not felt by a live one',
  few,
  async (t, served) => {
    const device = await served.open();

    const stampede = Promise.all(Array.from({ length: 200 }, () => attempt(served)));
    for (let id = 1; id <= 50; id += 1) {
      device.send(event(id), { type: TYPE.PING });
      await device.expect(TYPE.PONG);
      served.routes.release();
    }
    const outcomes = await stampede;
    await settle();

    t.equal(outcomes.length, 200);
    t.ok(outcomes.includes('told') && outcomes.includes('reset'));
    t.equal(served.counters.closes['server-full'], 200);
    t.equal(served.routes.handed.length, 50);
  },
);

on('pair', 'admission: a storm beyond it gets BYE rate-limited', {}, async (t, served) => {
  const { endpoints, counters, clock } = served;
  const admission = new Admission<Socket>({
    limits: makeLimits({ connectBurst: 1, connectQueueMax: 0 }),
    counters,
    clock,
    room: () => endpoints.room,
    admit: (socket, acceptedUs) => endpoints.accept(socket, acceptedUs, PLAIN_ORIGIN),
    refuse: (socket, reason) => endpoints.refuse(socket, PLAIN_ORIGIN.listener, reason),
  });
  const devices = Array.from({ length: 3 }, () => {
    const [ours, theirs] = duplexPair();
    admission.arrive(ours as Socket);
    return new Device(theirs);
  });
  const [first, ...others] = devices;

  for (const device of others) {
    t.match(await device.rest(), [{ type: TYPE.BYE, reason: 'rate-limited', retryAfter: 15_000 }]);
  }
  first?.send(hello('first'));
  await first?.expect(TYPE.WELCOME);

  t.equal(counters.closes['rate-limited'], 2);
  for (const device of devices) device.close();
});

onBoth('endpoints: a refusal has its own spread of retryAfter', {}, async (t, served) => {
  const refuse = served.endpoints.refuse.bind(served.endpoints);
  served.endpoints.accept = (socket, _, { listener }) =>
    refuse(socket, listener, 'broker-lost', 5_000);
  const refused = await served.connect();

  t.match(await refused.rest(), [{ type: TYPE.BYE, reason: 'broker-lost', retryAfter: 2_500 }]);
  t.equal(served.counters.closes['broker-lost'], 1);
});
