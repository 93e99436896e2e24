/**
 * Clock: the times that the data path knows, so that tests can bring their own.
 * From: the operating system.  To: endpoints, deadlines, routes.
 * Bound: whole milliseconds, which V8 keeps unboxed in every endpoint.
 */

export interface Clock {
  /** Monotonic, in ms since some moment before this process began to serve; never 0. */
  now(): number;
  /** Milliseconds since 1970, for people and other machines only. */
  wall(): number;
  /** Monotonic µs, the same clock for all processes of a machine; it begins anew at a boot. */
  us(): number;
}

const NS_PER_US = 1_000n;

export const systemClock: Clock = {
  now: () => Math.floor(performance.now()) + 1,
  wall: () => Date.now(),
  us: () => Number(process.hrtime.bigint() / NS_PER_US),
};
