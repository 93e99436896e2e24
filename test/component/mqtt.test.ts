/** Links of MQTT on live endpoints, packet by packet: what is handed on, what is said, when. */
import t, { type Test } from 'tap';
import { DeviceCommands } from '../../src/acceptor/route/deviceCommands.ts';
import { makeLimits } from '../../src/base/limits.ts';
import type { FromLink } from '../../src/node/messages.ts';
import type { Event, Request } from '../../src/wire/message.ts';
import type { MqttLevel } from '../../src/wire/mqtt/check.ts';
import { MqttProtocol } from '../../src/wire/mqtt/mqttProtocol.ts';
import { END } from '../helpers/fakes/itemQueue.ts';
import {
  bytesOf,
  connectPacket,
  LEVELS,
  MqttDevice,
  publishOf,
  subscribeOf,
} from '../helpers/fakes/mqttDevice.ts';
import { on, type Served, type ServedOptions, settle } from '../helpers/worlds/endpoints.ts';

const MQTT = { protocol: 'mqtt' } as const;
const KEY = '00112233445566778899aabbccddeeff';

/** The same in both versions. */
function both(
  promise: string,
  options: ServedOptions,
  body: (t: Test, served: Served, level: MqttLevel) => Promise<void>,
): void {
  for (const level of LEVELS) {
    on('pair', `mqtt ${level}: ${promise}`, { ...MQTT, ...options }, (t, served) =>
      body(t, served, level),
    );
  }
}

async function link(served: Served, level: MqttLevel): Promise<MqttDevice> {
  return new MqttDevice(await served.link(), level);
}

/** A device that has its CONNACK. */
async function open(served: Served, level: MqttLevel, ...connect: unknown[]): Promise<MqttDevice> {
  const device = await link(served, level);
  const [id, more] = connect as [string?, object?];
  device.sendBytes(connectPacket(level, id, more));
  await device.expect('connack');
  return device;
}

function messages({ routes }: Served): (Event | Request)[] {
  return routes.handed.map(({ message }) => message);
}

both('a device connects, and is told what it needs', {}, async (t, served, level) => {
  const device = await link(served, level);
  device.sendBytes(connectPacket(level));
  const connack = await device.expect('connack');

  t.match(connack, { sessionPresent: false });
  t.match(served.counters.opens, { owsla: 0, mqtt: 1 });
  t.equal(level === 4 ? connack.returnCode : connack.reasonCode, 0);
  t.equal(served.endpoint().keepaliveMs, 60_000);
  if (level === 4) return;
  const { id } = served.endpoint();
  t.match(connack.properties, {
    ...{ receiveMaximum: served.limits.inFlightMax, maximumQoS: 1, topicAliasMaximum: 16 },
    maximumPacketSize: served.limits.frameBytesMax,
    userProperties: { connection: id, time: /^\d+$/ },
  });
  t.notOk('serverKeepAlive' in (connack.properties ?? {}), 'it is as the device asked');
});

both('a PUBACK is sent when its EVENT is safe, and not before', {}, async (t, served, level) => {
  const device = await open(served, level);
  device.send(publishOf('hvac/temp', 7), publishOf('hvac/temp', 0, { retain: true }));
  device.send(publishOf('hvac/temp', 7, { dup: true }), publishOf('door', 3), { cmd: 'pingreq' });
  await device.expect('pingresp');

  const got = messages(served);
  t.match(got[1], { type: 'event', id: 0, topic: 'hvac.temp', meta: { retain: true } });
  const numbers = got.map(({ id }) => id).filter((id) => id > 0);
  t.same(
    numbers,
    [...new Set(numbers)].sort((a, b) => a - b),
    'numbers rise, as ids do not',
  );
  for (const id of numbers.toReversed()) served.endpoint().acknowledge(id);
  t.match(
    [await device.next(), await device.next(), await device.next()],
    [
      ...[
        { cmd: 'puback', messageId: 3 },
        { cmd: 'puback', messageId: 7 },
      ],
      { cmd: 'puback', messageId: 7 },
    ],
  );
});

