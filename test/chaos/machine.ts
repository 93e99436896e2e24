/**
 * Machine: what other processes took of it while a run lasted: what slowness may be due to.
 * From: /proc, every LOOK_MS.  To: detection.ts and recovery.ts, which judge by it, and the table.
 * `denied`: how long a thread was ready to run and had no core. `foreign`: the processors' time
 * that went to others than this run, or to other machines on the same hardware (steal).
 * Bound: a sample of five numbers every LOOK_MS.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const LOOK_MS = 500;
/** proc(5) counts processor time in these. */
const TICK_MS = 10;
const NS_PER_MS = 1e6;

/** The processes that a run depends on. */
export interface Watched {
  /** Of Owsla's node. */
  readonly node: readonly number[];
  readonly brokers: readonly number[];
}

export interface Sample {
  readonly from: number;
  readonly to: number;
  /** The worst of all threads, in ms: of the node, and of the brokers. */
  readonly nodeDeniedMs: number;
  readonly brokerDeniedMs: number;
  /** Of all cores' time, 0 to 1. */
  readonly foreignShare: number;
}

/** How long within these times the node, or the brokers, were kept from running, in ms. */
export function deniedMs(
  samples: readonly Sample[],
  from: number,
  to: number,
  of: 'node' | 'brokers',
): number {
  const name = of === 'node' ? 'nodeDeniedMs' : 'brokerDeniedMs';
  return sum(samples, from, to, (sample) => sample[name] / (sample.to - sample.from));
}

/** The share of the machine that others had between these times, where it is known, 0 to 1. */
export function foreignShare(samples: readonly Sample[], from: number, to: number): number {
  const known = sum(samples, from, to, () => 1);
  return known === 0 ? 0 : sum(samples, from, to, (sample) => sample.foreignShare) / known;
}

function sum(
  samples: readonly Sample[],
  from: number,
  to: number,
  rate: (sample: Sample) => number,
): number {
  return samples.reduce((total, sample) => {
    const ms = Math.min(to, sample.to) - Math.max(from, sample.from);
    return ms > 0 ? total + ms * rate(sample) : total;
  }, 0);
}

/** What counts up, by process or thread. */
type Counts = ReadonlyMap<number, number>;

interface Look {
  readonly at: number;
  readonly busyMs: number;
  /** Processor time of this run's processes. */
  readonly own: Counts;
  readonly nodeDenied: Counts;
  readonly brokerDenied: Counts;
}

export class Machine {
  readonly samples: Sample[] = [];
  readonly #watched: () => Watched;
  readonly #timer: NodeJS.Timeout;
  #last: Look;

  constructor(watched: () => Watched) {
    this.#watched = watched;
    this.#last = look(watched());
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const [before, now] = [this.#last, look(this.#watched())];
    this.#last = now;
    const ms = now.at - before.at;
    const worst = (a: Counts, b: Counts) => Math.min(ms, Math.max(0, ...rises(a, b)));
    const ownMs = rises(before.own, now.own).reduce((total, rise) => total + rise, 0);
    const foreignMs = now.busyMs - before.busyMs - ownMs;
    this.samples.push({
      from: before.at,
      to: now.at,
      nodeDeniedMs: worst(before.nodeDenied, now.nodeDenied),
      brokerDeniedMs: worst(before.brokerDenied, now.brokerDenied),
      foreignShare: Math.min(1, Math.max(0, foreignMs / (ms * availableParallelism()))),
    });
  }
}

/** How much each has risen. One that is new began at 0; one that has ended is left out. */
function rises(before: Counts, now: Counts): number[] {
  return [...now].map(([id, value]) => value - (before.get(id) ?? 0));
}

function look({ node, brokers }: Watched): Look {
  return {
    at: Date.now(),
    busyMs: busyMs(),
    own: ownMs([process.pid, ...node, ...brokers]),
    nodeDenied: denied(node),
    brokerDenied: denied(brokers),
  };
}

/** All but idle time and waits for a disk; steal is in it. */
function busyMs(): number {
  const [, line = ''] = /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'utf8')) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softirq + steal) * TICK_MS;
}

/** Processor time of these processes and of all below them. */
function ownMs(roots: readonly number[]): Counts {
  const parents = new Map<number, number>();
  const times = new Map<number, number>();
  for (const pid of numbersIn('/proc')) {
    const stat = read(`/proc/${pid}/stat`);
    // `pid (comm) state ppid ... utime stime`: comm may hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    parents.set(pid, Number(fields[1]));
    times.set(pid, (Number(fields[11]) + Number(fields[12])) * TICK_MS);
  }
  const isOwn = (pid: number): boolean =>
    roots.includes(pid) || (parents.has(pid) && isOwn(parents.get(pid) as number));
  return new Map([...times].filter(([pid, ms]) => isOwn(pid) && ms > 0));
}

/** By thread: ms that it was ready to run and did not. */
function denied(pids: readonly number[]): Counts {
  const counts = new Map<number, number>();
  for (const pid of pids) {
    for (const thread of numbersIn(`/proc/${pid}/task`)) {
      const [, ns = 0] = read(`/proc/${pid}/task/${thread}/schedstat`).split(' ').map(Number);
      counts.set(thread, ns / NS_PER_MS);
    }
  }
  return counts;
}

/** Empty when it has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function numbersIn(path: string): number[] {
  try {
    return readdirSync(path)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}
