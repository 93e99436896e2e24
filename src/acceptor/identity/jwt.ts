/**
 * Jwt: tokens that another server has signed, verified by `jose` with the public keys of a file.
 * From: the file of --jwt-keys, PEM or JWKS; tokens of devices.  To: the proof of the method `jwt`.
 * Bound: JWT_LENGTH_MAX characters a token, JWT_KEYS_MAX keys, each for the one algorithm that its
 * own type has: what a token says of itself chooses among keys and never how a key is used.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { JWTVerifyOptions } from 'jose';
import { EXIT, type JWT_FAILURES, StartError } from '../../base/errors.ts';
import { later } from '../../base/later.ts';
import { type ReadVia, readNow } from '../../base/privateFile.ts';

/** With the keys: a listener without them takes no token. */
const jose = later<typeof import('jose')>('jose');

export const JWT_LENGTH_MAX = 4_096;
export const JWT_KEYS_MAX = 64;
const RSA_BITS_MIN = 2_048;
/** The last moment that a Date has. */
const LAST_MS = 8.64e15;

/** `wrong-device`: it is a proof, of another one. */
export type JwtReason = (typeof JWT_FAILURES)[number] | 'wrong-device';

/** `expiresAt` in ms since 1970. */
export type JwtVerdict = { readonly expiresAt: number } | { readonly reason: JwtReason };

export type JwtAlgorithm = 'EdDSA' | 'ES256' | 'RS256';

export interface JwtKey {
  /** As the JWKS has it; keys from PEM have none, and fit any. */
  readonly kid?: string;
  readonly alg: JwtAlgorithm;
  readonly key: KeyObject;
}

export interface JwtOptions {
  readonly keys: readonly JwtKey[];
  /** One of a token's `aud` has to be this; undefined: `aud` is not looked at. */
  readonly audience?: string | undefined;
}

/**
 * The public keys of the PEM or JWKS file at `path`. Keys of a JWKS that are for something else are
 * passed over. Throws a StartError (config) of one sentence when the file cannot be read, is
 * neither, holds a secret or private key, or no key that verifies.
 */
