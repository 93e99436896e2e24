/**
 * CommandEffects: what decisions about commands do to the world.
 * From: transient.ts and durable.ts, by effects.ts.
 * To: acceptors' streams; deliveries.ts; outcomes.ts; the registrar's loop.
 * Bound: none of its own: every call is decided at once, and none waits.
 */
import type { CommandCounters } from '../../base/metrics.ts';
import type { ToAcceptor } from '../../node/messages.ts';
import type { Outcome } from '../store/commandRows.ts';
import type { HeldLink } from '../store/presenceRules.ts';
import type { Deliveries } from './deliveries.ts';
import type { Delivery, Effects, Sending, Sent } from './effects.ts';
import type { Outcomes } from './outcomes.ts';

export interface CommandEffectsOptions {
  readonly deliveries: Deliveries;
  readonly outcomes: Outcomes;
  readonly counters: Pick<CommandCounters, 'sent'>;
  readonly send: (acceptor: string, message: ToAcceptor) => Sent;
  readonly isChanging: (device: string) => boolean;
  /** There is something to record. */
  readonly wake: () => void;
}

export class CommandEffects implements Effects {
  readonly #options: CommandEffectsOptions;

  constructor(options: CommandEffectsOptions) {
    this.#options = options;
  }

  send({ acceptor, connection }: HeldLink, device: string, sending: Sending): Sent {
    const { key, topic, payload, due, after, context } = sending;
    const { send, counters } = this.#options;
    const what = [key, topic, payload, due, after] as const;
    const command = ['command', device, connection, ...what] as const;
    const { traceparent, tracestate } = context ?? {};
    const sent = send(acceptor, context ? [...command, traceparent, tracestate] : command);
    if (sent === 'sent') counters.sent += 1;
    return sent;
  }

  settle(delivery: Delivery): void {
    this.#options.deliveries.settle(delivery);
  }

  conclude(delivery: Delivery, outcome: Outcome): void {
    const { deliveries, outcomes } = this.#options;
    // Of a lost channel: the broker gives it again, and then it is settled.
    if (deliveries.isHere(delivery)) outcomes.publish(outcome, () => deliveries.settle(delivery));
    else outcomes.hold(outcome);
  }

  settleAgain(key: string, delivery: Delivery): void {
    const { deliveries, outcomes } = this.#options;
    outcomes.again(key, () => deliveries.settle(delivery));
  }

  publish(outcome: Outcome): void {
    this.#options.outcomes.publish(outcome);
  }

  isChanging(device: string): boolean {
    return this.#options.isChanging(device);
  }

  wake(): void {
    this.#options.wake();
  }
}
