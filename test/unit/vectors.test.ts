/**
 * Every test vector of docs/protocol.md against the TypeScript codec; those to a device
 * also against what examples/device.ts reads.
 */
import t from 'tap';
import { decode } from '../../examples/decode.ts';
import { ProtocolError } from '../../src/base/errors.ts';
import type { Message } from '../../src/wire/message.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import { CODE, toDevice } from '../../src/wire/v1Types.ts';
import { exactForm } from '../helpers/exactForm.ts';
import {
  errorOf,
  isPassedOver,
  loadVectors,
  type Meaning,
  messageOf,
  parseVectors,
} from '../helpers/vectors.ts';

const FRAME_BYTES_MAX = 65_536;
const vectors = loadVectors();
/** What Owsla or a device sends, or may send. */
const valid = vectors.filter((vector) => vector.form !== 'error' && !isPassedOver(vector));

/** The one message of these bytes, handed over in pieces of `size` bytes. */
function readOne(frame: Buffer, size: number): Message | undefined {
  const reader = new V1Reader(FRAME_BYTES_MAX);
  let message: Message | undefined;
  for (let at = 0; at < frame.length; at += size) {
    reader.push(frame.subarray(at, at + size));
    message = reader.next() ?? message;
  }
  return message;
}

t.test('vectors: the codec reads every valid frame as the page says', async (t) => {
  for (const vector of valid) {
    t.strictSame(readOne(vector.frame, vector.frame.length), messageOf(vector), vector.name);
  }
});

t.test('vectors: the codec reads the same when every byte comes alone', async (t) => {
  for (const vector of valid) {
    t.strictSame(readOne(vector.frame, 1), messageOf(vector), vector.name);
  }
});

t.test('vectors: the codec refuses every other frame with the code of the page', async (t) => {
  for (const vector of vectors.filter(({ form }) => form === 'error')) {
    const seen: unknown[] = [];
    try {
      seen.push(readOne(vector.frame, vector.frame.length));
    } catch (error) {
      seen.push(error instanceof ProtocolError ? error.code : error);
    }
    t.strictSame(seen, [errorOf(vector)], vector.name);
  }
});

t.test('vectors: what is refused is named, or not, as the page says', async (t) => {
  for (const vector of vectors.filter(({ form }) => form === 'error')) {
    if (vector.direction === 'down') continue;
    const { id, about } = vector.meaning;
    try {
      readOne(vector.frame, 1);
    } catch (error) {
      const told = error instanceof ProtocolError ? toDevice(error) : undefined;
      t.strictSame([told?.id, told?.about], [id, about], vector.name);
    }
  }
});

t.test(
  'vectors: the codec writes each frame to a device byte by byte as the page has it',
  async (t) => {
    const toDevices = vectors.filter(({ direction }) => direction === 'down');
    for (const vector of toDevices.filter(({ form }) => form === 'exact')) {
      const written = encode(messageOf(vector));
      t.equal(written.toString('hex'), vector.frame.toString('hex'), vector.name);
    }
  },
);

t.test(
  'vectors: exact frames of both directions are of the form that the page tells',
  async (t) => {
    for (const vector of vectors.filter(({ form }) => form !== 'error')) {
      const isSame = exactForm(vector.meaning).equals(vector.frame);
      t.equal(isSame, vector.form === 'exact', vector.name);
    }
  },
);

t.test('vectors: what the codec writes for a device comes back as the same message', async (t) => {
  for (const vector of valid) {
    const written = encode(messageOf(vector));
    t.strictSame(readOne(written, written.length), messageOf(vector), vector.name);
  }
});

t.test('vectors: every valid frame has the length that it announces', async (t) => {
  for (const vector of vectors.filter(({ form }) => form !== 'error')) {
    t.equal(vector.frame.readUInt32BE(0), vector.frame.length - 4, vector.name);
  }
});

t.test('vectors: a line that is not as the page says is an Error', async (t) => {
  const line = (text: string) => () => parseVectors(`\`\`\`vectors\n${text}\n\`\`\`\n`);

  t.throws(line('ping | up | exact | 0000000191 | {"type":3} | more'), /not a test vector/);
  t.throws(line('ping | sideways | exact | 0000000191 | {"type":3}'), /not a test vector/);
  t.throws(line('ping | up | exact | 000000019 | {"type":3}'), /not a test vector/);
  t.throws(() => parseVectors('no block'), /no block/);
});

/** The elements of what Owsla sends, by their names in the page's tables. */
const NAMES: Readonly<Record<number, readonly string[]>> = {
  [CODE.welcome]: ['connectionId', 'options'],
  [CODE.ack]: ['id'],
  [CODE.reply]: ['id', 'status', 'payload'],
  [CODE.command]: ['id', 'topic', 'payload', 'meta'],
  [CODE.bye]: ['reason', 'retryAfter'],
  [CODE.error]: ['code', 'message', 'id', 'about'],
};
/** What the page says stands for what is missing. */
const MISSING: Readonly<Record<string, unknown>> = {
  payload: '',
  reason: '',
  code: '',
  message: '',
  retryAfter: null,
  id: null,
  meta: {},
};

const hex = (value: unknown) =>
  value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;

/** What decode.ts gives, in the words of the vectors. */
function told([type, ...elements]: readonly unknown[]): Meaning {
  const meaning: Record<string, unknown> = { type };
  for (const [at, name] of (NAMES[Number(type)] ?? []).entries()) {
    const value = hex(elements[at]) ?? MISSING[name];
    if (value !== undefined) meaning[name] = value;
  }
  for (const name of ['options', 'meta']) {
    if (meaning[name] === undefined) continue;
    const defaults = name === 'options' ? { keepalive: 60, frameBytesMax: 65_536 } : {};
    const pairs = Object.entries({ ...defaults, ...meaning[name] });
    const KNOWN = /^(?:keepalive|frameBytesMax|time|key|expiresIn|trace\w+)$/;
    meaning[name] = Object.fromEntries(
      pairs.filter(([key]) => KNOWN.test(key)).map(([key, value]) => [key, hex(value)]),
    );
  }
  return meaning;
}

t.test('vectors: device.ts reads what Owsla sends, and passes over the rest', async (t) => {
  for (const vector of vectors.filter(({ direction }) => direction === 'down')) {
    const payload = vector.frame.subarray(4);
    if (vector.form === 'error') t.throws(() => decode(payload), vector.name);
    else t.same(told(decode(payload)), vector.meaning, vector.name);
  }
});
