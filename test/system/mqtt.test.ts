/**
 * MQTT through a real node, with MQTT.js, unchanged, as the device: events, requests in both forms,
 * commands, takeover; in 3.1.1 and 5; by every way in that a listener of MQTT can have, and at the
 * wrong door. Raw bytes are test/component/mqtt.test.ts's.
 */
import type { KeyObject } from 'node:crypto';
import { type EventEmitter, once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConsumeMessage } from 'amqplib';
import mqtt, { type IClientOptions, type IPublishPacket, MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { devicePskKey, makeToken, newGroupKey, readGroupKeys } from '../../src/base/deviceKeys.ts';
import { names } from '../../src/broker/topology.ts';
import { encode } from '../../src/wire/v1.ts';
import { echo } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import { connectPacket } from '../helpers/fakes/mqttDevice.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { startNode } from '../helpers/processes/node.ts';
import { binary, inet } from '../helpers/proxyHeaders.ts';
import { waitFor } from '../helpers/waitFor.ts';

const authority = new Authority();
t.teardown(() => authority.remove());
const served = authority.issue('localhost', { san: 'DNS:localhost' });
const door1 = authority.issue('door-1', { san: 'URI:urn:device:door-1' });
const keys = authority.save('keys.yaml', `g1: ${newGroupKey()}\n`);
const groupKey = readGroupKeys(keys).get('g1') as KeyObject;
const sockets = { mqtt: authority.at('m.sock'), web: authority.at('w.sock') };
const proven = { auth: ['cert', 'psk', 'key'], keys };
const file = authority.save(
  'owsla.yaml',
  JSON.stringify({
    ...{ 'tls-cert': served.certFile, 'tls-key': served.keyFile },
    listeners: [
      { name: 'web', port: 0, protocol: 'mqtt-ws' },
      { name: 'web-tls', port: 0, protocol: 'mqtt-ws', tls: true },
      {
        ...{ name: 'proven', port: 0, protocol: 'mqtt', ...proven },
        tls: { 'client-ca': authority.caFile, 'client-cert': 'request' },
      },
      {
        ...{ name: 'proxied', port: 0, protocol: 'mqtt', auth: ['none'] },
        ...{ 'proxy-protocol': 'require', 'proxy-from': ['127.0.0.2/32'] },
      },
      { name: 'proxied-unix', unix: sockets.mqtt, protocol: 'mqtt', auth: ['none'] },
      { name: 'proxied-web', unix: sockets.web, protocol: 'mqtt-ws', auth: ['none'] },
    ],
  }),
);
const flags = ['--mqtt-port', '0', '--config', file];
const { prefix, server, backend, broker } = await startNode(t, {
  ...{ hasUsers: true, flags },
  // For modules that write what they do; mqtt-packet would write passwords.
  env: { DEBUG: '*' },
});
const at = names(prefix);
const commander = await Commander.connect(broker.url, prefix);
t.teardown(() => commander.close());
const url = `mqtt://127.0.0.1:${server.portOf('mqtt')}`;

type Version = 4 | 5;
const VERSIONS: readonly Version[] = [4, 5];

interface Heard {
  readonly topic: string;
  readonly text: string;
  readonly packet: IPublishPacket;
}

/** Its types are not those of an EventEmitter; it is one. */
function next(client: MqttClient, event: string): Promise<unknown[]> {
  return once(client as unknown as EventEmitter, event);
}

/** A device, and what it hears. */
async function open(
  t: Test,
  id: string,
  protocolVersion: Version,
  at: string | (() => Socket) = url,
  more: IClientOptions = {},
) {
  const options: IClientOptions = { clientId: id, protocolVersion, reconnectPeriod: 0, ...more };
  const client = typeof at === 'string' ? mqtt.connect(at, options) : new MqttClient(at, options);
  t.teardown(() => client.endAsync(true));
  const heard: Heard[] = [];
  client.on('message', (topic, payload, packet) => {
    heard.push({ topic, text: payload.toString(), packet });
  });
  client.on('error', () => {});
  await next(client, 'connect');
  return { client, heard };
}

/** Answers each COMMAND with its payload, as a device should. */
function obey(client: MqttClient): void {
  client.on('message', (topic, payload) => {
    const [, what, key] = topic.split('/');
    if (what === 'command') client.publish(`$owsla/result/${key}/0`, payload, { qos: 1 });
  });
}

await backend.on(at.requests, '#', echo);

for (const version of VERSIONS) {
  const name = (what: string) => `mqtt${version}-${what}`;

  t.test(`MQTT ${version}: PUBLISHes of QoS 0 and 1 are EVENTs`, async (t) => {
    const got: ConsumeMessage[] = [];
    await backend.on(at.events, `${name('events')}.#`, (message) => got.push(message));
    const { client } = await open(t, name('events'), version);
    await client.publishAsync('hvac/temperature', 'one', { qos: 1, retain: true });
    await client.publishAsync('hvac/temperature', 'two', { qos: 0 });
    await waitFor('both', () => got.length === 2);

    t.same(
      got.map(({ content }) => content.toString()),
      ['one', 'two'],
    );
    t.equal(got[0]?.fields.routingKey, `${name('events')}.hvac.temperature`);
    t.match(got[0]?.properties.headers, { topic: 'hvac.temperature', retain: true });
    t.match(got[0]?.properties.messageId, /^[0-9a-f-]{36}:\d+$/);
    t.notOk(got[1]?.properties.messageId);
    t.notOk('retain' in (got[1]?.properties.headers ?? {}));
  });

  t.test(`MQTT ${version}: a request by $owsla/request is answered`, async (t) => {
    const { client, heard } = await open(t, name('asks'), version);
    await client.subscribeAsync('$owsla/reply/#', { qos: 1 });
    for (const qos of [0, 1] as const) {
      await client.publishAsync(`$owsla/request/r${qos}/door/state`, `q${qos}`, { qos });
      await waitFor('its reply', () => heard.length === qos + 1);
    }

    t.match(heard, [
      { topic: '$owsla/reply/r0/0', text: 'q0' },
      { topic: '$owsla/reply/r1/0', text: 'q1' },
    ]);
  });

  t.test(`MQTT ${version}: commands, transient and kept`, async (t) => {
    const { client } = await open(t, name('obeys'), version);
    obey(client);
    await waitFor('the device online', async () => {
      const early = await commander.send(name('obeys'));
      return (await commander.final(early)).reason === 'unready';
    });
    const kept = await commander.send(name('obeys'), { keepMs: 60_000, payload: 'kept' });
    await client.subscribeAsync('$owsla/command/#', { qos: 1 });

    t.match(await commander.final(kept), { type: 'result', status: 0, text: 'kept' });
    const now = await commander.send(name('obeys'), { payload: 'now' });
    t.match(await commander.final(now), { type: 'result', status: 0, text: 'now' });
  });

  t.test(`MQTT ${version}: of two links the later one stays`, async (t) => {
    const first = await open(t, name('twice'), version);
    const ended = next(first.client, 'close');
    const told = version === 5 ? next(first.client, 'disconnect') : undefined;
    const second = await open(t, name('twice'), version);
    await ended;

    if (told) t.match(await told, [{ reasonCode: 0x8e }]);
    t.ok(second.client.connected);
  });
}

t.test('MQTT 5: a request by Response Topic and Correlation Data', async (t) => {
  const { client, heard } = await open(t, 'mqtt5-response', 5);
  const properties = { responseTopic: 'my/answers', correlationData: Buffer.from('c-1') };
  await client.publishAsync('door/state', 'open?', { qos: 0, properties });
  await waitFor('its reply', () => heard.length === 1);

  t.match(heard, [{ topic: 'my/answers', text: 'open?' }]);
  t.match(heard[0]?.packet.properties, {
    correlationData: Buffer.from('c-1'),
    userProperties: { status: '0' },
  });
});

t.test('MQTT 5: what Owsla does is in its CONNACK; the rest has its reason code', async (t) => {
  const client = mqtt.connect(url, { clientId: 'mqtt5-told', protocolVersion: 5, keepalive: 3 });
  t.teardown(() => client.endAsync(true));
  const [connack] = await next(client, 'connect');
  const [granted] = await Promise.allSettled([
    client.subscribeAsync({ 'a/b': { qos: 1 }, '$owsla/command/#': { qos: 1 } }),
  ]);

  t.match(connack, {
    sessionPresent: false,
    properties: { maximumQoS: 1, receiveMaximum: 256, serverKeepAlive: 10 },
  });
  t.match(granted, { status: 'rejected' });
});

t.test('MQTT: the will of a device that is cut off is an EVENT', async (t) => {
  const got = Promise.withResolvers<ConsumeMessage>();
  await backend.on(at.events, 'cut-off.#', got.resolve);
  const will = { topic: 'state/now', payload: Buffer.from('gone'), qos: 1 as const, retain: false };
  const client = mqtt.connect(url, { clientId: 'cut-off', protocolVersion: 5, will });
  t.teardown(() => client.endAsync(true));
  await next(client, 'connect');
  await waitFor('its link on record', async () => {
    const asked = await commander.send('cut-off');
    return (await commander.final(asked)).reason === 'unready';
  });
  client.options.reconnectPeriod = 0;
  client.stream.destroy();

  const { properties, content } = await got.promise;
  t.equal(content.toString(), 'gone');
  t.match(properties.headers, { topic: 'state.now', will: /^peer-/ });
});

t.test('MQTT over WebSocket: the same, in its messages', async (t) => {
  const { client, heard } = await open(
    t,
    'by-web',
    5,
    `ws://127.0.0.1:${server.portOf('web')}/any`,
  );
  obey(client);
  await client.subscribeAsync({ '$owsla/reply/#': { qos: 1 }, '$owsla/command/#': { qos: 1 } });
  const long = 'x'.repeat(60_000);
  await client.publishAsync('$owsla/request/1/echo', long, { qos: 1 });
  await waitFor('its reply', () => heard.length === 1);
  const command = await commander.send('by-web', { payload: 'now' });

  t.match(await commander.final(command), { type: 'result', text: 'now' });
  t.equal(heard[0]?.text, long);
  const { port = '' } = new URL(`ws://127.0.0.1:${server.portOf('web')}`);
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  t.equal(answer.status, 426);
  await client.endAsync();
  await server.untilMetric('owsla_closes_total', 'reason="peer-bye"', (count) => count >= 1);
});

t.test('MQTT over WebSocket and TLS: the same', async (t) => {
  const at = `wss://localhost:${server.portOf('web-tls')}/mqtt`;
  for (const version of VERSIONS) {
    const id = `by-wss-${version}`;
    const { client, heard } = await open(t, id, version, at, { ca: authority.ca });
    obey(client);
    await client.subscribeAsync({ '$owsla/reply/#': { qos: 1 }, '$owsla/command/#': { qos: 1 } });
    await client.publishAsync('$owsla/request/1/echo', 'again', { qos: 1 });
    await waitFor('its reply', () => heard.length === 1);

    t.match(heard, [{ topic: '$owsla/reply/1/0', text: 'again' }]);
    t.match(await commander.command(id, { payload: 'now' }), { type: 'result', text: 'now' });
  }
  const stranger = mqtt.connect(at, { reconnectPeriod: 0 });
  t.teardown(() => stranger.endAsync(true));
  const [error] = await next(stranger, 'error');
  t.match(error, { message: /certificate/ }, 'it does not know who issued that');
});

const OTHER = '192.0.2.7';
const HEADERS = [
  ['v1', Buffer.from(`PROXY TCP4 ${OTHER} 127.0.0.1 4711 1883\r\n`)],
  ['v2', binary(0x21, 0x11, inet(OTHER, 4_711))],
] as const;

for (const [version, header] of HEADERS) {
  const behind = (socket: Socket) => {
    socket.write(header);
    return socket;
  };
  const port = server.portOf('proxied');
  const byTcp = () => behind(connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }));
  const byUnix = () => behind(connect(sockets.mqtt));
  const createConnection = () => behind(connect(sockets.web));

  t.test(`MQTT behind a proxy, PROXY ${version}: the device’s own address`, async (t) => {
    const got: ConsumeMessage[] = [];
    await backend.on(at.events, `*.from-${version}`, (message) => got.push(message));
    const links = [
      await open(t, `tcp-${version}`, 5, byTcp),
      await open(t, `unix-${version}`, 4, byUnix),
      await open(t, `web-${version}`, 5, 'ws://x/', { wsOptions: { createConnection } }),
    ];
    for (const { client } of links) await client.publishAsync(`from-${version}`, 'x', { qos: 1 });
    await waitFor('an event of each', () => got.length === links.length);

    const peers = got.map(({ properties }) => properties.headers?.peer);
    t.same(peers, Array(links.length).fill(`${OTHER}:4711`));
  });
}

