/**
 * Effects: what decisions about commands do to the world; tests bring their own.
 * From: transient.ts and durable.ts.  To: acceptors' streams and the broker (commandConsumer.ts).
 * Bound: none of its own: every call is decided at once, and none waits.
 */
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
}

/** gone: the acceptor has no stream. busy: that has no room. In both cases nothing was sent. */
export type Sent = 'sent' | 'gone' | 'busy';

/** One message of the command queue, which the broker gives again until it is settled. */
export interface Delivery {
  /** It was delivered before: what became of it then is not always known. */
  readonly isRedelivered: boolean;
  /** It lay in the queue before anybody consumed it, for how long is not known. */
  readonly isStale: boolean;
}

export interface Effects {
  send(link: HeldLink, device: string, sending: Sending): Sent;
  /** Its fate is on record: the broker may forget it. */
  settle(delivery: Delivery): void;
  /**
   * The same, if that was not done before, and then tell `outcome`, in this order: what is told
   * twice for want of a settled delivery could be two different things.
   */
  conclude(delivery: Delivery, outcome: Outcome): void;
  /** The delivery of a command that was concluded comes again: it is settled, its outcome told. */
  settleAgain(key: string, delivery: Delivery): void;
  /** Tell an outcome that is not final. */
  publish(outcome: Outcome): void;
  /** Its acceptor has told of its link, and that is not on record yet. */
  isChanging(device: string): boolean;
  /** There is something to record. */
  wake(): void;
}
