/** Messages byte for byte: what is written is read again; what is read never throws, cut or not. */
import fc from 'fast-check';
import t from 'tap';
import {
  BROKEN,
  FRAME_BYTES,
  FRAME_HEAD_BYTES,
  type Properties,
  readDeliver,
  readProperties,
} from '../../src/broker/content.ts';
import { writeMessage } from '../../src/broker/publishFrames.ts';

const RUNS = Number(process.env.RUNS ?? 2_000);

const bytes = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((all) => Buffer.from(all).toString('latin1'));
const short = bytes(255);
const octet = fc.nat(255);
const value = fc.oneof(
  bytes(300),
  fc.boolean(),
  fc.constant(null),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true }).filter((number) => !Number.isInteger(number)),
);
const properties: fc.Arbitrary<Properties> = fc.record(
  {
    contentType: short,
    contentEncoding: short,
    headers: fc.dictionary(short, value, { maxKeys: 10 }),
    deliveryMode: octet,
    priority: octet,
    correlationId: short,
    replyTo: short,
    expiration: short,
    messageId: short,
    timestamp: fc.maxSafeNat(),
    type: short,
    userId: short,
    appId: short,
  },
  { requiredKeys: [] },
);

/** The payloads of the frames in `all`. */
function payloads(all: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < all.length; ) {
    const size = all.readUInt32BE(at + 3);
    found.push(all.subarray(at + FRAME_HEAD_BYTES, at + FRAME_HEAD_BYTES + size));
    at += FRAME_BYTES + size;
  }
  return found;
}

const plain = (given: Properties) => JSON.parse(JSON.stringify(given));

t.test('content: properties and body are read as they were written', async () => {
  fc.assert(
    fc.property(
      properties,
      fc.uint8Array({ maxLength: 5_000 }),
      fc.integer({ min: 100, max: 6_000 }),
      (given, content, frameMax) => {
        const body = Buffer.from(content);
        const publish = { exchange: 'x', routingKey: 'k', mandatory: true };
        const [, head, ...parts] = payloads(writeMessage(7, publish, given, body, frameMax));
        const read = readProperties(head as Buffer);
        if (JSON.stringify(plain(read)) !== JSON.stringify(plain(given))) {
          const sorted = (all: Properties) => JSON.stringify(Object.entries(plain(all)).sort());
          if (sorted(read) !== sorted(given)) throw new Error('other properties');
        }
        if (!Buffer.concat(parts).equals(body)) throw new Error('another body');
        if (parts.some((part) => part.length > frameMax - FRAME_BYTES)) throw new Error('too long');
      },
    ),
    { numRuns: RUNS / 4 },
  );
});

t.test('content: any bytes as a header table: read, or broken, and never an error', async (t) => {
  const tags = 'StbBsuIilLfdDTVFAx?\0'.split('').map((tag) => tag.charCodeAt(0));
  const fields = fc.array(
    fc.tuple(
      fc.uint8Array({ maxLength: 5 }),
      fc.constantFrom(...tags),
      fc.uint8Array({ maxLength: 12 }),
    ),
    { maxLength: 5 },
  );
  const nearly = fields.map((all) =>
    Buffer.concat(
      all.map(([name, tag, rest]) => Buffer.from([name.length, ...name, tag, ...rest])),
    ),
  );
  const noise = fc.uint8Array({ maxLength: 60 }).map((all) => Buffer.from(all));
  let broken = 0;
  fc.assert(
    fc.property(fc.oneof(nearly, noise), (table) => {
      const head = Buffer.alloc(12 + 2 + 4 + table.length + 1);
      head.writeUInt16BE((1 << 13) | (1 << 12), 12);
      head.writeUInt32BE(table.length, 14);
      table.copy(head, 18);
      head[18 + table.length] = 2;
      const { headers, deliveryMode } = readProperties(head);
      if (headers === BROKEN) broken += 1;
      if (deliveryMode !== 2) throw new Error('what follows the table is read as well');
    }),
    { numRuns: RUNS },
  );
  t.ok(broken > RUNS / 10, `${broken} were broken`);
});

t.test('content: numbers that are not exact stay apart', async (t) => {
  const head = Buffer.alloc(12 + 2 + 8);
  head.writeUInt16BE(1 << 6, 12);
  const read = [2n ** 53n, 2n ** 53n + 1n].map((at) => {
    head.writeBigUInt64BE(at, 14);
    return readProperties(head).timestamp;
  });
  t.same(read, ['9007199254740992', '9007199254740993']);
});

t.test('content: a header named as a prototype is only a header', async (t) => {
  const publish = { exchange: '', routingKey: 'k', mandatory: false };
  const headers = JSON.parse('{"__proto__": "x", "constructor": 1}');
  const [, head] = payloads(writeMessage(1, publish, { headers }, Buffer.alloc(0), 4_096));
  const { headers: read = {} } = readProperties(head as Buffer);
  t.same(Object.keys(read), ['__proto__', 'constructor']);
  t.equal(read.status, undefined);
});

t.test('content: every integer in a header has 64 bits', async (t) => {
  const publish = { exchange: '', routingKey: 'k', mandatory: false };
  for (const number of [0, 1, -1, 127, 1_000, 40_000, 2 ** 31, -(2 ** 40), 2 ** 53 - 1]) {
    const frames = writeMessage(1, publish, { headers: { n: number } }, Buffer.alloc(0), 4_096);
    const [, head = Buffer.alloc(0)] = payloads(frames);
    // Flags, length of the table, then `n`, its tag and its value.
    t.equal(String.fromCharCode(head[20] ?? 0), 'l', String(number));
    t.equal(head.readBigInt64BE(21), BigInt(number));
  }
});

t.test('content: what is too long for its field is refused, not cut', async (t) => {
  const publish = { exchange: '', routingKey: 'k', mandatory: false };
  const write = (given: Properties) => writeMessage(1, publish, given, Buffer.alloc(0), 4_096);
  t.throws(() => write({ correlationId: 'x'.repeat(256) }), RangeError);
  t.throws(() => write({ headers: { x: 'x'.repeat(65_536) } }), RangeError);
  t.throws(() => write({ headers: { ['x'.repeat(256)]: 1 } }), RangeError);
});

t.test('content: near the bound it is refused, or whole: nothing is cut behind it', async (t) => {
  const publish = { exchange: '', routingKey: 'k', mandatory: false };
  const seen = { whole: 0, refused: 0 };
  for (let bytes = 65_536 - 150; bytes <= 65_536; bytes += 1) {
    const headers = { x: 'x'.repeat(bytes), y: -1, z: 0.5 };
    const given = { headers, deliveryMode: 2, priority: 9, timestamp: 2 ** 40 };
    try {
      const [, head] = payloads(writeMessage(1, publish, given, Buffer.alloc(0), 131_072));
      t.strictSame(plain(readProperties(head as Buffer)), given);
      seen.whole += 1;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      seen.refused += 1;
    }
  }
  t.ok(seen.whole > 0 && seen.refused > 0, JSON.stringify(seen));
});

t.test('content: a delivery’s routing key is its bytes', async (t) => {
  const payload = Buffer.from([0, 60, 0, 60, 1, 0x63, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 2, 0xff, 0]);
  t.match(readDeliver(payload), {
    consumerTag: 'c',
    deliveryTag: 9,
    redelivered: true,
    exchange: '',
    routingKey: '\xff\0',
  });
});
