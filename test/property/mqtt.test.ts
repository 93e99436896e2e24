/**
 * MQTT: cut at every byte, or anywhere, a device's stream means the same. Whatever the bytes, no
 * crash; and what is taken for a packet is one: written again, it is the same bytes.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet';
import t from 'tap';
import { Random } from '../../loadgen/plan/random.ts';
import { ProtocolError } from '../../src/base/errors.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { DEVICE_ID, TOPIC } from '../../src/base/names.ts';
import { checkPacket, type MqttLevel } from '../../src/wire/mqtt/check.ts';
import { MqttProtocol } from '../../src/wire/mqtt/mqttProtocol.ts';
import { headerBytesOf, KIND } from '../../src/wire/mqtt/packetReader.ts';
import { parsePacket } from '../../src/wire/mqtt/parser.ts';
import { readPublish } from '../../src/wire/mqtt/publish.ts';
import type { FromDevice } from '../../src/wire/protocol.ts';
import { byteByByte, cut } from '../helpers/cuts.ts';
import { bytesOf, connectPacket, publishOf, subscribeOf } from '../helpers/fakes/mqttDevice.ts';

const LIMITS = makeLimits({ frameBytesMax: 4_096, helloBytesMax: 1_024 });
const MUTATED = process.env.OWSLA_SOAK === undefined ? 15_000 : 10_000_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

const word = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/);
const name = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join('/'));
const packetId = fc.integer({ min: 0, max: 4 });
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const key = 'ab'.repeat(16);

const properties = fc.record(
  {
    responseTopic: fc.oneof(name, fc.constant('a/+')),
    correlationData: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    topicAlias: fc.integer({ min: 1, max: 20 }),
    contentType: text,
    messageExpiryInterval: fc.nat(),
    userProperties: fc.record({ seq: fc.nat().map(String), odd: text }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);
const topic = fc.oneof(
  { weight: 6, arbitrary: name },
  name.map((one) => `$owsla/request/7/${one}`),
  fc.constantFrom(`$owsla/result/${key}/0`, '', 'a//b', 'a/#', '$SYS/x', 'a.b'),
);
const publish = fc
  .tuple(topic, packetId, properties, fc.boolean())
  .map(([at, id, more, retain]): Packet => publishOf(at, id, { properties: more, retain }));
const filter = fc.constantFrom(
  '$owsla/command/#',
  '$owsla/reply/#',
  'a/b',
  '#',
  'a/#/b',
  '$share/g/a',
);
const said: fc.Arbitrary<Packet> = fc.oneof(
  { weight: 8, arbitrary: publish },
  {
    weight: 2,
    arbitrary: fc.array(filter, { minLength: 1, maxLength: 3 }).map((all) => subscribeOf(...all)),
  },
  fc.array(filter, { minLength: 1, maxLength: 3 }).map((all): Packet => {
    return { cmd: 'unsubscribe', messageId: 3, unsubscriptions: all };
  }),
  fc.constantFrom<Packet>(
    { cmd: 'pingreq' },
    { cmd: 'puback', messageId: 3, reasonCode: 0 },
    { cmd: 'puback', messageId: 3, reasonCode: 0x87 },
    { cmd: 'disconnect', reasonCode: 0 },
    { cmd: 'disconnect', reasonCode: 4, properties: { reasonString: 'gone' } },
    { cmd: 'pingresp' },
  ),
);

const level = fc.constantFrom<MqttLevel>(4, 5);
const connected = fc
  .tuple(level, fc.boolean(), fc.boolean(), word)
  .map(([version, hasWill, hasUser, id]): [MqttLevel, Buffer] => {
    const will = { topic: 'state/off', payload: Buffer.from('x'), qos: 1, retain: false } as const;
    const user = { username: 'u', password: Buffer.from('secret') };
    return [
      version,
      connectPacket(version, id, { ...(hasWill ? { will } : {}), ...(hasUser ? user : {}) }),
    ];
  });
const stream = fc
  .tuple(connected, fc.array(said, { maxLength: 6 }))
  .map(([[version, first], packets]) => {
    return { version, packets: [first, ...packets.map((one) => bytesOf(version, one))] };
  });

function wordsOf(message: FromDevice, protocol: MqttProtocol): string {
  const { type } = message;
  const more: unknown[] = [protocol.bytes, protocol.elements];
  if ('id' in message) more.push(message.id);
  if ('topic' in message) more.push(message.topic, message.payload.toString('hex'), message.meta);
  if ('answer' in message) more.push(message.answer?.toString('hex'));
  return `${type} ${JSON.stringify(more)}`;
}

/** What each accepted message says, and why the first one was not. */
function meaning(chunks: readonly Buffer[]): string[] {
  const protocol = new MqttProtocol(LIMITS);
  const words: string[] = [];
  for (const chunk of chunks) {
    protocol.push(Buffer.from(chunk));
    try {
      for (let next = protocol.next(); next; next = protocol.next()) {
        const accepted = protocol.accept(next);
        words.push(wordsOf(accepted, protocol));
        if (accepted.type === 'hello') protocol.welcome('c', 60_000, 0);
        if (accepted.type === 'bye') return words;
      }
    } catch (error) {
      assert.ok(error instanceof ProtocolError);
      protocol.error(error);
      return [...words, error.code, protocol.goodbye(error.code, 1)?.toString('hex') ?? ''];
    }
  }
  return words;
}

