/**
 * Tokens: what devices prove themselves with: tokens, or keys for TLS-PSK, made from one group key.
 * From: run.ts, which tries it (`--keys`, `--key-id`); a worker's fleet.  To: HELLO.
 * Bound: nothing is kept per device: a token is made, in 5 us, for each connect.
 */
import type { KeyObject } from 'node:crypto';
import { chooseGroupKey, devicePskKey, keyIdentity, makeToken } from '../../src/base/deviceKeys.ts';
import { StartError } from '../../src/base/errors.ts';
import type { TokenPlan } from './plan.ts';
import { UsageError } from './units.ts';

const NEVER = 0;

export class Tokens {
  readonly #keyId: string;
  readonly #groupKey: KeyObject;

  /** Reads the key file; throws a UsageError of one sentence. */
  constructor({ keysFile, keyId }: TokenPlan) {
    try {
      const chosen = chooseGroupKey(keysFile, keyId);
      this.#keyId = chosen.keyId;
      this.#groupKey = chosen.groupKey;
    } catch (error) {
      throw error instanceof StartError ? new UsageError(`--keys: ${error.message}`) : error;
    }
  }

  /** Who this device says to be in TLS-PSK, and the key that proves it. */
  psk(deviceId: string): { readonly identity: string; readonly psk: Buffer } {
    const psk = devicePskKey(this.#groupKey, deviceId);
    return { identity: keyIdentity(this.#keyId, deviceId), psk };
  }

  /** The token of this device; it never ends. */
  of(deviceId: string): string {
    return makeToken(this.#groupKey, this.#keyId, deviceId, NEVER);
  }
}