both('a request has its one answer, and its PUBACK with it', {}, async (t, served, level) => {
  const device = await open(served, level);
  device.send(publishOf('$owsla/request/r-1/door/state', 0));
  device.send(publishOf('$owsla/request/r-2/door/state', 5), { cmd: 'pingreq' });
  await device.expect('pingresp');
  const [first, second] = messages(served);

  t.match(
    [first, second],
    [
      { type: 'request', topic: 'door.state' },
      { type: 'request', topic: 'door.state' },
    ],
  );
  served.endpoint().reply(second?.id ?? 0, 200, Buffer.from('open'));
  served.endpoint().reply(second?.id ?? 0, 1, Buffer.from('late'));
  served.endpoint().reply(first?.id ?? 0, 0, Buffer.from('shut'));
  t.match(await device.expect('puback'), { messageId: 5 });
  t.match(await device.next(), {
    topic: '$owsla/reply/r-2/200',
    qos: 0,
    payload: Buffer.from('open'),
  });
  t.match(await device.next(), { topic: '$owsla/reply/r-1/0', payload: Buffer.from('shut') });
});

on('pair', 'mqtt 5: an answer goes where it was asked to', MQTT, async (t, served) => {
  const device = await open(served, 5);
  const properties = { responseTopic: 'ä/b', correlationData: Buffer.from([0, 255]) };
  device.send(publishOf('door/state', 0, { properties }), { cmd: 'pingreq' });
  await device.expect('pingresp');
  served.endpoint().reply(messages(served)[0]?.id ?? 0, 3, Buffer.from('no'));

  t.match(await device.next(), {
    ...{ topic: 'ä/b', payload: Buffer.from('no') },
    properties: { correlationData: Buffer.from([0, 255]), userProperties: { status: '3' } },
  });
});

on('pair', 'mqtt 5: meta is in user properties, a topic in its alias', MQTT, async (t, served) => {
  const device = await open(served, 5);
  const userProperties = { seq: '41', at: '1700000000123', other: 'x', traceparent: ['a', 'b'] };
  device.send(publishOf('a/b', 0, { properties: { topicAlias: 16, userProperties } }));
  device.send(publishOf('', 0, { properties: { topicAlias: 16, userProperties: { seq: '-1' } } }));
  device.send({ cmd: 'pingreq' });
  await device.expect('pingresp');

  t.same(
    messages(served).map(({ topic, meta }) => ({ topic, meta })),
    [
      { topic: 'a.b', meta: { seq: 41, at: 1_700_000_000_123, traceparent: '' } },
      { topic: 'a.b', meta: {} },
    ],
  );
});

both('only Owsla’s own topics can be subscribed to', {}, async (t, served, level) => {
  const device = await open(served, level);
  const filters = ['a/b', '#', '$owsla/reply/#', '$owsla/reply/7/0', '$owsla/command/+/door'];
  device.send(subscribeOf(...filters));
  const no = level === 4 ? 0x80 : 0x8f;
  t.match(await device.expect('suback'), { messageId: 9, granted: [no, no, 1, 1, no] });
  t.equal(served.routes.ready.length, 0);

  const zero = [{ topic: '$owsla/command/#', qos: 0 as const, nl: false, rap: false, rh: 0 }];
  device.send({ cmd: 'subscribe', messageId: 2, subscriptions: zero });
  t.match(await device.expect('suback'), { granted: [level === 4 ? 0x80 : 0x83] });
  t.equal(served.endpoint().takesCommands, 'unready');

  device.send(subscribeOf('$owsla/command/#'), subscribeOf('$owsla/#'));
  await device.expect('suback');
  await device.expect('suback');
  t.equal(served.routes.ready.length, 1, 'said once');
  t.equal(served.endpoint().takesCommands, 'ready');

  const unsubscriptions = ['$owsla/command/#', '$owsla/#', 'a/b'];
  device.send({ cmd: 'unsubscribe', messageId: 4, unsubscriptions });
  const unsuback = await device.expect('unsuback');
  if (level === 5) t.same(unsuback.granted, [0, 0, 0x11]);
  t.equal(served.endpoint().takesCommands, 'unready');
});

