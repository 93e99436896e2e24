/** Frames and messages: the same ones however the bytes are cut; whatever the bytes, no crash. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { pack } from 'msgpackr';
import t from 'tap';
import { ProtocolError } from '../../src/base/errors.ts';
import { FrameReader } from '../../src/wire/frame.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { decode, encode, V1Reader } from '../../src/wire/v1.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { byteByByte, cut } from '../helpers/cuts.ts';

const FRAME_BYTES_MAX = 1_024;

const word = fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/);
const topic = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('.'));
const id = fc.integer({ min: 1, max: 0xffff_ffff });
const payload = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const meta = fc.record({ seq: count, at: count }, { requiredKeys: [] });
const status = fc.integer({ min: 0, max: 65_535 });
const u32 = fc.integer({ min: 1, max: 0xffff_ffff });
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const type = <T extends string>(value: T) => fc.constant(value);

const will = fc.record({ topic, payload, delayMs: fc.nat() });

const message: fc.Arbitrary<Message> = fc.oneof(
  fc
    .record({
      type: type(TYPE.HELLO),
      version: fc.constant(1 as const),
      deviceId: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
      token: maybe(text),
      keepalive: maybe(u32),
      frameBytesMax: maybe(fc.integer({ min: 256, max: 0xffff_ffff })),
      will: maybe(will),
    })
    .map(({ will, ...hello }) => (will ? { ...hello, will } : hello)),
  fc.record({
    type: type(TYPE.WELCOME),
    connectionId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => Buffer.from(b)),
    keepalive: u32,
    frameBytesMax: u32,
    time: fc.maxSafeNat(),
  }),
  fc.record({ type: fc.constantFrom(TYPE.PING, TYPE.PONG) }),
  fc.record({ type: type(TYPE.EVENT), id: fc.nat(), topic, payload, meta }),
  fc.record({ type: type(TYPE.REQUEST), id, topic, payload, meta }),
  fc.record({ type: type(TYPE.ACK), id }),
  fc.record({ type: type(TYPE.REPLY), id, status, payload }),
  fc.record({ type: type(TYPE.RESULT), id, status, payload }),
  fc.record({
    type: type(TYPE.COMMAND),
    id,
    topic,
    payload,
    key: maybe(fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => Buffer.from(b))),
    expiresIn: maybe(fc.maxSafeNat()),
  }),
  fc.record({ type: type(TYPE.BYE), reason: text, retryAfter: maybe(u32) }),
  fc.record({ type: type(TYPE.ERROR), code: text, message: text, id: maybe(u32) }),
  fc.record({ type: type(TYPE.ERROR), code: text, message: text, id: u32, about: fc.nat() }),
);

/** Every message of the chunks, then the code of the error that ended them, if one did. */
function readAll(chunks: Buffer[]): (Message | string)[] {
  const reader = new V1Reader(FRAME_BYTES_MAX);
  const read: (Message | string)[] = [];
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk));
    try {
      for (let next = reader.next(); next; next = reader.next()) read.push(next);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return [...read, error.code];
    }
  }
  return read;
}

/** tap compares Buffers that are views of pools by their contents only in this form. */
const plain = (value: unknown) =>
  JSON.parse(JSON.stringify(value, (_, v) => (v === undefined ? null : v)));

t.test('wire: what is encoded is decoded as the same message', async (t) => {
  fc.assert(
    fc.property(message, (sent) => {
      const frame = encode(sent);
      assert.equal(frame.readUInt32BE(0), frame.length - 4);
      assert.deepEqual(plain(decode(frame.subarray(4))), plain(sent));
    }),
    { numRuns: 1_000 },
  );
  t.pass('held for every run');
});

t.test('wire: what is written by hand is as a general encoder has it', async (t) => {
  const lengths = fc.constantFrom(0, 1, 255, 256, 65_535, 65_536, 70_000);
  fc.assert(
    fc.property(id, fc.oneof(status, fc.nat({ max: 300 })), lengths, (id, status, length) => {
      const payload = Buffer.alloc(length, 7);
      for (const type of [TYPE.REPLY, TYPE.RESULT] as const) {
        const frame = encode({ type, id, status, payload });
        assert.equal(frame.readUInt32BE(0), frame.length - 4);
        assert.ok(frame.subarray(4).equals(pack([CODE[type], id, status, payload])));
      }
      assert.ok(
        encode({ type: TYPE.ACK, id })
          .subarray(4)
          .equals(pack([CODE.ack, id])),
      );
    }),
  );
  for (const type of [TYPE.PING, TYPE.PONG] as const) {
    t.ok(
      encode({ type })
        .subarray(4)
        .equals(pack([CODE[type]])),
    );
  }
});

