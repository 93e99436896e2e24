/**
 * What both standards forbid a device to send, packet by packet: each has its code, and its reason
 * code of MQTT 5. Numbers in brackets are the standards' normative statements.
 */
import type { IConnectPacket } from 'mqtt-packet';
import t from 'tap';
import type { FatalCode } from '../../src/base/errors.ts';
import { makeLimits } from '../../src/base/limits.ts';
import type { MqttLevel } from '../../src/wire/mqtt/check.ts';
import { MqttProtocol } from '../../src/wire/mqtt/mqttProtocol.ts';
import { parsePacket } from '../../src/wire/mqtt/parser.ts';
import { endCodesOf, MqttError } from '../../src/wire/mqtt/reasons.ts';
import {
  bytesOf,
  connectPacket,
  LEVELS,
  packetsIn,
  publishOf,
} from '../helpers/fakes/mqttDevice.ts';

const LIMITS = makeLimits();

/** What is wrong with it; '': nothing. */
function fate(bytes: Buffer): string {
  const protocol = new MqttProtocol(LIMITS);
  protocol.push(bytes);
  try {
    for (let next = protocol.next(); next; next = protocol.next()) {
      protocol.accept(next);
      if (next.type === 'hello') protocol.welcome('c', 60_000, 0);
    }
    return '';
  } catch (error) {
    if (!(error instanceof MqttError)) throw error;
    return `${error.code} ${endCodesOf(error.code, error).disconnect.toString(16)}`;
  }
}

/** A packet of these bytes, in hex, behind its type, flags and length. */
function raw(first: number, body: string): Buffer {
  const bytes = Buffer.from(body.replaceAll(' ', ''), 'hex');
  return Buffer.concat([Buffer.from([first, bytes.length]), bytes]);
}

type Bad = readonly [what: string, levels: readonly MqttLevel[], bytes: Buffer, fate: string];

const BOTH = LEVELS;
const V4: readonly MqttLevel[] = [4];
const V5: readonly MqttLevel[] = [5];
const malformed = 'bad-frame 81' satisfies `${FatalCode} ${string}`;
const protocolError = 'unexpected 82';

