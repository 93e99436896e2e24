/**
 * BrokerChoices: what does each choice in what is asked of the broker cost, per message?
 * CPU-µs of RabbitMQ (all threads) and of the client, which publishes and consumes, for a message
 * on its way through one queue; and how long its confirm, and it itself, took. Three groups: EVENTs
 * to a backend's queue, REQUESTs to one, and replies to Owsla's queue. Of each group the first
 * variant is today's choice, the others differ in what they are named for. They take turns, with
 * today's again after every third; a ratio is to those before and after it. No Owsla is in it: bare
 * amqplib, with Owsla's properties, and what a turn of its loop publishes in one write.
 * *nothing sent*: the same seconds without a message.
 * `node bench/studies/brokerChoices.ts [--rate 1000] [--seconds 5] [--turns 6] [--every-ms 5]
 *   [--only events,requests,replies]`; RabbitMQ of another release: `.ci/rabbitmq.sh FOLDER`, and
 * OWSLA_TEST_RABBITMQ=FOLDER.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { makeLimits } from '../../src/base/limits.ts';
import { startBroker } from '../../test/helpers/processes/broker.ts';
import { BrokerEnds, type Choices } from '../lib/brokerEnds.ts';
import { cpuUsOf, loadAverages } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, row, spread } from '../lib/stats.ts';

const { rate, seconds, turns, everyMs, only } = options({
  ...{ rate: 1_000, seconds: 5, turns: 6, everyMs: 5, only: 'events,requests,replies' },
});

/** Before what is measured: the queue's own start, and V8's. */
const WARM_SECONDS = 0.5;
/** Before the first of a group. */
const WARM_UP_SECONDS = 3;
/** So many others between two of today's: a machine's speed changes within a minute. */
const BETWEEN = 3;
/** What the broker still does when the client has all it waits for, or has deleted a queue. */
const SETTLE_MS = 150;

const limits = makeLimits();
const connection = '8d7a1c52-0b0a-4a52-9a1b-2f6f1d0c7e11';
const HEADERS = {
  ...{ device: 'device-0', connection, topic: 'door.badge', peer: '127.0.0.1:12345' },
  receivedAt: 1_764_000_000_000,
};
const UPLINK = {
  ...{ appId: 'owsla', contentType: 'application/octet-stream', timestamp: 1_764_000_000 },
  ...{ messageId: `${connection}:17`, headers: HEADERS },
};

const EVENT: Choices = {
  ...{ acks: 'each', hasConfirms: true, connections: 2, bytes: 64, bindings: 1 },
  publish: { ...UPLINK, type: 'event', persistent: true },
  queue: { durable: true },
};
const REQUEST: Choices = {
  ...EVENT,
  hasConfirms: false,
  publish: {
    ...{ ...UPLINK, type: 'request', persistent: false, mandatory: true },
    ...{ correlationId: `${connection}:17`, replyTo: 'owsla.acceptor.1' },
    ...{ expiration: limits.requestMs, headers: { ...HEADERS, deadline: 1_764_000_010_000 } },
  },
};
const REPLY: Choices = {
  ...{ ...EVENT, acks: 'turn', hasConfirms: false, bindings: 0 },
  publish: { correlationId: `${connection}:17`, persistent: false },
  queue: {
    ...{ durable: true, expires: limits.replyQueueExpiresMs },
    ...{ messageTtl: limits.requestMs, maxLength: limits.replyQueueMax },
  },
};

function without<T extends object, Key extends keyof T>(all: T, key: Key): Omit<T, Key> {
  const { [key]: _, ...others } = all;
  return others;
}

const REQUEST_FOREVER = { ...REQUEST, publish: without(REQUEST.publish, 'expiration') };
const typed = (type: string) => ({ arguments: { 'x-queue-type': type } });
const V2 = { arguments: { 'x-queue-version': 2 } };
const QUORUM = { durable: true, ...typed('quorum') };
const SENDING = 'nothing sent';

type Group = Readonly<Record<string, Choices>>;
const GROUPS: Readonly<Record<string, Group>> = {
  events: {
    'EVENT: persistent, classic, 64 bytes': EVENT,
    [SENDING]: EVENT,
    transient: { ...EVENT, publish: { ...EVENT.publish, persistent: false } },
    'classic, x-queue-version 2': { ...EVENT, queue: { durable: true, ...V2 } },
    quorum: { ...EVENT, queue: QUORUM },
    'quorum, acks of every 16th': { ...EVENT, queue: QUORUM, acks: 'sixteenth' },
    stream: { ...EVENT, queue: { durable: true, ...typed('stream') } },
    'acks once a turn': { ...EVENT, acks: 'turn' },
    'acks of every 16th': { ...EVENT, acks: 'sixteenth' },
    'no acks': { ...EVENT, acks: 'none' },
    'no confirms': { ...EVENT, hasConfirms: false },
    'one connection for both': { ...EVENT, connections: 1 },
    '1,024 bytes': { ...EVENT, bytes: 1_024 },
    '16,384 bytes': { ...EVENT, bytes: 16_384 },
    '50 bindings': { ...EVENT, bindings: 50 },
    'no headers or properties': { ...EVENT, publish: { persistent: true } },
  },
  requests: {
    'REQUEST: transient, mandatory, expires': REQUEST,
    'with confirms': { ...REQUEST, hasConfirms: true },
    'not mandatory': { ...REQUEST, publish: { ...REQUEST.publish, mandatory: false } },
    'no expiration': REQUEST_FOREVER,
    'x-message-ttl of the queue instead': {
      ...REQUEST_FOREVER,
      queue: { durable: true, messageTtl: limits.requestMs },
    },
    'acks of every 16th': { ...REQUEST, acks: 'sixteenth' },
    'no acks': { ...REQUEST, acks: 'none' },
    quorum: { ...REQUEST, queue: QUORUM },
  },
  replies: {
    'reply: transient, classic, acks once a turn': REPLY,
    'acks of each': { ...REPLY, acks: 'each' },
    'no acks': { ...REPLY, acks: 'none' },
    'classic, x-queue-version 2': { ...REPLY, queue: { ...REPLY.queue, ...V2 } },
    'no x-message-ttl': { ...REPLY, queue: without(REPLY.queue, 'messageTtl') },
    'no x-max-length': { ...REPLY, queue: without(REPLY.queue, 'maxLength') },
    'exclusive, not durable': { ...REPLY, queue: { exclusive: true, durable: false } },
    quorum: { ...REPLY, queue: { ...REPLY.queue, ...QUORUM } },
  },
};

