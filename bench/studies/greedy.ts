/**
 * Greedy: what can a device that means ill take from its neighbours?
 * A real node's acceptor under one kind of greedy links after the other, each in a fresh node:
 * memory of each link, over the bounds that count it, and the round trip of a healthy link beside
 * the same before they came. A first quarter of the links brings what a busy process holds however
 * many there are, garbage above all; the others' memory is what counts.
 *   pings     PINGs as fast as go, never reading
 *   pins      REQUESTs of one byte between PINGs of 65 kB, and nobody answers
 *   elements  frames of 65,500 elements as fast as go
 *   replies   REQUESTs of 25 kB that are echoed, and EVENTs, never reading
 * `node bench/studies/greedy.ts [--trees DIR,DIR] [--kinds pings,pins,elements,replies]
 *   [--links 120] [--seconds 10]`: trees are measured in turn, such as one of the commit before.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type ChannelModel, connect as dial } from 'amqplib';
import { pack } from 'msgpackr';
import { LIMIT_SPECS } from '../../src/base/limits.ts';
import { type Names, names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { echo } from '../../test/helpers/fakes/backend.ts';
import { Device, event, hello, request } from '../../test/helpers/fakes/device.ts';
import { findBroker } from '../../test/helpers/processes/broker.ts';
import { FIGURES } from '../lib/fleet.ts';
import { loadAverages, rssBytesOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { serverOf } from '../lib/trees.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;
/** What the bounds of a link count: answers that wait, and one frame under way. */
const NOMINAL_BYTES = LIMIT_SPECS.outboxHardBytes.value + LIMIT_SPECS.frameBytesMax.value;
const RATIO_MAX = 4;
const LOOK_MS = 100;
const PROBE_MS = 5;

function frame(message: unknown[]): Buffer {
  const payload = pack(message);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

/** The next bytes of a greedy device; `nth` counts from 1. */
const KINDS: Readonly<Record<string, (nth: number) => Buffer>> = {
  pings: () => PINGS,
  pins: (nth) => Buffer.concat([encode(request(nth, 'hold', 'x')), JUNK]),
  elements: () => ELEMENTS,
  replies: (nth) =>
    Buffer.concat([encode(request(2 * nth, 'echo', LONG)), encode(event(2 * nth + 1))]),
};
const PINGS = Buffer.concat(Array.from({ length: 5_000 }, () => encode({ type: TYPE.PING })));
const JUNK = frame([CODE.ping, Buffer.alloc(65_000)]);
const ELEMENTS = frame([CODE.ping, Array.from({ length: 65_500 }, () => null)]);
const LONG = 'x'.repeat(25_000);

/** What each kind needs to show itself in seconds; the same for every tree. */
const LIMITS: Readonly<Record<string, Record<string, number>>> = {
  // The kernel holds megabytes of PONGs first.
  pings: { linkMessagesPerSecond: 1_000_000, linkMessagesBurst: 1_000_000 },
  pins: { requestMs: 60_000 },
  elements: {},
  replies: { requestMs: 60_000 },
};

interface Greedy {
  readonly port: number;
  readonly kind: string;
  readonly from: number;
  readonly to: number;
}

async function greedy({ port, kind, from, to }: Greedy): Promise<void> {
  const next = KINDS[kind] as (nth: number) => Buffer;
  for (let i = from; i < to; i += 1) {
    const socket: Socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(encode(hello(`greedy-${i}`)));
    let nth = 0;
    const write = () => {
      do nth += 1;
      while (!socket.destroyed && socket.write(next(nth)));
    };
    socket.on('drain', write);
    if (kind === 'pins' || kind === 'elements') socket.resume();
    else socket.pause();
    setImmediate(write);
  }
}

/** The round trips of a healthy link for a while: p50 and p99, in ms. */
async function probe(device: Device, from: number, seconds: number): Promise<[number, number]> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1_000;
  for (let id = from; performance.now() < end; id += 1) {
    const begin = performance.now();
    device.send(request(id, 'echo'));
    await device.expect(TYPE.REPLY);
    times.push(performance.now() - begin);
    await pause(PROBE_MS);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN;
  return [at(0.5), at(0.99)];
}

/** Echoes what is asked for; the rest goes to a queue that nobody consumes. */
async function startBackend(url: string, at: Names): Promise<ChannelModel> {
  const backend = await dial(url, { noDelay: true });
  const channel = await backend.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, at.requests, '*.echo');
  await channel.consume(queue, (message) => message && echo(message, channel), { noAck: true });
  const kept = await channel.assertQueue('', { exclusive: true, maxLength: 1_000 });
  await channel.bindQueue(kept.queue, at.requests, '*.hold');
  await channel.bindQueue(kept.queue, at.events, '#');
  return backend;
}

