/**
 * Micro: is each part of the hot path faster than the plainest other way to do it?
 * Nanoseconds per operation, contenders in turn; then, through a real broker, microseconds per
 * message that is published, confirmed, consumed and acked.
 * `node bench/studies/micro.ts [--runs 5]`
 */
import { randomUUID } from 'node:crypto';
import { type Channel, type ConfirmChannel, type ConsumeMessage, connect } from 'amqplib';
import { pack, unpack } from 'msgpackr';
import { v4 as uuid } from 'uuid';
import { Registry } from '../../src/acceptor/endpoint/registry.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { decode, encode, V1Reader } from '../../src/wire/v1.ts';
import { findBroker } from '../../test/helpers/processes/broker.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';

const { runs } = options({ runs: 5 });
const ROUNDS = 300_000;

/** Keeps results alive, so that nothing is optimized away. */
let sink: unknown;

function timed(work: (i: number) => unknown): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < ROUNDS; i += 1) sink = work(i);
  return Number(process.hrtime.bigint() - start) / ROUNDS;
}

function compare(title: string, contenders: Record<string, (i: number) => unknown>): void {
  console.log(heading(title));
  const names = Object.keys(contenders);
  const times = new Map(names.map((name) => [name, [] as number[]]));
  for (const work of Object.values(contenders)) timed(work);
  for (let run = 0; run < runs; run += 1) {
    for (const [name, work] of Object.entries(contenders)) times.get(name)?.push(timed(work));
  }
  const [ours = '', theirs] = names;
  for (const name of names) console.log(row(`  ${name}`, spread(times.get(name) ?? []), 'ns'));
  if (theirs === undefined) return;
  console.log(row('  ratio', ratios(times.get(ours) ?? [], times.get(theirs) ?? [])));
}

const payload = Buffer.alloc(32, 'x');
const request: Message = { type: TYPE.REQUEST, id: 70_000, topic: 'door.badge', payload, meta: {} };
const frame = encode(request);
const bytes = frame.subarray(4);
const chunk = Buffer.concat(Array.from({ length: 10 }, () => frame));

compare('decode one REQUEST', {
  'strict reader (ours)': () => decode(bytes),
  'msgpackr unpack, unchecked': () => unpack(bytes),
});

compare('encode one REPLY with its length', {
  'msgpackr with reserved start (ours)': (i) =>
    encode({ type: TYPE.REPLY, id: i + 1, status: 0, payload }),
  'msgpackr pack, then concat': (i) => {
    const body = pack([8, i + 1, 0, payload]);
    const header = Buffer.allocUnsafe(4);
    header.writeUInt32BE(body.length);
    return Buffer.concat([header, body]);
  },
});

compare('ten frames in one chunk', {
  'reader, cut and decoded': () => {
    const reader = new V1Reader(65_536);
    reader.push(chunk);
    let last: Message | undefined;
    for (let next = reader.next(); next; next = reader.next()) last = next;
    return last;
  },
  'cut by hand, unpacked unchecked': () => {
    let last: unknown;
    for (let at = 0; at < chunk.length; ) {
      const length = chunk.readUInt32BE(at);
      last = unpack(chunk.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    return last;
  },
});

const LINKS = 20_000;
const registry = new Registry<{ id: string }>();
const plain = new Map<string, { id: string }>();
const ids = Array.from({ length: LINKS }, () => uuid());
for (const id of ids) {
  registry.register({ id });
  plain.set(id, { id });
}
/** As it comes from the broker: a fresh string, its hash not yet known. */
const texts = ids.map((id) => Buffer.from(`${id}:1`));
const fresh = (i: number) => (texts[i % LINKS] as Buffer).toString('latin1', 0, 36);

compare(`find one of ${LINKS} links by a fresh id`, {
  'registry, 256 shards (ours)': (i) => registry.find(fresh(i)),
  'one plain Map': (i) => plain.get(fresh(i)),
});

if (sink === undefined) throw new Error('nothing was measured');

const MESSAGES = 20_000;
/** As `publishWindowMax` and `prefetch` bound them in an acceptor. */
const WINDOW = 1_024;

interface Costs {
  readonly wallUs: number;
  /** Of this process: publisher and consumer together, without the broker. */
  readonly cpuUs: number;
}

/** Hands `message` to `ack` when its turn is over: then order makes one ack cover all before it. */
function oncePerTurn(ack: (message: ConsumeMessage) => void) {
  let last: ConsumeMessage | undefined;
  return (message: ConsumeMessage) => {
    if (last === undefined) {
      queueMicrotask(() => {
        if (last !== undefined) ack(last);
        last = undefined;
      });
    }
    last = message;
  };
}

/** MESSAGES through one queue, at most WINDOW of them unconfirmed. Per message. */
async function throughBroker(
  publishing: ConfirmChannel,
  consuming: Channel,
  decided: (message: ConsumeMessage) => void,
): Promise<Costs> {
  const queue = `bench-${randomUUID()}`;
  await consuming.assertQueue(queue, { exclusive: true, autoDelete: true });
  const { promise, resolve } = Promise.withResolvers<void>();
  let sent = 0;
  let confirmed = 0;
  let delivered = 0;
  const endIfOver = () => {
    if (confirmed === MESSAGES && delivered === MESSAGES) resolve();
  };
  const { consumerTag } = await consuming.consume(queue, (message) => {
    if (message === null) return;
    decided(message);
    delivered += 1;
    endIfOver();
  });
  const publish = () => {
    while (sent < MESSAGES && sent - confirmed < WINDOW) {
      sent += 1;
      publishing.sendToQueue(queue, payload, { messageId: String(sent) }, () => {
        confirmed += 1;
        publish();
        endIfOver();
      });
    }
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  publish();
  await promise;
  const wallUs = ((performance.now() - start) * 1_000) / MESSAGES;
  const { user, system } = process.cpuUsage(cpu);
  await consuming.cancel(consumerTag);
  return { wallUs, cpuUs: (user + system) / MESSAGES };
}

const broker = await findBroker();
try {
  const connections = [await connect(broker.url), await connect(broker.url)] as const;
  const publishing = await connections[0].createConfirmChannel();
  const consuming = await connections[1].createChannel();
  await consuming.prefetch(WINDOW);
  const contenders = {
    'one ack per turn (ours)': oncePerTurn((message) => consuming.ack(message, true)),
    'one ack per delivery': (message: ConsumeMessage) => consuming.ack(message),
  };
  const costs = Object.entries(contenders).map(([name, decided]) => ({
    name,
    decided,
    runs: [] as Costs[],
  }));
  for (const { decided } of costs) await throughBroker(publishing, consuming, decided);
  for (let run = 0; run < runs; run += 1) {
    for (const { decided, runs } of costs) {
      runs.push(await throughBroker(publishing, consuming, decided));
    }
  }
  for (const [column, title] of [
    ['wallUs', 'publish + consume through amqplib, elapsed'],
    ['cpuUs', 'publish + consume through amqplib, our CPU'],
  ] as const) {
    console.log(heading(title));
    const figures = costs.map(({ runs }) => runs.map((run) => run[column]));
    costs.forEach(({ name }, at) => {
      console.log(row(`  ${name}`, spread(figures[at] ?? []), 'µs'));
    });
    console.log(row('  ratio', ratios(figures[0] ?? [], figures[1] ?? [])));
  }
  for (const connection of connections) await connection.close();
} finally {
  await broker.stop();
}
