/**
 * Effects: the actions that decisions about commands cause; tests have their own.
 * From: transient.ts and durable.ts.  To: acceptors' streams and the broker (commandEffects.ts).
 * Bound: none of its own: every call is decided at once, and none waits.
 */
import type { TraceContext } from '../../base/traceContext.ts';
import type { Outcome } from '../store/commandRows.ts';
import type { HeldLink } from '../store/presenceRules.ts';

/** A command on its way to a link. */
export interface Sending {
  readonly key: string;
  readonly topic: string;
  readonly payload: Buffer;
  /** Until when it is wanted, in ms since 1970. */
  readonly due: number;
  /**
   * Kept: the key of the one before it, without which the acceptor does not take it; '': all
   * before it have left. Undefined: a transient, in no order.
   */
  readonly after: string | undefined;
  readonly context: TraceContext | undefined;
}

/** gone: the acceptor has no stream. busy: its stream is full. In both cases nothing was sent. */
export type Sent = 'sent' | 'gone' | 'busy';

/** One message of the command queue, which the broker delivers again until it is settled. */
export interface Delivery {
  /** It was delivered before; what happened to it then is not always known. */
  readonly isRedelivered: boolean;
  /** It was in the queue before there was a consumer, for an unknown time. */
  readonly isStale: boolean;
}

export interface Effects {
  send(link: HeldLink, device: string, sending: Sending): Sent;
  /** Its state is recorded: the broker may delete it. */
  settle(delivery: Delivery): void;
  /**
   * Settle it, if that was not done before, and then publish `outcome`, in this order: without a
   * settled delivery it could be published twice, with two different outcomes.
   */
  conclude(delivery: Delivery, outcome: Outcome): void;
  /** A concluded command is delivered again: settle it and publish its outcome. */
  settleAgain(key: string, delivery: Delivery): void;
  /** Publish an outcome that is not final. */
  publish(outcome: Outcome): void;
  /** Its acceptor has reported its link, and that is not recorded yet. */
  isChanging(device: string): boolean;
  /** There is something to record. */
  wake(): void;
}