t.test('wire: any cut of the stream gives the same messages, byte by byte too', async (t) => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), fc.array(fc.nat()), (sent, places) => {
      const bytes = Buffer.concat(sent.map(encode));
      const whole = plain(readAll([bytes]));
      assert.deepEqual(plain(readAll(cut(bytes, places))), whole);
      assert.deepEqual(plain(readAll(byteByByte(bytes))), whole);
    }),
    { numRuns: 300 },
  );
  t.pass('held for every run');
});

t.test('wire: mutated bytes are the same messages and the same error, however cut', async (t) => {
  const mutation = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 4 }),
      fc.array(mutation, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat()),
      (sent, mutations, places) => {
        const bytes = Buffer.concat(sent.map(encode));
        for (const [place, value] of mutations) bytes[place % bytes.length] = value;
        const whole = plain(readAll([bytes]));
        assert.deepEqual(plain(readAll(cut(bytes, places))), whole);
        assert.deepEqual(plain(readAll(byteByByte(bytes))), whole);
      },
    ),
    { numRuns: 1_000 },
  );
  t.pass('held for every run');
});

t.test('wire: random bytes never throw anything but ProtocolError', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
      try {
        decode(Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
      }
    }),
    { numRuns: 5_000 },
  );
  t.pass('held for every run');
});

t.test('wire: a frame broken behind its id is refused by its type and id', async (t) => {
  const withId = message.filter((sent) => sent.type !== TYPE.ERROR && 'id' in sent);
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 });
  let refused = 0;
  fc.assert(
    fc.property(withId, damage, fc.nat(), (sent, mutations, end) => {
      const whole = encode(sent).subarray(4);
      const { id } = sent as { id: number };
      // The array's head and the type are a byte each; the id is as long as an ACK less these.
      const behind = encode({ type: TYPE.ACK, id }).length - 4;
      const bytes = whole.subarray(0, behind + (end % (whole.length - behind + 1)));
      for (const [place, value] of mutations) {
        if (bytes.length > behind) bytes[behind + (place % (bytes.length - behind))] = value;
      }
      try {
        decode(bytes);
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
        assert.deepEqual([error.type, error.id], [CODE[sent.type], id]);
        refused += 1;
      }
    }),
    { numRuns: 2_000 },
  );
  t.ok(refused > 500, `${refused} were refused`);
});

t.test('wire: unknown trailing elements and map keys of any shape are ignored', async (t) => {
  const leaf = fc.oneof(
    fc.boolean(),
    fc.constant(null),
    fc.double(),
    fc.integer(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    text,
    payload,
  );
  // The array is level 1, so what stands in it may nest 3 more levels.
  const nested = fc.letrec((tie) => ({
    one: fc.oneof(fc.array(leaf), fc.dictionary(text, leaf)),
    two: fc.oneof(fc.array(tie('one')), fc.dictionary(text, tie('one'))),
    three: fc.oneof(fc.array(tie('two')), fc.dictionary(text, tie('two'))),
  }));
  const map = (value: unknown) => ({ seq: 7, other: value });
  fc.assert(
    fc.property(nested.three, nested.two, (trailing, inMap) => {
      const bytes = pack([CODE.event, 1, 'a.b', Buffer.from('p'), map(inMap), trailing]);
      assert.partialDeepStrictEqual(decode(bytes), {
        type: TYPE.EVENT,
        id: 1,
        topic: 'a.b',
        meta: { seq: 7 },
      });
    }),
    { numRuns: 500 },
  );
  t.pass('held for every run');
});

t.test('frame: an announced length costs no memory before the bytes come', async (t) => {
  const frames = new FrameReader(16 * 1024 * 1024);
  frames.push(Buffer.from([0x00, 0xff, 0xff, 0xff]));

  t.equal(frames.next(), undefined);
  t.equal(frames.pendingBytes, 4);
});

t.test('frame: a large frame in small chunks is read in linear time', async (t) => {
  const length = 8 * 1024 * 1024;
  const frames = new FrameReader(length);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(length);
  frames.push(header);
  const chunk = Buffer.alloc(1_024, 7);
  let payload: Buffer | undefined;
  for (let sent = 0; sent < length; sent += chunk.length) {
    assert.equal(payload, undefined);
    frames.push(chunk);
    payload = frames.next();
  }

  t.equal(payload?.length, length);
  t.equal(frames.pendingBytes, 0);
});
