// Teltonika: the binary protocol of vehicle trackers such as the FMB120, for a listener of Owsla
// (docs/protocols.md). A device sends its IMEI, and then records in packets; what is not
// acknowledged by their number it sends again, on the next link too.
//
//   00 0f 15 digits                                              login; the answer is 01
//   00000000 length 08 n record ... n crc                        records: Codec 8 (or 8e, Extended)
//   0000000n                                                     to the device: n records are safe
//   00000000 length 0c 01 05 size text 01 crc                    to the device: a command, Codec 12
//   00000000 length 0c 01 06 size text 01 crc                    its answer
//   ff                                                           a sign of life
//
// The acknowledgement is given to Owsla with the event, which writes it once RabbitMQ has that.
// A command has no number: devices answer in order.

const PREAMBLE_BYTES = 8;
const CRC_BYTES = 4;
const PING = 0xff;
const [CODEC_8, CODEC_8E, CODEC_12] = [0x08, 0x8e, 0x0c];
const [COMMAND, ANSWER] = [0x05, 0x06];

/** @type {import('owsla/protocol').CreateProtocol} */
export function createProtocol({ bytesMax }) {
  return {
    name: 'teltonika',
    capabilities: {
      events: true,
      acknowledgements: true,
      requests: false,
      commands: 'results',
      keepalive: 'device',
      keepaliveSeconds: 300,
    },
    payloadBytesMax: Math.min(512, bytesMax),
    connect: (saved) => new Tracker(saved),
  };
}

/** One link. */
class Tracker {
  constructor(saved = { isKnown: false }) {
    this.isKnown = saved.isKnown;
  }

  frame(bytes) {
    if (!this.isKnown) return bytes.length < 2 ? undefined : 2 + bytes.readUInt16BE(0);
    if (bytes[0] === PING) return 1;
    if (bytes.length < PREAMBLE_BYTES) return undefined;
    if (bytes.readUInt32BE(0) !== 0) throw new Error('a packet begins with four zeros');
    return PREAMBLE_BYTES + bytes.readUInt32BE(4) + CRC_BYTES;
  }

  read(frame) {
    if (!this.isKnown) return this.login(frame);
    if (frame.length === 1) return { type: 'alive' };
    const data = frame.subarray(PREAMBLE_BYTES, -CRC_BYTES);
    if (crc16(data) !== frame.readUInt32BE(frame.length - CRC_BYTES)) throw new Error('wrong CRC');
    const [codec] = data;
    if (codec === CODEC_12) return answerIn(data);
    if (codec === CODEC_8 || codec === CODEC_8E) return recordsIn(data, codec === CODEC_8E);
    throw new Error('unknown codec');
  }

  login(frame) {
    const imei = frame.toString('latin1', 2);
    if (!/^\d{15}$/.test(imei)) throw new Error('no IMEI');
    this.isKnown = true;
    return { type: 'login', deviceId: imei };
  }

  welcome() {
    return Uint8Array.of(1);
  }

  /** The topic says who it is for; its payload is the text that goes out, such as `getinfo`. */
  command({ topic, payload }) {
    return topic === 'gprs' && payload.length > 0 ? textPacket(COMMAND, payload) : undefined;
  }

  goodbye(reason) {
    return !this.isKnown || reason === 'auth-failed' ? Uint8Array.of(0) : undefined;
  }

  save() {
    return { isKnown: this.isKnown };
  }
}

/** Reads numbers one after another; it throws beyond the end. */
class Cursor {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  uint(size) {
    const value = this.bytes.readUIntBE(this.at, size);
    this.at += size;
    return value;
  }

  int(size) {
    const value = this.bytes.readIntBE(this.at, size);
    this.at += size;
    return value;
  }

  /** Of values whose length is not that of a number: hexadecimal digits. */
  hex(size) {
    if (this.at + size > this.bytes.length) throw new RangeError('the packet ends before');
    this.at += size;
    return this.bytes.toString('hex', this.at - size, this.at);
  }
}

/** One event of a packet: it is acknowledged as a whole. */
function recordsIn(data, isExtended) {
  const cursor = new Cursor(data);
  cursor.uint(1);
  const count = cursor.uint(1);
  const records = [];
  for (let index = 0; index < count; index += 1) records.push(recordAt(cursor, isExtended));
  if (cursor.uint(1) !== count || cursor.at !== data.length) throw new Error('wrong count');
  const ack = Buffer.alloc(4);
  ack.writeUInt32BE(count);
  return { type: 'event', topic: 'records', payload: records, at: records.at(-1)?.at, ack };
}

function recordAt(cursor, isExtended) {
  const at = cursor.uint(4) * 2 ** 32 + cursor.uint(4);
  const priority = cursor.uint(1);
  const [lon, lat] = [cursor.int(4) / 1e7, cursor.int(4) / 1e7];
  const altitude = cursor.int(2);
  const [angle, satellites, kmh] = [cursor.uint(2), cursor.uint(1), cursor.uint(2)];
  const place = { lat, lon, altitude, angle, satellites, kmh };
  return { at, priority, ...place, io: elementsAt(cursor, isExtended ? 2 : 1) };
}

/** What else was measured, by its number in the device's manual; `width`: bytes of a number. */
function elementsAt(cursor, width) {
  const io = {};
  cursor.uint(width);
  cursor.uint(width);
  for (const size of [1, 2, 4, 8]) {
    for (let left = cursor.uint(width); left > 0; left -= 1) {
      const id = cursor.uint(width);
      io[id] = size === 8 ? cursor.hex(size) : cursor.uint(size);
    }
  }
  if (width === 1) return io;
  for (let left = cursor.uint(2); left > 0; left -= 1) {
    const id = cursor.uint(2);
    io[id] = cursor.hex(cursor.uint(2));
  }
  return io;
}

