/** Channel: the same answers however the bytes are cut; whatever the bytes, no error leaves it. */
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { pack, unpack } from 'msgpackr';
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { Channel } from '../../src/node/channel.ts';
import { FrameReader, frameOf } from '../../src/wire/frame.ts';

const limits = makeLimits();

/** A channel on a stream that a test pushes chunks into; frames that it wrote, notices it took. */
function made() {
  const reader = new FrameReader(limits.questionBytesMax);
  const told: unknown[] = [];
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _, done) => {
      reader.push(chunk);
      for (let payload = reader.next(); payload; payload = reader.next()) {
        told.push(unpack(payload));
      }
      done();
    },
  });
  const answers = { echo: (body: unknown) => body };
  const notices = { note: (body: unknown) => told.push(['note', body]) };
  new Channel(stream, { limits, answers, notices });
  return { stream, told };
}

/** All that waits has been read and answered. */
async function settled(stream: Duplex): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await new Promise(setImmediate);
  if (!stream.destroyed) stream.destroy();
}

const body = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string()));
const frames = fc.array(
  fc.oneof(
    fc.tuple(fc.integer({ min: 1, max: 1e9 }), fc.constantFrom('echo', 'later'), body),
    fc.tuple(fc.constant(0), fc.constantFrom('note', 'later'), body),
    fc.tuple(fc.integer({ min: -1e9, max: -1 }), fc.constantFrom('', 'busy'), body),
  ),
  { minLength: 1, maxLength: 8 },
);

async function toldBy(chunks: readonly Buffer[]): Promise<unknown[]> {
  const { stream, told } = made();
  for (const chunk of chunks) stream.push(chunk);
  await settled(stream);
  return told;
}

t.test('channel: cut at every byte, and at any bytes, it answers the same', async () => {
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.nat(), { maxLength: 6 }), async (list, cuts) => {
      const bytes = Buffer.concat(list.map((one) => frameOf(pack(one))));
      const whole = await toldBy([bytes]);
      const each = await toldBy(Array.from(bytes, (byte) => Buffer.from([byte])));
      const ends = [...cuts.map((cut) => cut % bytes.length), bytes.length].toSorted(
        (a, b) => a - b,
      );
      const cutAnywhere = await toldBy(
        ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end)),
      );
      // In order or not: the answer to a known question takes a turn, a refusal none.
      const sorted = (told: unknown[]) => told.map((one) => JSON.stringify(one)).toSorted();
      const [expected, ...others] = [whole, each, cutAnywhere].map(sorted);
      return others.every((other) => JSON.stringify(other) === JSON.stringify(expected));
    }),
    { numRuns: 200 },
  );
});

t.test('channel: cut off at any byte, no error leaves it', async () => {
  await fc.assert(
    fc.asyncProperty(frames, fc.nat(), async (list, cut) => {
      const bytes = Buffer.concat(list.map((one) => frameOf(pack(one))));
      await toldBy([bytes.subarray(0, cut % bytes.length)]);
    }),
    { numRuns: 200 },
  );
});

t.test('channel: any bytes at all, no error leaves it', async () => {
  const noise = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
  const framed = noise.filter(({ length }) => length > 0).map((bytes) => frameOf(bytes));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(noise, framed), { maxLength: 6 }), async (chunks) => {
      await toldBy(chunks.filter(({ length }) => length > 0));
    }),
    { numRuns: 500 },
  );
});
