/**
 * Manager: forks the workers, starts and ends their work together, and joins what they measured.
 * From: a Plan.  To: Totals and how the run ended, for report.ts.
 * Bound: every wait has its end: connects by --connect-timeout, answers by --timeout, a silent or
 * dead worker fails the run, a server without links for --give-up ends it.
 *
 *   starting -> connecting -> loading -> ending -> over
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { NO_DEBUGGER } from '../src/base/runtime.ts';
import type { CommandBroker } from './commands/commandPublisher.ts';
import { durationOf } from './fleet/load.ts';
import type { FromWorker, ToWorker } from './ipc.ts';
import { nowMs } from './measure/clock.ts';
import { Totals } from './measure/totals.ts';
import type { DeployPlan } from './plan/deployPlan.ts';
import { answersMs, type Plan, targetOf } from './plan/plan.ts';
import type { Ended, Ending } from './report/report.ts';

/** Time between the order and the first connect or message: every worker has read it by then. */
const LEAD_MS = 100;
/** A worker that says nothing for so long is taken for hung. */
const SILENCE_MS = 15_000;
const READY_MS = 30_000;
/** An interrupted run gives open answers so long; the whole end stays under a second. */
const INTERRUPT_GRACE_MS = 250;
const INTERRUPT_END_MS = 600;
const LEAVE_MS = 2_000;
const LEAVE_INTERRUPTED_MS = 150;

type Phase = 'starting' | 'connecting' | 'loading' | 'ending' | 'over';

interface Seat {
  readonly child: ChildProcess;
  isReady: boolean;
  isSettled: boolean;
  isDone: boolean;
  isGone: boolean;
  heardMs: number;
}

function workerPath(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`./worker.${extension}`, import.meta.url));
}

export class Manager {
  readonly totals: Totals;
  /** Events sent by each device, by index; complete once the run has ended. */
  readonly eventsSent: Map<number, number> = new Map();
  /** Events without an ACK: device index and number, in turn. */
  readonly unacked: number[] = [];
  /** Ends of links with a will: those of wills.ts. */
  readonly willEnds: number[] = [];
  /** Called once, when the server is to be reloaded; it is reloaded until this resolves. */
  onMiddle: (manager: Manager) => Promise<void> = async () => {};
  readonly plan: Plan;
  readonly #commandBroker: CommandBroker | undefined;
  readonly #seats: Seat[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #phase: Phase = 'starting';
  #how: Ending = 'complete';
  #why = 'the plan was carried out';
  #startMs = 0;
  #loadMs = 0;
  #endMs = 0;
  #connectedMs = 0;
  #welcomes = 0;
  #noLinkSinceMs: number | undefined;
  #resolve: (ended: Ended) => void = () => {};

