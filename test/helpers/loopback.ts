/**
 * Loopback: local addresses for tests that need many ports.
 * From: chance.  To: the three first numbers of a /24 within 127/8; Linux has all of it.
 * Bound: 28,000 ports each, taken for a minute beyond a link's end. Who binds an address shares
 * these with everybody else that binds it, so a test takes a net of its own.
 */
import { randomInt } from 'node:crypto';

/** As in `127.93.4`; append `.1` to `.254`. */
export function loopbackNet(): string {
  return `127.${randomInt(1, 255)}.${randomInt(0, 256)}`;
}
