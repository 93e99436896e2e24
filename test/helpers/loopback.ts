/**
 * Loopback: local addresses for tests that need many ports, and a port to come back to.
 * From: chance.  To: the three first numbers of a /24 within 127/8; Linux has all of it.
 * Bound: 28,000 ports each, taken for a minute beyond a link's end. Who binds an address shares
 * these with everybody else that binds it, so a test takes a net of its own.
 */
import { randomInt } from 'node:crypto';
import { checkPort } from '../../src/supervisor/places.ts';

/** As in `127.93.4`; append `.1` to `.254`. */
export function loopbackNet(): string {
  return `127.${randomInt(1, 255)}.${randomInt(0, 256)}`;
}

/**
 * A free port that nobody else picks, and that stays free while its server is away: a device that
 * connects to the port where nobody listens may be given that very port as its own, and then talks
 * to itself. Those that are picked are below what the kernel gives to whoever connects.
 */
export function quietPort(): Promise<number> {
  return checkPort('port', '0.0.0.0', 0);
}
