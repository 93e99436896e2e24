/**
 * DeviceKeys: group keys, the keys of devices that follow from them, and tokens made with those.
 * From: the file of --keys, mode 0600.  To: the acceptors, `owsla key`, loadgen.
 * Bound: GROUP_KEYS_MAX keys; a token has at most TOKEN_LENGTH_MAX characters.
 * Nothing is stored per device: whoever has the group key has the keys of all its devices.
 */
import {
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type { Document } from 'yaml';
import { EXIT, StartError } from './errors.ts';
import { later } from './later.ts';
import { DEVICE_ID } from './names.ts';
import { type ReadVia, readNow, readPrivate } from './privateFile.ts';

const yaml = later<typeof import('yaml')>('yaml');

export const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;
export const GROUP_KEY_BYTES_MIN = 32;
export const GROUP_KEYS_MAX = 64;
/** Of the last second that a token can name: five digits of years still fit into a Date. */
export const TOKEN_EXPIRES_MAX = 99_999_999_999;
/** `k1`, key id, expires, signature, and three dots. */
export const TOKEN_LENGTH_MAX = 2 + 32 + 11 + 43 + 3;

/**
 * 32 bytes are 43 characters of base64url, the last of which has two bits to spare. They have to be
 * 0: else four tokens would stand for one.
 */
const TOKEN =
  /^k1\.([A-Za-z0-9_-]{1,32})\.(0|[1-9][0-9]{0,10})\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$/;

export type GroupKey = KeyObject;
/** Group keys by key id, in the file's order. As KeyObjects, which no log and no dump shows. */
export type GroupKeys = ReadonlyMap<string, KeyObject>;

/** Why a token is no proof: a closed list, each with its own count. */
export const TOKEN_REASONS = ['malformed', 'unknown-key', 'bad-signature', 'expired'] as const;
export type TokenReason = (typeof TOKEN_REASONS)[number];

/** `expiresAt` in ms since 1970; without it the token never ends. */
export type TokenVerdict = { readonly expiresAt?: number } | { readonly reason: TokenReason };

/**
 * The group keys of the file at `path`. Throws a StartError (config) of one sentence when it cannot
 * be read, others may read it, or it holds anything but keys. No sentence has a key in it.
 */
export function readGroupKeys(path: string, via: ReadVia = readNow): GroupKeys {
  const fail = (why: string) => new StartError(EXIT.config, `the key file ${path} ${why}`);
  const text = via(path, () => readPrivate(path, fail));
  const document = yaml().parseDocument(text, {
    // All is text: a key id may look like a number or a date.
    schema: 'failsafe',
    logLevel: 'silent',
    prettyErrors: true,
  });
  // The parser's own words may quote the file.
  const [error] = document.errors;
  if (error !== undefined) {
    const line = error.linePos?.[0].line;
    throw fail(`is not YAML with each key id once${line === undefined ? '' : ` (line ${line})`}`);
  }
  const read: unknown = keysOf(document);
  if (!(read instanceof Map) || read.size === 0 || read.size > GROUP_KEYS_MAX) {
    throw fail(
      `must hold 1 to ${GROUP_KEYS_MAX} lines of "key id: base64"; owsla key new makes one`,
    );
  }
  const keys = new Map<string, KeyObject>();
  for (const [id, text] of read as ReadonlyMap<unknown, unknown>) {
    if (typeof id !== 'string' || !KEY_ID.test(id)) {
      throw fail('has a key id that is not 1 to 32 of A-Z a-z 0-9 _ -');
    }
    const key = groupKeyOf(text);
    if (key === undefined) {
      throw fail(`must have base64 of ${GROUP_KEY_BYTES_MIN} or more bytes as key ${id}`);
    }
    keys.set(id, key);
  }
  return keys;
}

/**
 * One group key of the file at `path`: the `wanted` one, or the only one there is. Throws a
 * StartError of one sentence.
 */
export function chooseGroupKey(
  path: string,
  wanted: string | undefined,
): { readonly keyId: string; readonly groupKey: KeyObject } {
  const keys = readGroupKeys(path);
  const ids = [...keys.keys()];
  if (wanted === undefined && ids.length > 1) {
    throw new StartError(EXIT.usage, `say which key of ${path}: --key-id ${ids.join(' or ')}`);
  }
  const keyId = wanted ?? ids[0] ?? '';
  const groupKey = keys.get(keyId);
  if (groupKey !== undefined) return { keyId, groupKey };
  throw new StartError(EXIT.usage, `${path} has no such key; it has ${ids.join(', ')}`);
}

/** An alias that would make the document larger than it is has no value. */
function keysOf(document: Document): unknown {
  try {
    // A map may have the key `__proto__`, an object may not.
    return document.toJS({ mapAsMap: true, maxAliasCount: 0 });
  } catch {
    return undefined;
  }
}

function groupKeyOf(text: unknown): KeyObject | undefined {
  if (typeof text !== 'string') return undefined;
  const bytes = Buffer.from(text, 'base64');
  // Node passes over what is not base64: only what it would write itself was read as a whole.
  if (bytes.toString('base64') !== text || bytes.length < GROUP_KEY_BYTES_MIN) return undefined;
  return createSecretKey(bytes);
}

/** A new group key, as the value of a line of the key file. */
export function newGroupKey(): string {
  return randomBytes(GROUP_KEY_BYTES_MIN).toString('base64');
}

/** The 32 bytes with which device `id` signs its tokens. */
export function deviceTokenKey(groupKey: KeyObject, id: string): Buffer {
  return createHmac('sha256', groupKey).update(`owsla/token/1:${id}`).digest();
}

/** The 32 bytes that device `id` shares with us for TLS-PSK. They sign no token. */
export function devicePskKey(groupKey: KeyObject, id: string): Buffer {
  return createHmac('sha256', groupKey).update(`owsla/psk/1:${id}`).digest();
}

/** Who a device with a key from `keyId` is: its PSK identity, and the begin of its key file. */
export function keyIdentity(keyId: string, id: string): string {
  return `${keyId}.${id}`;
}

/**
 * A token that proves to be device `id` until `expires`, in s since 1970, or for ever with 0.
 * Throws a RangeError where that could not be verified.
 */
export function makeToken(groupKey: KeyObject, keyId: string, id: string, expires: number): string {
  const isTime = Number.isInteger(expires) && expires >= 0 && expires <= TOKEN_EXPIRES_MAX;
  if (!isTime || !KEY_ID.test(keyId) || !DEVICE_ID.test(id)) {
    throw new RangeError('not a key id, a device id and whole seconds');
  }
  return `k1.${keyId}.${expires}.${sign(groupKey, keyId, id, expires).toString('base64url')}`;
}

function sign(groupKey: KeyObject, keyId: string, id: string, expires: number): Buffer {
  const signed = `k1.${keyId}.${expires}.${id}`;
  return createHmac('sha256', deviceTokenKey(groupKey, id)).update(signed).digest();
}

export function isSameKey(one: KeyObject, other: KeyObject): boolean {
  const [a, b] = [one.export(), other.export()];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Does `token` prove that it comes from device `id`? It ends at `expiresAt` exactly. */
export function verifyToken(
  token: string,
  id: string,
  keys: GroupKeys,
  nowMs: number,
): TokenVerdict {
  if (token.length > TOKEN_LENGTH_MAX || !DEVICE_ID.test(id)) return { reason: 'malformed' };
  const [, keyId, seconds, signature] = TOKEN.exec(token) ?? [];
  if (keyId === undefined || seconds === undefined || signature === undefined) {
    return { reason: 'malformed' };
  }
  const groupKey = keys.get(keyId);
  if (groupKey === undefined) return { reason: 'unknown-key' };
  const expires = Number(seconds);
  const ours = sign(groupKey, keyId, id, expires);
  if (!timingSafeEqual(ours, Buffer.from(signature, 'base64url'))) {
    return { reason: 'bad-signature' };
  }
  if (expires === 0) return {};
  const expiresAt = expires * 1_000;
  return nowMs < expiresAt ? { expiresAt } : { reason: 'expired' };
}