export function readJwtKeys(path: string, via: ReadVia = readNow): readonly JwtKey[] {
  jose();
  const fail = (why: string) => new StartError(EXIT.config, `the JWT key file ${path} ${why}`);
  const text = via(path, () => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw fail(`cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  });
  const keys = text.trimStart().startsWith('{') ? keysOfJwks(text, fail) : keysOfPem(text, fail);
  if (keys.length === 0) {
    throw fail('holds no public key for EdDSA (Ed25519), ES256 (P-256) or RS256 (RSA)');
  }
  if (keys.length > JWT_KEYS_MAX) throw fail(`holds over ${JWT_KEYS_MAX} keys`);
  return keys;
}

type Fail = (why: string) => StartError;

function keysOfPem(text: string, fail: Fail): JwtKey[] {
  const blocks = [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g)];
  return blocks.map(([pem, label = ''], index) => {
    // Node would take the public half of it; but then the private one is where it should not be.
    if (label.includes('PRIVATE')) throw fail('holds a private key; only public ones belong here');
    const key = publicKeyOf(pem, index, fail);
    const alg = algorithmOf(key, fail);
    if (alg === undefined) throw fail(`has a key that is of no use here (number ${index + 1})`);
    return { alg, key };
  });
}

function keysOfJwks(text: string, fail: Fail): JwtKey[] {
  return jwksOf(text, fail).flatMap((jwk, index) => {
    const { kty, use, key_ops, kid } = jwk;
    if (kty === 'oct' || jwk.d !== undefined || jwk.k !== undefined) {
      throw fail('holds a secret or private key; only public ones belong here');
    }
    const isForUs = (use ?? 'sig') === 'sig' && (!Array.isArray(key_ops) || isVerify(key_ops));
    if (!isForUs || !['RSA', 'EC', 'OKP'].includes(String(kty))) return [];
    if (kid !== undefined && typeof kid !== 'string') throw fail('has a "kid" that is no text');
    const key = publicKeyOf({ key: jwk, format: 'jwk' }, index, fail);
    const alg = algorithmOf(key, fail);
    if (alg === undefined || (jwk.alg ?? alg) !== alg) return [];
    return [{ alg, key, ...(kid === undefined ? {} : { kid }) }];
  });
}

function jwksOf(text: string, fail: Fail): Record<string, unknown>[] {
  try {
    const { keys } = JSON.parse(text) as { keys?: unknown };
    if (Array.isArray(keys) && keys.every(isRecord)) return keys;
  } catch {
    // The parser's sentence would quote the file.
  }
  throw fail('is neither PEM nor a JWKS, {"keys": [...]}');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isVerify(operations: readonly unknown[]): boolean {
  return operations.includes('verify');
}

function publicKeyOf(
  from: Parameters<typeof createPublicKey>[0],
  index: number,
  fail: Fail,
): KeyObject {
  try {
    return createPublicKey(from);
  } catch {
    throw fail(`has a key that cannot be read (number ${index + 1})`);
  }
}

/** The one algorithm that this key is for. */
function algorithmOf(key: KeyObject, fail: Fail): JwtAlgorithm | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return 'ES256';
  if (key.asymmetricKeyType !== 'rsa') return undefined;
  if (modulusLength >= RSA_BITS_MIN) return 'RS256';
  throw fail(`has an RSA key of ${modulusLength} bits; it needs ${RSA_BITS_MIN}`);
}

/**
 * Does `token` prove that it comes from device `id`? It has to be for this device (`sub`), for this
 * audience, and to end (`exp`). Rejects only when the crypto of this process fails.
 */
export async function verifyJwt(
  token: string,
  id: string,
  options: JwtOptions,
  nowMs: number,
): Promise<JwtVerdict> {
  if (token.length > JWT_LENGTH_MAX) return { reason: 'too-long' };
  const candidates = candidatesOf(token, options.keys);
  if ('reason' in candidates) return candidates;
  const checks: JWTVerifyOptions = {
    subject: id,
    requiredClaims: ['exp'],
    currentDate: new Date(nowMs),
    ...(options.audience === undefined ? {} : { audience: options.audience }),
  };
  for (const { alg, key } of candidates) {
    try {
      const { payload } = await jose().jwtVerify(token, key, { ...checks, algorithms: [alg] });
      const expiresAt = Math.min(Number(payload.exp) * 1_000, LAST_MS);
      // `jose` counts whole seconds.
      return nowMs < expiresAt ? { expiresAt } : { reason: 'expired' };
    } catch (error) {
      if (error instanceof jose().errors.JWSSignatureVerificationFailed) continue;
      return { reason: reasonOf(error) };
    }
  }
  return { reason: 'bad-signature' };
}

/** The keys that the header asks for. One without `kid` may mean any key of its algorithm. */
function candidatesOf(
  token: string,
  keys: readonly JwtKey[],
): readonly JwtKey[] | { readonly reason: JwtReason } {
  const header = headerOf(token);
  if (header === undefined) return { reason: 'malformed' };
  const { alg, kid } = header;
  if (alg !== 'EdDSA' && alg !== 'ES256' && alg !== 'RS256') return { reason: 'bad-algorithm' };
  const alike = keys.filter((key) => key.alg === alg);
  const named = alike.filter((key) => kid !== undefined && key.kid === kid);
  const candidates =
    named.length > 0 ? named : alike.filter((key) => kid === undefined || key.kid === undefined);
  return candidates.length > 0 ? candidates : { reason: 'unknown-key' };
}

function headerOf(token: string): { alg?: unknown; kid?: unknown } | undefined {
  try {
    return jose().decodeProtectedHeader(token);
  } catch {
    return undefined;
  }
}

/** What `jose` found, once the signature is not it. Throws what is not about the token. */
function reasonOf(error: unknown): JwtReason {
  const { errors } = jose();
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (claim === 'aud') return 'wrong-audience';
    if (reason === 'missing') return 'missing-claim';
    if (claim === 'sub') return 'wrong-device';
    return claim === 'nbf' && reason === 'check_failed' ? 'not-yet-valid' : 'malformed';
  }
  if (error instanceof errors.JOSEError) return 'malformed';
  throw error;
}
