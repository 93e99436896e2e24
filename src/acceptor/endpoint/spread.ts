/**
 * Spread: when devices that are sent away may come back, so that they do not all come at once.
 * From: refusals, and waves of BYEs.  To: `retryAfter` of a BYE, in ms.
 * Bound: another time for each, from 0 to the `ms` given.
 */

export type Spread = (ms: number) => number;

/** `random`: 0 to 1. */
export function spreadBy(random: () => number): Spread {
  return (ms) => Math.round(random() * ms);
}