/** What is counted in these words, before and after. */
const FAILED = (reason: string) =>
  ['owsla_establish_failures_total', `reason="${reason}"`] as const;
const CLOSED = (reason: string) => ['owsla_closes_total', `reason="${reason}"`] as const;

/** Says this where `socket` leads to, and hears all that is answered. */
async function answered(socket: Socket, bytes: Uint8Array | string): Promise<Buffer> {
  const heard: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => heard.push(chunk));
  socket.write(bytes);
  // An end before all of it was read is a reset.
  await once(socket, 'close').catch(() => {});
  return Buffer.concat(heard);
}

t.test('MQTT behind a proxy: from who is none, or without its header', async (t) => {
  const port = server.portOf('proxied');
  const [, header] = HEADERS[0];
  const bare = connectPacket(4, 'bare');
  const told = [
    await answered(connect({ port, host: '127.0.0.1' }), Buffer.concat([header, bare])),
    await answered(connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }), bare),
    await answered(connect(sockets.mqtt), bare),
  ];

  t.same(told, Array(told.length).fill(Buffer.alloc(0)));
  await server.untilMetric(...FAILED('proxy-source'), (count) => count === 1);
  await server.untilMetric(...FAILED('proxy-header'), (count) => count === 2);
});

const { cert, key } = door1;
const PSK = {
  pskCallback: () => ({ psk: devicePskKey(groupKey, 'door-2'), identity: 'g1.door-2' }),
  ...{ checkServerIdentity: () => undefined, ciphers: 'TLS_AES_128_GCM_SHA256:PSK' },
};
const PROOFS: readonly (readonly [string, string, object])[] = [
  ['a certificate', 'door-1', { cert, key }],
  ['a pre-shared key', 'door-2', PSK],
  ['a token as password', 'door-3', { password: makeToken(groupKey, 'g1', 'door-3', 0) }],
];