/** A device with the acceptor's part in commands, and what the registrar is told. */
async function commanded(served: Served, level: MqttLevel, more: object = {}) {
  const told: FromLink[] = [];
  const { registry, limits, counters, clock } = served;
  const commands = new DeviceCommands({
    ...{ registry, limits, counters, wall: () => clock.wall(), trace: () => {} },
    notify: (message) => told.push(message),
  });
  served.routes.onAnswer = (endpoint, message) => commands.onAnswer(endpoint, message);
  served.routes.onReady = (endpoint) => commands.onReady(endpoint);
  const device = await open(served, level, 'door-17', more);
  const { id } = served.endpoint();
  const send = (key: string, after?: string) => {
    const due = clock.wall() + 5_500;
    commands.onCommand(['command', 'door-17', id, key, 'door.open', Buffer.from('x'), due, after]);
  };
  return { device, told, send, id };
}

both(
  'a COMMAND waits for its subscription, is taken, is answered',
  {},
  async (t, served, level) => {
    const { device, told, send, id } = await commanded(served, level);
    send(KEY, '');
    send(KEY.replace('0', 'f'), KEY);
    t.match(told.splice(0), [
      ['unsent', KEY, 'door-17', 'unready'],
      ['unsent', /^f/, 'door-17', 'unready'],
    ]);
    device.send(subscribeOf('$owsla/command/#'));
    await device.expect('suback');
    t.same(told.splice(0), [['ready', 'door-17', id]]);

    send(KEY, '');
    const command = await device.expect('publish');
    t.match(command, {
      topic: `$owsla/command/${KEY}/door/open`,
      qos: 1,
      dup: false,
      retain: false,
    });
    if (level === 5) {
      t.match(command.properties, { messageExpiryInterval: 6, userProperties: { key: KEY } });
    }
    device.send({ cmd: 'puback', messageId: command.messageId ?? 0 });
    device.send(publishOf(`$owsla/result/${KEY}/4711`, 8, { payload: Buffer.from('ok') }));
    t.match(await device.expect('puback'), { messageId: 8 });
    t.match(told, [
      ['taken', KEY],
      ['result', KEY, 4_711, Buffer.from('ok')],
    ]);
    device.send({ cmd: 'puback', messageId: command.messageId ?? 0 });
    device.send(publishOf(`$owsla/result/${KEY}/0`, 0), { cmd: 'pingreq' });
    await device.expect('pingresp');
    t.match(served.counters, { strayAcks: 1, strayResults: 1 });
  },
);

both('a RESULT may come before the PUBACK', {}, async (t, served, level) => {
  const { device, told, send } = await commanded(served, level);
  device.send(subscribeOf('$owsla/#'));
  await device.expect('suback');
  send(KEY);
  const { messageId = 0 } = await device.expect('publish');
  device.send(publishOf(`$owsla/result/${KEY}/0`, 0), { cmd: 'puback', messageId });
  device.send({ cmd: 'pingreq' });
  await device.expect('pingresp');

  t.match(told, [['ready'], ['result', KEY, 0]]);
  t.equal(served.counters.strayAcks, 0);
});

on('pair', 'mqtt 5: a device may refuse, and say how many it takes', MQTT, async (t, served) => {
  const { device, told, send } = await commanded(served, 5, { properties: { receiveMaximum: 1 } });
  device.send(subscribeOf('$owsla/command/#'));
  await device.expect('suback');
  send(KEY);
  const { messageId = 0 } = await device.expect('publish');
  t.equal(served.endpoint().takesCommands, 'busy');
  send(KEY.replace('0', 'f'));
  device.send({ cmd: 'puback', messageId, reasonCode: 0x83 }, { cmd: 'pingreq' });
  await device.expect('pingresp');

  t.match(told, [['ready'], ['unsent', /^f/, 'door-17', 'busy'], ['result', KEY, 3]]);
  t.equal(served.endpoint().takesCommands, 'ready');
});