function answerIn(data) {
  const cursor = new Cursor(data);
  cursor.uint(1);
  const count = cursor.uint(1);
  const type = cursor.uint(1);
  if (count !== 1 || type !== ANSWER) throw new Error('no answer to a command');
  const size = cursor.uint(4);
  if (cursor.at + size + 1 !== data.length) throw new Error('wrong size');
  return { type: 'result', payload: data.subarray(cursor.at, cursor.at + size) };
}

/** A command or its answer, in Codec 12. */
function textPacket(type, text) {
  const data = Buffer.alloc(8 + text.length);
  data.set([CODEC_12, 1, type]);
  data.writeUInt32BE(text.length, 3);
  data.set(text, 7);
  data[data.length - 1] = 1;
  return packetOf(data);
}

/** Also for the simulator beside this file. */
export function packetOf(data) {
  const packet = Buffer.alloc(PREAMBLE_BYTES + data.length + CRC_BYTES);
  packet.writeUInt32BE(data.length, 4);
  packet.set(data, PREAMBLE_BYTES);
  packet.writeUInt32BE(crc16(data), PREAMBLE_BYTES + data.length);
  return packet;
}

/** CRC-16/IBM. */
export function crc16(bytes) {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  }
  return crc;
}

/** The element in which a simulated device sends bytes of the load tool's. */
const LOAD_ELEMENT = 10_000;

/** For `owsla-loadgen run --protocol`. @type {import('owsla/protocol').CreateDevice} */
export function createDevice() {
  return {
    ids: { prefix: '356307', length: 15 },
    commandTopic: 'gprs',
    carried(payload) {
      const [{ io }] = JSON.parse(payload.toString());
      return Buffer.from(io[LOAD_ELEMENT] ?? '', 'hex');
    },
    connect: (imei) => new SimulatedTracker(imei),
  };
}

/** The device's end of one link. */
class SimulatedTracker {
  constructor(imei) {
    this.imei = imei;
    this.isKnown = false;
  }

  frame(bytes) {
    if (!this.isKnown) return 1;
    if (bytes.length < 4) return undefined;
    if (bytes.readUInt32BE(0) !== 0) return 4;
    return bytes.length < 8 ? undefined : PREAMBLE_BYTES + bytes.readUInt32BE(4) + CRC_BYTES;
  }

  read(frame) {
    if (frame.length === 1) {
      this.isKnown = frame[0] === 1;
      return this.isKnown ? { type: 'welcome' } : undefined;
    }
    if (frame.length === 4) return { type: 'ack' };
    const size = frame.readUInt32BE(PREAMBLE_BYTES + 3);
    return { type: 'command', payload: frame.subarray(15, 15 + size) };
  }

  login() {
    return Buffer.concat([Uint8Array.of(0, this.imei.length), Buffer.from(this.imei)]);
  }

  /** One record in Codec 8 Extended, with one element of any length. */
  event({ payload }) {
    const head = Buffer.alloc(42);
    head.set([CODEC_8E, 1]);
    head.writeBigUInt64BE(BigInt(Date.now()), 2);
    head.writeInt32BE(48_357_000, 11);
    head.writeInt32BE(457_640_000, 15);
    head.writeUInt16BE(LOAD_ELEMENT, 26);
    head.writeUInt16BE(1, 28);
    head.writeUInt16BE(1, 38);
    head.writeUInt16BE(LOAD_ELEMENT, 40);
    const size = Buffer.alloc(2);
    size.writeUInt16BE(payload.length);
    return packetOf(Buffer.concat([head, size, payload, Uint8Array.of(1)]));
  }

  result({ payload }) {
    return textPacket(ANSWER, payload);
  }

  alive() {
    return Uint8Array.of(PING);
  }
}

const IMEI = '356307042441013';
const login = Buffer.concat([Uint8Array.of(0, 15), Buffer.from(IMEI)]);
const hex = (text) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** The examples of the manufacturer's own page. @type {import('owsla/protocol').Sample[]} */
export const samples = [
  {
    name: 'one record in Codec 8, a sign of life, two records',
    device: [
      login,
      hex(`
        000000000000003608010000016b40d8ea30010000000000000000000000000000000105
        021503010101425e0f01f10000601a014e0000000000000000010000c7cf
      `),
      Uint8Array.of(PING),
      hex(`
        000000000000004308020000016b40d57b48010000000000000000000000000000000101
        0101000000000000016b40d5c19801000000000000000000000000000000010101010100
        0000020000252c
      `),
    ],
  },
  {
    name: 'a record in Codec 8 Extended',
    device: [
      login,
      hex(`
        000000000000004a8e010000016b412cee00010000000000000000000000000000000001
        0005000100010100010011001d00010010015e2c880002000b000000003544c87a000e00
        0000001dd7e06a00000100002994
      `),
    ],
  },
  {
    name: 'a command and its answer',
    commands: [{ topic: 'gprs', payload: 'getinfo' }],
    device: [
      login,
      hex(`
        00000000000000900c010600000088494e493a323031392f372f323220373a3232205254
        433a323031392f372f323220373a3533205253543a32204552523a312053523a30204252
        3a302043463a302046473a3020464c3a302054553a302f302055543a3020534d533a3020
        4e4f4750533a303a3330204750533a31205341543a302052533a332052463a3635205346
        3a31204d443a30010000c78f
      `),
    ],
  },
];
