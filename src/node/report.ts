/**
 * Report: sends an acceptor's or the registrar's figures to the observer.
 * From: a Counters object and `notReady`, read every `reportMs`.
 * To: the observer's Unix socket, as frames (wire/frame.ts) of one MessagePack map each.
 * Bound: at most one unsent report: while the observer is slow or gone, reports are skipped. The
 * figures are totals, so the next one that gets through says it all.
 */
import { connect, type Socket } from 'node:net';
import { type EventLoopMonitorOptions, monitorEventLoopDelay } from 'node:perf_hooks';
import { pack } from 'msgpackr';
import type { Counters, RegistrarCounters, Snapshot } from '../base/metrics.ts';
import { HEADER_BYTES } from '../wire/frame.ts';
import { observerSocket, type StartMessage } from './ipc.ts';

/** Works, and something does not. */
export interface Degraded {
  readonly part: 'events' | 'requests' | 'presence' | 'commands';
  readonly reason: string;
}

/** What one process says about itself. */
export interface ReportMessage {
  /** 1 up for acceptors, 0 for the registrar. */
  readonly index: number;
  readonly incarnation: string;
  /** Why it is not ready; absent when it is. */
  readonly notReady?: string;
  /** What else does not work. */
  readonly degraded: readonly Degraded[];
  readonly snapshot: Snapshot | Readonly<RegistrarCounters>;
}

/** Figures that every process has. */
type Measured = Pick<
  Counters,
  'loopLagP50Seconds' | 'loopLagP99Seconds' | 'loopLagMaxSeconds' | 'cpuSeconds' | 'rssBytes'
>;

/** The part of a process that is reported. */
export interface Reported {
  readonly counters: Counters | RegistrarCounters;
  notReady(): string | undefined;
  degraded(): readonly Degraded[];
}

/**
 * By turns of the event loop: a timer of its own would wake an idle process 100 times a second.
 * Node has this option since 26.5; its types do not know it yet.
 */
const PER_TURN: EventLoopMonitorOptions & { samplePerIteration: boolean } = {
  samplePerIteration: true,
};
const NS_PER_SECOND = 1e9;
const US_PER_SECOND = 1e6;
/** How long the last report may take at the end of the process. */
const LAST_MS = 500;

export class Report {
  readonly #start: StartMessage;
  readonly #reported: Reported;
  readonly #lag = monitorEventLoopDelay(PER_TURN);
  readonly #timer: NodeJS.Timeout;
  #socket: Socket | undefined;

  constructor(start: StartMessage, reported: Reported) {
    this.#start = start;
    this.#reported = reported;
    this.#lag.enable();
    this.#timer = setInterval(() => this.send(), start.config.limits.reportMs).unref();
    this.send();
  }

  /** Write one report now, or skip it while the one before has not left. */
  send(): void {
    this.#measure();
    const socket = this.#socket ?? this.#connect();
    if (socket.writableLength > 0) return;
    socket.write(encode(this.#message()));
  }

  /** Send the last figures and end; never longer than LAST_MS, and never an error. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#lag.disable();
    const socket = this.#socket;
    if (!socket) return;
    const late = setTimeout(() => socket.destroy(), LAST_MS);
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.end(encode(this.#message()));
    });
    clearTimeout(late);
  }

  #connect(): Socket {
    const socket = connect(observerSocket(this.#start.folder));
    // The observer never writes; reading is what shows that it is gone.
    socket.resume();
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#socket = undefined;
    });
    this.#socket = socket;
    return socket;
  }

  #message(): ReportMessage {
    const { index, incarnation } = this.#start;
    const notReady = this.#reported.notReady();
    const { counters: snapshot } = this.#reported;
    const degraded = this.#reported.degraded();
    const why = notReady === undefined ? {} : { notReady };
    return { index, incarnation, ...why, degraded, snapshot };
  }

  /** The figures that only the process itself can tell. */
  #measure(): void {
    const counters: Measured = this.#reported.counters;
    counters.loopLagP50Seconds = this.#lag.percentile(50) / NS_PER_SECOND;
    counters.loopLagP99Seconds = this.#lag.percentile(99) / NS_PER_SECOND;
    counters.loopLagMaxSeconds = this.#lag.max / NS_PER_SECOND;
    this.#lag.reset();
    const { user, system } = process.cpuUsage();
    counters.cpuSeconds = (user + system) / US_PER_SECOND;
    counters.rssBytes = residentBytes() ?? counters.rssBytes;
  }
}

/** Report it until `stop()`. Never throws, and never waits for the observer. */
export function startReport(start: StartMessage, reported: Reported): Report {
  return new Report(start, reported);
}

/** The kernel tells it by a file, so not while this process or the machine has no file left. */
function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}

function encode(message: ReportMessage): Buffer {
  const payload = pack(message);
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}
