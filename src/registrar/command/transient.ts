/**
 * TransientCommands: those that are sent now or never, and at most once. Pure.
 * From: commands.ts.  To: a link, or an outcome at once; later ACK, RESULT, the link's end or the
 * deadline make the outcome.
 * Bound: LINK_MAX unanswered ones per device and `commandsOpenMax` of all devices, beyond that
 * `refused` with `busy`. Their deliveries are settled with the final outcome; but those that have
 * waited longest are settled before, so that devices which do not answer theirs leave half of
 * the broker's prefetch to all others. Payloads are not kept: nothing is ever sent again, but what
 * an acceptor gives back unsent because its link has moved.
 */
import type { Expiry, Refusal } from '../../base/errors.ts';
import type { Limits } from '../../base/limits.ts';
import type { Trace } from '../../base/trace.ts';
import type { ToLink, Unsent } from '../../node/messages.ts';
import type { Outcome } from '../store/commandRows.ts';
import type { HeldLink } from '../store/presenceRules.ts';
import { type Command, outcomeOf } from './command.ts';
import type { Delivery, Effects } from './effects.ts';

/** Unanswered ones of one device. As many keys as it remembers. */
const LINK_MAX = 16;
const EMPTY = Buffer.alloc(0);

interface Open {
  readonly command: Command;
  readonly connection: string;
  /** The broker's last delivery of it. */
  delivery: Delivery;
  /** In ms since 1970: the deadline sent to its acceptor. */
  readonly due: number;
  /** The same moment on the monotonic clock, which ends it here. */
  readonly endsAt: number;
  isTaken: boolean;
  /** Its link has moved, and it was not sent: it is, once the link's new acceptor is known. */
  parked?: ToLink;
}

export interface TransientOptions {
  readonly effects: Effects;
  readonly limits: Limits;
  /** ms since 1970: what is left until a deadline is taken from it once. */
  readonly wall: () => number;
  /** ms of a monotonic clock. */
  readonly now: () => number;
  readonly trace: Trace;
  /** Its delivery is concluded: if the broker delivers it again, that one is only settled. */
  readonly onEnd: (key: string, outcome: Outcome) => void;
}

export class TransientCommands {
  readonly #options: TransientOptions;
  readonly #open = new Map<string, Open>();
  /** Those whose delivery is not settled, the longest waiting first. */
  readonly #unsettled = new Set<Open>();
  readonly #byDevice = new Map<string, Set<Open>>();

  constructor(options: TransientOptions) {
    this.#options = options;
  }

  /** Unanswered ones. */
  get size(): number {
    return this.#open.size;
  }

  has(key: string): boolean {
    return this.#open.has(key);
  }

  /** It is open already: `delivery` is the one to settle from now on. */
  adopt(key: string, delivery: Delivery): boolean {
    const open = this.#open.get(key);
    if (open === undefined) return false;
    open.delivery = delivery;
    this.#hold(open);
    return true;
  }

  /** Its delivery is settled at its end, unless too many others wait for that. */
  #hold(open: Open): void {
    const { limits, effects, trace } = this.#options;
    this.#unsettled.add(open);
    for (const oldest of this.#unsettled) {
      if (this.#unsettled.size <= limits.commandPrefetch / 2) return;
      this.#unsettled.delete(oldest);
      // tla: Commands!SettleEarly
      trace('Commands!SettleEarly', { key: oldest.command.key });
      effects.settle(oldest.delivery);
    }
  }

  /** Send it to its device's link, or conclude it with the reason. True when it was sent. */
  begin(command: Command, delivery: Delivery, link: HeldLink | undefined): boolean {
    const { effects, limits, wall } = this.#options;
    const { device, key, topic, payload, context, deadline = Number.POSITIVE_INFINITY } = command;
    const now = wall();
    const ofDevice = this.#byDevice.get(device);
    if (deadline <= now) return this.refuse(command, delivery, 'past-deadline');
    if (link === undefined) return this.#conclude(command, delivery, 'offline');
    const isMuch = this.#open.size >= limits.commandsOpenMax;
    if (isMuch || (ofDevice && ofDevice.size >= LINK_MAX)) {
      return this.refuse(command, delivery, 'busy');
    }
    const due = Math.min(deadline, now + limits.commandResultMs);
    const sending = { key, topic, payload, due, after: undefined, context };
    const sent = effects.send(link, device, sending);
    if (sent === 'gone') return this.#conclude(command, delivery, 'offline');
    if (sent === 'busy') return this.refuse(command, delivery, 'busy');
    const { connection } = link;
    const open: Open = {
      command: { ...command, payload: EMPTY },
      connection,
      delivery,
      due,
      endsAt: this.#options.now() + due - now,
      isTaken: false,
    };
    this.#open.set(key, open);
    if (ofDevice) ofDevice.add(open);
    else this.#byDevice.set(device, new Set([open]));
    this.#hold(open);
    return true;
  }

