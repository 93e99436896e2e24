/** A link's protocol: cut at every byte, or anywhere, a device's stream means the same. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ProtocolError } from '../../src/base/errors.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { V1Protocol } from '../../src/wire/v1Protocol.ts';
import { byteByByte, cut } from '../helpers/cuts.ts';
import { event, hello, request } from '../helpers/fakes/device.ts';

const FRAME_BYTES_MAX = 4_096;
const EMPTY = Buffer.alloc(0);

const id = fc.integer({ min: 0, max: 12 });
const said: fc.Arbitrary<Message> = fc.oneof(
  { weight: 4, arbitrary: id.map((id) => event(id)) },
  { weight: 4, arbitrary: id.map((id) => request(id + 1)) },
  { weight: 2, arbitrary: fc.constant<Message>({ type: TYPE.PING }) },
  { weight: 2, arbitrary: fc.constant<Message>({ type: TYPE.ACK, id: 1 }) },
  fc.constant<Message>({ type: TYPE.RESULT, id: 1, status: 0, payload: EMPTY }),
  fc.constant<Message>({ type: TYPE.BYE, reason: 'done', retryAfter: undefined }),
  fc.constant(hello('door-17')),
  fc.constant<Message>({ type: TYPE.REPLY, id: 1, status: 0, payload: EMPTY }),
);
const stream = fc
  .tuple(fc.boolean(), fc.array(said, { maxLength: 10 }))
  .map(([isGreeted, messages]) => (isGreeted ? [hello('door-17'), ...messages] : messages));

/** In words: each message that is accepted, then why the first one was not. */
function meaning(chunks: readonly Buffer[]): string[] {
  const protocol = new V1Protocol(FRAME_BYTES_MAX);
  const words: string[] = [];
  for (const chunk of chunks) {
    protocol.push(Buffer.from(chunk));
    try {
      for (let next = protocol.next(); next; next = protocol.next()) {
        const accepted = protocol.accept(next);
        const id = 'id' in accepted ? ` ${accepted.id}` : '';
        words.push(`${accepted.type}${id} of ${protocol.bytes}, ${protocol.elements}`);
      }
    } catch (error) {
      assert.ok(error instanceof ProtocolError);
      return [...words, protocol.error(error).toString('hex')];
    }
  }
  return words;
}

/** The same by a dumb twin, from the messages themselves. */
function expected(messages: readonly Message[]): string[] {
  const words: string[] = [];
  let lastId = 0;
  for (const [index, message] of messages.entries()) {
    const { type } = message;
    const isNumbered = type === TYPE.EVENT || type === TYPE.REQUEST;
    if ((type === TYPE.HELLO) !== (index === 0) || type === TYPE.REPLY) return [...words, 'no'];
    if (isNumbered && message.id !== 0) {
      if (message.id <= lastId) return [...words, 'no'];
      lastId = message.id;
    }
    words.push(type);
  }
  return words;
}

t.test('protocol: a stream cut at every byte, or anywhere, means the same', async (t) => {
  let refused = 0;
  fc.assert(
    fc.property(stream, fc.array(fc.nat()), fc.array(fc.nat({ max: 255 })), (sent, cuts, noise) => {
      const bytes = Buffer.concat([...sent.map(encode), Buffer.from(noise)]);
      const whole = meaning([bytes]);

      assert.deepEqual(meaning(byteByByte(bytes)), whole);
      assert.deepEqual(meaning(cut(bytes, cuts)), whole);
      if (noise.length > 0) return;
      const words = whole.map((word) => (/^[0-9a-f]+$/.test(word) ? 'no' : word.split(' ')[0]));
      assert.deepEqual(words, expected(sent));
      if (words.at(-1) === 'no') refused += 1;
    }),
    { numRuns: 2_000 },
  );
  t.ok(refused > 10, `${refused} of those without noise were refused`);
});
