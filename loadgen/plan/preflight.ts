/**
 * Preflight: can this machine carry the plan at all? Asked before anything is started.
 * From: the plan; /proc and os.  To: run.ts: faults refuse the run, warnings go into the report.
 * Bound: reads a few files; what cannot be read (not Linux) is not judged.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, freemem, networkInterfaces } from 'node:os';
import { NEWCOMERS_MAX } from './deployPlan.ts';
import type { Plan } from './plan.ts';

export interface Preflight {
  /** The run cannot work. */
  readonly faults: readonly string[];
  /** It can, but its figures may show the machine. */
  readonly warnings: readonly string[];
}

/** What the machine says of itself; `undefined` where it does not. */
export interface Machine {
  readonly openFilesMax: number | undefined;
  readonly ports: number | undefined;
  readonly somaxconn: number | undefined;
  readonly conntrackMax: number | undefined;
  readonly freeBytes: number;
  readonly cores: number;
  readonly addresses: ReadonlySet<string>;
}

/** Files of a worker that are no links. */
const FILES_RESERVED = 64;
/** Memory of a link in a worker and in the kernel together, rounded up. */
const LINK_BYTES = 16 * 1024;
/** With TLS. */
const TLS_LINK_BYTES = 80 * 1024;
/** 20,000 links an address took 2.4 ms of search each, 2,000 none to speak of. */
const LINKS_PER_SOURCE = 3_000;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function readNumber(path: string): number | undefined {
  const text = read(path);
  return text === undefined || Number.isNaN(Number(text)) ? undefined : Number(text);
}

/** This machine. */
export function thisMachine(): Machine {
  // Node raises its soft limit to the hard one at its start, so the hard one counts.
  const files = /^Max open files\s+\S+\s+(\d+)/m.exec(read('/proc/self/limits') ?? '');
  const range = read('/proc/sys/net/ipv4/ip_local_port_range')?.split(/\s+/).map(Number);
  const [low, high] = range ?? [];
  const nets = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return {
    openFilesMax: files === null ? undefined : Number(files[1]),
    ports: low === undefined || high === undefined ? undefined : high - low + 1,
    somaxconn: readNumber('/proc/sys/net/core/somaxconn'),
    conntrackMax: readNumber('/proc/sys/net/netfilter/nf_conntrack_max'),
    freeBytes: freemem(),
    cores: availableParallelism(),
    addresses: new Set(nets.map(({ address }) => address)),
  };
}

function isLocal(address: string, machine: Machine): boolean {
  return address.startsWith('127.') || machine.addresses.has(address);
}

/** Judge a plan against a machine; each sentence says what to change. */
export function preflight(plan: Plan, machine: Machine): Preflight {
  const faults: string[] = [];
  const warnings: string[] = [];
  const linksPerWorker = Math.ceil(plan.devices / plan.workers);
  const { openFilesMax, ports, somaxconn, conntrackMax, freeBytes, cores } = machine;
  const reserved = FILES_RESERVED + (plan.deploy === undefined ? 0 : NEWCOMERS_MAX);
  if (openFilesMax !== undefined && linksPerWorker + reserved > openFilesMax) {
    const workers = Math.ceil(plan.devices / (openFilesMax - reserved));
    faults.push(
      `${linksPerWorker} links per worker need more than the ${openFilesMax} open files that ` +
        `'ulimit -Hn' allows: use --workers ${workers}, or raise the limit`,
    );
  }
  const sources = Math.max(1, plan.sources.length);
  if (ports !== undefined && plan.unix === undefined && plan.devices > ports * sources) {
    const needed = Math.ceil(plan.devices / ports);
    faults.push(
      `${plan.devices} links from ${sources} address${sources === 1 ? '' : 'es'} need more than ` +
        `${ports} local ports each (net.ipv4.ip_local_port_range): use ${needed} addresses, e.g. ` +
        `--source 127.0.0.2-127.0.0.${needed + 1} for a server on this machine`,
    );
  }
  const linksPerSource = Math.ceil(plan.devices / sources);
  if (plan.sources.length > 0 && linksPerSource > LINKS_PER_SOURCE) {
    warnings.push(
      `${linksPerSource} links per --source address: above ${LINKS_PER_SOURCE} the kernel takes ` +
        `milliseconds to find each a free port; use ${Math.ceil(plan.devices / LINKS_PER_SOURCE)}`,
    );
  }
  const foreign = plan.sources.filter((address) => !isLocal(address, machine));
  if (foreign.length > 0) {
    faults.push(`--source: ${foreign[0]} is no address of this machine`);
  }
  const linkBytes = plan.tls === undefined ? LINK_BYTES : TLS_LINK_BYTES;
  if (plan.devices * linkBytes > freeBytes) {
    const needed = Math.ceil((plan.devices * linkBytes) / 2 ** 20);
    warnings.push(`${plan.devices} links may need ${needed} MiB; less is free`);
  }
  if (plan.workers >= cores && cores > 1) {
    warnings.push(
      `${plan.workers} workers on ${cores} cores leave none for a server on this machine`,
    );
  }
  if (plan.connectRate === 0 && somaxconn !== undefined && plan.devices > somaxconn) {
    warnings.push(
      `--storm: the kernel queues at most ${somaxconn} connects per listener here ` +
        '(net.core.somaxconn); the rest is retried by TCP after 1 s, 3 s, 7 s',
    );
  }
  if (conntrackMax !== undefined && plan.devices * 2 > conntrackMax) {
    warnings.push(`net.netfilter.nf_conntrack_max is ${conntrackMax}: raise it above the links`);
  }
  return { faults, warnings };
}
