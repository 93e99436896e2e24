/** Back-pressure: the in-flight limit and full routes stop reading; nothing is lost or doubled. */
import { type Message, TYPE } from '../../src/wire/message.ts';
import { type Device, event, hello, request } from '../helpers/fakes/device.ts';
import { on, onBoth, type Served, settle, until } from '../helpers/worlds/endpoints.ts';

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
const small = { limits: { inFlightMax: 3 } };

onBoth('endpoint: the in-flight limit stops reading', small, async (t, served) => {
  const device = await served.open();

  device.send(...upTo(10).map((id) => (id % 2 === 0 ? event(id) : request(id))));
  device.send(...upTo(10).map((id) => event(id + 10)));
  await until(() => served.counters.pausedLinks === 1);
  await settle();

  t.same(served.routes.ids(), [1, 2, 3]);
  t.equal(served.endpoint().inFlight, 3);
});

onBoth('endpoint: each release hands one more on, in order', small, async (t, served) => {
  const device = await served.open();
  device.send(...upTo(20).map((id) => event(id)));
  await until(() => served.counters.pausedLinks === 1);

  for (const released of upTo(17)) {
    served.routes.release();
    await settle();
    t.equal(served.routes.handed.length, 3 + released);
  }
  served.routes.release(3);

  t.same(served.routes.ids(), upTo(20));
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
  t.equal(served.counters.pausedLinks, 0);
});

onBoth('endpoint: EVENTs without an id are not in flight', small, async (t, served) => {
  const device = await served.open();

  device.send(...upTo(50).map(() => event(0)), { type: TYPE.PING });
  await device.expect(TYPE.PONG);

  t.equal(served.routes.handed.length, 50);
});

onBoth('endpoint: one link at its limit holds up no other', small, async (t, served) => {
  const greedy = await served.open('greedy');
  const modest = await served.open('modest');
  greedy.send(...upTo(100).map((id) => event(id)));
  await until(() => served.counters.pausedLinks === 1);

  modest.send(event(1), { type: TYPE.PING });

  await modest.expect(TYPE.PONG);
  t.same(served.routes.ids('modest'), [1]);
});

onBoth('endpoint: full routes pause a link, room resumes it in order', {}, async (t, served) => {
  const device = await served.open();
  served.routes.room = 2;

  device.send(...upTo(6).map((id) => event(id)), { type: TYPE.PING });
  await until(() => served.counters.pausedLinks === 1);
  await settle();
  t.same(served.routes.ids(), [1, 2]);
  t.equal(device.waiting, 0);
  served.makeRoom(3);
  await settle();
  t.same(served.routes.ids(), [1, 2, 3, 4, 5]);
  served.makeRoom();

  await device.expect(TYPE.PONG);
  t.same(served.routes.ids(), upTo(6));
  t.equal(served.counters.pausedLinks, 0);
});

onBoth('endpoint: HELLO needs no room at the broker', {}, async (t, served) => {
  served.routes.room = 0;
  const device = await served.connect();

  device.send(hello('door-17'), event(1));

  await device.expect(TYPE.WELCOME);
  await settle();
  t.same(served.routes.ids(), []);
  served.makeRoom();
  t.same(served.routes.ids(), [1]);
});

onBoth('endpoint: a paused link is sent PING every half keepalive', {}, async (t, served) => {
  const device = await served.open();
  served.routes.room = 0;
  device.send(event(1));
  await until(() => served.counters.pausedLinks === 1);

  served.pass(29_999);
  await settle();
  t.equal(device.waiting, 0, 'not before half a keepalive');
  for (const _ of upTo(20)) {
    served.pass(30_000);
    await device.expect(TYPE.PING);
    await settle();
    t.equal(device.waiting, 0, 'one PING each');
  }

  t.equal(served.counters.links, 1, 'ten keepalives of silence, and it lives');
});

onBoth('endpoint: the silence clock stands still while paused', {}, async (t, served) => {
  const device = await served.open();
  served.pass(40_000);
  served.routes.room = 0;
  device.send(event(0));
  await until(() => served.counters.pausedLinks === 1);
  served.pass(600_000);
  served.makeRoom();

  served.pass(90_000);
  t.equal(served.counters.links, 1, '1.5 keepalives since its last frame, the pause apart');
  served.pass(1);

  t.equal(served.counters.links, 0);
  t.equal(served.counters.closes['keepalive-timeout'], 1);
});