/** Behind a CONNECT. */
const LATER: readonly Bad[] = [
  ['type 0', BOTH, raw(0x00, ''), malformed],
  ['flags of a PINGREQ [2.2.2-2]', BOTH, raw(0xc1, ''), malformed],
  ['flags of a SUBSCRIBE [3.8.1-1]', BOTH, raw(0x80, '0001 0001 61 00'), malformed],
  ['flags of an UNSUBSCRIBE [3.10.1-1]', BOTH, raw(0xa0, '0001 0001 61'), malformed],
  ['flags of a PUBACK', BOTH, raw(0x42, '0001'), malformed],
  ['flags of a DISCONNECT [3.14.1-1]', BOTH, raw(0xe1, ''), malformed],
  ['a length of five bytes', BOTH, Buffer.from('30ffffffff01', 'hex'), malformed],
  ['a length that is longer than it has to be', BOTH, Buffer.from('c08000', 'hex'), malformed],
  ['a PUBLISH of QoS 3 [3.3.1-4]', BOTH, raw(0x36, '0001 61 0001'), malformed],
  ['a PUBLISH of QoS 0 with DUP [3.3.1-2]', BOTH, raw(0x38, '0001 61'), malformed],
  ['a packet that is too long', BOTH, Buffer.from('30ffff7f', 'hex'), 'frame-too-long 95'],
  ['a CONNACK', BOTH, raw(0x20, '0000'), protocolError],
  ['a SUBACK', BOTH, raw(0x90, '0001 00'), protocolError],
  ['a PINGRESP', BOTH, raw(0xd0, ''), protocolError],
  ['a PUBREL', BOTH, raw(0x62, '0001'), protocolError],
  ['a second CONNECT [3.1.0-2]', BOTH, connectPacket(4), protocolError],
  ['an AUTH of 3.1.1', V4, raw(0xf0, ''), protocolError],
  ['an AUTH without a method', V5, raw(0xf0, ''), protocolError],
  ['bytes in a PINGREQ', BOTH, raw(0xc0, '00'), malformed],
  ['bytes in a DISCONNECT of 3.1.1', V4, raw(0xe0, '00'), malformed],
  ['bytes behind a PUBACK of 3.1.1', V4, raw(0x40, '0001 00'), malformed],
  ['a PUBLISH of QoS 2', V4, raw(0x34, '0001 61 0001'), 'unexpected 9b'],
  ['a PUBLISH of QoS 2 [3.2.2-11]', V5, raw(0x34, '0001 61 0001 00'), 'unexpected 9b'],
  ['a packet identifier of 0 [2.3.1-1]', BOTH, raw(0x32, '0001 61 0000 00'), 'bad-id 82'],
  ['a SUBSCRIBE with identifier 0', BOTH, raw(0x82, '0000 00 0001 61 00'), 'bad-id 82'],
  ['a topic that is cut', BOTH, raw(0x30, '0009 61'), malformed],
  ['a topic that is no UTF-8 [1.5.3-1]', BOTH, raw(0x30, '0002 c328 00'), malformed],
  ['a surrogate in a topic', BOTH, raw(0x30, '0003 eda080 00'), malformed],
  ['U+0000 in a topic [1.5.3-2]', BOTH, raw(0x30, '0002 6100 00'), malformed],
  ['a wildcard in a topic [3.3.2-2]', BOTH, raw(0x30, '0003 612f23 00'), 'bad-topic 90'],
  ['an empty topic of 3.1.1 [4.7.3-1]', V4, raw(0x30, '0000'), protocolError],
  ['no topic and no alias', V5, raw(0x30, '0000 00'), protocolError],
  ['a topic with an empty word', BOTH, raw(0x30, '0004 612f2f62 00'), 'bad-topic 90'],
  ['a topic with a dot', BOTH, raw(0x30, '0003 612e62 00'), 'bad-topic 90'],
  ['a topic of another $', BOTH, raw(0x30, '0006 245359532f78 00'), 'bad-topic 90'],
  ['a SUBSCRIBE to nothing [3.8.3-3]', V4, raw(0x82, '0001'), protocolError],
  ['a SUBSCRIBE to nothing [3.8.3-2]', V5, raw(0x82, '0001 00'), protocolError],
  ['an UNSUBSCRIBE from nothing', V4, raw(0xa2, '0001'), protocolError],
  ['a subscription of QoS 3', V4, raw(0x82, '0001 0001 61 03'), malformed],
  ['reserved bits of a subscription', V4, raw(0x82, '0001 0001 61 04'), malformed],
  ['reserved bits of a subscription [3.8.3-5]', V5, raw(0x82, '0001 00 0001 61 40'), malformed],
  ['retain handling 3', V5, raw(0x82, '0001 00 0001 61 30'), protocolError],
  ['a filter that is none [4.7.1-2]', V4, raw(0x82, '0001 0003 612f2361 00'), malformed],
  ['an empty filter', V4, raw(0x82, '0001 0000 00'), malformed],
  ['# in a word', V4, raw(0x82, '0001 0002 6123 00'), malformed],
  ['a shared subscription', V5, sharedSubscribe(), 'unexpected 9e'],
  ['a subscription identifier', V5, raw(0x82, '0001 02 0b01 0001 61 00'), 'unexpected a1'],
  ['a subscription identifier of 0', V5, raw(0x82, '0001 02 0b00 0001 61 00'), protocolError],
  ['an unknown property', V5, raw(0x30, '0001 61 02 7f00'), malformed],
  ['a property that does not belong', V5, raw(0x30, '0001 61 03 210001'), malformed],
  ['a property twice', V5, raw(0x30, '0001 61 04 0100 0100'), protocolError],
  ['a property that is cut', V5, raw(0x30, '0001 61 02 0200'), malformed],
  ['properties beyond the packet', V5, raw(0x30, '0001 61 7f'), malformed],
  ['a flag that is 2', V5, raw(0x30, '0001 61 02 0102'), protocolError],
  ['a subscription identifier in a PUBLISH', V5, raw(0x30, '0001 61 02 0b01'), malformed],
  ['a topic alias of 0 [3.3.2-8]', V5, raw(0x30, '0001 61 03 230000'), 'unexpected 94'],
  ['a topic alias above the maximum', V5, raw(0x30, '0001 61 03 230011'), 'unexpected 94'],
  ['a topic alias that is not known', V5, raw(0x30, '0000 03 230001'), protocolError],
  ['a Response Topic with a wildcard', V5, raw(0x30, '0001 61 05 08 0002 6123'), 'bad-topic 90'],
  ['a Response Topic of commands', V5, toCommands(), 'bad-topic 90'],
  ['too long correlation data', V5, longCorrelation(), 'unexpected 97'],
  ['a DISCONNECT with a server’s code', V5, raw(0xe0, '8e'), protocolError],
  ['a DISCONNECT that begins an expiry', V5, raw(0xe0, '00 05 1100000001'), protocolError],
  ['a PUBACK with an unknown code', V5, raw(0x40, '0001 7f'), malformed],
];

