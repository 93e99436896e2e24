/**
 * Supervisor: forks observer, registrar and acceptors, restarts and drains them; nothing else.
 * From: commandLine.ts, with a config that preflight.ts has proved; signals; messages and exits of
 * children.
 * To: children, by IPC and SIGKILL; the caller, by an exit code or one StartError.
 * Bound: restart.ts's intensity: beyond it the node stops for an acceptor, and continues without a
 * helper; childReadyMs, childSilenceMs and the drain's time for each child, then SIGKILL. Only an
 * exit that was seen counts as a child's end.
 *
 *   pausing --fork--> starting --ready--> ready --stop--> stopping --exit--> ended
 *      ^                  |                 |                 |                 ^
 *      |                  | late            | silent          | overrun         |
 *      |                  '---------------> killed <----------'                 |
 *      |                                      |                                 |
 *      '--- restart -- (exit of starting, ready or killed) -- leave, or stopping
 */
import type { ChildProcess } from 'node:child_process';
import { v7 as uuid } from 'uuid';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { addressOf, placesOf } from '../base/listeners.ts';
import type { Logger } from '../base/log.ts';
import { RENEW_SIGNAL, SIGNAL_EXIT, STOP_SIGNALS, type StopSignal } from '../base/signals.ts';
import { noTrace, type Trace, traceTo } from '../base/trace.ts';
import { drainTimeMs, END_MARGIN_MS } from '../node/drain.ts';
import { FolderKeeper, makeFolder, makeRunDir, removeFolder } from '../node/folder.ts';
import type { FromChild } from '../node/ipc.ts';
import {
  type ChildSlot,
  endsNode,
  forgive,
  forkInto,
  hasEnded,
  logFieldsOf,
  makeSlot,
  nameOf,
  nodeMessageOf,
  notify,
  servesDevices,
  servesNow,
} from './childSlot.ts';
import { CrashReports } from './crashReports.ts';
import { KeptFiles } from './keptFiles.ts';
import { comeBack, decide, intensityOf, NO_RESTARTS, type RestartState } from './restart.ts';
import { type ServiceVariables, Systemd } from './systemd.ts';
import { Tickets } from './tickets.ts';
import { UnixSockets } from './unixSockets.ts';

/** npm and some shells send one Ctrl-C twice: two signals within this time count as one. */
const SIGNAL_ECHO_MS = 300;

/** childMain.ts beside this file, or childMain.js where this is compiled. */
const CHILD_ENTRY = import.meta.filename.replace(/supervisor(?=\.[jt]s$)/, 'childMain');

/**
 * Run the node until it is told to stop. Resolves with the exit code: 0 after a graceful stop, that
 * of SIGNAL_EXIT after a second signal. Rejects with a StartError when a child cannot start for a
 * reason that a restart does not fix, or when acceptors exceed the restart intensity; all children
 * have ended. A registrar or observer that cannot continue ends the node in its first life only.
 */
export function supervise(
  config: Config,
  log: Logger,
  { entry = CHILD_ENTRY, service = {} }: { entry?: string; service?: ServiceVariables } = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    new Supervisor(config, log, entry, service, (outcome) => {
      if (outcome instanceof StartError) reject(outcome);
      else resolve(outcome);
    }).run();
  });
}

class Supervisor {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #entry: string;
  readonly #onEnd: (outcome: number | StartError) => void;
  readonly #folder = makeFolder();
  readonly #keepers: readonly FolderKeeper[];
  readonly #sockets: UnixSockets;
  readonly #tickets: Tickets;
  readonly #crashes: CrashReports;
  readonly #systemd: Systemd;
  readonly #kept: KeptFiles;
  /** In ms since 1970, for people. */
  readonly #startedAt = Date.now();
  /** Names this start of the node. */
  readonly #node = uuid();
  readonly #trace: Trace;
  readonly #observer: ChildSlot = makeSlot('observer', 0);
  readonly #registrar: ChildSlot = makeSlot('registrar', 0);
  readonly #acceptors: readonly ChildSlot[];
  /** running -> draining (acceptors) -> recording (registrar) -> closing (observer) -> ended. */
  #phase: 'running' | 'draining' | 'recording' | 'closing' | 'ended' = 'running';
  #restarts: RestartState = NO_RESTARTS;
  #outcome: number | StartError = EXIT.ok;
  #isAnnounced = false;
  #signalAt = 0;
  #tickAt = performance.now();
  #tick: NodeJS.Timeout | undefined;

