/**
 * LinkWills: what links of this acceptor have said is to be published if they end without a
 * goodbye. Pure.
 * From: greetings, and links that come from another process.  To: the registrar, by
 * linkChanges.ts; snapshots of links that move.
 * Bound: `willBytesMax` bytes a link, `willsBytesMax` in all: beyond that a link has none, which is
 * counted. A link without one costs nothing here.
 */
import type { Limits } from '../../base/limits.ts';
import { bump, type Counters } from '../../base/metrics.ts';
import type { Trace } from '../../base/trace.ts';
import type { Will } from '../../wire/message.ts';

/** What a link brings along, from its greeting to its end. */
export interface Bequest {
  readonly will?: Will;
  /** MQTT's Clean Start: what its device's earlier link left is due, not cancelled. */
  readonly isCleanStart?: true;
}

export interface LinkWillsOptions {
  readonly limits: Pick<Limits, 'willsBytesMax' | 'willDelayMaxMs'>;
  readonly counters: Pick<Counters, 'wills'>;
  readonly trace: Trace;
}

export class LinkWills {
  readonly #options: LinkWillsOptions;
  readonly #byLink = new Map<string, Bequest>();
  #bytes = 0;

  constructor(options: LinkWillsOptions) {
    this.#options = options;
  }

  /** Topics and payloads, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A link has opened. Its payload is copied. */
  keep(connection: string, bequest: Bequest): void {
    const { will, isCleanStart } = bequest;
    if (will === undefined && !isCleanStart) return;
    const fits = this.adopt(connection, bequest);
    if (fits && will) bump(this.#options.counters.wills, 'kept');
    const rules = fits && will ? (will.rules ?? 'own') : 'none';
    const isDelayed = will !== undefined && will.delayMs > 0;
    // tla: Will!Accept
    this.#options.trace('Will!Leave', { connection, rules, isDelayed, isCleanStart });
  }

  /** Keep it for a link that another process had. False: its will does not fit. */
  adopt(connection: string, { will, isCleanStart }: Bequest): boolean {
    const { limits, counters } = this.#options;
    const fits = this.#bytes + willBytesOf(will) <= limits.willsBytesMax;
    if (!fits) bump(counters.wills, 'full');
    const kept = will && fits ? { will: copyOf(will, limits.willDelayMaxMs) } : {};
    this.#byLink.set(connection, { ...kept, ...(isCleanStart && { isCleanStart }) });
    this.#bytes += willBytesOf(kept.will);
    return fits;
  }

  of(connection: string): Bequest | undefined {
    return this.#byLink.size === 0 ? undefined : this.#byLink.get(connection);
  }

  /** The link is over, or has gone to another process. */
  forget(connection: string): void {
    const kept = this.of(connection);
    if (kept === undefined) return;
    this.#bytes -= willBytesOf(kept.will);
    this.#byLink.delete(connection);
  }
}

/** What was read may be a view into a chunk, which would be held for as long as the link. */
function copyOf({ payload, delayMs, ...will }: Will, delayMaxMs: number): Will {
  const copy = Buffer.allocUnsafeSlow(payload.length);
  payload.copy(copy);
  return { ...will, payload: copy, delayMs: Math.min(delayMs, delayMaxMs) };
}

/** Of topic and payload; a topic has a byte for each character. */
export function willBytesOf(will: Will | undefined): number {
  return will === undefined ? 0 : will.topic.length + will.payload.length;
}
