/** Tokens of another server: which keys are taken, and that nothing else is a proof. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  JWT_LENGTH_MAX,
  type JwtKey,
  readJwtKeys,
  verifyJwt,
} from '../../src/acceptor/identity/jwt.ts';
import { EXIT, StartError } from '../../src/base/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-jwt-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const PAIRS = { RS256: rsa, ES256: ec, EdDSA: ed } as const;
type Alg = keyof typeof PAIRS;

const pemOf = (key: KeyObject) => String(key.export({ type: 'spki', format: 'pem' }));
const jwkOf = (key: KeyObject, more = {}) => ({ ...key.export({ format: 'jwk' }), ...more });

function save(text: string): string {
  const path = join(folder, 'keys');
  writeFileSync(path, text);
  return path;
}

const keys = readJwtKeys(
  save(
    Object.values(PAIRS)
      .map(({ publicKey }) => pemOf(publicKey))
      .join('\n'),
  ),
);
const ID = 'door-17';
const EXP = 1_800_000_000;
const now = (EXP - 60) * 1_000;
const claims = { sub: ID, exp: EXP };

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Made by Node's own crypto: `jose` does not verify itself here. */
function signed(
  alg: Alg,
  payload: unknown,
  header: object = {},
  key = PAIRS[alg].privateKey,
): string {
  const text = `${part({ alg, ...header })}.${part(payload)}`;
  const digest = alg === 'EdDSA' ? null : 'sha256';
  const signature = sign(digest, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

async function gives(
  t: Test,
  token: string,
  verdict: string | number,
  with_: { keys?: readonly JwtKey[]; audience?: string; now?: number } = {},
  id = ID,
): Promise<void> {
  const found = await verifyJwt(token, id, { keys, ...with_ }, with_.now ?? now);
  t.equal('reason' in found ? found.reason : found.expiresAt, verdict, token.slice(0, 200));
}

t.test('a token of each algorithm proves its device until it ends', async (t) => {
  t.same(
    keys.map(({ alg }) => alg),
    ['RS256', 'ES256', 'EdDSA'],
  );
  for (const alg of Object.keys(PAIRS) as Alg[]) {
    const token = signed(alg, claims);
    await gives(t, token, EXP * 1_000);
    await gives(t, token, EXP * 1_000, { now: EXP * 1_000 - 1 });
    await gives(t, token, 'expired', { now: EXP * 1_000 });
    await gives(t, token, 'wrong-device', {}, 'door-18');
    await gives(t, token, 'unknown-key', { keys: keys.filter((key) => key.alg !== alg) });
  }
});

t.test('claims: each has to be there, of its kind, and right', async (t) => {
  const make = (payload: unknown) => signed('EdDSA', payload);

  await gives(t, make({ exp: EXP }), 'missing-claim');
  await gives(t, make({ sub: ID }), 'missing-claim');
  await gives(t, make({ sub: [ID], exp: EXP }), 'wrong-device');
  await gives(t, make({ sub: `${ID} `, exp: EXP }), 'wrong-device');
  await gives(t, make({ sub: ID, exp: String(EXP) }), 'malformed');
  await gives(t, make({ sub: ID, exp: null }), 'malformed');
  await gives(t, make({ sub: ID, exp: EXP - 59.5 }), 'expired', { now: now + 900 });
  await gives(t, make({ sub: ID, exp: -1 }), 'expired');
  await gives(t, make({ sub: ID, exp: 1e300 }), 8.64e15);
  await gives(t, make({ ...claims, nbf: EXP - 60 }), EXP * 1_000);
  await gives(t, make({ ...claims, nbf: EXP - 59 }), 'not-yet-valid');
  await gives(t, make({ ...claims, nbf: 'now' }), 'malformed');
  for (const payload of [[claims], 'door-17', null, 7]) await gives(t, make(payload), 'malformed');
});

t.test('an audience, where one is configured, has to be among those of the token', async (t) => {
  const make = (aud: unknown) => signed('ES256', { ...claims, aud });
  const audience = 'owsla';

  await gives(t, make('owsla'), EXP * 1_000, { audience });
  await gives(t, make(['other', 'owsla']), EXP * 1_000, { audience });
  await gives(t, make('other'), EXP * 1_000);
  for (const aud of ['other', 'owsl', 'owsla2', [], ['other'], { owsla: 1 }, null, undefined]) {
    await gives(t, make(aud), 'wrong-audience', { audience });
  }
});

t.test("an algorithm is its key's own: none, a secret made of a public key, another", async (t) => {
  const body = part(claims);
  const unsigned = (alg: unknown) => `${part({ alg })}.${body}.`;
  for (const alg of ['none', 'None', 'NONE', '', null, 7, ['RS256'], undefined]) {
    await gives(t, unsigned(alg), 'bad-algorithm');
  }
  for (const secret of [pemOf(rsa.publicKey), pemOf(rsa.publicKey).trim(), pemOf(ed.publicKey)]) {
    for (const alg of ['HS256', 'RS256', 'EdDSA']) {
      const text = `${part({ alg, typ: 'JWT' })}.${body}`;
      const token = `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
      await gives(t, token, alg === 'HS256' ? 'bad-algorithm' : 'bad-signature');
    }
  }
  for (const alg of ['RS512', 'PS256', 'ES384', 'Ed25519', 'ES256K']) {
    await gives(t, signed('RS256', claims, { alg }), 'bad-algorithm');
  }
  await gives(t, signed('RS256', claims, { alg: 'ES256' }), 'bad-signature');
  await gives(t, signed('ES256', claims, { alg: 'EdDSA' }), 'bad-signature');
  for (const alg of Object.keys(PAIRS) as Alg[]) await gives(t, unsigned(alg), 'bad-signature');
});

t.test("a key in the token itself, or one that it points to, is nobody's", async (t) => {
  const own = generateKeyPairSync('ed25519');
  const jwk = jwkOf(own.publicKey);

  await gives(t, signed('EdDSA', claims, { jwk }, own.privateKey), 'bad-signature');
  await gives(
    t,
    signed('EdDSA', claims, { jku: 'http://127.0.0.1/' }, own.privateKey),
    'bad-signature',
  );
  await gives(t, signed('EdDSA', claims, { crit: ['x'], x: 1 }), 'malformed');
  await gives(t, signed('EdDSA', claims, { crit: ['b64'], b64: false }), 'malformed');
});

t.test('a kid chooses among the keys that have one', async (t) => {
  const old = generateKeyPairSync('ed25519');
  const jwks = {
    keys: [jwkOf(old.publicKey, { kid: 'old' }), jwkOf(ed.publicKey, { kid: 'new' })],
  };
  const both = { keys: readJwtKeys(save(JSON.stringify(jwks))) };

  t.same(
    both.keys.map(({ kid }) => kid),
    ['old', 'new'],
  );
  await gives(t, signed('EdDSA', claims, { kid: 'new' }), EXP * 1_000, both);
  await gives(t, signed('EdDSA', claims), EXP * 1_000, both);
  await gives(t, signed('EdDSA', claims, { kid: 'old' }), 'bad-signature', both);
  await gives(t, signed('EdDSA', claims, { kid: 'x' }), 'unknown-key', both);
  await gives(t, signed('EdDSA', claims, { kid: 7 }), 'unknown-key', both);
  await gives(t, signed('EdDSA', claims, { kid: 'x' }), EXP * 1_000);
});

t.test('what is cut, changed or too long is no proof', async (t) => {
  for (const alg of Object.keys(PAIRS) as Alg[]) {
    const token = signed(alg, claims);
    for (let length = 0; length < token.length; length += 7) {
      const found = await verifyJwt(token.slice(0, length), ID, { keys }, now);
      t.ok('reason' in found, `${length} of ${token.length}`);
    }
    // The last letter has bits that do not count.
    for (let at = 0; at < token.length - 1; at += 3) {
      const other = token[at] === 'A' ? 'B' : 'A';
      const changed = token.slice(0, at) + other + token.slice(at + 1);
      const found = await verifyJwt(changed, ID, { keys }, now);
      t.ok('reason' in found, `letter ${at}`);
    }
  }
  const room = JWT_LENGTH_MAX - signed('EdDSA', { ...claims, x: '' }).length;
  const filled = (more: number) =>
    signed('EdDSA', { ...claims, x: 'x'.repeat((room * 3) / 4 + more) });
  t.ok(filled(0).length <= JWT_LENGTH_MAX);
  await gives(t, filled(0), EXP * 1_000);
  await gives(t, filled(3), 'too-long');
  await gives(t, 'x.'.repeat(1_000_000), 'too-long');
  for (const token of ['', '.', '..', '...', 'a.b.c', `${signed('EdDSA', claims)}.x`, '{}.{}.{}']) {
    await gives(t, token, 'malformed');
  }
});

function refused(t: Test, text: string, why: RegExp): void {
  try {
    readJwtKeys(save(text));
    t.fail(`taken: ${text.slice(0, 80)}`);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    t.equal(error.exitCode, EXIT.config);
    t.match(error.message, why);
    t.notMatch(error.message, /\n|SECRET/);
  }
}

t.test('a file of keys is PEM or JWKS, of public keys for these algorithms', async (t) => {
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
  const jwks = (...list: unknown[]) => JSON.stringify({ keys: list });

  t.equal(readJwtKeys(save(`for the fleet\n${pemOf(ed.publicKey)}\n`)).length, 1);
  const mixed = jwks(
    jwkOf(p384),
    jwkOf(rsa.publicKey, { use: 'enc' }),
    jwkOf(rsa.publicKey, { alg: 'RS512' }),
    jwkOf(ed.publicKey, { key_ops: ['sign'] }),
    { kty: 'AKP' },
    jwkOf(ec.publicKey, { use: 'sig', alg: 'ES256', key_ops: ['verify'] }),
  );
  t.same(
    readJwtKeys(save(mixed)).map(({ alg }) => alg),
    ['ES256'],
    'others are passed over',
  );

  refused(t, '', /holds no public key/);
  refused(t, '{"keys": []}', /holds no public key/);
  refused(t, jwks(jwkOf(p384)), /holds no public key/);
  refused(t, '{"keys": SECRET}', /neither PEM nor a JWKS/);
  refused(t, '{"keys": ["SECRET"]}', /neither PEM nor a JWKS/);
  refused(t, '{}', /neither PEM nor a JWKS/);
  refused(t, jwks({ kty: 'oct', k: 'SECRET' }), /secret or private key/);
  refused(t, jwks(jwkOf(ed.privateKey)), /secret or private key/);
  refused(t, String(rsa.privateKey.export({ type: 'pkcs8', format: 'pem' })), /private key/);
  refused(t, String(rsa.privateKey.export({ type: 'pkcs1', format: 'pem' })), /private key/);
  refused(t, pemOf(small), /1024 bits/);
  refused(t, jwks(jwkOf(small)), /1024 bits/);
  refused(t, pemOf(p384), /of no use here \(number 1\)/);
  refused(t, '-----BEGIN PUBLIC KEY-----\nSECRET\n-----END PUBLIC KEY-----', /cannot be read/);
  refused(t, jwks(jwkOf(ec.publicKey, { x: 'SECRET' })), /cannot be read \(number 1\)/);
  refused(t, jwks(jwkOf(ec.publicKey, { kid: 7 })), /"kid"/);
  refused(t, pemOf(ed.publicKey).repeat(65), /over 64 keys/);
  t.throws(() => readJwtKeys(join(folder, 'none')), /cannot be read \(ENOENT\)/);
});
