/**
 * Child: every forked process: becomes an acceptor, the registrar or the observer.
 * From: childMain.ts; the supervisor's start message.  To: one of these, then heartbeats back.
 * Bound: a drain takes at most the limits' time and END_MARGIN_MS; then the process ends anyway.
 *
 * When the channel to the supervisor breaks, the child drains and ends by itself: no child outlives
 * its supervisor.
 */
import type { SendHandle } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import type { RunningAcceptor } from '../acceptor/acceptor.ts';
import type { BoundSocket } from '../acceptor/endpoint/listener.ts';
import type { SocketHandle } from '../acceptor/endpoint/socket.ts';
import type { OwnProtocols } from '../acceptor/ownProtocols.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { holdHeap } from '../base/heapGrowth.ts';
import { placesOf } from '../base/listeners.ts';
import { type Logger, makeLogger, recentLines } from '../base/log.ts';
import type { Counters } from '../base/metrics.ts';
import { notifyIgnored } from '../base/signals.ts';
import { drainTimeMs, END_MARGIN_MS } from '../node/drain.ts';
import { leaveFolder } from '../node/folder.ts';
import {
  ADMIN_SOCKET,
  type ChildFigures,
  type CrashedMessage,
  type FromChild,
  type NodeMessage,
  type PassMessage,
  type RenewMessage,
  type RunningChild,
  type StartMessage,
  type ToChild,
} from '../node/ipc.ts';
import { hasReloadEnded } from '../node/reloadFacts.ts';
import type { Report } from '../node/report.ts';
import { ChildHeap, v8Engine } from './childHeap.ts';

/**
 * The life of this process: waiting -> starting -> running -> draining -> (exit). Running, it has
 * heartbeats; it is ready as soon as it serves.
 */
