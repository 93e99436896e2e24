/**
 * Statements: packets that show what docs/mqtt.md says of the standards' numbered statements.
 * From: both standards.  To: statements.test.ts, which sends them: each case on a link of its own,
 * behind a CONNECT unless it is one itself.
 * Bound: a closed list; a case names the statements that it shows, of 3.1.1 and of 5. `fate`: is
 * the link still there, and which words were said, with their codes.
 */
import type { Packet } from 'mqtt-packet';
import { connectPacket, packetOf } from './rawLink.ts';

export type Version = 4 | 5;

export interface Case {
  readonly of: Readonly<Partial<Record<Version, string>>>;
  /** It begins with a CONNECT of its own. */
  readonly isConnect?: boolean;
  readonly send: (version: Version, device: string) => readonly Buffer[];
  readonly fate: Readonly<Partial<Record<Version, string>>>;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

/** A packet of less than 128 bytes. */
function packet(first: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([first, body.length]), body]);
}

const none = (version: Version): Buffer => Buffer.alloc(version === 5 ? 1 : 0);

interface Connect {
  readonly name?: string;
  readonly level?: number;
  readonly flags?: number;
  /** Behind the client id. */
  readonly rest?: readonly Buffer[];
  readonly id?: string | Buffer;
  readonly properties?: Buffer;
}

function connect(version: Version, device: string, how: Connect = {}): Buffer {
  const { name = 'MQTT', level = version, flags = 2, rest = [], id = device } = how;
  const properties = how.properties ?? none(version);
  const head = [text(name), Buffer.from([level, flags, 0, 60]), properties];
  return packet(0x10, ...head, text(id), ...rest);
}

/** Of this CONNECT. */
function connects(how: Connect | ((version: Version) => Connect)): Case['send'] {
  return (version, device) => [
    connect(version, device, typeof how === 'function' ? how(version) : how),
  ];
}

/** Any packet, as mqtt-packet writes it. */
function says(what: object): Case['send'] {
  return (version) => [packetOf(version, what as Packet)];
}

const BAD_TEXT = hex('c328');
const NUL = Buffer.from('a\0b');
const MALFORMED = { 4: 'closed', 5: 'closed, connack 129' } as const;
const CLOSED_81 = { 4: 'closed', 5: 'closed, disconnect 129' } as const;
const CLOSED_82 = { 4: 'closed', 5: 'closed, disconnect 130' } as const;
const CLOSED_90 = { 4: 'closed', 5: 'closed, disconnect 144' } as const;
const both = (ids: string) => ({ 4: ids, 5: ids });
const publish = { cmd: 'publish', qos: 1, messageId: 7, payload: 'x', retain: false, dup: false };
const subscribe = { cmd: 'subscribe', messageId: 9 };

