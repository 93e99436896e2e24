/**
 * A whole node under fleets of devices, for benches: `owsla serve`, an echo backend, loadgen runs.
 * Everything runs as users run it; figures come from /metrics, /proc and loadgen's report.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type Histogram, HistogramLogReader } from 'hdr-histogram-js';
import type { Report } from '../../loadgen/report/report.ts';
import { LIMIT_SPECS } from '../../src/base/limits.ts';
import { type Names, names } from '../../src/broker/topology.ts';
import { type Broker, findBroker } from '../../test/helpers/processes/broker.ts';
import {
  placeOf,
  portIn,
  Server,
  type ServerOptions,
} from '../../test/helpers/processes/server.ts';
import { waitFor } from '../../test/helpers/waitFor.ts';
import { Told } from './told.ts';

const LOADGEN = new URL('../../loadgen/cli.ts', import.meta.url).pathname;

export interface Node {
  readonly server: Server;
  readonly broker: Broker;
  /** Of all its names at the broker. */
  readonly prefix: string;
  readonly names: Names;
  stop(): Promise<void>;
}

/** Figures as often as by default: tests hurry them, and a bench would measure that. */
export const FIGURES = {
  reportMs: LIMIT_SPECS.reportMs.value,
  scrapeMs: LIMIT_SPECS.scrapeMs.value,
};

/** What stands in the way of a storm on purpose, opened: an acceptor lets 600 links a second in. */
export const OPEN_GATE = { connectsPerSecond: 1_000_000, connectBurst: 1_000_000 };

let nodes = 0;

/** A broker, an echo backend and a node, of this tree or as another one's class starts it. */
export async function startNode(
  options: Omit<ServerOptions, 'amqp' | 'prefix'>,
  Starts: Pick<typeof Server, 'start'> = Server,
): Promise<Node> {
  const broker = await findBroker();
  nodes += 1;
  const prefix = `bench-${process.pid}-${nodes}`;
  const limits = { ...FIGURES, ...options.limits };
  const server = await Starts.start({ ...options, limits, amqp: broker.url, prefix });
  const backend = new Told('backend.ts', ['amqp', 'requests', broker.url, prefix]);
  await backend.next();
  return {
    server,
    broker,
    prefix,
    names: names(prefix),
    stop: async () => {
      await backend.stop();
      await server.stop();
      await broker.stop();
    },
  };
}

/** Where its devices connect by TLS: what `--tls-port 0` has chosen. */
export function tlsPortOf({ log }: Pick<Server, 'log'>): number {
  return portIn(placeOf(log, 'devices-tls'));
}

/** From and to, in seconds since 1970. */
export type Span = readonly [number, number];

/** The round trips answered within `spans`, by the whole seconds of loadgen's log, in µs. */
function within(log: string, spans: readonly Span[]): Histogram {
  const sum = build({ numberOfSignificantValueDigits: 3 });
  const reader = new HistogramLogReader(log);
  for (let line = reader.nextIntervalHistogram(); line; line = reader.nextIntervalHistogram()) {
    const histogram = line as Histogram;
    if (histogram.tag !== 'request') continue;
    const [from, to] = [histogram.startTimeStampMsec / 1_000, histogram.endTimeStampMsec / 1_000];
    if (spans.some(([begin, end]) => from < end && to > begin)) sum.add(histogram);
  }
  return sum;
}

/** Its own session, because where autogroups are on, `nice` counts within a session only. */
const lowered = (by: string): readonly string[] => [
  ...['setsid', 'sh', '-c'],
  ...[`(echo 19 > /proc/self/autogroup) 2>&-; exec ${by} "$@"`, 'sh'],
];

/**
 * Commands to run a fleet by that is only the world around what is measured, as if it were on other
 * machines. YIELDING takes hardly more than what nobody else wants. To the kernel a processor with
 * such a task is busy all the same, and others queue on the next one: LEFTOVER takes nothing else
 * (SCHED_IDLE), and may starve where processors are full for minutes.
 */
export const YIELDING = lowered('nice -n 19');
export const LEFTOVER = lowered('chrt --idle 0');

/** A loadgen run under way. */
export class Fleet {
  /** Resolves with its report when it has ended. */
  readonly report: Promise<Report>;
  #log = '';
  readonly #child: ChildProcess;

