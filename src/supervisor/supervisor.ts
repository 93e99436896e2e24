/**
 * Supervisor: the node's life: observer, registrar and acceptors are there as long as it runs.
 * From: commandLine.ts, with a config that preflight.ts has proved; signals; messages and exits of
 * children.
 * To: children.ts; restarts.ts, with each end; the caller, by an exit code or one StartError.
 * Bound: restart.ts's intensity: beyond it the node stops for an acceptor, and continues without a
 * helper; children.ts's, for each child.
 *
 *   pausing --fork--> starting --ready--> ready --stop--> stopping --exit--> ended
 *      ^                  |                 |                 |                 ^
 *      |                  | late            | silent          | overrun         |
 *      |                  '---------------> killed <----------'                 |
 *      |                                      |                                 |
 *      '--- restart -- (exit of starting, ready or killed) -- leave, or stopping
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { addressOf, placesOf } from '../base/listeners.ts';
import type { Logger } from '../base/log.ts';
import { RENEW_SIGNAL, SIGNAL_EXIT, STOP_SIGNALS, type StopSignal } from '../base/signals.ts';
import { noTrace, type Trace, traceTo } from '../base/trace.ts';
import { FolderKeeper, makeFolder, makeRunDir, removeFolder } from '../node/folder.ts';
import type { FromChild } from '../node/ipc.ts';
import { type ChildEnd, Children } from './children.ts';
import { type ChildSlot, endsNode, hasEnded, logFieldsOf, notify, servesNow } from './childSlot.ts';
import { CrashReports } from './crashReports.ts';
import { CHILD_ENTRY, type Edition, makeEdition } from './edition.ts';
import { nodeMessageOf } from './nodeMessage.ts';
import type { Prove } from './prover.ts';
import { Reload } from './reload.ts';
import { Restarts } from './restarts.ts';
import { type ServiceVariables, Systemd } from './systemd.ts';
import { Tickets } from './tickets.ts';
import { UnixSockets } from './unixSockets.ts';

/** npm and some shells send one Ctrl-C twice: two signals within this time count as one. */
const SIGNAL_ECHO_MS = 300;

/**
 * Run the node until it is told to stop. Resolves with the exit code: 0 after a graceful stop, that
 * of SIGNAL_EXIT after a second signal. Rejects with a StartError when a child cannot start for a
 * reason that a restart does not fix, or when acceptors exceed the restart intensity; all children
 * have ended. A registrar or observer that cannot continue ends the node in its first life only.
 */
export function supervise(
  config: Config,
  log: Logger,
  { entry = CHILD_ENTRY, service = {}, prove = cannotProve }: Partial<Surroundings> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    new Supervisor(config, log, { entry, service, prove }, (outcome) => {
      if (outcome instanceof StartError) reject(outcome);
      else resolve(outcome);
    }).run();
  });
}

interface Surroundings {
  /** Where a child begins. */
  readonly entry: string;
  readonly service: ServiceVariables;
  /** What a reload begins with. */
  readonly prove: Prove;
}

async function cannotProve(): Promise<never> {
  throw new StartError(EXIT.usage, 'this node was not started by owsla serve');
}

class Supervisor {
  #config: Config;
  readonly #log: Logger;
  readonly #onEnd: (outcome: number | StartError) => void;
  readonly #folder = makeFolder();
  readonly #keepers: readonly FolderKeeper[];
  readonly #sockets: UnixSockets;
  readonly #tickets: Tickets;
  readonly #crashes: CrashReports;
  readonly #systemd: Systemd;
  /** In ms since 1970, for people. */
  readonly #startedAt = Date.now();
  /** Names this start of the node. */
  readonly #node = randomUUIDv7();
  readonly #trace: Trace;
  readonly #children: Children;
  readonly #restarts: Restarts;
  readonly #reload: Reload;
  /** When acceptors were last told of it. */
  #wasReloading = false;
  /** running -> draining (acceptors) -> recording (registrar) -> closing (observer) -> ended. */
  #phase: 'running' | 'draining' | 'recording' | 'closing' | 'ended' = 'running';
  #outcome: number | StartError = EXIT.ok;
  #isAnnounced = false;
  #signalAt = 0;
  #tick: NodeJS.Timeout | undefined;

