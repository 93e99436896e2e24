/**
 * Keys: the commands that one device remembers, so that it acts on none of them twice.
 * From: device.ts, the key of each COMMAND.  To: device.ts: act, or answer as before.
 * Bound: the last KEYS_MAX keys, as docs/protocol.md asks; the oldest is forgotten first.
 */

export const KEYS_MAX = 16;
export const KEY_BYTES = 16;

export class Keys {
  readonly #keys = new Set<string>();

  /** Is this key new? It is remembered then. The bytes stay the caller's. */
  isNew(key: Buffer): boolean {
    const name = key.toString('latin1');
    if (this.#keys.has(name)) return false;
    this.#keys.add(name);
    if (this.#keys.size > KEYS_MAX) {
      const [oldest = ''] = this.#keys;
      this.#keys.delete(oldest);
    }
    return true;
  }
}
