/**
 * Device tokens, made and spoiled: whatever a device sends, only its own token lets it in.
 * 100,000 spoiled tokens; OWSLA_SOAK=1: 10,000,000. SEED= repeats a run.
 */
import { createHmac, createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { Random } from '../../loadgen/plan/random.ts';
import {
  type GroupKeys,
  makeToken,
  TOKEN_EXPIRES_MAX,
  TOKEN_REASONS,
  verifyToken,
} from '../../src/base/deviceKeys.ts';

const SPOILED = process.env.OWSLA_SOAK === undefined ? 100_000 : 10_000_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const random = new Random(seed);
const below = (count: number) => random.below(count);
const pick = <T>(of: readonly T[]): T => of[below(of.length)] as T;

const SECRETS = ['a', 'b', 'a-b', '2026', '_'].map(
  (keyId, index) => [keyId, Buffer.alloc(32 + index, keyId)] as const,
);
const keys: GroupKeys = new Map(SECRETS.map(([keyId, bytes]) => [keyId, createSecretKey(bytes)]));
const secrets = new Map(SECRETS);

const NOW_S = 1_800_000_000;
const now = NOW_S * 1_000;

/** What `verifyToken` should say, in the plain words of the contract: all that it may take. */
function dumbTwin(token: string, id: string): boolean {
  const [kind, keyId = '', expires = '', signature, ...more] = token.split('.');
  const secret = secrets.get(keyId);
  if (kind !== 'k1' || secret === undefined || more.length > 0) return false;
  if (!/^\d+$/.test(expires) || String(Number(expires)) !== expires) return false;
  if (Number(expires) > TOKEN_EXPIRES_MAX) return false;
  if (Number(expires) !== 0 && Number(expires) <= NOW_S) return false;
  const deviceKey = createHmac('sha256', secret).update(`owsla/token/1:${id}`).digest();
  const signed = createHmac('sha256', deviceKey).update(`k1.${keyId}.${expires}.${id}`).digest();
  return signature === signed.toString('base64url');
}

const keyId = fc.constantFrom(...keys.keys());
const deviceId = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);

t.test('token: what is made is taken until it ends, from its device only', async (t) => {
  const expires = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: TOKEN_EXPIRES_MAX }));
  fc.assert(
    fc.property(keyId, deviceId, deviceId, expires, (keyId, id, other, expires) => {
      const groupKey = keys.get(keyId);
      if (groupKey === undefined) return false;
      const token = makeToken(groupKey, keyId, id, expires);
      const endMs = expires * 1_000;
      const says = (device: string, nowMs: number) =>
        JSON.stringify(verifyToken(token, device, keys, nowMs));
      const good = JSON.stringify(expires === 0 ? {} : { expiresAt: endMs });
      const isGood = says(id, expires === 0 ? now : endMs - 1) === good;
      const isOver = expires === 0 || says(id, endMs) === '{"reason":"expired"}';
      const isOthers = other === id || says(other, 0) === '{"reason":"bad-signature"}';
      return isGood && isOver && isOthers && (endMs <= now || dumbTwin(token, id));
    }),
    { seed, numRuns: 2_000 },
  );
  t.pass();
});

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const ODD = [...'.=+/ \0\n%kK1', 'é', '０', '\u{1f511}', 'k1.', '..', '.0.', '-0', '1e9'];
const IDS = ['door-17', 'door-18', 'd', '0', 'k1', 'd'.repeat(64)];
const EXPIRES = [0, 1, NOW_S - 1, NOW_S, NOW_S + 1, 9_999_999_999, TOKEN_EXPIRES_MAX];

interface Made {
  readonly id: string;
  readonly token: string;
}

const MADE: readonly Made[] = IDS.flatMap((id) =>
  [...keys].flatMap(([keyId, key]) =>
    EXPIRES.map((expires) => ({ id, token: makeToken(key, keyId, id, expires) })),
  ),
);

/** One small thing done to a token. */
const SPOIL: readonly ((token: string) => string)[] = [
  (token) => token.slice(0, below(token.length + 1)),
  (token) => token.slice(below(token.length + 1)),
  (token) => cut(token, 1, pick([...LETTERS])),
  (token) => cut(token, 1, pick(ODD)),
  (token) => cut(token, 0, pick(ODD)),
  (token) => cut(token, 0, pick([...LETTERS])),
  (token) => cut(token, 1 + below(3), ''),
  (token) => cut(token, below(9), token.slice(below(token.length), below(token.length))),
  (token) => token.slice(0, -1) + pick([...LETTERS]),
  (token) => withPart(token, below(4), pick(pick(MADE).token.split('.'))),
  (token) => withPart(token, 1, pick(SECRETS)[0]),
  (token) => withPart(token, 2, String(pick(EXPIRES))),
  (token) => withPart(token, 2, `0${pick(EXPIRES)}`),
  (token) => withPart(token, 3, `${pick(MADE).token.split('.')[3]}`),
  (token) => `${token}${pick(MADE).token}`,
  (token) => token.toLowerCase(),
  (token) => token,
];

function cut(text: string, length: number, into: string): string {
  const at = below(text.length);
  return text.slice(0, at) + into + text.slice(at + length);
}

function withPart(token: string, index: number, part: string): string {
  const parts = token.split('.');
  parts[index] = part;
  return parts.join('.');
}

t.test('token: of spoiled ones none is taken that is not its own device’s', async (t) => {
  const counts = new Map<string, number>();
  const wrong: unknown[] = [];
  for (let run = 0; run < SPOILED; run++) {
    const { id, token } = pick(MADE);
    let spoiled = pick(SPOIL)(token);
    if (below(3) === 0) spoiled = pick(SPOIL)(spoiled);
    const device = below(8) === 0 ? pick(IDS) : id;
    const found = verifyToken(spoiled, device, keys, now);
    const what = 'reason' in found ? found.reason : 'taken';
    counts.set(what, (counts.get(what) ?? 0) + 1);
    // The twin is slow, and a token that is malformed for one of them is so for both.
    if (what !== 'malformed' && (what === 'taken') !== dumbTwin(spoiled, device)) {
      wrong.push([spoiled, device, what]);
    } else if (what === 'malformed' && MADE.some((made) => made.token === spoiled)) {
      wrong.push([spoiled, device, what]);
    }
  }

  t.same(wrong.slice(0, 10), [], `seed ${seed}`);
  for (const what of [...TOKEN_REASONS, 'taken']) {
    t.ok((counts.get(what) ?? 0) > SPOILED / 1_000, `${what}: ${counts.get(what)} of ${SPOILED}`);
  }
});
