/** Random and mutated bytes against live endpoints: no crash, no other link, only known codes. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ERROR_CODES } from '../../src/base/errors.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { type Device, event, hello, request } from '../helpers/fakes/device.ts';
import { onBoth, type Served, settle } from '../helpers/worlds/endpoints.ts';

const RUNS = 150;
/** The clock stands still, and the other link is asked after each run. */
const patient = { limits: { linkMessagesBurst: 10 * RUNS } };

/** What a link may hear after noise: answers to frames that happened to be valid, then the end. */
function judge(items: readonly Message[]): void {
  const errors = items.filter((item) => item.type === TYPE.ERROR);
  for (const error of errors) assert.ok((ERROR_CODES as readonly string[]).includes(error.code));
  assert.ok(errors.length <= 1, 'one ERROR at most, for it ends the link');
  const last = items.at(-1);
  if (errors[0])
    assert.deepEqual(last, { type: TYPE.BYE, reason: errors[0].code, retryAfter: undefined });
}

/** Send the chunks on a link of their own, then FIN; the other link must feel nothing. */
async function disturb(served: Served, other: Device, chunks: readonly Uint8Array[]) {
  const device = await served.connect();
  for (const chunk of chunks) {
    device.sendBytes(chunk);
    await settle();
  }
  device.socket.end();
  judge(await device.rest());
  other.send({ type: TYPE.PING });
  await other.expect(TYPE.PONG);
  assert.equal(other.waiting, 0);
  assert.equal(served.counters.links, 1);
}

onBoth('noise: random bytes, before and after HELLO', patient, async (t, served) => {
  const other = await served.open('other');
  const noise = fc.uint8Array({ minLength: 1, maxLength: 300 });
  const framed = noise.map((bytes) => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(bytes.length);
    return Buffer.concat([header, bytes]);
  });

  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(fc.oneof(noise, framed)), async (isOpen, chunks) => {
      const greeting = isOpen ? [encode(hello('noise'))] : [];
      await disturb(served, other, [...greeting, ...chunks]);
    }),
    { numRuns: RUNS },
  );

  t.same(served.routes.ids('other'), []);
});

onBoth('noise: valid frames with some bytes changed, cut anywhere', patient, async (t, served) => {
  const other = await served.open('other');
  const valid = Buffer.concat([
    encode(hello('noise', { token: 'secret', keepalive: 60, frameBytesMax: 4_096 })),
    encode(event(1)),
    encode({ type: TYPE.PING }),
    encode({ ...request(2), meta: { seq: 1, at: 1_700_000_000_000 } } as Message),
    encode({ type: TYPE.RESULT, id: 3, status: 0, payload: Buffer.from('x') }),
    encode({ type: TYPE.ACK, id: 4 }),
    encode({ type: TYPE.BYE, reason: 'done', retryAfter: 5 }),
  ]);
  const place = fc.nat({ max: valid.length - 1 });
  const change = fc.tuple(place, fc.nat({ max: 255 }));

  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 5 }),
      fc.array(place, { maxLength: 4 }),
      async (changes, cuts) => {
        const bytes = Buffer.from(valid);
        for (const [at, value] of changes) bytes[at] = value;
        const at = [...cuts].sort((a, b) => a - b);
        const chunks = [0, ...at].map((start, i) => bytes.subarray(start, at[i] ?? bytes.length));
        await disturb(
          served,
          other,
          chunks.filter((chunk) => chunk.length > 0),
        );
      },
    ),
    { numRuns: RUNS },
  );

  t.same(served.routes.ids('other'), []);
});