function sharedSubscribe(): Buffer {
  const subscriptions = [{ topic: '$share/g/a', qos: 1 as const, nl: false, rap: false, rh: 0 }];
  return bytesOf(5, { cmd: 'subscribe', messageId: 1, subscriptions });
}

function toCommands(): Buffer {
  return bytesOf(5, publishOf('a', 0, { properties: { responseTopic: '$owsla/command/x' } }));
}

function longCorrelation(): Buffer {
  const properties = { responseTopic: 'a', correlationData: Buffer.alloc(256) };
  return bytesOf(5, publishOf('a', 0, { properties }));
}

/** A CONNECT with some of its bytes changed, counted behind type and length. */
function changed(level: MqttLevel, at: number, value: number): Buffer {
  const bytes = connectPacket(level);
  bytes[2 + at] = value;
  return bytes;
}

function connectWith(level: MqttLevel, more: Partial<IConnectPacket>): Buffer {
  return connectPacket(level, 'door-17', more);
}

const will = { topic: 'a', payload: Buffer.alloc(0), retain: false } as const;
const FIRST: readonly Bad[] = [
  ['a packet before CONNECT [3.1.0-1]', BOTH, raw(0xc0, ''), protocolError],
  ['flags of CONNECT', BOTH, raw(0x11, '0004 4d515454 04 02 003c 0001 61'), malformed],
  ['TLS', BOTH, Buffer.from('160301020001000200', 'hex'), malformed],
  ['HTTP', BOTH, Buffer.from('GET / HTTP/1.1\r\n'), malformed],
  ['another protocol', BOTH, changed(4, 2, 0x4e), malformed],
  ['a level that there is not', BOTH, changed(4, 6, 6), 'version 84'],
  ['a bridge', BOTH, changed(4, 6, 0x84), 'version 84'],
  ['MQTT 3.1', BOTH, raw(0x10, '0006 4d514973 6470 03 02 003c 0001 61'), 'version 84'],
  ['a reserved flag [3.1.2-3]', V4, changed(4, 7, 0x03), malformed],
  ['a will of QoS 3 [3.1.2-14]', V4, changed(4, 7, 0x1e), malformed],
  ['QoS without a will [3.1.2-13]', V4, changed(4, 7, 0x0a), malformed],
  ['retain without a will [3.1.2-15]', V4, changed(4, 7, 0x22), malformed],
  ['a password without a user [3.1.2-22]', V4, changed(4, 7, 0x42), malformed],
  ['a user name that is not there', V4, changed(4, 7, 0x82), malformed],
  ['bytes behind it', V4, raw(0x10, '0004 4d515454 04 02 003c 0001 61 00'), malformed],
  [
    'a Receive Maximum of 0',
    V5,
    raw(0x10, '0004 4d515454 05 02 003c 03 210000 0001 61'),
    protocolError,
  ],
  [
    'a Maximum Packet Size of 0',
    V5,
    raw(0x10, '0004 4d515454 05 02 003c 05 2700000000 0001 61'),
    protocolError,
  ],
  [
    'data without a method',
    V5,
    raw(0x10, '0004 4d515454 05 02 003c 03 160000 0001 61'),
    protocolError,
  ],
  [
    'authentication by AUTH',
    V5,
    connectWith(5, { properties: { authenticationMethod: 'x' } }),
    'auth-failed 8c',
  ],
  ['an empty client id', BOTH, connectPacket(4, ''), 'bad-device-id 85'],
  ['a client id that is none here', BOTH, connectPacket(5, 'door/17'), 'bad-device-id 85'],
  [
    'a keepalive of 3.1.1 that is too long',
    V4,
    connectWith(4, { keepalive: 3_601 }),
    protocolError,
  ],
  ['a will of QoS 2', BOTH, connectWith(4, { will: { ...will, qos: 2 } }), 'unexpected 9b'],
  [
    'a will to no topic of Owsla’s',
    BOTH,
    connectWith(4, { will: { ...will, topic: 'a/+' } }),
    'bad-topic 90',
  ],
];