async function measure(tree: string, kind: string, links: number, seconds: number): Promise<void> {
  const broker = await findBroker();
  runs += 1;
  const prefix = `greedy-${process.pid}-${runs}`;
  const Server = await serverOf(tree);
  const limits = { ...FIGURES, ...LIMITS[kind] };
  const server = await Server.start({ amqp: broker.url, prefix, acceptors: 1, limits });
  const backend = await startBackend(broker.url, names(prefix));
  const acceptor = server.childPid('acceptor 1');
  const device = await Device.open(server.port, 'healthy');
  // V8 compiles; then quiet.
  await probe(device, 1, 3);
  const quiet = await probe(device, 100_000, 4);
  const before = rssBytesOf([acceptor]);
  let peak = before;
  const look = setInterval(() => {
    peak = Math.max(peak, rssBytesOf([acceptor]));
  }, LOOK_MS);
  const workers: Worker[] = [];
  const come = (from: number, to: number) => {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { port: server.port, kind, from, to } satisfies Greedy,
    });
    workers.push(worker);
    return once(worker, 'message');
  };
  try {
    const few = Math.ceil(links / 4);
    await come(0, few);
    await probe(device, 200_000, seconds);
    const first = peak;
    await come(few, links);
    const loud = await probe(device, 300_000, seconds);
    const each = (peak - first) / (links - few);
    const ratio = each / NOMINAL_BYTES;
    const met = ratio <= RATIO_MAX ? 'met' : 'MISSED';
    const rss = [(first - before) / MIB, (peak - before) / MIB, each / KIB, ratio];
    const cells = [...rss, ...quiet, ...loud].map(figure).join('');
    console.log(kind.padEnd(9), String(links).padStart(3), cells, met.padEnd(6), tree);
  } finally {
    clearInterval(look);
    for (const worker of workers) await worker.terminate();
    device.close();
    await backend.close();
    await server.stop();
    await broker.stop();
  }
}

let runs = 0;

function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 1 }).padStart(8);
}

async function main(): Promise<void> {
  const { trees, kinds, links, seconds } = options({
    ...{ trees: join(import.meta.dirname, '../..'), kinds: Object.keys(KINDS).join() },
    ...{ links: 120, seconds: 10 },
  });
  console.log(`node ${process.version}, load averages ${loadAverages().join(' ')}`);
  console.log(`a link's bounds count ${NOMINAL_BYTES / KIB} KiB; ratio at most ${RATIO_MAX}`);
  console.log(
    'kind, links; MiB of RSS for a quarter, for all; KiB for each of the others, over its',
  );
  console.log('bounds; p50 and p99 of a healthy link in ms, before and beside them');
  for (const kind of kinds.split(',')) {
    const count = kind === 'elements' ? 8 : links;
    for (const tree of trees.split(',')) {
      await measure(tree, kind, count, seconds);
    }
  }
}

if (isMainThread) await main();
else {
  await greedy(workerData as Greedy);
  parentPort?.postMessage('up');
}