class Child {
  #running: RunningChild | undefined;
  #start: StartMessage | undefined;
  #log: Logger | undefined;
  /** Of the Unix listeners, by name. */
  readonly #sockets = new Map<string, BoundSocket>();
  /** The supervisor's last node message, kept for a role that is still starting. */
  #node: NodeMessage | undefined;
  /** The supervisor was told so. */
  #isReady = false;
  /** The last word that files are to be read again. */
  #renewal: RenewMessage | undefined;
  /** Predecessors that have ended while this was starting. */
  readonly #gone: string[] = [];
  #isDraining = false;
  #begin: () => void = () => {};
  /** A heartbeat is still in the channel: none is queued for a supervisor that is stopped. */
  #isSending = false;
  readonly #heap = new ChildHeap({
    engine: v8Engine(),
    clock: performance,
    flags: process.execArgv,
    pause,
  });

  onMessage(message: ToChild, handle: unknown): void {
    if (message.type === 'socket') this.#onSocket(message.name, handle as BoundSocket);
    else if (message.type === 'start') void this.#onStart(message);
    else if (message.type === 'node') this.#onNode(message);
    else if (message.type === 'renew') this.#onRenew(message);
    else if (message.type === 'begin') this.#begin();
    else if (message.type === 'give') this.#give();
    else if (message.type === 'move') this.#running?.onMove?.(message);
    else if (message.type === 'follow') this.#running?.onFollow?.(message);
    else if (message.type === 'gone') this.#onGone(message.acceptor);
    else if (message.type === 'pass') this.#onPass(message, handle);
    else void this.drain(false);
  }

  #onSocket(name: string, handle: BoundSocket): void {
    this.#sockets.set(name, handle);
    this.#running?.onSocket?.(name, handle);
  }

  #onNode(node: NodeMessage): void {
    this.#node = node;
    this.#running?.onNode(node);
    if (this.#isReady) this.#holdYoung();
  }

  /** Acceptors hear of the node as a reload begins and ends, and as they start in one. */
  #holdYoung(): void {
    const reload = this.#node?.reload;
    if (this.#start?.role !== 'acceptor') return;
    this.#heap.hold(reload !== undefined && !hasReloadEnded(reload));
  }

  #onRenew(message: RenewMessage): void {
    this.#renewal = message;
    this.#running?.onRenew?.(message);
  }

  #onGone(acceptor: string): void {
    if (this.#running) this.#running.onGone?.(acceptor);
    else this.#gone.push(acceptor);
  }

  #onPass(message: PassMessage, handle: unknown): void {
    if (this.#running?.onPass) this.#running.onPass(message, handle);
    else (handle as SocketHandle | undefined)?.close();
  }

  async #onStart(start: StartMessage): Promise<void> {
    this.#start = start;
    const { role, config, index, incarnation } = start;
    const acceptor = role === 'acceptor' ? { acceptor: index } : {};
    const log = makeLogger(config.logLevel, { role, ...acceptor, incarnation });
    this.#log = log;
    notifyIgnored((signal, times) => log.info({ signal, times }, 'signal ignored'));
    try {
      if (start.isWaiting) await this.#wait(start);
      const running = await this.#become(start, log);
      this.#running = running;
      if (this.#node) running.onNode(this.#node);
      // It came while this was starting, which may have read the files before.
      if (this.#renewal) running.onRenew?.(this.#renewal);
      for (const acceptor of this.#gone) running.onGone?.(acceptor);
      this.#beat();
      setInterval(() => this.#beat(), config.limits.heartbeatChildMs).unref();
      await running.isServing?.();
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#isReady = true;
    holdHeap();
    this.#holdYoung();
    send({ type: 'ready' });
  }

  /** Loads what it will be, and waits until the one before it has ended. */
  async #wait({ role }: StartMessage): Promise<void> {
    if (role === 'observer') await import('../observer/observer.ts');
    else await import('../registrar/registrar.ts');
    const begun = new Promise<void>((resolve) => {
      this.#begin = resolve;
    });
    send({ type: 'loaded' });
    await begun;
  }

  #give(): void {
    const handle = this.#running?.listeningHandle?.();
    if (process.connected) process.send?.({ type: 'given' }, handle as SendHandle | undefined);
  }

  /** Imports are here, so that an acceptor never loads the observer's HTTP server. */
  async #become(start: StartMessage, log: Logger): Promise<RunningChild> {
    const onFatal = (error: unknown) => this.fail(error);
    if (start.role === 'observer') {
      const { startObserver } = await import('../observer/observer.ts');
      const ask = (by: string) => send({ type: 'reload', by });
      const socket = this.#sockets.get(ADMIN_SOCKET);
      const node = () => this.#node;
      return startObserver(start, log, { ask, node, socket });
    }
    if (start.role === 'registrar') {
      const { startRegistrar } = await import('../registrar/registrar.ts');
      return startRegistrar(start, log, onFatal);
    }
    return this.#becomeAcceptor(start, log, onFatal);
  }

  async #becomeAcceptor(
    start: StartMessage,
    log: Logger,
    onFatal: (error: unknown) => void,
  ): Promise<RunningChild> {
    const { startAcceptor } = await import('../acceptor/acceptor.ts');
    const { startReport } = await import('../node/report.ts');
    const own = await ownProtocols(start, log);
    const about = { own, sockets: this.#sockets, log, onFatal, toSupervisor: sendHandle };
    const acceptor = startAcceptor({ ...start, ...about });
    const { answers, traces } = acceptor.operate;
    const report = startReport(start, {
      counters: acceptor.counters,
      notReady: () => acceptor.notReady(),
      degraded: () => acceptor.degraded(),
      concerns: () => acceptor.concerns(),
      answers,
      attach: (notify) => traces.attach(notify),
      onObserverLost: () => traces.onLost(),
    });
    const { listeners, acceptors, limits } = start.config;
    const name = `owsla acceptor ${start.index}/${acceptors} ${placesOf(listeners)}`;
    return {
      title: () => `${name} links=${acceptor.counters.links}`,
      figures: () => figuresOf(acceptor.counters),
      isServing: async () => {
        await acceptor.listen();
        if (start.successorOf === undefined) return;
        // Links come from one that has all of this. A broker that is away is away for both.
        await until(() => acceptor.isPrepared, limits.brokerConnectMs);
        await this.#heap.settle();
        report.send();
      },
      onNode: () => {},
      onRenew: ({ ticketKey }) => acceptor.renewFiles(ticketKey),
      onSocket: (place, handle) =>
        void acceptor.unixRoom.onSocket(place, handle as BoundSocket).catch(onFatal),
      ...movesOf(acceptor, report, onFatal),
      drain: async () => {
        await acceptor.drain();
        await report.stop();
      },
    };
  }

  #beat(): void {
    if (!this.#running) return;
    // No 'disconnect' comes while a handle that this has sent was not acknowledged.
    if (!process.connected) void this.drain(true);
    process.title = this.#running.title();
    this.#heap.look();
    if (this.#isSending || !process.connected) return;
    this.#isSending = true;
    process.send?.({ type: 'alive', figures: this.#running.figures() }, () => {
      this.#isSending = false;
    });
  }

  /** Ends the process: with the sentence for a StartError, else with the stack in the log. */
  fail(error: unknown): void {
    if (error instanceof StartError) {
      const { exitCode, message } = error;
      // A running one is drained by the supervisor with all the others: its links get BYE.
      const isServing = this.#isReady && process.connected;
      send({ type: 'fatal', exitCode, sentence: message }, () => {
        if (!isServing) process.exit(exitCode);
      });
      return;
    }
    const log = this.#log;
    send(lastWordsOf(error));
    if (log) log.fatal({ err: error, reason: 'uncaught' }, 'crashed');
    else process.stderr.write(`owsla: a child crashed before it started: ${String(error)}\n`);
    process.exit(EXIT.crashed);
  }

  async drain(isOrphan: boolean): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    if (isOrphan) this.#log?.warn({ reason: 'supervisor-gone' }, 'draining');
    if (isOrphan) this.#running?.onOrphaned?.();
    if (!this.#running || !this.#start) process.exit(EXIT.ok);
    const limitMs = drainTimeMs(this.#start.config.limits) + END_MARGIN_MS;
    setTimeout(() => process.exit(EXIT.crashed), limitMs).unref();
    try {
      await this.#running.drain();
    } catch (error) {
      this.fail(error);
    }
    if (isOrphan) leaveFolder(this.#start.folder, this.#start.role === 'observer');
    process.exit(EXIT.ok);
  }
}

async function ownProtocols({ config }: StartMessage, log: Logger): Promise<OwnProtocols> {
  const { loadProtocols } = await import('../acceptor/ownProtocols.ts');
  return loadProtocols(config, log);
}

const LOOK_MS = 20;

/** Looks again and again, for `ms` at most. */
async function until(isSo: () => boolean, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (!isSo() && performance.now() < end) await pause(LOOK_MS);
}

const STACK_CHARS_MAX = 8_000;

/** Sent at once, as long as the channel has room: nothing waits for it. */
function lastWordsOf(thrown: unknown): CrashedMessage {
  const {
    name,
    message,
    stack = '',
  } = thrown instanceof Error ? thrown : new Error(String(thrown));
  const short = message.slice(0, STACK_CHARS_MAX);
  const lines = recentLines();
  return { type: 'crashed', name, message: short, stack: stack.slice(0, STACK_CHARS_MAX), lines };
}

/** Links and listening sockets on their way between acceptors. */
function movesOf(
  { moves, listenerMove }: RunningAcceptor,
  report: Report,
  onFatal: (error: unknown) => void,
): Pick<RunningChild, 'onMove' | 'onFollow' | 'onPass' | 'onGone' | 'onOrphaned'> {
  return {
    onMove: (message) => {
      moves.begin(message);
      listenerMove.give(message.to);
    },
    onFollow: ({ of }) => moves.follow(of),
    onPass: (message, handle) => {
      const word = moves.onPass(message, handle as SocketHandle);
      if (word === undefined) return;
      // Health has to know before the other one ends.
      const done = listenerMove.onWord(message.from, word, handle as SocketHandle);
      done.then(() => report.send()).catch(onFatal);
    },
    onGone: (incarnation) => {
      const gone = moves.onGone(incarnation);
      if (gone) listenerMove.onGone(incarnation, gone).catch(onFatal);
    },
    onOrphaned: () => moves.stop(),
  };
}

function figuresOf({
  links,
  accepts,
  requestsOpen,
  confirmsWaiting,
  rssBytes,
}: Counters): ChildFigures {
  return { links, accepts, requestsOpen, confirmsWaiting, rssBytes };
}

function send(message: FromChild, done: () => void = () => {}): void {
  if (process.connected) process.send?.(message, done);
  else done();
}

/** A handle that cannot leave any more: its supervisor is gone, and with it this acceptor. */
function sendHandle(message: FromChild, handle?: SocketHandle): void {
  if (process.connected) process.send?.(message, handle as SendHandle, undefined, () => {});
}

/** This process is a child from now on. */
export function beChild(): void {
  const child = new Child();
  process.on('uncaughtException', (error) => child.fail(error));
  process.on('message', (message: ToChild, handle) => child.onMessage(message, handle));
  process.on('disconnect', () => void child.drain(true));
}