  constructor(
    config: Config,
    log: Logger,
    { entry, service, prove }: Surroundings,
    onEnd: (outcome: number | StartError) => void,
  ) {
    this.#config = config;
    this.#log = log;
    this.#onEnd = onEnd;
    const { traceDir, runDir } = config;
    this.#sockets = new UnixSockets(config.listeners);
    this.#tickets = new Tickets(config.listeners, performance.now());
    this.#crashes = new CrashReports(config, log);
    this.#systemd = new Systemd(service, log);
    const own = new FolderKeeper(this.#folder, log);
    this.#keepers = runDir === '' ? [own] : [own, new FolderKeeper(runDir, log, makeRunDir)];
    this.#trace = traceDir === '' ? noTrace : traceTo(traceDir, `node-${this.#node}`);
    const edition = makeEdition(entry, config);
    this.#children = new Children({
      ...{ edition, node: this.#node, folder: this.#folder, log },
      ...{ tickets: this.#tickets, sockets: this.#sockets },
      // Its socket lies in there.
      beforeFork: () => this.#lookAfterFolders(),
      onMessage: (slot, message, handle) => this.#onMessage(slot, message, handle),
      onEnded: (slot, end) => this.#onEnded(slot, end),
    });
    this.#restarts = new Restarts({
      ...{ children: this.#children, log },
      onGaveUp: (why) => this.#stop(why),
      onWentBack: (slot) => this.#onWentBack(slot),
      onChange: () => this.#notifyNode(),
    });
    this.#reload = new Reload({
      ...{ children: this.#children, sockets: this.#sockets, log, prove, edition },
      trace: this.#trace,
      onProved: (next) => this.#onProved(next),
      onDone: (now) => this.#onReloaded(now),
      onChange: () => this.#notifyNode(),
    });
  }

  run(): void {
    // tla: Presence!NodeStart
    this.#trace('NodeStart', {});
    for (const signal of STOP_SIGNALS) process.on(signal, this.#onSignal);
    process.on(RENEW_SIGNAL, this.#onRenewSignal);
    for (const slot of this.#children.all()) {
      this.#children.fork(slot);
      this.#notifyNode();
    }
    this.#setTitle();
    const { heartbeatChildMs } = this.#config.limits;
    this.#tick = setInterval(() => this.#onTick(heartbeatChildMs), heartbeatChildMs);
  }

  #onMessage(slot: ChildSlot, message: FromChild, handle: unknown): void {
    slot.seenAt = performance.now();
    if (message.type === 'alive') slot.figures = message.figures;
    else if (message.type === 'fatal') this.#onFatal(slot, message);
    else if (message.type === 'crashed') slot.lastWords = message;
    else if (message.type === 'sockets') this.#sockets.give(slot);
    else if (message.type !== 'ready') this.#onWord(slot, message, handle);
    else if (slot.state === 'starting') this.#onReady(slot);
  }

  #onReady(slot: ChildSlot): void {
    slot.state = 'ready';
    slot.why = undefined;
    const readyMs = Math.round(slot.seenAt - slot.startedAt);
    this.#log.info({ ...logFieldsOf(slot), childPid: slot.process?.pid, readyMs }, 'child ready');
    this.#setTitle();
    this.#notifyNode();
    this.#announce();
    this.#reload.look();
  }

  /** Of a reload; what is asked for before the node has started is not done. */
  #onWord(slot: ChildSlot, message: FromChild, handle: unknown): void {
    if (message.type === 'reload') this.#askReload(message.by);
    else this.#reload.onMessage(slot, message, handle);
  }

  #askReload(by: string): void {
    if (this.#phase !== 'running') return;
    if (this.#isAnnounced) this.#reload.ask(by);
    else this.#log.warn({ by }, 'no reload: the node has not started yet');
  }

  /** Throws a StartError when a socket cannot be bound. */
  #onProved({ config }: Edition): void {
    this.#sockets.add(config.listeners);
    this.#tickets.follow(config.listeners);
    this.#renewFiles();
  }

  #onReloaded({ config }: Edition): void {
    const used = this.#children.all().flatMap(({ edition }) => edition.config.listeners);
    this.#sockets.keep([...config.listeners, ...used]);
    this.#config = config;
    this.#crashes.follow(config);
    this.#log.level = config.logLevel;
    this.#setTitle();
  }

  #onWentBack(slot: ChildSlot): void {
    try {
      this.#sockets.add(slot.edition.config.listeners);
    } catch (error) {
      this.#log.error({ ...logFieldsOf(slot), err: error }, 'a listener cannot come back');
    }
    this.#reload.onWentBack(slot);
  }

  /** A child that is starting ends by itself. A running one waits for `drain`. */
  #onFatal(slot: ChildSlot, { exitCode, sentence }: Extract<FromChild, { type: 'fatal' }>): void {
    slot.fatal = new StartError(exitCode, sentence);
    if (slot.state !== 'ready') return;
    if (endsNode(slot) && !this.#children.beside.has(slot)) this.#stop(slot.fatal);
    else this.#children.drain(slot);
  }

  /** Logs once that the node accepts links. */
  #announce(): void {
    if (this.#isAnnounced || this.#children.all().some(({ state }) => state !== 'ready')) return;
    this.#isAnnounced = true;
    const { adminHost, adminPort, acceptors } = this.#config;
    const listeners = this.#config.listeners.map((one) => `${one.name} ${addressOf(one)}`);
    const { host, port } = this.#config.listeners[0] ?? {};
    this.#log.info({ host, port, listeners, adminHost, adminPort, acceptors }, 'ready');
    this.#systemd.ready();
  }

  #onTick(everyMs: number): void {
    const now = performance.now();
    this.#children.tick(now, everyMs);
    this.#lookAfterFolders();
    if (this.#tickets.isOld(now)) this.#renewFiles();
    this.#setTitle();
    this.#notifyNode();
    this.#reload.look();
    const isWell = this.#children.acceptors.some(servesNow) || !this.#isAnnounced;
    this.#systemd.tick(now, isWell || this.#phase !== 'running', process.title);
  }

  readonly #onRenewSignal = () => {
    this.#log.info({ signal: RENEW_SIGNAL }, 'reading files again');
    // At once, whatever becomes of the reload: who is revoked stays out.
    this.#renewFiles();
    this.#askReload(RENEW_SIGNAL);
  };

  /** Certificates, revocation lists and keys; TLS tickets have a new key if need be. */
  #renewFiles(): void {
    this.#tickets.renew(performance.now());
    for (const slot of this.#children.serving()) {
      slot.edition.kept.look();
      notify(slot, { type: 'renew', ticketKey: this.#tickets.key });
    }
    notify(this.#children.observer, { type: 'renew', ticketKey: '' });
  }

  #lookAfterFolders(): void {
    for (const keeper of this.#keepers) keeper.look();
  }

  #setTitle(): void {
    const { acceptors } = this.#children;
    const up = acceptors.filter(servesNow).length;
    const places = placesOf(this.#config.listeners);
    process.title = `owsla supervisor ${places} up=${up}/${acceptors.length}`;
  }

  #onEnded(slot: ChildSlot, { child, code, signal }: ChildEnd): void {
    // After a second signal nothing more is logged: which exits are still seen is chance.
    if (this.#phase === 'ended') return;
    const uptimeMs = Math.round(performance.now() - slot.startedAt);
    const last = { ...logFieldsOf(slot), code, signal, uptimeMs, figures: slot.figures };
    // tla: Presence!AcceptorExit
    if (slot.role === 'acceptor') this.#trace('AcceptorExit', { acceptor: slot.incarnation });
    const { incarnation = '' } = slot;
    slot.process = undefined;
    slot.incarnation = undefined;
    slot.state = 'ended';
    const isCrash = code !== EXIT.ok;
    slot.why = slot.fatal?.message;
    // A start that is refused is no crash: who started it is told.
    const isRefused = endsNode(slot) && !this.#children.beside.has(slot);
    if (isCrash && !isRefused) this.#crashes.report(slot, { child, code, signal, uptimeMs });
    const isReplaced = this.#reload.onEnded(slot, incarnation);
    if (this.#phase !== 'running' || (isReplaced && !isCrash)) {
      this.#log[isCrash ? 'warn' : 'info'](last, 'child ended');
      this.#notifyNode();
      this.#stopStep();
      return;
    }
    this.#log.error({ ...last, ...(slot.why && { why: slot.why }) }, 'child crashed');
    if (isReplaced) return;
    if (isRefused && slot.fatal) this.#stop(slot.fatal);
    else this.#restarts.onEnded(slot, isCrash, uptimeMs);
  }

  readonly #onSignal = (signal: StopSignal): void => {
    const now = performance.now();
    if (this.#phase === 'running') {
      this.#signalAt = now;
      this.#log.info({ signal }, 'stopping');
      this.#stop(EXIT.ok);
    } else if (now - this.#signalAt > SIGNAL_ECHO_MS) {
      this.#log.warn({ signal }, 'ending at once');
      this.#children.killAll();
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
    this.#reload.stop();
    for (const slot of this.#children.serving()) this.#children.drain(slot);
    for (const slot of this.#children.beside) this.#children.drain(slot);
    this.#stopStep();
  }

  /**
   * The registrar outlives the acceptors, to record their links' ends; and the observer both: it
   * shows the drain, and counts it to the end.
   */
  #stopStep(): void {
    const { registrar, observer, beside } = this.#children;
    const isBusy = beside.size > 0 || !this.#children.serving().every(hasEnded);
    if (this.#phase === 'draining' && !isBusy) {
      this.#phase = 'recording';
      this.#children.drain(registrar);
    }
    if (this.#phase === 'recording' && hasEnded(registrar)) {
      this.#phase = 'closing';
      this.#children.drain(observer);
    }
    if (this.#phase === 'closing' && hasEnded(observer)) this.#end(this.#outcome);
  }

  #end(outcome: number | StartError): void {
    if (this.#phase === 'ended') return;
    this.#phase = 'ended';
    clearInterval(this.#tick);
    this.#children.clearPauses();
    for (const signal of STOP_SIGNALS) process.off(signal, this.#onSignal);
    process.off(RENEW_SIGNAL, this.#onRenewSignal);
    this.#sockets.close();
    removeFolder(this.#folder);
    if (outcome === EXIT.ok) this.#log.info('stopped');
    void this.#crashes.settled().then(() => this.#onEnd(outcome));
  }

  #notifyNode(): void {
    const isStopping = this.#phase !== 'running';
    const { observer, registrar } = this.#children;
    const facts = { isStopping, startedAt: this.#startedAt };
    const message = nodeMessageOf(this.#children, this.#reload, facts);
    notify(observer, message);
    notify(registrar, message);
    // Acceptors save memory while there is a reload, and hear of its end.
    const { isRunning } = this.#reload;
    if (isRunning || this.#wasReloading) {
      for (const slot of this.#children.serving()) notify(slot, message);
    }
    this.#wasReloading = isRunning;
  }
}
