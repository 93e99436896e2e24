/** Traces: whatever a HELLO is, and whatever comes with it, no byte of its token is in a trace. */
import fc from 'fast-check';
import { pack } from 'msgpackr';
import t from 'tap';
import { LinkWalk } from '../../src/acceptor/operate/linkWalk.ts';
import { LinkTraces } from '../../src/acceptor/trace/linkTraces.ts';
import type { AcceptorBatch } from '../../src/node/traceEntry.ts';
import { frameOf } from '../../src/wire/frame.ts';
import { NOBODY_ASKS } from '../helpers/noAnswer.ts';
import { Served, settle } from '../helpers/worlds/endpoints.ts';

/** Bytes: so long that none of it is anywhere by chance, as hexadecimal in a link's id. */
const PIECE = 6;

const token = fc.oneof(
  fc.string({ minLength: PIECE, maxLength: 300, unit: fc.constantFrom(...'§¤£µ¶ßæøþ') }),
  fc.stringMatching(/^k1\.[A-F]{6}\.0\.[Q-Z]{43}$/),
  fc.stringMatching(/^eyJ[Q-Z]{20}\.[Q-Z]{30}\.[Q-Z]{40}$/),
);
const junk = fc.oneof(fc.integer(), fc.boolean(), fc.string({ maxLength: 20 }), fc.constant(null));
const key = fc.constantFrom('keepalive', 'frameBytesMax', 'token', 'tokens', 'password', 'x');

interface Greeted {
  readonly token: string;
  readonly options: Record<string, unknown>;
  readonly more: readonly unknown[];
  readonly times: number;
}

const greeted: fc.Arbitrary<Greeted> = fc.record({
  token,
  options: fc.dictionary(key, junk, { maxKeys: 4 }),
  more: fc.array(junk, { maxLength: 3 }),
  times: fc.integer({ min: 1, max: 3 }),
});

/** Every piece of it, as text and as what others make of it. */
function piecesOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    ...cut(secret, PIECE),
    ...cut(JSON.stringify(secret), PIECE),
    ...cut(bytes.toString('base64'), (4 / 3) * PIECE),
    ...cut(bytes.toString('hex'), 2 * PIECE),
  ];
}

function cut(form: string, size: number): string[] {
  const last = Math.max(1, form.length - size);
  return Array.from({ length: last }, (_, at) => form.slice(at, at + size));
}

t.test('no piece of a token is in any entry', async (t) => {
  let traces: LinkTraces | undefined;
  const served = new Served('pair', {
    onGreeting: (endpoint, greeting) => traces?.onGreeting(endpoint, greeting),
  });
  await served.begin();
  const walk = new LinkWalk({ lateMs: 1_000 });
  const { registry, limits, clock } = served;
  traces = new LinkTraces({ registry, limits, clock, acceptor: 1, walk });
  let text = '';
  let shown = 0;
  traces.attach((_, body) => {
    text += (body as AcceptorBatch).entries.join('\n');
    return true;
  });
  const armed = { id: 1, device: 'door-17', payloads: true, forMs: 60_000 };
  await traces.answers.traces?.([armed], NOBODY_ASKS);
  const all = traces;

  await fc.assert(
    fc.asyncProperty(greeted, async ({ token: secret, options, more, times }) => {
      text = '';
      const device = await served.connect();
      // The token last, so that it is the one which counts; and first, where others do.
      const given = { ...options, token: secret };
      const hello = frameOf(pack([1, 1, 'door-17', given, ...more]));
      device.sendBytes(Buffer.concat(Array.from({ length: times }, () => hello)));
      await settle();
      device.close();
      await settle();
      all.flush();
      if (/"what":"HELLO".*"token":"\*\*\*"/.test(text)) shown += 1;
      for (const piece of piecesOf(secret)) {
        if (text.includes(piece)) throw new Error(`${JSON.stringify(piece)} is in ${text}`);
      }
      return true;
    }),
    { numRuns: 200 },
  );

  t.ok(shown > 20, `${shown} HELLOs with a token were shown`);
  all.onLost();
  await served.end();
});