const CONNECTS: readonly Omit<Case, 'isConnect'>[] = [
  {
    of: both('3.1.0-1'),
    send: () => [hex('c000')],
    fate: both('closed'),
  },
  {
    of: { 4: '3.1.2-1', 5: '3.1.2-1' },
    send: connects({ name: 'MQTX' }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-2 3.2.2-5 3.2.0-1', 5: '3.1.2-2' },
    send: connects({ level: 3 }),
    fate: both('closed, connack 1'),
  },
  { of: { 5: '3.1.2-2' }, send: connects({ level: 6 }), fate: { 5: 'closed, connack 132' } },
  {
    of: { 4: '3.1.2-3 3.1.4-1', 5: '3.1.2-3 3.1.4-1' },
    send: connects({ flags: 3 }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-9', 5: '3.1.2-9' },
    send: connects({ flags: 6 }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-11 3.1.2-13', 5: '3.1.2-11' },
    send: connects({ flags: 0x0a }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-14', 5: '3.1.2-12' },
    send: connects((version) => ({ flags: 0x1e, rest: [none(version), text('a'), text('b')] })),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-15', 5: '3.1.2-13' },
    send: connects({ flags: 0x22 }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-18 3.1.2-20', 5: '3.1.2-16 3.1.2-18' },
    send: connects({ rest: [text('user')] }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-19', 5: '3.1.2-17' },
    send: connects({ flags: 0x82 }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-21', 5: '3.1.2-19' },
    send: connects({ flags: 0xc2, rest: [text('user')] }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.2-22' },
    send: connects({ flags: 0x42, rest: [text('word')] }),
    fate: { 4: 'closed' },
  },
  {
    of: { 4: '3.1.3-1 3.1.3-3', 5: '3.1.3-1 3.1.3-3' },
    send: (version) => [packet(0x10, text('MQTT'), Buffer.from([version, 2, 0, 60]))],
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.3-4 1.5.3-1', 5: '3.1.3-4 1.5.4-1' },
    send: connects({ id: BAD_TEXT }),
    fate: MALFORMED,
  },
  { of: { 4: '1.5.3-2', 5: '1.5.4-2' }, send: connects({ id: NUL }), fate: MALFORMED },
  {
    of: { 4: '3.1.3-5 3.1.4-4 3.2.2-1 3.2.2-3 3.2.2-4', 5: '3.1.3-5 3.1.4-5 3.2.0-1 3.2.0-2' },
    send: connects({ id: 'abcdefghijklmnopqrstuv7' }),
    fate: both('open, connack 0'),
  },
  { of: { 5: '3.2.2-1 3.2.2-2' }, send: connects({}), fate: { 5: 'open, connack 0' } },
  {
    of: { 4: '3.1.3-6 3.1.3-7 3.1.3-8 3.1.3-9', 5: '3.1.3-6 3.1.3-7 3.1.3-8 3.2.2-6' },
    send: connects({ id: '' }),
    fate: { 4: 'closed, connack 2', 5: 'closed, connack 133' },
  },
  {
    of: { 4: '3.1.3-10', 5: '3.1.3-11' },
    send: connects((version) => ({ flags: 6, rest: [none(version), text(BAD_TEXT), text('')] })),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.3-11', 5: '3.1.3-12' },
    send: connects({ flags: 0x82, rest: [text(BAD_TEXT)] }),
    fate: MALFORMED,
  },
  {
    of: { 4: '3.1.4-5', 5: '3.1.4-6 3.2.2-7 3.2.2-8 4.13.2-1' },
    send: (version, device) => [
      Buffer.concat([
        connect(version, device, { id: 'no.device' }),
        packetOf(version, { ...publish, topic: 'a' } as Packet),
      ]),
    ],
    fate: { 4: 'closed, connack 2', 5: 'closed, connack 133' },
  },
  {
    of: { 5: '3.2.2-12' },
    send: connects((version) => ({ flags: 0x16, rest: [none(version), text('a'), text('')] })),
    fate: { 5: 'closed, connack 155' },
  },
  {
    of: { 5: '4.12.0-1' },
    send: connects({ properties: Buffer.concat([hex('08 15'), text('SCRAM')]) }),
    fate: { 5: 'closed, connack 140' },
  },
  {
    of: { 5: '3.1.2-24' },
    send: connects({ properties: hex('05 27 00000004') }),
    fate: { 5: 'closed' },
  },
];

const OTHERS: readonly Case[] = [
  {
    of: both('3.1.0-2'),
    send: (version, device) => [connectPacket(version, device)],
    fate: CLOSED_82,
  },
  {
    of: { 4: '2.2.2-1 2.2.2-2 4.8.0-1', 5: '2.1.3-1 4.13.1-1' },
    send: () => [hex('c100')],
    fate: CLOSED_81,
  },
  {
    of: { 4: '2.3.1-1', 5: '2.2.1-3' },
    send: (version) => [packet(0x32, text('a'), hex('0000'), none(version))],
    fate: CLOSED_82,
  },
  {
    of: { 4: '2.3.1-6 3.3.4-1 4.3.2-2', 5: '2.2.1-5 3.3.4-1 4.3.2-4' },
    send: says({ ...publish, topic: 'a/b' }),
    fate: both('open, puback 0 of 7'),
  },
  {
    of: { 5: '4.3.2-5' },
    send: (version) => {
      const again = packetOf(version, { ...publish, topic: 'a/b' } as Packet);
      return [again, again];
    },
    fate: { 5: 'open, puback 0 of 7, puback 0 of 7' },
  },
  { of: { 5: '3.3.4-1' }, send: says({ ...publish, qos: 0, topic: 'a' }), fate: { 5: 'open' } },
  {
    of: { 4: '3.3.4-1', 5: '3.2.2-11' },
    send: says({ ...publish, qos: 2, topic: 'a' }),
    fate: { 4: 'closed', 5: 'closed, disconnect 155' },
  },
  {
    of: both('3.3.1-2'),
    send: (version) => [packet(0x38, text('a'), none(version))],
    fate: CLOSED_81,
  },
  {
    of: both('3.3.1-4'),
    send: (version) => [packet(0x36, text('a'), hex('0007'), none(version))],
    fate: CLOSED_81,
  },
  {
    of: both('3.3.2-1'),
    send: (version) => [packet(0x30, text(BAD_TEXT), none(version))],
    fate: CLOSED_81,
  },
  {
    of: { 4: '3.3.2-2 4.7.1-1', 5: '3.3.2-2 4.7.0-1' },
    send: (version) => [packet(0x30, text('a/+'), none(version))],
    fate: CLOSED_90,
  },
  {
    of: { 4: '4.7.3-1' },
    send: () => [packet(0x30, text(''))],
    fate: { 4: 'closed' },
  },
  {
    of: { 5: '4.7.3-1' },
    send: () => [packet(0x30, text(''), hex('00'))],
    fate: { 5: 'closed, disconnect 130' },
  },
  {
    of: both('4.7.3-2'),
    send: (version) => [packet(0x30, text(NUL), none(version))],
    fate: CLOSED_81,
  },
  {
    of: both('3.8.1-1'),
    send: (version) => [packet(0x80, hex('0009'), none(version), text('a'), hex('00'))],
    fate: CLOSED_81,
  },
  {
    of: both('3.8.3-1'),
    send: (version) => [packet(0x82, hex('0009'), none(version), text(BAD_TEXT), hex('00'))],
    fate: CLOSED_81,
  },
  {
    of: { 4: '3.8.3-3', 5: '3.8.3-2' },
    send: (version) => [packet(0x82, hex('0009'), none(version))],
    fate: CLOSED_82,
  },
  {
    of: { 4: '3-8.3-4', 5: '3.8.3-5' },
    send: (version) => [packet(0x82, hex('0009'), none(version), text('a'), hex('c0'))],
    fate: CLOSED_81,
  },
  {
    of: { 4: '4.7.1-2', 5: '4.7.1-1' },
    send: (version) => [packet(0x82, hex('0009'), none(version), text('a/#/b'), hex('00'))],
    fate: CLOSED_81,
  },
  {
    of: { 4: '4.7.1-3', 5: '4.7.1-2' },
    send: (version) => [packet(0x82, hex('0009'), none(version), text('a+/b'), hex('00'))],
    fate: CLOSED_81,
  },
  {
    of: {
      4: '3.8.4-1 3.8.4-2 3.8.4-4 3.8.4-5 3.9.3-1 3.9.3-2 2.3.1-7',
      5: '3.8.4-1 3.8.4-2 3.8.4-5 3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2 2.2.1-6',
    },
    send: says({
      ...subscribe,
      subscriptions: [
        { topic: '$owsla/command/#', qos: 2 },
        { topic: 'news/#', qos: 1 },
        { topic: '$owsla/reply/#', qos: 0 },
      ],
    }),
    fate: { 4: 'open, suback 1 128 0 of 9', 5: 'open, suback 1 143 0 of 9' },
  },
  {
    of: { 5: '4.8.2-1 4.8.2-2 4.8.2-3 4.8.2-4 4.8.2-5 4.8.2-6' },
    send: says({ ...subscribe, subscriptions: [{ topic: '$share/a/b', qos: 1 }] }),
    fate: { 5: 'closed, disconnect 158' },
  },
  {
    of: both('3.10.1-1'),
    send: (version) => [packet(0xa0, hex('0009'), none(version), text('a'))],
    fate: CLOSED_81,
  },
  {
    of: both('3.10.3-1'),
    send: (version) => [packet(0xa2, hex('0009'), none(version), text(BAD_TEXT))],
    fate: CLOSED_81,
  },
  {
    of: both('3.10.3-2'),
    send: (version) => [packet(0xa2, hex('0009'), none(version))],
    fate: CLOSED_82,
  },
  {
    of: { 4: '3.10.4-4 3.10.4-5 3.10.4-6', 5: '3.10.4-4 3.10.4-5 3.10.4-6 3.11.3-1 3.11.3-2' },
    send: says({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a', '$owsla/command/#'] }),
    fate: { 4: 'open, unsuback of 9', 5: 'open, unsuback 17 17 of 9' },
  },
  { of: both('3.12.4-1'), send: () => [hex('c000')], fate: both('open') },
  { of: both('3.14.1-1'), send: () => [hex('e100')], fate: CLOSED_81 },
  { of: { 5: '3.14.2-1' }, send: () => [hex('e001 8e')], fate: { 5: 'closed, disconnect 130' } },
  { of: { 5: '3.6.1-1' }, send: () => [hex('6002 0007')], fate: { 5: 'closed, disconnect 129' } },
  { of: { 5: '3.15.1-1' }, send: () => [hex('f100')], fate: { 5: 'closed, disconnect 129' } },
  { of: { 5: '1.5.5-1' }, send: () => [hex('c0 8000')], fate: { 5: 'closed, disconnect 129' } },
  {
    of: { 5: '1.5.7-1' },
    send: () => [packet(0x30, text('a'), hex('07 26'), text(BAD_TEXT), text(''))],
    fate: { 5: 'closed, disconnect 129' },
  },
  {
    of: { 5: '3.3.2-8' },
    send: () => [packet(0x30, text('a'), hex('03 23 0000'))],
    fate: { 5: 'closed, disconnect 148' },
  },
  {
    of: { 5: '3.3.2-9 3.2.2-17' },
    send: () => [packet(0x30, text('a'), hex('03 23 0011'))],
    fate: { 5: 'closed, disconnect 148' },
  },
  {
    of: { 5: '3.3.2-12' },
    send: () => [
      packet(0x30, text('a'), hex('03 23 0010')),
      packet(0x30, text(''), hex('03230010')),
    ],
    fate: { 5: 'open' },
  },
  {
    of: { 5: '3.3.2-7' },
    send: () => [packet(0x30, text(''), hex('03 23 0001'))],
    fate: { 5: 'closed, disconnect 130' },
  },
  {
    of: { 5: '3.3.2-13' },
    send: () => [packet(0x30, text('a'), hex('05 08'), text(BAD_TEXT))],
    fate: { 5: 'closed, disconnect 129' },
  },
  {
    of: { 5: '3.3.2-14' },
    send: () => [packet(0x30, text('a'), hex('06 08'), text('a/#'))],
    fate: { 5: 'closed, disconnect 144' },
  },
  {
    of: { 5: '3.3.2-19' },
    send: () => [packet(0x30, text('a'), hex('05 03'), text(BAD_TEXT))],
    fate: { 5: 'closed, disconnect 129' },
  },
  {
    of: { 5: '3.3.4-6' },
    send: () => [packet(0x30, text('a'), hex('02 0b 01'))],
    fate: { 5: 'closed, disconnect 129' },
  },
  {
    of: { 5: '3.2.2-15' },
    send: () => [hex('30 81 80 04')],
    fate: { 5: 'closed, disconnect 149' },
  },
];

export const CASES: readonly Case[] = [
  ...CONNECTS.map((one) => ({ ...one, isConnect: true })),
  ...OTHERS,
];

/** Starred in the table, and shown by a test that needs more than a device's bytes. */
export const ELSEWHERE: readonly { readonly file: string; readonly of: Case['of'] }[] = [
  { file: 'test/interop/clients.test.ts', of: { 5: '3.3.2-15 3.3.2-16' } },
  {
    file: 'test/interop/statements.test.ts',
    of: {
      4: '3.1.2-8 3.1.2-10 3.1.2-12 3.14.4-3 3.1.4-2',
      5: '3.1.2-7 3.1.2-8 3.1.2-10 3.14.4-3 3.1.4-3 3.2.2-9 3.1.2-28 3.2.2-21 3.2.2-22',
    },
  },
];