for (const [what, levels, bytes, expected] of LATER) {
  for (const level of levels) {
    t.test(`mqtt ${level}: ${what}`, async (t) => {
      t.equal(fate(Buffer.concat([connectPacket(level), bytes])), expected);
    });
  }
}
for (const [what, , bytes, expected] of FIRST) {
  t.test(`mqtt: first, ${what}`, async (t) => t.equal(fate(bytes), expected));
}

t.test('mqtt: a first packet is as long as a HELLO may be', async (t) => {
  const password = Buffer.alloc(LIMITS.helloBytesMax);
  const long = connectPacket(4, 'door-17', { username: 'u', password });
  t.equal(fate(long), 'frame-too-long 95');
  t.equal(
    fate(Buffer.concat([connectPacket(4), bytesOf(4, publishOf('a', 0, { payload: password }))])),
    '',
  );
});

t.test('mqtt: what is wrong in a CONNECT is told, in the form that its device reads', async (t) => {
  const told = (bytes: Buffer, level: MqttLevel) => {
    const protocol = new MqttProtocol(LIMITS);
    protocol.push(bytes);
    try {
      protocol.next();
    } catch (error) {
      if (!(error instanceof MqttError)) throw error;
      protocol.error(error);
      const said = protocol.goodbye(error.code, undefined);
      return said && packetsIn(level, said)[0];
    }
    return 'nothing is wrong';
  };
  t.match(told(changed(4, 6, 3), 4), { cmd: 'connack', returnCode: 1 });
  t.match(told(changed(5, 6, 6), 5), { cmd: 'connack', reasonCode: 0x84 });
  t.match(told(connectPacket(4, ''), 4), { cmd: 'connack', returnCode: 2 });
  t.match(told(connectPacket(5, ''), 5), { cmd: 'connack', reasonCode: 0x85 });
  t.match(told(connectWith(4, { keepalive: 3_601 }), 4), { returnCode: 5 });
  t.match(told(changed(5, 7, 0x03), 5), { cmd: 'connack', reasonCode: 0x81 });
  t.equal(told(changed(4, 7, 0x03), 4), undefined, '3.1.1 has no word for it [3.1.4-1]');
  t.equal(told(raw(0xc0, ''), 4), undefined);
});

t.test('mqtt: what mqtt-packet cannot read spoils nothing for the next link', async (t) => {
  const [unread, other] = [raw(0x40, '0003 82 00'), raw(0x40, '0004 87 00')];
  for (const bytes of [unread, other.subarray(0, 3)]) {
    t.throws(() => parsePacket(5, bytes), { message: 'no packet of MQTT' });
    t.match(parsePacket(5, other), { cmd: 'puback', messageId: 4, reasonCode: 0x87 });
  }
});