const FIGURES = {
  broker: 'CPU-µs of the broker, a message',
  client: 'CPU-µs of the client, a message',
  confirmed: 'ms until the confirm, p50',
  delivered: 'ms until the delivery, p50',
} as const;
type Figure = keyof typeof FIGURES;
type Figures = Readonly<Record<Figure, number>>;

const broker = await startBroker();

async function measure(name: string, choices: Choices, forSeconds: number): Promise<Figures> {
  const ends = await BrokerEnds.open(broker.url, 'bench.choices', choices);
  try {
    await ends.send(rate, WARM_SECONDS, everyMs);
    await pause(SETTLE_MS);
    const now = () => ({ broker: cpuUsOf([broker.pid]), client: cpuUsOf([process.pid]) });
    const before = now();
    const none = { confirmed: Number.NaN, delivered: Number.NaN };
    const waits = name === SENDING ? none : await ends.send(rate, forSeconds, everyMs);
    await pause(SETTLE_MS + (name === SENDING ? forSeconds * 1_000 : 0));
    const after = now();
    const each = (key: 'broker' | 'client') => (after[key] - before[key]) / (rate * forSeconds);
    return { broker: each('broker'), client: each('client'), ...waits };
  } finally {
    await ends.close();
    await pause(SETTLE_MS);
  }
}

interface Results {
  readonly figures: Figures[];
  /** To today's choice, of the same moments. */
  readonly ratios: Figures[];
}

const results = new Map<string, Results>();

function note(name: string, figures: Figures, ratio?: Figures): void {
  const of = results.get(name) ?? { figures: [], ratios: [] };
  results.set(name, of);
  of.figures.push(figures);
  if (ratio !== undefined) of.ratios.push(ratio);
}

const combine = (one: Figures, other: Figures, how: (a: number, b: number) => number): Figures => ({
  broker: how(one.broker, other.broker),
  client: how(one.client, other.client),
  confirmed: how(one.confirmed, other.confirmed),
  delivered: how(one.delivered, other.delivered),
});

/** All of them once, with today's choice before and after every few. */
async function takeTurn(today: string, of: Choices, others: readonly [string, Choices][]) {
  let before = await measure(today, of, seconds);
  note(today, before);
  for (let from = 0; from < others.length; from += BETWEEN) {
    const measured: [string, Figures][] = [];
    for (const [name, choices] of others.slice(from, from + BETWEEN)) {
      measured.push([name, await measure(name, choices, seconds)]);
    }
    const after = await measure(today, of, seconds);
    note(today, after);
    const beside = combine(before, after, (a, b) => (a + b) / 2);
    for (const [name, figures] of measured) {
      note(
        name,
        figures,
        combine(figures, beside, (a, b) => a / b),
      );
    }
    before = after;
  }
}

function show(names: readonly string[]): void {
  for (const [figure, title] of Object.entries(FIGURES) as [Figure, string][]) {
    const of = (all: readonly Figures[]) => all.map((each) => each[figure]);
    const known = names.flatMap((name) => {
      const { figures, ratios } = results.get(name) ?? { figures: [], ratios: [] };
      return of(figures).every(Number.isNaN) ? [] : [{ name, figures, ratios }];
    });
    if (known.length === 0) continue;
    console.log(heading(title));
    for (const { name, figures, ratios } of known) {
      console.log(row(name, spread(of(figures))));
      if (of(ratios).some(Number.isFinite))
        console.log(row('  times the first', spread(of(ratios))));
    }
  }
}

try {
  for (const [title, group] of Object.entries(GROUPS)) {
    if (!only.split(',').includes(title)) continue;
    const [[today, of] = ['', EVENT], ...others] = Object.entries(group);
    results.clear();
    // V8 compiles.
    await measure(today, of, WARM_UP_SECONDS);
    console.log(`\n${title}: load averages ${loadAverages().join(' ')}`);
    for (let turn = 0; turn < turns; turn += 1) {
      await takeTurn(today, of, turn % 2 === 0 ? others : others.toReversed());
    }
    show(Object.keys(group));
  }
} finally {
  await broker.kill();
}