  constructor(plan: Plan, commandBroker?: CommandBroker) {
    this.plan = plan;
    this.#commandBroker = commandBroker;
    this.totals = new Totals(plan.workers);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Milliseconds since the first planned connect. */
  get elapsedMs(): number {
    return this.#startMs === 0 ? 0 : nowMs() - this.#startMs;
  }

  get pids(): number[] {
    return this.#seats.map(({ child }) => child.pid ?? 0);
  }

  /** Carry out the plan. Resolves however it ends; never rejects. */
  run(): Promise<Ended> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      for (let worker = 0; worker < this.plan.workers; worker += 1) this.#hire(worker);
      this.#later(READY_MS, () => this.#checkReady());
      this.#every(1_000, () => this.#watch());
    });
  }

  /** End now, in less than a second, with what has been measured. */
  interrupt(): void {
    if (this.#phase === 'ending' || this.#phase === 'over') return;
    this.#end('interrupted', `interrupted after ${(this.elapsedMs / 1_000).toFixed(1)} s`);
    this.#later(INTERRUPT_END_MS, () => this.#over());
  }

  /** Let the workers close their links and go. Resolves when all are gone. */
  async leave(): Promise<void> {
    const gone = this.#seats.map(
      ({ child, isGone }) =>
        new Promise<void>((resolve) => {
          if (isGone) resolve();
          else child.once('exit', () => resolve());
        }),
    );
    this.#tellAll({ type: 'leave' });
    const waitMs = this.#how === 'interrupted' ? LEAVE_INTERRUPTED_MS : LEAVE_MS;
    const killer = setTimeout(() => {
      for (const { child, isGone } of this.#seats) if (!isGone) child.kill('SIGKILL');
    }, waitMs);
    await Promise.all(gone);
    clearTimeout(killer);
  }

  #hire(worker: number): void {
    const child = fork(workerPath(), [], {
      serialization: 'advanced',
      execArgv: [...new Set([NO_DEBUGGER, ...process.execArgv])],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const seat: Seat = {
      child,
      isReady: false,
      isSettled: false,
      isDone: false,
      isGone: false,
      heardMs: nowMs(),
    };
    this.#seats.push(seat);
    child.on('message', (message) => this.#onMessage(seat, message as FromWorker));
    child.on('error', () => {});
    child.on('exit', (code, signal) => this.#onExit(seat, worker, code, signal));
    this.#tell(seat, {
      type: 'plan',
      plan: this.plan,
      worker,
      commandBroker: this.#commandBroker,
    });
  }

  #tell({ child, isGone }: Seat, message: ToWorker): void {
    // A worker that dies at this moment is reported by its exit, not by this send.
    if (!isGone && child.connected) child.send(message, () => {});
  }

  #tellAll(message: ToWorker): void {
    for (const seat of this.#seats) this.#tell(seat, message);
  }

  #onMessage(seat: Seat, message: FromWorker): void {
    seat.heardMs = nowMs();
    if (message.type === 'ready') {
      seat.isReady = true;
      if (this.#seats.every(({ isReady }) => isReady)) this.#connect();
    } else if (message.type === 'settled') {
      seat.isSettled = true;
      this.#welcomes += message.welcomes;
      if (this.#seats.every(({ isSettled }) => isSettled)) this.#onSettled(this.#welcomes);
    } else if (message.type === 'interval') {
      this.totals.add(message);
    } else if (message.type === 'left') {
      for (const one of message.willEnds) this.willEnds.push(one);
    } else {
      seat.isDone = true;
      this.totals.finish(message.worker);
      for (const [at, count] of message.eventsSent.entries()) {
        this.eventsSent.set(message.worker + at * this.plan.workers, count);
      }
      for (const one of message.unacked) this.unacked.push(one);
      if (this.#seats.every(({ isDone, isGone }) => isDone || isGone)) this.#over();
    }
  }

  #connect(): void {
    this.#phase = 'connecting';
    this.#startMs = nowMs() + LEAD_MS;
    this.#tellAll({ type: 'connect', atMs: this.#startMs });
    if (this.plan.loadFrom === 'start') this.#load(this.#startMs);
    const { connectRate, devices, connectTimeoutMs } = this.plan;
    const lastMs = connectRate === 0 ? 0 : (1_000 * devices) / connectRate;
    this.#later(LEAD_MS + lastMs + connectTimeoutMs, () =>
      this.#onSettled(this.totals.counts.welcomes),
    );
  }

  /** Every first connect has its outcome, or the time for that is over. */
  #onSettled(welcomes: number): void {
    if (this.#connectedMs !== 0 || this.#phase === 'ending' || this.#phase === 'over') return;
    this.#connectedMs = nowMs();
    if (welcomes === 0) {
      this.#end('unreachable', `${targetOf(this.plan)} gave no WELCOME to any device`);
      return;
    }
    if (this.plan.loadFrom === 'connected') this.#load(nowMs() + LEAD_MS);
  }

  #load(atMs: number): void {
    this.#phase = 'loading';
    this.#loadMs = atMs;
    this.#tellAll({ type: 'load', atMs });
    const { deploy } = this.plan;
    if (deploy) this.#later(atMs + deploy.aroundMs - nowMs(), () => this.#middle(deploy));
  }

  async #middle({ aroundMs }: DeployPlan): Promise<void> {
    await this.onMiddle(this);
    if (this.#phase !== 'loading') return;
    this.#tellAll({ type: 'deploy', isUnderWay: false });
    this.#later(aroundMs, () => this.#finish());
  }

  /** The server is reloaded from now on. */
  readonly markReload = (): void => this.#tellAll({ type: 'deploy', isUnderWay: true });

  /** The load ends here, and whatever is unanswered after `--timeout` is lost. */
  #finish(): void {
    if (this.#phase !== 'loading') return;
    this.#endMs = nowMs();
    this.#tellAll({ type: 'stop', graceMs: answersMs(this.plan) });
  }

  /** Stop the workers' sending; they report 'done' after `--timeout` at the latest. */
  #end(how: Ending, why: string): void {
    if (this.#phase === 'ending' || this.#phase === 'over') return;
    this.#phase = 'ending';
    this.#how = how;
    this.#why = why;
    this.#endMs = nowMs();
    this.#tellAll({ type: 'stop', graceMs: INTERRUPT_GRACE_MS });
    this.#later(INTERRUPT_END_MS, () => this.#over());
  }

  #onExit(seat: Seat, worker: number, code: number | null, signal: string | null): void {
    seat.isGone = true;
    if (seat.isDone || this.#phase === 'over') return;
    this.totals.forget(worker);
    const by = signal === null ? `exit code ${code}` : signal;
    this.#end('worker-died', `worker ${worker + 1} (pid ${seat.child.pid}) died: ${by}`);
    if (this.#seats.every(({ isDone, isGone }) => isDone || isGone)) this.#over();
  }

  #checkReady(): void {
    if (this.#phase !== 'starting') return;
    this.#end('worker-died', `not all workers were ready within ${READY_MS / 1_000} s`);
  }

  #watch(): void {
    const now = nowMs();
    for (const [worker, seat] of this.#seats.entries()) {
      if (seat.isGone || seat.isDone || now - seat.heardMs < SILENCE_MS) continue;
      this.#end('worker-died', `worker ${worker + 1} was silent for ${SILENCE_MS / 1_000} s`);
      seat.child.kill('SIGKILL');
    }
    if (this.#phase === 'loading' || this.#phase === 'connecting') this.#watchTarget(now);
  }

  /** Has the server gone away? */
  #watchTarget(now: number): void {
    const { giveUpMs } = this.plan;
    const { counts, openNow } = this.totals;
    if (openNow > 0 || counts.ends === 0) {
      this.#noLinkSinceMs = undefined;
      return;
    }
    this.#noLinkSinceMs ??= now;
    const downMs = now - this.#noLinkSinceMs;
    if (giveUpMs === 0 || downMs < giveUpMs) return;
    const atS = ((this.#noLinkSinceMs - this.#startMs) / 1_000).toFixed(0);
    this.#end(
      'vanished',
      `${targetOf(this.plan)} vanished: since second ${atS} no link was open, ` +
        `for ${Math.round(downMs / 1_000)} s`,
    );
  }

  #over(): void {
    if (this.#phase === 'over') return;
    const wasLoading = this.#loadMs > 0;
    if (this.#endMs === 0) this.#endMs = this.#loadMs + durationOf(this.plan);
    this.#phase = 'over';
    for (const timer of this.#timers) clearTimeout(timer);
    for (const [worker, seat] of this.#seats.entries())
      if (!seat.isDone) this.totals.finish(worker);
    const seconds = (ms: number): number => Math.max(0, (ms - this.#startMs) / 1_000);
    this.#resolve({
      how: this.#how,
      why: this.#why,
      loadFromS: wasLoading ? seconds(this.#loadMs) : 0,
      loadToS: wasLoading ? seconds(this.#endMs) : 0,
      connectedS: seconds(this.#connectedMs === 0 ? nowMs() : this.#connectedMs),
    });
  }

  #later(ms: number, act: () => void): void {
    this.#timers.add(setTimeout(act, ms));
  }

  #every(ms: number, act: () => void): void {
    this.#timers.add(setInterval(act, ms));
  }
}
