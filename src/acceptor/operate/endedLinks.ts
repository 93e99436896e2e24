/**
 * EndedLinks: the last links of an acceptor that have ended: which, when, why; and the devices that
 * were turned away before they were a link.
 * From: endpoints.ts, establish.ts.  To: linkQuestions.ts, the newest first.
 * Bound: this acceptor's share of `closedLinksMax`, and a fourth of it for links that never opened,
 * so that strangers push out no device's. Devices that are refused because the node is full, or
 * drains, are not in it: that is no word about them, and there may be very many. All of them are
 * looked at for a question, as all links are: by linkWalk.ts, STEP in a step.
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
import type { LinkWalk } from './linkWalk.ts';

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
/** Looked at without asking whether the turn is over. */
const STEP = 64;

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

  /** As it is now; what is put into it meanwhile takes the place of the oldest. */
  *newest(): Generator<Ended> {
    const { length } = this.#ends;
    const next = this.#next;
    let order = Number.POSITIVE_INFINITY;
    for (let back = 1; back <= length; back += 1) {
      const end = this.#ends[(next - back + length) % length];
      if (end === undefined || end.order >= order) return;
      order = end.order;
      yield end;
    }
  }
}

export interface EndedLinksOptions {
  readonly acceptor: number;
  readonly size: number;
  readonly clock: Clock;
  readonly walk: LinkWalk;
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
  async page({ before = Number.POSITIVE_INFINITY, ...asked }: EndedAsked): Promise<ClosedFacts[]> {
    const rows: ClosedFacts[] = [];
    await this.#each(asked.conditions, (end, row) => {
      if (end.order < before) rows.push(row());
      return rows.length === asked.limit;
    });
    return rows;
  }

  /** How many there are of each, the most first. */
  async groups(by: ClosedGroupField, { limit, conditions }: EndedAsked): Promise<EndedGroup[]> {
    const groups = new Map<string, { ends: number; readonly last: Ended }>();
    await this.#each(conditions, (end) => {
      const key = by === 'peer' ? addressOf(end.peer) : (end[by] ?? '');
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { ends: 1, last: end });
      else group.ends += 1;
      return false;
    });
    const counted = [...groups].map(([key, { ends, last }]) => {
      const { order, reason } = last;
      return { key, ends, order, at: this.#wallOf(last), reason };
    });
    return counted.sort((a, b) => b.ends - a.ends || b.order - a.order).slice(0, limit);
  }

  /** Those that are meant, the newest first, until `visit` has enough. */
  #each(
    conditions: readonly Condition[],
    visit: (end: Ended, row: () => ClosedFacts) => boolean,
  ): Promise<void> {
    const ends = this.#newest();
    return this.#options.walk.steps(() => {
      for (let count = 0; count < STEP; count += 1) {
        const { value: end } = ends.next();
        if (!end) return true;
        if (this.#isMeant(end, conditions) && visit(end, () => this.#rowOf(end))) return true;
      }
      return false;
    });
  }

  /** Of both rings. */
  *#newest(): Generator<Ended, undefined> {
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
    return undefined;
  }

  #rowOf(end: Ended): ClosedFacts {
    return { ...end, acceptor: this.#options.acceptor, at: this.#wallOf(end) };
  }

  #wallOf({ order }: Ended): number {
    const { clock } = this.#options;
    return Math.round(clock.wall() - (clock.us() - order) / US_PER_MS);
  }

  #isMeant(end: Ended, conditions: readonly Condition[]): boolean {
    return conditions.every((one) => meets(one, this.#figureOf(end, one.field as ClosedField)));
  }

  #figureOf(end: Ended, field: ClosedField): string | number {
    const { acceptor, clock } = this.#options;
    switch (field) {
      case 'acceptor':
        return acceptor;
      case 'proved':
        return end.isProved ? 'yes' : 'no';
      case 'age':
        return (clock.us() - end.order) / US_PER_MS;
      case 'duration':
        return end.durationMs;
      case 'messages':
        return end.messagesIn + end.messagesOut;
      case 'bytes':
        return end.bytesIn + end.bytesOut;
      default:
        return end[field] ?? '';
    }
  }
}

/** Each link has another port. */
function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, '');
}
