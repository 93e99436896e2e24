/**
 * Report: what an acceptor or the registrar says of itself to the observer, unasked and asked.
 * From: a Counters object, `notReady` and `degraded`, read every `reportMs` and for each question.
 * To: the observer, by childChannel.ts: the notice `report`, and answers to `status` and others.
 * Bound: at most one unsent report: while the observer is slow or gone, reports are skipped. The
 * figures are totals, so the next one that gets through says it all.
 */
import { type EventLoopMonitorOptions, monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { Counters, RegistrarCounters, Snapshot } from '../base/metrics.ts';
import type { AlarmName, Concern } from './alarmNames.ts';
import type { AnswersByKind } from './channel.ts';
import { ChildChannel } from './childChannel.ts';
import { openFiles, openFilesMax } from './files.ts';
import { observerSocket, type StartMessage } from './ipc.ts';
import { OWSLA_VERSION } from './version.ts';

/** Works, and something does not. */
export interface Degraded {
  readonly part: 'events' | 'requests' | 'presence' | 'commands' | 'auth' | 'links' | 'files';
  readonly reason: string;
  /** The alarm that it is worth, if it lasts. */
  readonly cause?: AlarmName;
}

/** A broker that confirms nothing for so long is not merely slow. */
export const OWED_MS = 3_000;

/** Not ready: an operator wants it so. */
export const DRAINED = 'drained by an operator';

/** What one process says about itself. */
export interface ReportMessage {
  /** 1 up for acceptors, 0 for the registrar. */
  readonly index: number;
  readonly incarnation: string;
  /** Why it is not ready; absent when it is. */
  readonly notReady?: string;
  /** What else does not work. */
  readonly degraded: readonly Degraded[];
  /** Devices and files that alarms may be about. */
  readonly concerns?: readonly Concern[];
  readonly snapshot: Snapshot | Readonly<RegistrarCounters>;
}

/** What a process answers to `status`. */
export interface ProcessAnswer extends ReportMessage {
  readonly pid: number;
  readonly uptimeMs: number;
  /** Owsla's, and Node's. */
  readonly version: string;
  readonly runtime: string;
}

/** Figures that every process has. */
type Measured = Pick<
  Counters,
  | 'loopLagP50Seconds'
  | 'loopLagP99Seconds'
  | 'loopLagMaxSeconds'
  | 'cpuSeconds'
  | 'rssBytes'
  | 'heapRatio'
  | 'openFiles'
  | 'openFilesMax'
>;

/** The part of a process that is reported. */
export interface Reported {
  readonly counters: Counters | RegistrarCounters;
  notReady(): string | undefined;
  degraded(): readonly Degraded[];
  concerns?(): readonly Concern[];
  /** What it can be asked besides `status`. */
  readonly answers?: AnswersByKind | undefined;
  /** It tells the observer more than reports: by `notify`, which is false when it could not. */
  attach?(notify: (kind: string, body: unknown) => boolean): void;
  /** The observer is gone. */
  onObserverLost?(): void;
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
const MS_PER_SECOND = 1e3;
/** How long the last report may take at the end of the process. */
const LAST_MS = 500;

export class Report {
  readonly #start: StartMessage;
  readonly #reported: Reported;
  readonly #lag = monitorEventLoopDelay(PER_TURN);
  /** 0: there is no limit. */
  readonly #filesMax = finite(openFilesMax());
  readonly #timer: NodeJS.Timeout;
  readonly #channel: ChildChannel;

  constructor(start: StartMessage, reported: Reported) {
    const { limits } = start.config;
    this.#start = start;
    this.#reported = reported;
    this.#lag.enable();
    this.#channel = new ChildChannel({
      path: observerSocket(start.folder),
      limits,
      answers: { ...reported.answers, status: () => this.#status() },
      onUp: () => this.send(),
      onLost: () => reported.onObserverLost?.(),
    });
    reported.attach?.((kind, body) => this.#channel.notify(kind, body));
    this.#channel.start();
    this.#timer = setInterval(() => this.send(), limits.reportMs).unref();
  }

  /** Write one report now, or skip it while the one before has not left. */
  send(): void {
    this.#measure();
    this.#channel.keepTelling('report', this.#message());
  }

  /** Send the last figures and end; never longer than LAST_MS, and never an error. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#lag.disable();
    await this.#channel.endWith('report', this.#message(), LAST_MS);
  }

  #status(): ProcessAnswer {
    const { pid } = process;
    const uptimeMs = Math.round(process.uptime() * MS_PER_SECOND);
    return {
      ...this.#message(),
      pid,
      uptimeMs,
      version: OWSLA_VERSION,
      runtime: process.versions.node,
    };
  }

  #message(): ReportMessage {
    const { index, incarnation } = this.#start;
    const notReady = this.#reported.notReady();
    const { counters: snapshot } = this.#reported;
    const degraded = this.#reported.degraded();
    const why = notReady === undefined ? {} : { notReady };
    const concerns = this.#reported.concerns?.() ?? [];
    return { index, incarnation, ...why, degraded, concerns, snapshot };
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
    const { used_heap_size: used, heap_size_limit: most } = getHeapStatistics();
    counters.heapRatio = used / most;
    counters.openFiles = openFiles() ?? counters.openFiles;
    counters.openFilesMax = this.#filesMax;
  }
}

/** Report it until `stop()`. Never throws, and never waits for the observer. */
export function startReport(start: StartMessage, reported: Reported): Report {
  return new Report(start, reported);
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

/** The kernel tells it by a file, so not while this process or the machine has no file left. */
function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}
