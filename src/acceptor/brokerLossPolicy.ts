/**
 * BrokerLossPolicy: what happens to links while the broker is unavailable, by `--on-broker-loss`.
 * From: acceptor.ts, with the time and whether the broker is up.  To: BYEs, shard by shard.
 * Bound: with refuse, they begin after `brokerLossMs` and are spread over `brokerLossPaceMs`;
 * links not closed when the broker comes back are kept. With hold, no link is ever closed here.
 *
 *   there --broker lost--> away --brokerLossMs, refuse--> refusing
 *     ^---------------------'------------broker back---------'
 */
import { type Limits, SHARDS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { LossPolicy } from '../base/options.ts';

export interface BrokerLossOptions {
  readonly policy: LossPolicy;
  readonly limits: Limits;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Send BYE to the links of one shard. */
  readonly closeShard: (shard: number) => void;
}

export class BrokerLossPolicy {
  readonly #options: BrokerLossOptions;
  /** Since when the broker is unavailable; undefined while it is up. */
  #since: number | undefined;
  /** The next shard to close; undefined unless refusing. */
  #shard: number | undefined;

  constructor(options: BrokerLossOptions) {
    this.#options = options;
  }

  /** New links are to be refused: the broker has been away for too long. */
  get isRefusing(): boolean {
    return this.#shard !== undefined;
  }

  /** `now` in monotonic ms; called often enough to keep the pace. */
  tick(isBrokerUp: boolean, now: number): void {
    const { policy, log } = this.#options;
    if (isBrokerUp) {
      if (this.isRefusing) log.info('broker is available again: accepting links');
      this.#since = undefined;
      this.#shard = undefined;
      return;
    }
    this.#since ??= now;
    if (policy === 'refuse') this.#refuse(now - this.#since);
  }

  #refuse(awayMs: number): void {
    const { limits, log, closeShard } = this.#options;
    const refusingMs = awayMs - limits.brokerLossMs;
    if (refusingMs < 0) return;
    if (this.#shard === undefined) {
      log.warn(
        { awayMs: Math.round(awayMs) },
        'broker is still unavailable: closing links, which may retry later',
      );
      this.#shard = 0;
    }
    const paceMs = Math.max(1, limits.brokerLossPaceMs);
    const due = Math.min(SHARDS, Math.ceil((SHARDS * (refusingMs + 1)) / paceMs));
    for (; this.#shard < due; this.#shard += 1) closeShard(this.#shard);
  }
}
