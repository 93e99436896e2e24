/**
 * Worker: one process of the load: its share of the devices and of every rate.
 * From: the manager's plan and its orders.  To: the target's sockets; a report per interval.
 * Bound: one pacing timer, one reporting timer. Without its manager a worker exits at once.
 *
 *   plan -> ready -> connect -> settled -> load -> (drain) -> done -> leave
 */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { IGNORED_SIGNALS, ignoreSilently, STOP_SIGNALS } from '../src/base/signals.ts';
import { Commands, WakeUps } from './commands/commands.ts';
import { startFaults } from './fleet/faults.ts';
import { Fleet } from './fleet/fleet.ts';
import { startLoad } from './fleet/load.ts';
import { Newcomers } from './fleet/newcomers.ts';
import type { Speech } from './fleet/speech.ts';
import { speechOf } from './fleet/speeches.ts';
import { warmUp } from './fleet/warmUp.ts';
import type { FromWorker, ToWorker } from './ipc.ts';
import { nowMs } from './measure/clock.ts';
import { type Gauges, INTERVAL_MS } from './measure/interval.ts';
import { Measures } from './measure/measures.ts';
import { Violations } from './measure/violations.ts';
import { answersMs } from './plan/plan.ts';

const LAG_RESOLUTION_MS = 10;
/** How often a worker that sends no more looks whether everything is answered. */
const DRAIN_LOOK_MS = 20;
/** The longest that setTimeout waits, 24.8 days: beyond it, it waits 1 ms. */
const TIMER_MAX_MS = 2 ** 31 - 1;

function tell(message: FromWorker): void {
  process.send?.(message);
}

/** Milliseconds that this process's main thread has waited for a core, since its start. */
function deniedMs(): number {
  try {
    // Run time, time spent waiting on a run queue, slices: in ns (proc(5)).
    const [, waitedNs] = readFileSync('/proc/self/schedstat', 'utf8').split(' ');
    return Number(waitedNs) / 1e6;
  } catch {
    return 0;
  }
}

/** To begin with. */
type Order = Extract<ToWorker, { type: 'plan' }>;

class Worker {
  readonly #index: number;
  readonly #fleet: Fleet;
  readonly #measures = new Measures();
  readonly #violations = new Violations();
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  readonly #timeoutMs: number;
  readonly #settled: Promise<void>;
  readonly #commands: Commands | undefined;
  #newcomers: Newcomers | undefined;
  #startMs = 0;
  #interval = 0;
  #cpu = process.cpuUsage();
  #takenMs = nowMs();
  #deniedMs = deniedMs();
  #timer: NodeJS.Timeout | undefined;
  #drain: NodeJS.Timeout | undefined;
  #end: NodeJS.Timeout | undefined;
  #isDone = false;