t.test('mqtt: a stream cut at every byte, or anywhere, means the same', async (t) => {
  let refused = 0;
  let accepted = 0;
  fc.assert(
    fc.property(stream, fc.array(fc.nat()), fc.array(fc.nat({ max: 255 })), (sent, cuts, noise) => {
      const bytes = Buffer.concat([...sent.packets, Buffer.from(noise)]);
      const whole = meaning([bytes]);

      assert.deepEqual(meaning(byteByByte(bytes)), whole);
      assert.deepEqual(meaning(cut(bytes, cuts)), whole);
      accepted += whole.length;
      if (/^[a-z-]+$/.test(whole.at(-2) ?? '')) refused += 1;
    }),
    { numRuns: 600, seed },
  );
  t.ok(refused > 40 && accepted > 1_000, `${refused} refused, ${accepted} accepted`);
});

/** Packets whose one written form mqtt-packet has: not those that may leave something out. */
const ONE_FORM: ReadonlySet<string> = new Set(['publish', 'subscribe', 'unsubscribe', 'connect']);

/** It was accepted: so it is what the standard says, which its fields written again are, too. */
function checkAccepted(version: MqttLevel, packet: Buffer, message: FromDevice): void {
  if ('topic' in message) assert.match(message.topic, TOPIC);
  if (message.type === 'hello') assert.match(message.deviceId, DEVICE_ID);
  if ('id' in message) assert.ok(Number.isSafeInteger(message.id) && message.id >= 0);
  let read: Packet | undefined;
  const parser = mqtt.parser({ protocolVersion: version });
  parser.on('packet', (one) => {
    read = one;
  });
  parser.on('error', (error) => assert.fail(error));
  assert.equal(parser.parse(packet), 0);
  assert.ok(read !== undefined);
  if (read.cmd === 'publish') checkRead(read, message);
  if (!ONE_FORM.has(read.cmd) || mayChangePlaces(read)) return;
  assert.deepEqual(mqtt.generate(read, { protocolVersion: version }), packet);
}

/** It is read here, and by mqtt-packet: the same. */
function checkRead(read: IPublishPacket, message: FromDevice): void {
  const { topic, qos, retain, payload, properties } = read;
  if (!('payload' in message)) assert.fail(message.type);
  assert.deepEqual(message.payload, payload);
  if (message.type === 'event') {
    if (topic !== '') assert.equal(message.topic, topic.replaceAll('/', '.'));
    assert.equal(message.id > 0, qos > 0);
    assert.equal(properties?.responseTopic, undefined);
  }
  if (!('meta' in message)) return;
  const { seq, at } = properties?.userProperties ?? {};
  const numbered = (text: unknown) => (/^\d{1,15}$/.test(String(text)) ? Number(text) : undefined);
  assert.equal(message.meta.retain === true, retain);
  assert.equal(message.meta.seq, Array.isArray(seq) ? undefined : numbered(seq));
  assert.equal(message.meta.at, Array.isArray(at) ? undefined : numbered(at));
}

