/**
 * Bad backends: a poisoner, one whose queue is full, one that commands mute devices, and one that
 * answers at length whoever does not read.
 * From: neighbours.ts, which starts and ends them.  To: the broker; figures of what they did.
 * Bound: the rates below. One whose channel the broker closes comes back at its next tick.
 */
import type { Channel } from 'amqplib';
import { names } from '../../src/broker/topology.ts';
import { RawBackend } from '../helpers/fakes/rawBackend.ts';
import { add, type Deeds, LARGE, MUTES, muteName, POISON, type Who } from './badDevices.ts';
import { deviceName } from './ledger.ts';
import { safely } from './lives.ts';
import { Poison } from './poison.ts';

export interface BadOptions {
  readonly amqp: string;
  readonly prefix: string;
  readonly seed: number;
  readonly deeds: Deeds;
}

const TICK_MS = 20;
/** Of each kind of poison, in a tick. */
const POISON_PER_TICK = 1;
/** Commands in a tick whose outcomes go to the full queue; half of them kept. */
const CROWDED_PER_TICK = 6;
/** With DEADLINE_MS, this keeps 16 unanswered on each mute device. */
const MUTED_PER_TICK = 5;
const DEADLINE_MS = 10_000;
const FULL_MAX = 10;
const FULL_QUEUE = 'backend.full';
const LARGE_QUEUE = 'backend.large';
const LARGE_BYTES = 60_000;
const LARGE_PREFETCH = 64;
/** Innocents whose EVENTs the poisoner hears, for their names. */
const HEARD = 20;

/** What one of them does on each new connection, and at each tick. */
interface Manner {
  begin(backend: RawBackend): Promise<void>;
  tick(backend: RawBackend): void;
  end?(backend: RawBackend): Promise<void>;
}

/** One connection after the other. */
class BadBackend {
  readonly #options: BadOptions;
  readonly #manner: Manner;
  readonly #timer: NodeJS.Timeout;
  #backend: RawBackend | undefined;
  #isConnecting = false;

  constructor(options: BadOptions, manner: Manner) {
    this.#options = options;
    this.#manner = manner;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  #tick(): void {
    const backend = this.#backend;
    if (backend === undefined) void this.#connect().catch(() => {});
    else safely(() => this.#manner.tick(backend));
  }

  async #connect(): Promise<void> {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    try {
      const backend = await RawBackend.connect(this.#options.amqp);
      backend.channel.on('close', () => this.#lost(backend));
      await this.#manner.begin(backend);
      this.#backend = backend;
    } finally {
      this.#isConnecting = false;
    }
  }

  #lost(backend: RawBackend): void {
    if (this.#backend !== backend) return;
    this.#backend = undefined;
    add(this.#options.deeds, 'channels of bad backends that were closed');
    void backend.close();
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    const backend = this.#backend;
    this.#backend = undefined;
    if (backend === undefined) return;
    await this.#manner.end?.(backend);
    await backend.close();
  }
}

/** Everything odd that a backend may publish: poison.ts has the list. */
function poisoner({ prefix, seed, deeds }: BadOptions): Manner {
  const at = names(prefix);
  const poison = new Poison(at, seed);
  return {
    begin: async ({ channel, queue }) => {
      await channel.bindQueue(queue, at.requests, `*.${POISON}`);
      for (let device = 0; device < HEARD; device += 1) {
        await channel.bindQueue(queue, at.events, `${deviceName(device)}.#`);
      }
    },
    tick: (backend) => {
      for (const { properties } of backend.heard.splice(0)) poison.hear(properties);
      for (let count = 0; count < POISON_PER_TICK; count += 1) {
        for (const message of poison.make(backend.queue)) backend.send(message);
      }
      add(deeds, 'odd messages published', POISON_PER_TICK * 4);
    },
  };
}

function command(channel: Channel, exchange: string, device: string, more: object): void {
  const headers = { deadline: Date.now() + DEADLINE_MS };
  channel.publish(exchange, device, Buffer.from('now'), { type: 'bad.now', headers, ...more });
}

/** Its queue is full, and is bound to EVENTs and presence, and named for outcomes and answers. */
function crowder({ prefix, deeds }: BadOptions): Manner {
  const at = names(prefix);
  let count = 0;
  return {
    begin: async ({ channel }) => {
      const overflow = { 'x-overflow': 'reject-publish' };
      const full = { maxLength: FULL_MAX, durable: false, arguments: overflow };
      await channel.assertQueue(FULL_QUEUE, full);
      await channel.bindQueue(FULL_QUEUE, at.events, '*.flood.#');
      await channel.bindQueue(FULL_QUEUE, at.presence, '#');
    },
    tick: ({ channel }) => {
      for (let n = 0; n < CROWDED_PER_TICK; n += 1) {
        count += 1;
        // To who is not there: an outcome each, at once.
        const more = { persistent: count % 2 === 0, replyTo: FULL_QUEUE };
        command(channel, at.commands, `nobody-${count % 50}`, more);
      }
      channel.sendToQueue(at.presenceQuery, Buffer.from('{}'), { replyTo: FULL_QUEUE });
      add(deeds, 'commands and questions answered to a full queue', CROWDED_PER_TICK + 1);
    },
    end: async ({ channel }) => {
      await channel.deleteQueue(FULL_QUEUE);
    },
  };
}

/** Commands to devices that take no notice of them: each has as many as it may. */
function pesterer({ prefix, deeds }: BadOptions): Manner {
  const at = names(prefix);
  let count = 0;
  return {
    begin: async () => {},
    tick: ({ channel, queue, heard }) => {
      heard.length = 0;
      for (let n = 0; n < MUTED_PER_TICK; n += 1) {
        count += 1;
        const more = { persistent: false, replyTo: queue };
        command(channel, at.commands, muteName(count % MUTES), more);
      }
      add(deeds, 'commands to mute devices', MUTED_PER_TICK);
    },
  };
}

/** Long replies, for devices that never read them. */
function talker({ prefix, deeds }: BadOptions): Manner {
  const at = names(prefix);
  const body = Buffer.alloc(LARGE_BYTES, 'long ');
  return {
    begin: async ({ channel }) => {
      await channel.prefetch(LARGE_PREFETCH);
      await channel.assertQueue(LARGE_QUEUE, { exclusive: true });
      await channel.bindQueue(LARGE_QUEUE, at.requests, `*.${LARGE}`);
      await channel.consume(LARGE_QUEUE, (message) => {
        if (message === null) return;
        const { replyTo, correlationId } = message.properties;
        safely(() => {
          channel.sendToQueue(String(replyTo), body, { correlationId: String(correlationId) });
          channel.ack(message);
        });
        add(deeds, 'long replies');
      });
    },
    tick: () => {},
  };
}

const MANNERS: Readonly<Record<Who, ((options: BadOptions) => Manner) | undefined>> = {
  poisoner,
  'full queue': crowder,
  mute: pesterer,
  flooder: undefined,
  'non-reader': talker,
};

/** Those of `who`, at work until `end` is called. */
export function badBackends(options: BadOptions, who: readonly Who[]): { end(): Promise<void> } {
  const manners = who.flatMap((name) => MANNERS[name] ?? []);
  const backends = manners.map((manner) => new BadBackend(options, manner(options)));
  return {
    end: async () => {
      await Promise.all(backends.map((backend) => backend.end()));
    },
  };
}
