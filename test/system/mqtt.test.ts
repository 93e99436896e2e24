/**
 * MQTT through a real node, with MQTT.js, unchanged, as the device: events, requests in both forms,
 * commands, takeover; in 3.1.1 and 5. Raw bytes are test/component/mqtt.test.ts's.
 */
import { type EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConsumeMessage } from 'amqplib';
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import t, { type Test } from 'tap';
import { names } from '../../src/broker/topology.ts';
import { echo } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const folder = mkdtempSync(join(tmpdir(), 'ot-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'owsla.yaml');
writeFileSync(file, 'listeners: [{ name: web, port: 0, protocol: mqtt-ws }]');
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
async function open(t: Test, id: string, protocolVersion: Version, at = url) {
  const options: IClientOptions = { clientId: id, protocolVersion, reconnectPeriod: 0 };
  const client = mqtt.connect(at, options);
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

t.test('nothing that was said is on stderr', async (t) => {
  t.same(
    server.errors.filter((line) => /mqtt/i.test(line)),
    [],
  );
});
