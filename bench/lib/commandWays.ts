/** What command.ts tells its client to do, and what it hears. */

export const WAYS = ['request', 'transient', 'kept'] as const;

export interface Turn {
  readonly way: (typeof WAYS)[number];
  /** Messages a second. */
  readonly rate: number;
  readonly seconds: number;
}

/** In microseconds, from the write or publish. */
export interface Times {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  /** Answered with anything else than the result. */
  readonly failed: number;
}