for (const version of VERSIONS) {
  t.test(`MQTT ${version}: who a device is, is proved, and no other Client Id`, async (t) => {
    const at = `mqtts://127.0.0.1:${server.portOf('proven')}`;
    const base = { ca: authority.ca, servername: 'localhost', username: 'any' };
    for (const [what, id, proof] of PROOFS) {
      const options = { ...base, ...proof };
      const { client } = await open(t, id, version, at, options);
      await client.publishAsync('here', what, { qos: 1 });
      const more = { clientId: 'door-9', protocolVersion: version, reconnectPeriod: 0 };
      const impostor = mqtt.connect(at, { ...options, ...more });
      t.teardown(() => impostor.endAsync(true));
      const [refusal] = await next(impostor, 'error');

      t.match(refusal, { code: version === 4 ? 5 : 0x87 }, what);
      t.ok(client.connected, `${what}: the device itself stays`);
    }
  });
}

const TLS_ALERT = 21;
const UPGRADE = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
/** What knocks where it does not belong, by what it speaks and what is spoken there. */
const ASTRAY: readonly (readonly [string, string, Uint8Array | string, RegExp])[] = [
  ['HELLO', 'mqtt', encode(hello('astray')), /^$/],
  ['HTTP', 'mqtt', UPGRADE, /^$/],
  ['CONNECT', 'devices', connectPacket(5, 'astray'), /frame-too-long/],
  ['HTTP', 'devices', UPGRADE, /frame-too-long/],
  ['CONNECT', 'web', connectPacket(5, 'astray'), /^HTTP\/1.1 400 /],
  ['CONNECT', 'proven', connectPacket(5, 'astray'), /^(?:alert)?$/],
  ['CONNECT', 'web-tls', connectPacket(5, 'astray'), /^(?:alert)?$/],
];

