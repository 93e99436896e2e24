/**
 * Commands: routes each command to its device and follows it to its outcome. Pure, with effects.
 * From: the broker's deliveries, the registrar's rows (who is connected), acceptors' answers.
 * To: transient.ts and durable.ts, which decide.
 * Bound: a link per connected device, in memory; the keys of the last `commandPrefetch` concluded
 * deliveries, twice, in case the broker delivers them again. A command waits at most EARLY_MS for
 * its device's link to be recorded.
 */
import type { Refusal } from '../../base/errors.ts';
import type { Limits } from '../../base/limits.ts';
import { bump, type CommandCounters } from '../../base/metrics.ts';
import type { AmqpMessage } from '../../broker/amqp.ts';
import type { FromLink } from '../../node/messages.ts';
import type { TransactionPart } from '../presence/recorder.ts';
import type { CommandWrites, Outcome } from '../store/commandRows.ts';
import type { HeldLink, Row } from '../store/presenceRules.ts';
import { type Command, readCommand } from './command.ts';
import { CommandTimes } from './commandTimes.ts';
import { DurableCommands, type DurableOptions } from './durable.ts';
import type { Delivery, Effects } from './effects.ts';
import { TransientCommands } from './transient.ts';

/** In ms. Recording takes a few, unless the store fails. */
const EARLY_MS = 1_000;

/** A command whose device has just connected, or gone. */
interface Early {
  readonly command: Command;
  readonly delivery: Delivery;
  /** ms of the monotonic clock. */
  readonly until: number;
}

export interface CommandsOptions
  extends Pick<
    DurableOptions,
    'store' | 'wall' | 'now' | 'newKey' | 'onOpen' | 'onCommit' | 'settledTo' | 'trace'
  > {
  readonly effects: Effects;
  readonly limits: Limits;
  readonly counters: CommandCounters;
}

export class Commands implements TransactionPart {
  readonly #options: CommandsOptions;
  readonly #links = new Map<string, HeldLink>();
  readonly #transient: TransientCommands;
  readonly #durable: DurableCommands;
  readonly #times: CommandTimes;
  /** Keys of concluded deliveries, the oldest first. */
  readonly #concluded = new Set<string>();
  /** In the order in which they came. */
  #early: Early[] = [];
  /** Their devices: what follows for one of them waits too. */
  #earlyDevices = new Set<string>();

