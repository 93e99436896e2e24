/**
 * Commander: a backend that commands devices at a steady rate, and hears what became of it; in a
 * process of its own, to be killed at any moment.
 * From: its parent, by IPC (fork).  To: the command exchange; one durable queue of outcomes, which
 * its next life goes on to hear; a ledger file, written before each publish and each ack.
 * Bound: UNCONFIRMED_MAX publishes without a confirm, and none without a connection: what is due
 * then is skipped.
 */
import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import { Random } from '../../loadgen/plan/random.ts';
import { names } from '../../src/broker/topology.ts';
import { deviceName, LedgerFile } from './ledger.ts';
import { live, safely } from './lives.ts';
import { Steady } from './steady.ts';

export interface CommanderStart {
  readonly what: 'start';
  /** Tried in turn, for ever. */
  readonly urls: readonly string[];
  readonly prefix: string;
  readonly seed: number;
  readonly file: string;
  readonly isQuorum: boolean;
  /** Commands a second, to all devices at random. */
  readonly perSecond: number;
  readonly devices: number;
  /** Deadline of kept ones; one in ten has SHORT_MS, which its device may sleep away. */
  readonly keepMs: number;
  /** Counts the lives of the commander, from 1. */
  readonly life: number;
}

export type ToCommander =
  | CommanderStart
  /** Times the steady rate, from now on; 0 sends nothing. */
  | { readonly what: 'rate'; readonly factor: number };

export const OUTCOMES_QUEUE = 'chaos.outcomes';

const KEPT_SHARE = 0.5;
const SHORT_SHARE = 0.1;
const SHORT_MS = 1_000;
/** Deadline of transient ones. */
const NOW_MS = 5_000;
const UNCONFIRMED_MAX = 1_000;
const PREFETCH = 500;
const TICK_MS = 10;
/** No life has more commands. */
const LIFE_COMMANDS = 10_000_000;
/** amqplib's word for the broker's no. */
const NACKED = 'message nacked';

interface Command {
  readonly number: number;
  readonly device: number;
  readonly isKept: boolean;
  readonly due: number;
}

class Commander {
  readonly #start: CommanderStart;
  readonly #random: Random;
  readonly #ledger: LedgerFile;
  readonly #unconfirmed = new Map<number, Command>();
  #channel: ConfirmChannel | undefined;
  readonly #steady: Steady;
  #count = 0;

  constructor(start: CommanderStart) {
    this.#start = start;
    this.#steady = new Steady(start.perSecond);
    this.#random = new Random(start.seed, start.life);
    this.#ledger = new LedgerFile(start.file);
    setInterval(() => this.#tick(), TICK_MS);
  }

  rate(factor: number): void {
    this.#steady.rate(factor);
  }

  #tick(): void {
    const now = Date.now();
    for (let due = this.#steady.due(now); due > 0; due -= 1) {
      const hasRoom = this.#unconfirmed.size < UNCONFIRMED_MAX;
      if (this.#channel && hasRoom) this.#command(this.#channel, now);
    }
    this.#ledger.flush();
  }

  #command(channel: ConfirmChannel, now: number): void {
    const { life, devices, keepMs } = this.#start;
    this.#count += 1;
    const number = life * LIFE_COMMANDS + this.#count;
    const device = this.#random.below(devices);
    const isKept = this.#random.next() < KEPT_SHARE;
    const isShort = this.#random.next() < SHORT_SHARE;
    const longMs = isShort ? SHORT_MS : keepMs;
    const command = { number, device, isKept, due: now + (isKept ? longMs : NOW_MS) };
    this.#ledger.note({ what: 'command', ...command, at: now });
    this.#ledger.flush();
    this.#unconfirmed.set(number, command);
    this.#publish(channel, command);
  }

  #publish(channel: ConfirmChannel, { number, device, isKept, due }: Command): void {
    const options = {
      type: 'chaos.command',
      messageId: String(number),
      correlationId: String(number),
      replyTo: OUTCOMES_QUEUE,
      persistent: isKept,
      headers: { deadline: due },
    };
    const onConfirm = (error: Error | null) => {
      // A channel that ends settles its publishes with an error of its own: nobody knows of these.
      if (error !== null && error.message !== NACKED) return;
      this.#unconfirmed.delete(number);
      const what = error === null ? 'confirmed' : 'nacked';
      this.#ledger.note({ what, number, at: Date.now() });
    };
    const body = Buffer.from(String(number));
    const { commands } = names(this.#start.prefix);
    safely(() => channel.publish(commands, deviceName(device), body, options, onConfirm));
  }

  run(): Promise<never> {
    return live({
      urls: this.#start.urls,
      open: (connection) => connection.createConfirmChannel(),
      begin: (channel) => this.#begin(channel),
      onEnd: () => {
        this.#channel = undefined;
      },
    });
  }

  async #begin(channel: ConfirmChannel): Promise<void> {
    const type = this.#start.isQuorum ? { 'x-queue-type': 'quorum' } : {};
    await channel.assertQueue(OUTCOMES_QUEUE, { durable: true, arguments: type });
    await channel.checkExchange(names(this.#start.prefix).commands);
    await channel.prefetch(PREFETCH);
    await channel.consume(OUTCOMES_QUEUE, (message) => {
      if (message === null) void channel.close().catch(() => {});
      else this.#onOutcome(channel, message);
    });
    this.#channel = channel;
    this.#again(channel);
  }

  /** Kept ones under the same message_id; a transient one whose confirm is lost is left at that. */
  #again(channel: ConfirmChannel): void {
    for (const command of [...this.#unconfirmed.values()]) {
      const { number, isKept } = command;
      if (isKept) {
        this.#ledger.note({ what: 'again', number, at: Date.now() });
        this.#publish(channel, command);
      } else {
        this.#unconfirmed.delete(number);
      }
    }
  }

  #onOutcome(channel: ConfirmChannel, message: ConsumeMessage): void {
    const { properties, content } = message;
    const { status, reason } = properties.headers ?? {};
    this.#ledger.note({
      what: 'told',
      number: Number(properties.correlationId),
      at: Date.now(),
      type: String(properties.type),
      status: typeof status === 'number' ? status : -1,
      reason: typeof reason === 'string' ? reason : '',
      of: content.toString(),
    });
    this.#ledger.flush();
    safely(() => channel.ack(message));
  }
}

let commander: Commander | undefined;
process.on('message', (message: ToCommander) => {
  if (message.what === 'start') {
    commander = new Commander(message);
    void commander.run();
  } else {
    commander?.rate(message.factor);
  }
});
process.on('disconnect', () => process.exit(1));
