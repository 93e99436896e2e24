/**
 * WillParts: what publishes wills, put together.
 * From: registrar.ts.  To: the same; acceptors, by their streams.
 * Bound: none of its own; each part has one. Their publisher has a channel of its own: a queue that
 * refuses wills holds up no presence event.
 */
import type { Limits } from '../base/limits.ts';
import { Publisher } from '../broker/publisher.ts';
import type { DueWills } from './store/willRows.ts';
import type { LinkNotice } from './streamServer.ts';
import { WillClock } from './will/willClock.ts';
import { Wills, type WillsOptions, willCounts } from './will/wills.ts';

export interface WillPartsOptions
  extends Omit<WillsOptions, 'publisher' | 'due' | 'onWanted' | 'onGone'> {
  readonly limits: Limits;
  readonly live: () => readonly string[];
  /** Nothing, if it has no stream. */
  readonly tell: (acceptor: string, message: LinkNotice) => void;
  readonly onDue: (due: DueWills['due']) => void;
}

export interface WillParts {
  readonly publisher: Publisher;
  readonly wills: Wills;
  readonly due: WillClock;
  /** Wills that the broker has not confirmed. */
  readonly pending: number;
  tick(): void;
}

export function willParts(options: WillPartsOptions): WillParts {
  const { store, limits, clock, counters, live, tell, onDue, onFault, trace } = options;
  const due = new WillClock({
    ...{ store, now: clock.now, live, onDue, onFault, trace },
    ask: (acceptor, mark) => tell(acceptor, ['tell-all', mark]),
  });
  const publisher = new Publisher({
    limits,
    counts: willCounts(counters),
    onRoom: () => void wills.makeRoom(),
    onReturn: () => {},
  });
  const wills: Wills = new Wills({
    ...{ ...options, publisher, due },
    onWanted: (acceptor, links) => tell(acceptor, ['wanted', links]),
    onGone: (acceptor, connections) => tell(acceptor, ['gone', connections]),
  });
  return {
    ...{ publisher, wills, due },
    get pending() {
      return publisher.size;
    },
    tick: () => {
      due.tick();
      void wills.count();
    },
  };
}