t.test('at the wrong door: refused at once, and no other link notices', async (t) => {
  const beside = await open(t, 'beside', 5);
  const own = await Device.open(server.port, 'beside-own');
  t.teardown(() => own.close());
  const closed = await server.metricNow(...CLOSED('bad-frame'));
  for (const [what, listener, bytes, expected] of ASTRAY) {
    const socket = connect({ port: server.portOf(listener), host: '127.0.0.1' });
    const heard = await answered(socket, bytes);
    const said = heard[0] === TLS_ALERT ? 'alert' : heard.toString('latin1');
    t.match(said, expected, `${what} at ${listener}`);
  }
  for (const listener of ['mqtt', 'devices', 'web']) {
    const socket = connectTls({ port: server.portOf(listener), host: '127.0.0.1' });
    const [error] = await once(socket, 'error');
    t.ok(error, `TLS at ${listener}`);
  }

  await server.untilMetric(...CLOSED('bad-frame'), (count) => count === closed + 3);
  await server.untilMetric(...CLOSED('frame-too-long'), (count) => count === 3);
  await server.untilMetric(...FAILED('ws-handshake'), (count) => count >= 2);
  const said = server.log.filter(({ msg }) => msg === 'device refused').map(({ why }) => why);
  for (const what of ['Owsla’s own protocol', 'HTTP', 'TLS', 'MQTT']) {
    t.ok(
      said.some((why) => String(why).includes(`, as ${what} begins`)),
      `the log names ${what}`,
    );
  }
  await beside.client.publishAsync('still/here', 'yes', { qos: 1 });
  own.send(event(1));
  await own.expect('ack');
  t.same(server.complaints, []);
});

t.test('nothing that was said is on stderr', async (t) => {
  t.same(
    server.errors.filter((line) => /mqtt/i.test(line)),
    [],
  );
});