on('pair', 'mqtt: whose keepalive rules', MQTT, async (t, served) => {
  const told = await link(served, 5);
  told.sendBytes(connectPacket(5, 'zero', { keepalive: 0 }));
  t.match((await told.expect('connack')).properties, { serverKeepAlive: 60 });
  await open(served, 4, 'short', { keepalive: 5 });
  await open(served, 4, 'never', { keepalive: 0 });
  const refused = await link(served, 4);
  refused.sendBytes(connectPacket(4, 'long', { keepalive: 3_601 }));
  t.match(await refused.expect('connack'), { returnCode: 5 });

  const rules = ['zero', 'short', 'never'].map((id) => served.endpoint(id).keepaliveMs);
  t.same(rules, [60_000, 5_000, 3_600_000]);
  served.pass(7_501);
  t.throws(() => served.endpoint('short'));
  served.pass(90_001);
  t.match(await told.rest(), [{ cmd: 'disconnect', reasonCode: 0x8d }]);
  t.equal(served.counters.closes['keepalive-timeout'], 2);
});

both('a PINGREQ is answered while nothing else is read', {}, async (t, served, level) => {
  const device = await open(served, level);
  served.routes.room = 0;
  device.send(publishOf('a', 1), publishOf('b', 2), { cmd: 'pingreq' });
  await settle();
  served.pass(31_000);
  await device.expect('pingresp');
  served.pass(31_000);
  device.send({ cmd: 'pingreq' });
  await settle();
  served.pass(31_000);
  await device.expect('pingresp');
  served.makeRoom();
  await settle();
  device.send({ cmd: 'pingreq' });
  await device.expect('pingresp');

  await settle();
  t.equal(served.counters.messagesOut.pong, 1, 'each has one answer');
  t.equal(served.counters.messagesOut.ping, 2);
  t.equal(messages(served).length, 2);
});

both('why a link ends', {}, async (t, served, level) => {
  const device = await open(served, level);
  served.endpoint().close('taken-over');
  const stranger = await link(served, level);
  served.pass(served.limits.greetingMs);
  const drained = await open(served, level, 'door-18');
  served.endpoint('door-18').close('draining', 1_500);

  t.same(await stranger.rest(), [], 'before CONNECT there is no word');
  if (level === 4) {
    t.same([await device.next(), await drained.next()], [END, END]);
    return;
  }
  t.match(await device.rest(), [{ cmd: 'disconnect', reasonCode: 0x8e }]);
  t.match(await drained.rest(), [
    {
      reasonCode: 0x8b,
      properties: { userProperties: { reason: 'draining', retryAfter: '1500' } },
    },
  ]);
});

const STRICT: ServedOptions = {
  ...MQTT,
  prover: {
    onNoProof: () => {},
    prove: (_, { token }) =>
      token === 'right'
        ? { method: 'key', topics: { patterns: [], allows: (topic) => topic === 'mine' } }
        : { code: 'auth-failed', reason: 'no-proof', sentence: 'no proof' },
  },
};

both('a password is the proof, and its topics bound', STRICT, async (t, served, level) => {
  const denied = await link(served, level);
  denied.sendBytes(connectPacket(level, 'door-17', { username: 'u', password: Buffer.from('no') }));
  const told = level === 4 ? { returnCode: 5 } : { reasonCode: 0x87 };
  t.match(await denied.rest(), [{ cmd: 'connack', ...told }]);

  const proof = { username: 'u', password: Buffer.from('right') };
  const device = await open(served, level, 'door-17', proof);
  device.send(publishOf('other', 1), publishOf('other', 0), publishOf('mine', 2));
  device.send(publishOf('$owsla/request/1/other', 3));
  const puback = await device.expect('puback');
  t.equal(puback.messageId, 1);
  if (level === 5) t.equal(puback.reasonCode, 0x87);
  t.match(await device.expect('puback'), { messageId: 3 });
  t.match(await device.expect('publish'), { topic: '$owsla/reply/1/3' });
  t.equal(served.counters.notAllowed, 3);
  t.same(
    messages(served).map(({ topic }) => topic),
    ['mine'],
  );
});