  constructor({ plan, worker: index, commandBroker }: Order, speech: Speech) {
    this.#index = index;
    this.#timeoutMs = plan.timeoutMs;
    const seen = { measures: this.#measures, violations: this.#violations };
    this.#fleet = new Fleet(plan, speech, index, seen);
    this.#settled = new Promise((resolve) => {
      this.#fleet.onSettledAll = resolve;
    });
    if (commandBroker !== undefined) {
      this.#commands = new Commands(this.#fleet, index, commandBroker);
    }
    process.title = `owsla-loadgen worker ${index + 1}/${plan.workers}`;
    this.#lag.enable();
  }

  connect(atMs: number): void {
    this.#startMs = atMs;
    this.#takenMs = nowMs();
    this.#deniedMs = deniedMs();
    this.#cpu = process.cpuUsage();
    startFaults(this.#fleet, this.#index, atMs);
    void Promise.all([this.#settled, this.#commands?.connect()]).then(() => {
      const { welcomes } = this.#fleet;
      tell({ type: 'settled', worker: this.#index, welcomes });
    });
    this.#fleet.connect(atMs);
    this.#schedule();
  }

  load(atMs: number): void {
    const endMs = startLoad(this.#fleet, this.#index, atMs);
    this.#commands?.start(this.#index, atMs);
    this.#fleet.addBackground(new WakeUps(this.#fleet, atMs));
    this.#finishAt(endMs);
  }

  /** The server is reloaded, for the first time. */
  deploy(): void {
    const { plan, pauses, pacer } = this.#fleet;
    pauses?.reloads(this.#measures);
    const perSecond = plan.deploy?.newcomers ?? 0;
    if (perSecond === 0) return;
    this.#newcomers = new Newcomers(this.#fleet, this.#index, nowMs(), perSecond);
    pacer.add(this.#newcomers);
  }

  deployed(): void {
    if (this.#newcomers !== undefined) this.#fleet.pacer.remove(this.#newcomers);
  }

  /** `endMs` may be Infinity. What no timer can wait for, it would not wait for at all. */
  #finishAt(endMs: number): void {
    const leftMs = endMs - nowMs();
    this.#end =
      leftMs > TIMER_MAX_MS
        ? setTimeout(() => this.#finishAt(endMs), TIMER_MAX_MS)
        : setTimeout(() => this.#finish(), leftMs);
  }

  /** Nothing new; wait for open answers, but no longer than `graceMs`. */
  stop(graceMs: number): void {
    this.#fleet.pacer.mute();
    this.#awaitAnswers(graceMs);
  }

  /** The load's time is over: send what was planned before its end and is late. */
  #finish(): void {
    this.#fleet.stopBackground();
    this.#awaitAnswers(answersMs(this.#fleet.plan));
  }

  #awaitAnswers(graceMs: number): void {
    const { pacer } = this.#fleet;
    clearTimeout(this.#end);
    clearInterval(this.#drain);
    const untilMs = nowMs() + graceMs;
    const look = (): void => {
      const isAllSent = pacer.isMuted || pacer.isExhausted;
      if ((!isAllSent || this.#pendingCount > 0) && nowMs() < untilMs) return;
      clearInterval(this.#drain);
      this.#done(graceMs);
    };
    this.#drain = setInterval(look, DRAIN_LOOK_MS);
    look();
  }

  async leave(): Promise<void> {
    const willEnds = this.#fleet.wills.finish(nowMs());
    tell({ type: 'left', worker: this.#index, willEnds });
    this.#fleet.stop();
    await this.#commands?.publisher.stop();
    // Whatever is written now leaves the process before it exits; FINs are the kernel's.
    setImmediate(() => process.exit(0));
  }

  #done(graceMs: number): void {
    if (this.#isDone) return;
    this.#isDone = true;
    clearTimeout(this.#timer);
    // A full wait proves a loss; a run that was cut short proves nothing about what is still open.
    if (graceMs >= this.#timeoutMs) {
      this.#fleet.expireAll(nowMs());
      this.#commands?.ledger.expire(Number.POSITIVE_INFINITY);
    }
    this.#fleet.pauses?.finish(this.#measures);
    this.#report();
    const eventsSent = this.#fleet.devices.map((device) => device.eventsSent);
    const { unacked } = this.#fleet;
    tell({ type: 'done', worker: this.#index, eventsSent, unacked });
  }

  #schedule(): void {
    const dueMs = this.#startMs + (this.#interval + 1) * INTERVAL_MS;
    this.#timer = setTimeout(() => this.#onInterval(), Math.max(1, dueMs - nowMs()));
  }

  #onInterval(): void {
    this.#fleet.sweep(nowMs());
    this.#commands?.ledger.expire(nowMs());
    this.#report();
    this.#interval = Math.max(
      this.#interval + 1,
      Math.floor((nowMs() - this.#startMs) / INTERVAL_MS),
    );
    this.#schedule();
  }

  #report(): void {
    tell({
      type: 'interval',
      worker: this.#index,
      at: this.#interval,
      taken: this.#measures.take(),
      violations: this.#violations.take(),
      gauges: this.#gauges(),
    });
  }

  get #pendingCount(): number {
    return this.#fleet.pendingCount + (this.#commands?.ledger.openCount ?? 0);
  }

  #gauges(): Gauges {
    const now = nowMs();
    const cpu = process.cpuUsage(this.#cpu);
    this.#cpu = process.cpuUsage();
    const wallMs = now - this.#takenMs;
    this.#takenMs = now;
    const denied = deniedMs() - this.#deniedMs;
    this.#deniedMs += denied;
    const beyond = (ns: number): number => Math.max(0, ns / 1e6 - LAG_RESOLUTION_MS);
    const lag = { p99: beyond(this.#lag.percentile(99)), max: beyond(this.#lag.max) };
    this.#lag.reset();
    return {
      open: this.#fleet.open.length,
      connecting: this.#fleet.connecting,
      pending: this.#pendingCount,
      cpuMs: (cpu.user + cpu.system) / 1_000,
      wallMs,
      deniedMs: denied,
      lagP99Ms: lag.p99,
      lagMaxMs: lag.max,
      rssBytes: process.memoryUsage.rss(),
    };
  }
}

let worker: Worker | undefined;

async function begin(order: Order): Promise<void> {
  const speech = await speechOf(order.plan);
  warmUp(order.plan, speech);
  worker = new Worker(order, speech);
  tell({ type: 'ready', worker: order.worker });
}

function onMessage(message: ToWorker): void {
  if (message.type === 'plan') {
    void begin(message);
  } else if (message.type === 'connect') {
    worker?.connect(message.atMs);
  } else if (message.type === 'load') {
    worker?.load(message.atMs);
  } else if (message.type === 'deploy') {
    if (message.isUnderWay) worker?.deploy();
    else worker?.deployed();
  } else if (message.type === 'stop') {
    worker?.stop(message.graceMs);
  } else {
    void worker?.leave();
  }
}

// A terminal's Ctrl-C reaches the whole process group: ending is the manager's decision.
ignoreSilently([...STOP_SIGNALS, ...IGNORED_SIGNALS, 'SIGHUP']);
process.on('disconnect', () => process.exit(1));
process.on('message', onMessage);