  constructor(options: CommandsOptions) {
    const { effects, limits, wall, now, store, newKey, onOpen, onCommit, settledTo } = options;
    const { counters, trace } = options;
    this.#options = options;
    this.#times = new CommandTimes(counters);
    const onEnd = (key: string, outcome: Outcome) => this.#remember(key, outcome);
    this.#transient = new TransientCommands({ effects, limits, wall, now, trace, onEnd });
    this.#durable = new DurableCommands({
      effects,
      store,
      limits,
      wall,
      now,
      newKey,
      onOpen,
      settledTo,
      trace,
      link: (device) => this.#links.get(device),
      onCommit: (published, stored) => {
        for (const outcome of published) this.#count(outcome);
        onCommit(published, stored);
      },
      onLate: () => {
        counters.lateAnswers += 1;
      },
    });
  }

  /** For the metrics. */
  figures(): { kept: number; open: number; links: number } {
    return { kept: this.#durable.queues.size, open: this.#transient.size, links: this.#links.size };
  }

  /** Kept commands of this device that have not ended. */
  countOf(device: string): number {
    return this.#durable.queues.countOf(device);
  }

  #remember(key: string, outcome: Outcome): void {
    this.#count(outcome);
    this.#concluded.delete(key);
    this.#concluded.add(key);
    if (this.#concluded.size <= this.#options.limits.commandPrefetch * 2) return;
    for (const oldest of this.#concluded) {
      this.#concluded.delete(oldest);
      return;
    }
  }

  #count(outcome: Outcome): void {
    this.#times.ended(outcome);
    const { type, reason } = outcome;
    const { outcomes, refusals, expiries } = this.#options.counters;
    outcomes[type] = (outcomes[type] ?? 0) + 1;
    if (type === 'refused') refusals[reason] = (refusals[reason] ?? 0) + 1;
    if (type === 'expired') expiries[reason] = (expiries[reason] ?? 0) + 1;
  }

  // From the broker.

  /** Handle one message. Never throws, whatever its content. */
  onDelivery(message: AmqpMessage, delivery: Delivery): void {
    const { limits, wall, now, counters, effects } = this.#options;
    const { command, refusal } = readCommand(message, limits, wall(), (why) => {
      bump(counters.traceDrops, why);
    });
    const { isKept, device } = command;
    const kind = isKept ? 'kept' : 'transient';
    counters.received[kind] = (counters.received[kind] ?? 0) + 1;
    this.#times.began(command.key);
    const isEarly = this.#earlyDevices.has(device) || effects.isChanging(device);
    if (!delivery.isRedelivered && !refusal && isEarly) {
      this.#early.push({ command, delivery, until: now() + EARLY_MS });
      this.#earlyDevices.add(device);
      effects.wake();
      return;
    }
    this.#begin(command, delivery, refusal);
  }

  #begin(command: Command, delivery: Delivery, refusal?: Refusal): void {
    if (command.isKept) this.#durable.begin(command, delivery, refusal);
    else this.#beginTransient(command, delivery, refusal);
  }

  #beginTransient(command: Command, delivery: Delivery, refusal?: Refusal): void {
    const { effects, trace } = this.#options;
    const { key, device } = command;
    const { isRedelivered } = delivery;
    // tla: Commands!Deliver
    trace('Commands!Deliver', { key, device, isRedelivered });
    if (isRedelivered && this.#concluded.has(key)) effects.settleAgain(key, delivery);
    else if (refusal) this.#transient.refuse(command, delivery, refusal);
    else this.#decide(command, delivery);
  }

  /**
   * A device that sends HELLO and EVENT at once may be answered by a command before its link is
   * recorded. Commands that need not wait any longer are sent.
   */
  #decideEarly(): void {
    if (this.#early.length === 0) return;
    const { effects } = this.#options;
    const now = this.#options.now();
    const waits = ({ command, until }: Early) => effects.isChanging(command.device) && until > now;
    const isWaiting = Map.groupBy(this.#early, waits);
    this.#early = isWaiting.get(true) ?? [];
    this.#earlyDevices = new Set(this.#early.map(({ command }) => command.device));
    for (const { command, delivery } of isWaiting.get(false) ?? []) this.#begin(command, delivery);
  }

  #decide(given: Command, delivery: Delivery): void {
    const { effects, newKey } = this.#options;
    const { device, isNamed, deadline } = given;
    let command = given;
    if (delivery.isRedelivered) {
      if (this.#transient.adopt(given.key, delivery)) return;
      // An earlier process may have sent it, or not.
      this.#transient.expire(command, delivery, 'unknown');
      return;
    }
    if (this.#transient.has(given.key)) {
      if (isNamed) {
        effects.settle(delivery);
        return;
      }
      command = { ...given, key: newKey() };
    }
    if (delivery.isStale && deadline === undefined) {
      this.#transient.expire(command, delivery, 'not-sent');
    } else if (this.#durable.queues.admits(device)) {
      this.#transient.begin(command, delivery, this.#links.get(device));
    } else {
      this.#transient.refuse(command, delivery, 'busy');
    }
  }

  /** The broker will deliver again what was not settled. */
  channelLost(): void {
    this.#early = [];
    this.#earlyDevices.clear();
    this.#durable.channelLost();
  }

  // From acceptors.

  /** `acceptor`: who says so. */
  onAnswer(message: FromLink, acceptor = ''): void {
    const [what, key] = message;
    if (what === 'ready') {
      const [, device, connection] = message;
      if (this.#links.get(device)?.connection === connection) this.#durable.queues.linked(device);
    } else if (what === 'unsent') {
      const [, , device, why, connection, due, command] = message;
      const link = this.#links.get(device);
      // What went to an earlier link has been settled by that one's end.
      if (link?.connection !== connection) return;
      if (why === 'moved') {
        // The successor is known already, or its word is still to come.
        const to = link.acceptor === acceptor ? undefined : link;
        if (command !== undefined && this.#transient.sendOn(key, due, command, to)) return;
      }
      if (this.#transient.unsent(key, why, due)) return;
      const mayHave = this.#durable.queues.unsent(device, key, why);
      if (why === 'too-long') this.#durable.answered({ what: why, key, mayHave });
    } else if (what === 'taken') {
      if (!this.#transient.taken(key)) this.#durable.answered({ what, key });
    } else {
      const [, , status, payload] = message;
      if (this.#transient.result(key, status, payload)) return;
      this.#durable.answered({ what, key, status, payload });
    }
  }

  // Time.

  tick(): void {
    this.#decideEarly();
    this.#transient.tick();
    this.#durable.tick();
  }

  // TransactionPart.

  get isBusy(): boolean {
    return this.#durable.isBusy || this.#early.length > 0;
  }

  prepare(): Promise<CommandWrites | undefined> {
    return this.#durable.prepare();
  }

  committed(rows: Iterable<Row>): void {
    this.#durable.committed();
    for (const row of rows) this.#onRow(row);
    this.#decideEarly();
  }

  rolledBack(): void {
    this.#durable.rolledBack();
  }

  /** Which devices are connected, as recorded. A hand-over repeats what is known. */
  #onRow({ device, online, acceptor, connection }: Row): void {
    const { queues } = this.#durable;
    const { trace } = this.#options;
    const before = this.#links.get(device);
    // tla: Commands!Learn
    if (!online) {
      if (before) trace('Commands!Learn', { device });
      this.#links.delete(device);
      this.#transient.linked(device, undefined);
      if (before) queues.unlinked(device);
      return;
    }
    if (before?.connection !== connection) {
      trace('Commands!Learn', { device, connection });
      this.#links.set(device, { acceptor, connection });
      this.#transient.linked(device, connection);
      queues.unlinked(device);
    } else if (before.acceptor !== acceptor) {
      // It has moved: the kept ones that are under way are sent again.
      const link = { acceptor, connection };
      this.#links.set(device, link);
      this.#transient.moved(device, link);
    }
    queues.linked(device);
  }
}