  /** `flags` as on the command line; `before` is a command to run it by, taskset for one. */
  constructor(
    server: Pick<Server, 'port'>,
    flags: readonly string[],
    before: readonly string[] = [],
  ) {
    const folder = mkdtempSync(join(tmpdir(), 'owsla-bench-'));
    const json = join(folder, 'report.json');
    const target = ['--target', `127.0.0.1:${server.port}`];
    const hdr = join(folder, 'times.hdr');
    const files = ['--json', json, '--hdr', hdr, '--quiet'];
    const command = [process.execPath, LOADGEN, 'run', ...target, ...files];
    const [file = '', ...args] = [...before, ...command, ...flags];
    this.#child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    this.#child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    this.report = once(this.#child, 'exit').then(() => {
      try {
        this.#log = readFileSync(hdr, 'utf8');
        return JSON.parse(readFileSync(json, 'utf8')) as Report;
      } catch {
        throw new Error(`loadgen wrote no report:\n${output}`);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
    process.once('exit', () => this.#child.kill('SIGKILL'));
  }

  /** When it has ended: its round trips within these times only. */
  roundTrips(spans: readonly Span[]): Histogram {
    return within(this.#log, spans);
  }

  /** Ctrl-C: it ends with a full report. */
  end(): Promise<Report> {
    this.#child.kill('SIGINT');
    return this.report;
  }
}

/** Beyond this many links an address, the kernel's search for a free port costs milliseconds. */
const LINKS_PER_ADDRESS = 2_000;

/** `127.0.<net>.1-127.0.<net>.9` for that many links; at most 254 addresses. */
export function sourcesFor(links: number, net = 2): string {
  return `127.0.${net}.1-127.0.${net}.${Math.min(254, Math.ceil(links / LINKS_PER_ADDRESS))}`;
}

/** An open-file limit of 20,000, less what an acceptor keeps, less room for an uneven spread. */
export const LINKS_PER_PROCESS = 17_500;

/** Some hundred thousand links take their time, and none of the studies is about that. */
const LINKS_DEADLINE_MS = 900_000;

export function untilLinks({ server }: Node, count: number): Promise<void> {
  const isFull = async () => (await server.metric('owsla_links')) >= count;
  return waitFor(`${count} links`, isFull, LINKS_DEADLINE_MS);
}

/** An open-file limit of 20,000, less what a worker of loadgen keeps. */
const LINKS_PER_WORKER = 19_000;

/** Many links, of which few talk, and the processes that they need. */
export interface Crowd {
  readonly links: number;
  readonly talking: number;
  readonly idle: number;
  readonly acceptors: number;
  /** Of loadgen, for those that are idle. */
  readonly workers: number;
}

/** `acceptors`: as many as it needs, if 0. */
export function crowdOf(
  links: number,
  acceptors: number,
  talking: number = Math.ceil(links / 100),
): Crowd {
  const idle = links - talking;
  return {
    ...{ links, talking, idle },
    acceptors: acceptors || Math.max(2, Math.ceil(links / LINKS_PER_PROCESS)),
    workers: Math.max(1, Math.ceil(idle / LINKS_PER_WORKER)),
  };
}

const connectFlags = (connectRate: number) => [
  ...['--connect-rate', String(connectRate), '--connect-timeout', '900s'],
];

/** Those of a crowd that do not talk; they yield to the rest, until they are ended. */
export function startSleepers(
  { server }: Node,
  { idle, workers }: Crowd,
  connectRate: number,
): Fleet {
  const flags = [
    ...['--devices', String(idle), '--workers', String(workers), ...connectFlags(connectRate)],
    ...['--source', sourcesFor(idle), '--device-prefix', 'idle-', '--keepalive', '60s'],
    ...['--duration', '24h', '--rate', '0'],
  ];
  return new Fleet(server, flags, YIELDING);
}

/** Those of a crowd that talk, as `flags` say. */
export function startTalkers(
  { server }: Node,
  { talking }: Crowd,
  connectRate: number,
  flags: readonly string[],
): Fleet {
  return new Fleet(server, [
    ...['--devices', String(talking), ...connectFlags(connectRate), '--source', '127.0.1.1'],
    ...['--device-prefix', 'talk-', ...flags],
  ]);
}

/** Rejects when one of them ends: for a race with whatever goes on. */
export function endedEarly(...fleets: readonly Fleet[]): Promise<never> {
  const failed = Promise.race(fleets.map(({ report }) => report)).then(({ failures }) => {
    throw new Error(`a fleet ended early: ${failures.join('; ')}`);
  });
  failed.catch(() => {});
  return failed;
}

export interface Gathered {
  readonly sleepers: Fleet;
  readonly talkers: Fleet;
  /** `endedEarly` of both. */
  readonly failed: Promise<never>;
}

/**
 * Connects them, `connectRate` a second in each fleet, and resolves when all links are open: those
 * that talk exchange `rate` requests a second in all.
 */
export async function gather(
  node: Node,
  crowd: Crowd,
  { connectRate, rate }: { readonly connectRate: number; readonly rate: number },
): Promise<Gathered> {
  const sleepers = startSleepers(node, crowd, connectRate);
  const flags = ['--duration', '24h', '--rate', String(rate)];
  const talkers = startTalkers(node, crowd, connectRate, flags);
  const failed = endedEarly(sleepers, talkers);
  await Promise.race([failed, untilLinks(node, crowd.links)]);
  return { sleepers, talkers, failed };
}

/** Ends the fleet, and waits until the node, whose last one it was, has no socket. */
export async function empty({ server }: Node, fleet: Fleet): Promise<void> {
  await fleet.end();
  const isEmpty = async () => (await server.metric('owsla_sockets')) === 0;
  await waitFor('no socket', isEmpty, LINKS_DEADLINE_MS);
}

/** The processes of a node's `count` acceptors, as they are now. */
export function acceptorPids(server: Server, count: number): number[] {
  return Array.from({ length: count }, (_, index) => server.childPid(`acceptor ${index + 1}`));
}

/** The node's series of one metric, a value per acceptor. */
export async function perAcceptor(server: Server, name: string): Promise<number[]> {
  const response = await fetch(`http://127.0.0.1:${server.adminPort}/metrics`);
  const pattern = new RegExp(`^owsla_acceptor_${name}\\{acceptor="\\d+"\\} (\\S+)$`, 'gm');
  return [...(await response.text()).matchAll(pattern)].map(([, value]) => Number(value));
}

/** Kernel memory in bytes: what sockets hold in their buffers, and all of the kernel's objects. */
export function kernelBytes(): { buffers: number; objects: number } {
  const pages = /^TCP:.* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))?.[1];
  const kib = /^SUnreclaim:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
  return { buffers: Number(pages ?? 0) * 4_096, objects: Number(kib ?? 0) * 1_024 };
}