/**
 * User properties are put together by mqtt-packet, wherever they stood: two of them may change
 * places with others.
 */
function mayChangePlaces(packet: Packet): boolean {
  const of = (properties: { userProperties?: object } | undefined) =>
    Object.values(properties?.userProperties ?? {});
  const will = packet.cmd === 'connect' ? packet.will?.properties : undefined;
  const lists = [of('properties' in packet ? packet.properties : undefined), of(will)];
  const isNameless = packet.cmd === 'connect' && packet.password && packet.username === undefined;
  return Boolean(isNameless) || lists.some((all) => all.length > 1 || all.some(Array.isArray));
}

t.test(
  `mqtt: ${MUTATED} mutated packets: no crash, no wrong acceptance (seed ${seed})`,
  async (t) => {
    const random = new Random(seed);
    const samples = fc.sample(stream, { numRuns: 300, seed });
    const ends = { accepted: 0, refused: 0, open: 0 };
    for (let run = 0; run < MUTATED; ) {
      const { version, packets } = samples[
        random.below(samples.length)
      ] as (typeof samples)[number];
      const protocol = new MqttProtocol(LIMITS);
      const which = random.below(packets.length);
      for (const [index, sent] of packets.entries()) {
        const packet = index === which ? mutated(sent, random) : sent;
        if (index === which) run += 1;
        protocol.push(packet);
        const before = protocol.bytes;
        try {
          const message = protocol.next();
          if (message === undefined) {
            ends.open += 1;
            break;
          }
          if (protocol.bytes === packet.length) {
            checkAccepted(version, packet, protocol.accept(message));
          }
          if (index === which) ends.accepted += 1;
          if (message.type === 'hello') protocol.welcome('c', 60_000, 0);
          if (message.type === 'bye') break;
          assert.ok(protocol.bytes > 0, String(before));
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          protocol.error(error);
          protocol.goodbye(error.code, undefined);
          ends.refused += 1;
          assert.notEqual(error.message, NOT_PARSED);
          if (ends.refused % 8 === 0) checkOthers(version);
          break;
        }
      }
    }
    t.ok(
      Object.values(ends).every((count) => count > MUTATED / 100),
      JSON.stringify(ends),
    );
  },
);

/** What mqtt-packet would refuse has been refused before. */
const NOT_PARSED = 'no packet of MQTT';
const SUBSCRIBE = {
  4: bytesOf(4, subscribeOf('$owsla/command/#')),
  5: bytesOf(5, subscribeOf('$owsla/command/#')),
} as const;

/** One parser serves all links: what one has said, another one does not notice. */
function checkOthers(version: MqttLevel): void {
  const read = parsePacket(version, SUBSCRIBE[version]);
  assert.equal(read.cmd, 'subscribe');
}

function mutated(sent: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(sent);
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    bytes[random.below(bytes.length)] = random.below(256);
  }
  return random.below(4) === 0 ? bytes.subarray(0, 1 + random.below(bytes.length)) : bytes;
}

t.test('mqtt: no check of one packet depends on the one before', async (t) => {
  fc.assert(
    fc.property(stream, ({ version, packets: [, ...packets] }) => {
      const judged = (all: readonly Buffer[]) => all.map((one) => judge(version, one));
      assert.deepEqual(judged(packets.toReversed()).reverse(), judged(packets));
    }),
    { numRuns: 300, seed },
  );
  t.pass();
});

function judge(version: MqttLevel, packet: Buffer): unknown {
  const isPublish = (packet[0] ?? 0) >> 4 === KIND.publish;
  try {
    if (isPublish) return { ...readPublish(version, packet, headerBytesOf(packet)) };
    return checkPacket(version, packet, headerBytesOf(packet));
  } catch (error) {
    return String(error);
  }
}
