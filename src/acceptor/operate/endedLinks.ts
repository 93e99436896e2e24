/**
 * EndedLinks: the last links of an acceptor that have ended: which, when, why; and the devices that
 * were turned away before they were a link.
 * From: endpoints.ts, establish.ts.  To: linkQuestions.ts, the newest first.
 * Bound: this acceptor's share of `closedLinksMax`, and a fourth of it for links that never opened,
 * so that strangers push out no device's. Devices that are refused because the node is full, or
 * drains, are not in it: that is no word about them, and there may be very many.
 */
import type { Clock } from '../../base/clock.ts';
import type { CloseReason, EstablishFailure } from '../../base/errors.ts';
import type { ClosedFacts } from '../../node/linkFacts.ts';
import {
  type ClosedField,
  type ClosedGroupField,
  type Condition,
  meets,
} from '../../node/linkQuery.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { EndCause, Ends } from '../endpoint/routes.ts';

/** As it is kept: `order` is the monotonic clock's µs, and rises strictly. */
type Ended = Omit<ClosedFacts, 'acceptor' | 'at'>;

/** How many there are of one kind; `order` is the last one's. */
export interface EndedGroup {
  readonly key: string;
  readonly ends: number;
  readonly order: number;
  readonly at: number;
  readonly reason: string;
}

export interface EndedAsked {
  /** Older than this; undefined: from the newest. */
  readonly before: number | undefined;
  readonly limit: number;
  readonly conditions: readonly Condition[];
}

const STRANGERS_SHARE = 1 / 4;
const US_PER_MS = 1_000;

/** The last `size` of what is put into it. */
class Ring {
  readonly #size: number;
  readonly #ends: Ended[] = [];
  #next = 0;

  constructor(size: number) {
    this.#size = size;
  }

  put(end: Ended): void {
    this.#ends[this.#next] = end;
    this.#next = (this.#next + 1) % this.#size;
  }

  *newest(): Generator<Ended> {
    const { length } = this.#ends;
    for (let back = 1; back <= length; back += 1) {
      const end = this.#ends[(this.#next - back + length) % length];
      if (end !== undefined) yield end;
    }
  }
}

export interface EndedLinksOptions {
  readonly acceptor: number;
  readonly size: number;
  readonly clock: Clock;
}

export class EndedLinks implements Ends {
  readonly #options: EndedLinksOptions;
  readonly #known: Ring;
  readonly #strangers: Ring;
  #lastUs = 0;

  constructor(options: EndedLinksOptions) {
    this.#options = options;
    this.#known = new Ring(options.size);
    this.#strangers = new Ring(Math.ceil(options.size * STRANGERS_SHARE));
  }

  onEnd(endpoint: Endpoint, reason: CloseReason, cause: EndCause | undefined): void {
    const { origin, deviceId } = endpoint;
    if (origin === undefined) return;
    const order = this.#order();
    const isProved = deviceId !== '';
    (isProved ? this.#known : this.#strangers).put({
      order,
      device: deviceId || (cause?.deviceId ?? ''),
      isProved,
      connection: endpoint.id,
      listener: origin.listener.name,
      peer: endpoint.peer,
      reason,
      ...(cause === undefined ? {} : { why: cause.why }),
      durationMs: Math.max(0, Math.round((order - endpoint.acceptedUs) / US_PER_MS)),
      messagesIn: endpoint.messagesIn,
      messagesOut: endpoint.messagesOut,
      bytesIn: endpoint.bytesIn,
      bytesOut: endpoint.bytesOut,
    });
  }

  /** It was over before its first frame. */
  readonly onTurnedAway = (
    peer: string,
    reason: EstablishFailure,
    why: string,
    listener: string,
  ): void => {
    this.#strangers.put({
      ...{ order: this.#order(), device: '', isProved: false, connection: '', listener, peer },
      ...{ reason, why, durationMs: 0, messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 },
    });
  };

  #order(): number {
    this.#lastUs = Math.max(this.#options.clock.us(), this.#lastUs + 1);
    return this.#lastUs;
  }

  /** The newest first. */
  page({ before = Number.POSITIVE_INFINITY, limit, conditions }: EndedAsked): ClosedFacts[] {
    const rows: ClosedFacts[] = [];
    for (const end of this.#newest()) {
      if (end.order >= before) continue;
      const row = this.#rowOf(end);
      if (!this.#isMeant(row, conditions)) continue;
      rows.push(row);
      if (rows.length === limit) break;
    }
    return rows;
  }

  /** How many there are of each, the most first. */
  groups(by: ClosedGroupField, { limit, conditions }: EndedAsked): EndedGroup[] {
    const groups = new Map<string, { ends: number; readonly last: ClosedFacts }>();
    for (const end of this.#newest()) {
      const row = this.#rowOf(end);
      if (!this.#isMeant(row, conditions)) continue;
      const key = by === 'peer' ? addressOf(row.peer) : (row[by] ?? '');
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { ends: 1, last: row });
      else group.ends += 1;
    }
    const counted = [...groups].map(([key, { ends, last }]) => {
      const { order, at, reason } = last;
      return { key, ends, order, at, reason };
    });
    return counted.sort((a, b) => b.ends - a.ends || b.order - a.order).slice(0, limit);
  }

  /** Of both rings. */
  *#newest(): Generator<Ended> {
    const [known, strangers] = [this.#known.newest(), this.#strangers.newest()];
    let [one, other] = [known.next(), strangers.next()];
    while (!one.done || !other.done) {
      const isOne = !one.done && (other.done || one.value.order > other.value.order);
      if (isOne && one.value) {
        yield one.value;
        one = known.next();
      } else if (other.value) {
        yield other.value;
        other = strangers.next();
      }
    }
  }

  #rowOf(end: Ended): ClosedFacts {
    const { acceptor, clock } = this.#options;
    const at = Math.round(clock.wall() - (clock.us() - end.order) / US_PER_MS);
    return { ...end, acceptor, at };
  }

  #isMeant(row: ClosedFacts, conditions: readonly Condition[]): boolean {
    return conditions.every((one) =>
      meets(one, figureOf(row, one.field as ClosedField, this.#now)),
    );
  }

  get #now(): number {
    return this.#options.clock.wall();
  }
}

function figureOf(row: ClosedFacts, field: ClosedField, now: number): string | number {
  switch (field) {
    case 'proved':
      return row.isProved ? 'yes' : 'no';
    case 'age':
      return now - row.at;
    case 'duration':
      return row.durationMs;
    case 'messages':
      return row.messagesIn + row.messagesOut;
    case 'bytes':
      return row.bytesIn + row.bytesOut;
    default:
      return row[field] ?? '';
  }
}

/** Each link has another port. */
function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, '');
}
