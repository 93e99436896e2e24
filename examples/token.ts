/**
 * token.ts - what a device proves itself with: a token that it was given, or made from its own key.
 *
 *   DEVICE_TOKEN=k1.2026a.0.OebH... node examples/device.ts 127.0.0.1 7000 door-17
 *   node examples/device.ts 127.0.0.1 7000 door-17 --device-key-file /etc/door/key
 *
 * The file has the line that `owsla key derive` prints. token.h is the same in C.
 * Bound: a token of TOKEN_MAX characters, which HELLO has room for.
 */
import { createHmac } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';

export const TOKEN_OPTIONS = '[--token TOKEN] [--device-key-file FILE]';
const TOKEN_MAX = 3_840;

/** Who the device says it is, and its proof as options of HELLO. */
export interface Identity {
  readonly deviceId: string;
  readonly proof: { readonly token?: string };
}

/** The token `k1.KEY_ID.EXPIRES.SIGNATURE`. `expires` is in s since 1970; 0: it never ends. */
export function makeToken(key: Buffer, keyId: string, deviceId: string, expires: number): string {
  const begin = `k1.${keyId}.${expires}.`;
  return (
    begin +
    createHmac('sha256', key)
      .update(begin + deviceId)
      .digest('base64url')
  );
}

/** Its key stands in the file as KEY_ID.DEVICE_ID:64 hexadecimal digits. */
function tokenByKey(path: string, deviceId: string): string | undefined {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const [, keyId, id, hex] = /^([\w-]{1,32})\.([\w-]+):([\da-f]{64})\n?$/.exec(text) ?? [];
  if (keyId && hex && id === deviceId) return makeToken(Buffer.from(hex, 'hex'), keyId, id, 0);
  console.error(`device.ts: ${path} has no key of ${deviceId}, as owsla key derive prints it`);
  return undefined;
}

/**
 * The identity by the environment and `--token TOKEN` or `--device-key-file FILE`, which it takes
 * out of `args`; `undefined`, once it has said why, where they are wrong.
 */
export function identityOf(deviceId: string, args: string[]): Identity | undefined {
  let token: string | undefined = process.env.DEVICE_TOKEN ?? '';
  for (const name of ['--token', '--device-key-file']) {
    const at = args.indexOf(name);
    const value = args[at + 1];
    if (at < 0 || value === undefined) continue;
    args.splice(at, 2);
    token = name === '--token' ? value : tokenByKey(value, deviceId);
    process.title = 'device.ts'; // what ps shows from now on has no token in it
  }
  if (token === undefined || deviceId === '') return undefined;
  if (token.length <= TOKEN_MAX) return { deviceId, proof: token === '' ? {} : { token } };
  console.error('device.ts: the token is too long');
  return undefined;
}