async function threeWaiting(served: Served): Promise<Device[]> {
  const devices: Device[] = [];
  for (const name of ['a', 'b', 'c']) devices.push(await served.open(name));
  served.routes.room = 0;
  for (const [index, device] of devices.entries()) {
    device.send(...upTo(4).map((id) => event(id)));
    await until(() => served.counters.pausedLinks === index + 1);
  }
  return devices;
}

const order = (served: Served) =>
  served.routes.handed.map(({ endpoint, message }) => `${endpoint.deviceId}${message.id}`);

onBoth('endpoints: room goes round to those who wait, the longest first', {}, async (t, served) => {
  await threeWaiting(served);

  for (const _ of upTo(12)) served.makeRoom(1);

  t.same(order(served), ['a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'a3', 'b3', 'c3', 'a4', 'b4', 'c4']);
});

onBoth('endpoints: a release does not jump the line of those who wait', {}, async (t, served) => {
  const [a] = await threeWaiting(served);
  served.makeRoom(1);
  t.same(order(served), ['a1']);

  // As a confirm does: the room is there, the message's own link hears of it first.
  for (const _ of upTo(5)) {
    served.routes.room = 1;
    served.routes.release();
    served.makeRoom(served.routes.room);
  }

  t.same(order(served), ['a1', 'b1', 'c1', 'a2', 'b2', 'c2']);
  t.equal(a?.waiting, 0);
});

onBoth('endpoints: who comes later does not jump the line either', {}, async (t, served) => {
  const late = await served.open('late');
  await threeWaiting(served);

  // Room that nobody has been told of yet.
  served.routes.room = 1;
  late.send(event(1));
  await until(() => served.counters.pausedLinks === 4);
  served.makeRoom(served.routes.room);

  t.same(order(served), ['a1']);
});

onBoth('endpoints: a link that ended while it waited is not woken', {}, async (t, served) => {
  await threeWaiting(served);
  served.endpoint('a').close('draining', 0);

  served.makeRoom(2);

  t.same(order(served), ['b1', 'b2']);
});

onBoth(
  'endpoints: suspended, it hands nothing on; what is held is settled',
  {},
  async (t, served) => {
    const device = await served.open();
    device.send(event(1), event(2));
    await until(() => served.routes.handed.length === 2);

    served.endpoints.suspend();
    device.send(event(3));
    await until(() => served.counters.pausedLinks === 1);
    served.makeRoom();
    served.routes.release(2);
    await settle();

    t.same(served.routes.ids(), [1, 2]);
    t.equal(served.endpoint().inFlight, 0);
  },
);

// The clock stands still: all 200 are one burst.
const smallBurst = { limits: { ...small.limits, linkMessagesBurst: 1_000 } };
onBoth('endpoint: pauses of many kinds lose and double nothing', smallBurst, async (t, served) => {
  const device = await served.open();
  const sent = upTo(200);
  served.routes.room = 5;

  const messages: Message[] = sent.map((id) => (id % 3 === 0 ? request(id) : event(id)));
  for (const message of messages) device.send(message);
  for (let rounds = 0; served.routes.handed.length < sent.length; rounds += 1) {
    served.makeRoom(1 + (rounds % 4));
    served.routes.release(rounds % 5);
    await settle();
  }
  served.makeRoom();
  served.routes.release(3);

  t.same(served.routes.ids(), sent);
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
});

on(
  'pair',
  'endpoints: a crowd that waits is woken in turns, nobody is left',
  {},
  async (t, served) => {
    const CROWD = 300;
    served.routes.room = 0;
    const devices: Device[] = [];
    for (let i = 0; i < CROWD; i += 1) devices.push(await served.open(`d${i}`));
    t.equal(served.counters.pausedLinks, 0, 'who has nothing to say needs no room');
    for (const device of devices) device.send(event(1));
    await until(() => served.counters.pausedLinks === CROWD);

    served.makeRoom();
    const left = served.counters.pausedLinks;
    t.ok(left > 0 && left < CROWD, `not all in one turn: ${left} left`);
    await until(() => served.routes.handed.length === CROWD);

    t.equal(served.counters.pausedLinks, 0);
  },
);