  constructor(
    config: Config,
    log: Logger,
    entry: string,
    service: ServiceVariables,
    onEnd: (outcome: number | StartError) => void,
  ) {
    this.#config = config;
    this.#log = log;
    this.#entry = entry;
    this.#onEnd = onEnd;
    const { traceDir, runDir } = config;
    this.#sockets = new UnixSockets(config.listeners);
    this.#tickets = new Tickets(config.listeners, performance.now());
    this.#crashes = new CrashReports(config, log);
    this.#systemd = new Systemd(service, log);
    this.#kept = new KeptFiles(config.listeners, Date.now);
    const own = new FolderKeeper(this.#folder, log);
    this.#keepers = runDir === '' ? [own] : [own, new FolderKeeper(runDir, log, makeRunDir)];
    this.#trace = traceDir === '' ? noTrace : traceTo(traceDir, `node-${this.#node}`);
    this.#acceptors = Array.from({ length: config.acceptors }, (_, at) =>
      makeSlot('acceptor', at + 1),
    );
  }

  run(): void {
    // tla: Presence!NodeStart
    this.#trace('NodeStart', {});
    for (const signal of STOP_SIGNALS) process.on(signal, this.#onSignal);
    process.on(RENEW_SIGNAL, this.#onRenewSignal);
    for (const slot of this.#slots()) this.#fork(slot);
    this.#setTitle();
    this.#tick = setInterval(() => this.#onTick(), this.#config.limits.heartbeatChildMs);
  }

  #slots(): readonly ChildSlot[] {
    return [this.#observer, this.#registrar, ...this.#acceptors];
  }

  #fork(slot: ChildSlot): void {
    // Its socket lies in there.
    this.#lookAfterFolders();
    const incarnation = uuid();
    const child = forkInto(slot, this.#entry, incarnation);
    child.on('message', (message: FromChild) => this.#onMessage(slot, message));
    child.on('error', (error) => {
      this.#log.error({ ...logFieldsOf(slot), err: error }, 'child channel failed');
      if (child.pid === undefined) this.#onEnded(slot, child, null, null);
    });
    child.on('exit', (code, signal) => {
      const onEnded = () => this.#onEnded(slot, child, code, signal);
      // Its last messages may still be in the channel: they are read before the channel closes.
      if (child.connected) child.once('disconnect', onEnded);
      else onEnded();
    });
    const { role, index } = slot;
    this.#sockets.give(slot);
    const names = { role, index, incarnation, node: this.#node };
    const kept = role === 'acceptor' ? this.#kept.look() : {};
    const start = { ...names, folder: this.#folder, ...this.#tickets.secretsFor(role), kept };
    notify(slot, { type: 'start', config: this.#config, ...start });
    this.#notifyNode();
  }

  #onMessage(slot: ChildSlot, message: FromChild): void {
    slot.seenAt = performance.now();
    if (message.type === 'alive') {
      slot.figures = message.figures;
    } else if (message.type === 'fatal') {
      this.#onFatal(slot, new StartError(message.exitCode, message.sentence));
    } else if (message.type === 'crashed') {
      slot.lastWords = message;
    } else if (slot.state === 'starting') {
      slot.state = 'ready';
      slot.why = undefined;
      const readyMs = Math.round(slot.seenAt - slot.startedAt);
      this.#log.info({ ...logFieldsOf(slot), childPid: slot.process?.pid, readyMs }, 'child ready');
      this.#setTitle();
      this.#notifyNode();
      this.#announce();
    }
  }

  /** A child that is starting ends by itself. A running one waits for `drain`. */
  #onFatal(slot: ChildSlot, fatal: StartError): void {
    slot.fatal = fatal;
    if (slot.state !== 'ready') return;
    if (endsNode(slot)) this.#stop(fatal);
    else this.#drain(slot);
  }

  /** Logs once that the node accepts links. */
  #announce(): void {
    if (this.#isAnnounced || this.#slots().some(({ state }) => state !== 'ready')) return;
    this.#isAnnounced = true;
    const { adminHost, adminPort, acceptors } = this.#config;
    const listeners = this.#config.listeners.map((one) => `${one.name} ${addressOf(one)}`);
    const { host, port } = this.#config.listeners[0] ?? {};
    this.#log.info({ host, port, listeners, adminHost, adminPort, acceptors }, 'ready');
    this.#systemd.ready();
  }

  #onTick(): void {
    const now = performance.now();
    // Time in which this process itself did not run does not count as a child's silence.
    const lateMs = now - this.#tickAt - this.#config.limits.heartbeatChildMs;
    this.#tickAt = now;
    if (lateMs > this.#config.limits.heartbeatChildMs) forgive(this.#slots(), lateMs);
    for (const slot of this.#slots()) this.#checkDeadline(slot, now);
    this.#lookAfterFolders();
    if (this.#tickets.isOld(now)) this.#renewFiles();
    this.#setTitle();
    this.#notifyNode();
    const isWell = this.#acceptors.some(servesNow) || !this.#isAnnounced;
    this.#systemd.tick(now, isWell || this.#phase !== 'running', process.title);
  }

  readonly #onRenewSignal = () => {
    this.#log.info({ signal: RENEW_SIGNAL }, 'reading files again');
    this.#renewFiles();
  };

  /** Certificates, revocation lists and keys; TLS tickets have a new key if need be. */
  #renewFiles(): void {
    this.#tickets.renew(performance.now());
    this.#kept.look();
    for (const slot of this.#acceptors) {
      notify(slot, { type: 'renew', ticketKey: this.#tickets.key });
    }
    notify(this.#observer, { type: 'renew', ticketKey: '' });
  }

  #lookAfterFolders(): void {
    for (const keeper of this.#keepers) keeper.look();
  }

  #setTitle(): void {
    const up = this.#acceptors.filter(servesNow).length;
    const places = placesOf(this.#config.listeners);
    process.title = `owsla supervisor ${places} up=${up}/${this.#acceptors.length}`;
  }

  #checkDeadline(slot: ChildSlot, now: number): void {
    const { childReadyMs, childSilenceMs } = this.#config.limits;
    const { state, startedAt, seenAt, stopBy } = slot;
    // One with heartbeats waits for others: killing it would not bring them.
    const aliveAt = Math.max(startedAt, seenAt);
    if (state === 'starting' && now - aliveAt > childReadyMs) this.#kill(slot, 'late');
    if (state === 'ready' && now - seenAt > childSilenceMs) this.#kill(slot, 'silent');
    if (state === 'stopping' && now > stopBy) this.#kill(slot, 'overrun');
  }

  #kill(slot: ChildSlot, reason: 'late' | 'silent' | 'overrun'): void {
    const silentMs = Math.round(performance.now() - slot.seenAt);
    this.#log.error({ ...logFieldsOf(slot), reason, silentMs }, 'killing child');
    slot.state = 'killed';
    slot.killedFor = reason;
    slot.process?.kill('SIGKILL');
  }

  #onEnded(
    slot: ChildSlot,
    child: ChildProcess,
    code: number | null,
    signal: NodeJS.Signals | null,
  ): void {
    // After a second signal nothing more is logged: which exits are still seen is chance.
    if (slot.process !== child || this.#phase === 'ended') return;
    const uptimeMs = Math.round(performance.now() - slot.startedAt);
    const last = { ...logFieldsOf(slot), code, signal, uptimeMs, figures: slot.figures };
    // tla: Presence!AcceptorExit
    if (slot.role === 'acceptor') this.#trace('AcceptorExit', { acceptor: slot.incarnation });
    slot.process = undefined;
    slot.incarnation = undefined;
    slot.state = 'ended';
    const isCrash = code !== EXIT.ok;
    slot.why = slot.fatal?.message;
    // A start that is refused is no crash: who started it is told.
    if (isCrash && !endsNode(slot)) this.#crashes.report(slot, { child, code, signal, uptimeMs });
    if (this.#phase !== 'running') {
      this.#log[isCrash ? 'warn' : 'info'](last, 'child ended');
      this.#notifyNode();
      this.#stopStep();
      return;
    }
    this.#log.error({ ...last, ...(slot.why && { why: slot.why }) }, 'child crashed');
    if (slot.fatal && endsNode(slot)) this.#stop(slot.fatal);
    else if (servesDevices(slot)) this.#restart(slot, isCrash);
    else this.#comeBack(slot, uptimeMs);
  }

  #comeBack(slot: ChildSlot, uptimeMs: number): void {
    const intensity = intensityOf(this.#config.limits, 1);
    const decision = comeBack(slot.helper, intensity, uptimeMs, performance.now());
    slot.helper = decision.state;
    const { beyond } = decision.state;
    if (beyond === 1)
      this.#log.error(logFieldsOf(slot), 'child keeps crashing: continuing without it');
    this.#restartLater(slot, decision.afterMs);
  }

  #restart(slot: ChildSlot, isCrash: boolean): void {
    const intensity = intensityOf(this.#config.limits, this.#config.acceptors);
    const end = { kind: slot.kind, isCrash };
    const decision = decide(this.#restarts, intensity, end, performance.now());
    this.#restarts = decision.state;
    if (decision.action === 'give-up') {
      const { restartsMax, windowMs } = intensity;
      this.#stop(
        new StartError(
          EXIT.crashed,
          `gave up: ${nameOf(slot)} ended again after ${restartsMax} restarts within ${windowMs / 1000} s; the log says why each one ended`,
        ),
      );
    } else if (decision.action === 'restart') {
      this.#restartLater(slot, decision.afterMs);
    }
    this.#notifyNode();
  }

  #restartLater(slot: ChildSlot, afterMs: number): void {
    slot.state = 'pausing';
    slot.restarts += 1;
    this.#log.info({ ...logFieldsOf(slot), afterMs }, 'restarting child');
    slot.pause = setTimeout(() => this.#fork(slot), afterMs);
    this.#notifyNode();
  }

  readonly #onSignal = (signal: StopSignal): void => {
    const now = performance.now();
    if (this.#phase === 'running') {
      this.#signalAt = now;
      this.#log.info({ signal }, 'stopping');
      this.#stop(EXIT.ok);
    } else if (now - this.#signalAt > SIGNAL_ECHO_MS) {
      this.#log.warn({ signal }, 'ending at once');
      for (const slot of this.#slots()) slot.process?.kill('SIGKILL');
      this.#crashes.stop();
      this.#end(SIGNAL_EXIT[signal]);
    }
  };

  #stop(outcome: number | StartError): void {
    if (this.#phase !== 'running') return;
    this.#phase = 'draining';
    this.#outcome = outcome;
    this.#systemd.stopping();
    if (outcome instanceof StartError) this.#log.error({ reason: outcome.message }, 'stopping');
    this.#notifyNode();
    for (const slot of this.#acceptors) this.#drain(slot);
    this.#stopStep();
  }

  #drain(slot: ChildSlot): void {
    clearTimeout(slot.pause);
    if (slot.state === 'pausing') slot.state = 'ended';
    if (slot.state !== 'starting' && slot.state !== 'ready') return;
    slot.state = 'stopping';
    slot.stopBy = performance.now() + drainTimeMs(this.#config.limits) + 2 * END_MARGIN_MS;
    notify(slot, { type: 'drain' });
  }

  /**
   * The registrar outlives the acceptors, to record their links' ends; and the observer both: it
   * shows the drain, and counts it to the end.
   */
  #stopStep(): void {
    if (this.#phase === 'draining' && this.#acceptors.every(hasEnded)) {
      this.#phase = 'recording';
      this.#drain(this.#registrar);
    }
    if (this.#phase === 'recording' && hasEnded(this.#registrar)) {
      this.#phase = 'closing';
      this.#drain(this.#observer);
    }
    if (this.#phase === 'closing' && hasEnded(this.#observer)) this.#end(this.#outcome);
  }

  #end(outcome: number | StartError): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    clearInterval(this.#tick);
    for (const slot of this.#slots()) clearTimeout(slot.pause);
    for (const signal of STOP_SIGNALS) process.off(signal, this.#onSignal);
    process.off(RENEW_SIGNAL, this.#onRenewSignal);
    this.#sockets.close();
    removeFolder(this.#folder);
    if (outcome === EXIT.ok) this.#log.info('stopped');
    void this.#crashes.settled().then(() => this.#onEnd(outcome));
  }

  #notifyNode(): void {
    const isStopping = this.#phase !== 'running';
    const message = nodeMessageOf(this.#slots(), isStopping, this.#startedAt);
    notify(this.#observer, message);
    notify(this.#registrar, message);
  }
}