t.test('mqtt: a will waits no longer than its session', async (t) => {
  const payload = Buffer.from('off');
  const willOf = (level: MqttLevel, delay: number, expiry: number, more: object = {}) => {
    const protocol = new MqttProtocol(makeLimits());
    const properties = { willDelayInterval: delay };
    const will = { topic: 'state/now', payload, qos: 1, retain: false, properties } as const;
    const session = { properties: { sessionExpiryInterval: expiry } };
    protocol.push(connectPacket(level, 'door-17', { will, ...session, ...more }));
    return protocol.next();
  };

  t.match(willOf(4, 0, 0), {
    isCleanStart: true,
    will: { topic: 'state.now', payload, delayMs: 0 },
  });
  t.match(willOf(5, 30, 60, { clean: false }), { will: { delayMs: 30_000 } });
  t.match(willOf(5, 30, 10), { will: { delayMs: 10_000 }, isCleanStart: true });
  t.match(willOf(5, 30, 0), { will: { delayMs: 0 } });
  t.notOk('isCleanStart' in (willOf(5, 30, 60, { clean: false }) ?? {}));
});

both('its end: DISCONNECT, or none', {}, async (t, served, level) => {
  const device = await open(served, level);
  device.send(publishOf('last', 1));
  device.send({ cmd: 'disconnect', reasonCode: 0 });
  t.same(await device.rest(), []);
  t.equal(served.counters.closes['peer-bye'], 1);
  t.equal(messages(served).length, 1);
  if (level === 4) return;
  const wills = await open(served, 5, 'door-18');
  wills.send({ cmd: 'disconnect', reasonCode: 4 });
  await wills.rest();
  t.equal(served.counters.closes['peer-fin'], 1, 'its will is wanted');
});

on('pair', 'mqtt 5: nothing longer than its device takes is said', MQTT, async (t, served) => {
  const device = await open(served, 5, 'door-17', { properties: { maximumPacketSize: 100 } });
  device.send(publishOf('$owsla/request/7/a', 0), { cmd: 'pingreq' });
  await device.expect('pingresp');
  const endpoint = served.endpoint();
  const { replyBytesMax } = endpoint;
  t.ok(replyBytesMax > 30 && replyBytesMax < 80, String(replyBytesMax));
  endpoint.reply(messages(served)[0]?.id ?? 0, 65_535, Buffer.alloc(replyBytesMax));
  const reply = await device.expect('publish');
  t.ok(bytesOf(5, reply).length <= 100);
  t.ok(endpoint.commandBytesMax('door.open') < 0);
});

both('a link is described for who looks at it', {}, async (t, served, level) => {
  const device = await open(served, level);
  const seen: string[] = [];
  served.endpoint().tap = {
    onRead: (_, { type }) => seen.push(`< ${type}`),
    onWritten: (_, type, frame, protocol) => {
      const said = protocol.describe(frame);
      seen.push(`> ${type} ${said?.type === 'aside' ? said.what : said?.type}`);
    },
    onStep: () => {},
    onEnd: () => {},
    onMoved: () => {},
  };
  device.send(subscribeOf('$owsla/command/#'), publishOf('$owsla/request/7/a', 1));
  await device.expect('suback');
  served.endpoint().reply(messages(served)[0]?.id ?? 0, 0, Buffer.from('x'));
  const key = Buffer.from(KEY, 'hex');
  const payload = Buffer.alloc(0);
  served.endpoint().command({ type: 'command', id: 1, topic: 'a', payload, key, expiresIn: 1 });
  await device.expect('puback');

  t.same(seen, [
    ...['< aside', '> aside SUBACK 1', '< request', '> reply reply', '> command command'],
  ]);
});
