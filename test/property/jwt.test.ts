/**
 * JWTs, signed and spoiled: none is taken whose signed part is not, to the letter, one that the
 * issuer has signed for this device. 10,000 spoiled tokens; OWSLA_SOAK=1: 10,000,000. SEED= repeats
 * a run.
 */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import t from 'tap';
import { Random } from '../../loadgen/plan/random.ts';
import { verifyJwt } from '../../src/acceptor/identity/jwt.ts';

const SPOILED = process.env.OWSLA_SOAK === undefined ? 10_000 : 10_000_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const random = new Random(seed);
const below = (count: number) => random.below(count);
const pick = <T>(of: readonly T[]): T => of[below(of.length)] as T;

const NOW_S = 1_800_000_000;
const ed = generateKeyPairSync('ed25519');
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const keys = [
  { alg: 'EdDSA', key: ed.publicKey, kid: 'a' },
  { alg: 'ES256', key: ec.publicKey },
] as const;
const options = { keys, audience: 'owsla' };

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function signed(header: object, claims: object, by: KeyObject): string {
  const text = `${part(header)}.${part(claims)}`;
  const isEd = by.asymmetricKeyType === 'ed25519';
  const made = { key: by, dsaEncoding: 'ieee-p1363' } as const;
  return `${text}.${sign(isEd ? null : 'sha256', Buffer.from(text), made).toString('base64url')}`;
}

const IDS = ['door-1', 'door-2', '_'];
const CLAIMS = IDS.flatMap((sub) => [
  { sub, aud: 'owsla', exp: NOW_S + 60 },
  { sub, aud: 'owsla', exp: NOW_S - 1 },
  { sub, aud: 'other', exp: NOW_S + 60 },
  { sub, aud: ['x', 'owsla'], exp: NOW_S + 60, nbf: NOW_S - 5 },
]);
const HEADERS = [
  [{ alg: 'EdDSA', kid: 'a' }, ed.privateKey],
  [{ alg: 'EdDSA', typ: 'JWT' }, ed.privateKey],
  [{ alg: 'ES256' }, ec.privateKey],
] as const;
const MADE = CLAIMS.flatMap((claims) => HEADERS.map(([head, key]) => signed(head, claims, key)));
const textOf = (token: string) => token.slice(0, token.lastIndexOf('.'));
/** Signed part, and whose it is; of those that are good now. */
const GOOD = new Map(
  MADE.flatMap((token, at) => {
    const { sub, aud, exp } = CLAIMS[Math.floor(at / HEADERS.length)] ?? {};
    return aud !== 'other' && (exp ?? 0) > NOW_S ? [[textOf(token), sub] as const] : [];
  }),
);

const ODD = ['', '.', '=', ' ', '\n', '\0', 'é', '+', '/', '{', '"', '𝄞'];
const LETTERS = [...'ABCabc019-_'];
const WRONG_HEADERS = [
  ...[{ alg: 'none' }, { alg: 'HS256' }, { alg: 'RS256' }, { alg: ['EdDSA'] }, { alg: null }],
  ...[{}, [], 7, null, 'EdDSA', { alg: 'EdDSA', crit: ['x'], x: 1 }, { alg: 'EdDSA', b64: false }],
  { alg: 'ES256', kid: 'a' },
  { alg: 'ES256', jwk: ec.publicKey.export({ format: 'jwk' }) },
];

function cut(text: string, length: number, into: string): string {
  const at = below(text.length + 1);
  return text.slice(0, at) + into + text.slice(at + length);
}

function withPart(token: string, index: number, into: string): string {
  const parts = token.split('.');
  parts[index] = into;
  return parts.join('.');
}

/** As who has the public key would. */
function byHmac(token: string): string {
  const text = textOf(withPart(token, 0, part({ alg: 'HS256' })));
  const secret = ec.publicKey.export({ type: 'spki', format: 'pem' });
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

const SPOIL: readonly ((token: string) => string)[] = [
  (token) => token.slice(0, below(token.length + 1)),
  (token) => token.slice(below(token.length + 1)),
  (token) => cut(token, 1, pick(LETTERS)),
  (token) => cut(token, below(2), pick(ODD)),
  (token) => cut(token, 1 + below(5), ''),
  (token) => withPart(token, 0, part(pick(WRONG_HEADERS))),
  (token) => withPart(token, below(3), pick(pick(MADE).split('.'))),
  (token) => withPart(token, 1, part({ ...pick(CLAIMS), sub: pick(IDS) })),
  (token) => withPart(token, below(3), ''),
  (token) => `${token}.${pick(MADE)}`,
  byHmac,
  (token) => token.toLowerCase(),
  (token) => token,
];

t.test('jwt: of spoiled ones none is taken that was not signed for its device', async (t) => {
  const counts = new Map<string, number>();
  const wrong: unknown[] = [];
  for (let run = 0; run < SPOILED; run += 1) {
    let token = pick(SPOIL)(pick(MADE));
    if (below(3) === 0) token = pick(SPOIL)(token);
    const device = pick(IDS);
    const found = await verifyJwt(token, device, options, NOW_S * 1_000);
    const what = 'reason' in found ? found.reason : 'taken';
    counts.set(what, (counts.get(what) ?? 0) + 1);
    if (what === 'taken' && GOOD.get(textOf(token)) !== device) wrong.push([token, device]);
    if (what !== 'taken' && MADE.includes(token) && GOOD.get(textOf(token)) === device) {
      wrong.push([token, device, what]);
    }
  }
  t.same(wrong.slice(0, 5), [], `seed ${seed}`);
  const expected = [
    'malformed',
    'bad-algorithm',
    'bad-signature',
    'wrong-device',
    'expired',
    'taken',
  ];
  for (const what of expected) {
    t.ok((counts.get(what) ?? 0) > SPOILED / 1_000, `${what}: ${counts.get(what)} of ${SPOILED}`);
  }
});