  refuse(command: Command, delivery: Delivery, reason: Refusal): false {
    return this.#conclude(command, delivery, 'refused', { reason });
  }

  expire(command: Command, delivery: Delivery, reason: Expiry): false {
    return this.#conclude(command, delivery, 'expired', { reason });
  }

  #conclude(
    command: Command,
    delivery: Delivery,
    ...[type, more]: [Outcome['type'], Partial<Outcome>?]
  ): false {
    const { onEnd, effects, trace } = this.#options;
    const outcome = outcomeOf(command, type, more);
    // tla: Commands!ConcludeAll
    trace('Commands!Conclude', { key: command.key, type, reason: outcome.reason });
    onEnd(command.key, outcome);
    effects.conclude(delivery, outcome);
    return false;
  }

  #end(open: Open, ...end: [Outcome['type'], Partial<Outcome>?]): void {
    const { command, delivery } = open;
    this.#open.delete(command.key);
    this.#unsettled.delete(open);
    const ofDevice = this.#byDevice.get(command.device);
    ofDevice?.delete(open);
    if (ofDevice?.size === 0) this.#byDevice.delete(command.device);
    this.#conclude(command, delivery, ...end);
  }

  // tla: Commands!Answer, Commands!Expire
  #trace(action: 'Answer' | 'Expire', key: string): void {
    this.#options.trace(`Commands!${action}`, { key });
  }

  // From its device. Each gives false when no such command is open.

  taken(key: string): boolean {
    const open = this.#open.get(key);
    if (open === undefined) return false;
    this.#trace('Answer', key);
    if (!open.isTaken) this.#options.effects.publish(outcomeOf(open.command, 'delivered'));
    open.isTaken = true;
    return true;
  }

  result(key: string, status: number, payload: Buffer): boolean {
    const open = this.#open.get(key);
    if (open === undefined) return false;
    this.#trace('Answer', key);
    this.#end(open, 'result', { status, payload });
    return true;
  }

  /**
   * Its acceptor has not sent it, as the link has moved: nobody else may have. `to`: where it is;
   * undefined: that is not known yet.
   */
  sendOn(key: string, due: number, command: ToLink, to: HeldLink | undefined): boolean {
    const open = this.#open.get(key);
    if (open === undefined) return false;
    if (open.due !== due) return true;
    this.#trace('Answer', key);
    if (to === undefined) open.parked = command;
    else this.#sendAgain(open, command, to);
    return true;
  }

  /** The device's link has moved there. */
  moved(device: string, to: HeldLink): void {
    for (const open of this.#byDevice.get(device) ?? []) {
      if (open.parked !== undefined) this.#sendAgain(open, open.parked, to);
    }
  }

  #sendAgain(open: Open, command: ToLink, to: HeldLink): void {
    const [, device, , key, topic, payload, due, , traceparent, tracestate = ''] = command;
    delete open.parked;
    const context = traceparent === undefined ? undefined : { traceparent, tracestate };
    const sending = { key, topic, payload, due, after: undefined, context };
    const sent = this.#options.effects.send(to, device, sending);
    if (sent === 'gone') this.#end(open, 'offline');
    else if (sent === 'busy') this.#end(open, 'refused', { reason: 'busy' });
  }

  unsent(key: string, why: Unsent, due: number): boolean {
    const open = this.#open.get(key);
    if (open === undefined) return false;
    // Of the same one, sent before: that has ended, and its sender has repeated it.
    if (open.due !== due) return true;
    this.#trace('Answer', key);
    if (why === 'gone' || why === 'moved') this.#end(open, 'offline');
    else if (why === 'expired') this.#end(open, 'expired', { reason: 'not-sent' });
    else this.#end(open, 'refused', { reason: why });
    return true;
  }

  /** The device's link is another one now, or none: no answer can come from the one before. */
  linked(device: string, connection: string | undefined): void {
    for (const open of this.#byDevice.get(device) ?? []) {
      if (open.connection !== connection) this.#end(open, 'expired', { reason: 'link-lost' });
    }
  }

  /** End what is due. */
  tick(): void {
    const now = this.#options.now();
    for (const open of this.#open.values()) {
      const reason = open.isTaken ? 'no-result' : 'no-answer';
      if (open.endsAt > now) continue;
      this.#trace('Expire', open.command.key);
      this.#end(open, 'expired', { reason });
    }
  }
}
