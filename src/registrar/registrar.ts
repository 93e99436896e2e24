/**
 * Registrar: one per node, put together; records presence and publishes it.
 * From: child.ts, with a config; acceptors' streams; the supervisor's list of live acceptors.
 * To: the store, the broker, acceptors (takeovers), the observer (figures).
 * Bound: those of its parts. While the store fails (batchLoop.ts) nothing is recorded or published,
 * acceptors keep what they have to report, and devices are served as before.
 */
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { EXIT, StartError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { bump, makeRegistrarCounters, type QueryFate } from '../base/metrics.ts';
import { Ticker } from '../base/ticker.ts';
import { noTrace, type Trace, traceTo } from '../base/trace.ts';
import { Answers } from '../broker/answers.ts';
import { tryOrder } from '../broker/connection.ts';
import { Publisher } from '../broker/publisher.ts';
import { names } from '../broker/topology.ts';
import { within } from '../node/drain.ts';
import {
  liveChildren,
  type NodeMessage,
  type RunningChild,
  registrarSocket,
  type StartMessage,
} from '../node/ipc.ts';
import type { FromLink } from '../node/messages.ts';
import { type Reported, startReport } from '../node/report.ts';
import { AuthServer } from './auth/authServer.ts';
import { BatchLoop } from './batchLoop.ts';
import { BlockedDevices } from './blockedDevices.ts';
import type { Commands } from './command/commands.ts';
import { type CommandParts, commandParts } from './commandParts.ts';
import { Complaints } from './complaints.ts';
import { RegistrarHealth } from './health.ts';
import { DeviceConcerns } from './presence/deviceConcerns.ts';
import { eventCounts, Notifier } from './presence/notifier.ts';
import { Queries } from './presence/queries.ts';
import { Recorder } from './presence/recorder.ts';
import { registrarQuestions } from './questions.ts';
import { RegistrarBroker } from './registrarBroker.ts';
import type { BlockStore } from './store/blockRows.ts';
import { Sqlite } from './store/sqlite.ts';
import type { Opened, Store, StoreError } from './store/store.ts';
import type { WillStore } from './store/willRows.ts';
import { StreamServer } from './streamServer.ts';
import { WallWatch } from './wallWatch.ts';
import { type WillParts, willParts } from './willParts.ts';

/** How often it checks what no message announces: confirms, waiting links, a failed store. */
const TICK_MS = 100;
/**
 * How long a stop waits for confirms of the last events, which otherwise wait in the store, and for
 * devices that are about to answer a transient command: to the next registrar it is `unknown`.
 */
const LAST_EVENTS_MS = 2_000;
const CLOSE_BROKER_MS = 1_000;

class Registrar implements RunningChild {
  readonly #start: StartMessage;
  readonly #log: Logger;
  readonly #onFatal: (error: unknown) => void;
  readonly #counters = makeRegistrarCounters();
  readonly #trace: Trace;
  readonly #store: Sqlite;
  readonly #commands: CommandParts;
  readonly #wills: WillParts;
  readonly #recorder: Recorder;
  readonly #notifier: Notifier;
  readonly #health: RegistrarHealth;
  readonly #broker: RegistrarBroker;
  readonly #answers: Answers;
  readonly #server: StreamServer;
  readonly #blocked: BlockedDevices;
  readonly #authServer: AuthServer;
  readonly #report: ReturnType<typeof startReport>;
  readonly #concerns: DeviceConcerns;
  readonly #loop: BatchLoop;
  readonly #ticker = new Ticker(TICK_MS, () => this.#tick());
  #epoch: number | undefined;
  readonly #complaints: Complaints;
  readonly #wallWatch = new WallWatch(systemClock);

  constructor(start: StartMessage, log: Logger, onFatal: (error: unknown) => void) {
    const { config, folder, incarnation } = start;
    const { limits, traceDir, queueType } = config;
    this.#start = start;
    this.#concerns = new DeviceConcerns(limits, systemClock);
    this.#log = log;
    this.#complaints = new Complaints(log);
    this.#onFatal = onFatal;
    const trace = traceDir === '' ? noTrace : traceTo(traceDir, `registrar-${incarnation}`);
    this.#trace = trace;
    const at = names(config.prefix);
    const store = new Sqlite(config.dataDir || join(folder, 'presence'), limits);
    const urls = tryOrder(config.amqp, 0);
    const onRoom = () => void this.#commands.outcomes.makeRoom();
    const answers = new Answers({ urls, limits, log, onRoom, onFatal });
    this.#answers = answers;

    // Store to broker: publisher, notifier; and queries.
    const publisher = new Publisher({
      limits,
      counts: eventCounts(this.#counters),
      onRoom: () => this.#publish(),
      onReturn: () => {},
    });
    const toPublish = { publisher, exchange: at.presence, ...this.#toRead() };
    const notifier = new Notifier({ store, ...toPublish, limits, trace });
    const queries = this.#queriesOf(store);

    // Broker to acceptors, and back: commands, by the registrar's transactions.
    this.#commands = this.#commandsOf(store);
    const { consumer, commands } = this.#commands;

    this.#wills = this.#willsOf(store, at.events);

    // Acceptors to store: streams, recorder.
    const recorder = this.#recorderOf(store, notifier, commands);
    const authServer = this.#authServerOf();
    const server = this.#serverOf(recorder, commands, authServer);
    const loop = this.#loopOf(recorder, server);
    const publishers = [publisher, this.#wills.publisher];
    const toBroker = { urls, names: at, queueType, publishers, consumer, queries, onFatal };
    const broker = new RegistrarBroker({ ...toBroker, limits, log });
    this.#health = new RegistrarHealth({ loop, broker, publisher, answers, authServer });
    this.#store = store;
    this.#notifier = notifier;
    this.#recorder = recorder;
    this.#authServer = authServer;
    this.#server = server;
    this.#loop = loop;
    this.#broker = broker;
    this.#blocked = this.#blockedOf(store, server);
    const asked = { ...registrarQuestions(store, recorder), ...this.#blocked.answers() };
    this.#report = startReport(start, this.#reported(asked));
  }

  #reported(answers: Reported['answers']): Reported {
    const concerns = () => this.#concerns.list(this.#recorder);
    return { counters: this.#counters, ...this.#health.told(), concerns, answers };
  }

  #recorderOf(store: Store, notifier: Notifier, commands: Commands): Recorder {
    const { config, node } = this.#start;
    return new Recorder({
      ...{ store, node, limits: config.limits, trace: this.#trace },
      clock: systemClock,
      counters: this.#counters,
      onOpen: (opened) => this.#onOpen(opened),
      onCommit: (events) => {
        this.#concerns.onCommit(events);
        notifier.onCommit(events);
      },
      onTakeover: ({ acceptor, connection }) =>
        this.#server.tellLinks(acceptor, ['takeover', connection]),
      onRecorded: (acceptor, links) => this.#server.tellLinks(acceptor, ['recorded', links]),
      onClone: (device, takeovers) => {
        this.#counters.clones += 1;
        this.#complaints.clone(device, takeovers);
      },
      settledTo: () => notifier.settledTo(),
      transactionPart: commands,
      wills: this.#wills.wills,
    });
  }

  #willsOf(store: WillStore, exchange: string): WillParts {
    return willParts({
      ...{ store, exchange, limits: this.#start.config.limits, clock: systemClock },
      ...{ counters: this.#counters, trace: this.#trace },
      live: () => this.#recorder.liveAcceptors,
      tell: (acceptor, message) => this.#server.tellLinks(acceptor, message),
      onDue: (due) => this.#recorder.due(due),
      ...this.#toRead(),
    });
  }

  #blockedOf(store: BlockStore, server: StreamServer): BlockedDevices {
    const { limits } = this.#start.config;
    return new BlockedDevices({
      ...{ store, limits, log: this.#log, wall: systemClock.wall },
      onKnown: (devices) => server.listBlocked(devices),
      onChange: (message) => server.tellBlocked(message),
    });
  }

  #authServerOf(): AuthServer {
    const shared = { start: this.#start, counters: this.#counters, log: this.#log };
    return new AuthServer({
      ...{ ...shared, onFatal: this.#onFatal },
      tell: (acceptor, message) => this.#server.send(acceptor, message),
      tellAll: (message) => this.#server.sendAll(message),
    });
  }

  #serverOf(recorder: Recorder, commands: Commands, authServer: AuthServer): StreamServer {
    const onAnswer = (message: FromLink, acceptor: string) => commands.onAnswer(message, acceptor);
    return new StreamServer({
      ...{ recorder, limits: this.#start.config.limits, log: this.#log },
      onAnswer,
      onAsk: (acceptor, message) => void authServer.onAsk(acceptor, message),
      onVerdicts: (message) => authServer.hear(message),
      greeting: () => authServer.told(),
      onStream: (acceptor) => this.#wills.due.onStream(acceptor),
      onMessages: () => this.#loop.wake(),
    });
  }

  #loopOf(recorder: Recorder, server: StreamServer): BatchLoop {
    return new BatchLoop({
      limits: this.#start.config.limits,
      log: this.#log,
      now: () => performance.now(),
      batch: () => recorder.work(),
      isPatient: () => recorder.isPatient,
      wasOpen: () => this.#epoch !== undefined,
      onRoom: () => server.makeRoom(),
      onFatal: this.#onFatal,
    });
  }

  #queriesOf(store: Store): Queries {
    const { limits } = this.#start.config;
    const answers = this.#answers;
    const count = (fate: QueryFate) => bump(this.#counters.queries, fate);
    const commandsOf = (device: string) => this.#commands.commands.countOf(device);
    return new Queries({ store, answers, limits, epoch: () => this.#epoch, commandsOf, count });
  }

  #commandsOf(store: Store): CommandParts {
    return commandParts({
      store,
      limits: this.#start.config.limits,
      counters: this.#counters,
      answers: this.#answers,
      wall: systemClock.wall,
      now: systemClock.now,
      send: (acceptor, message) => this.#server.send(acceptor, message),
      isChanging: (device) => this.#recorder.isChanging(device),
      later: setImmediate,
      wake: () => this.#loop.wakeSoon(),
      ...this.#toRead(),
      trace: this.#trace,
      onUndecided: (error) => this.#complaints.undecided(error),
    });
  }

  async open(): Promise<void> {
    // tla: Presence!RegistrarStart
    this.#trace('RegistrarStart', { window: this.#start.config.limits.commandWindowMax });
    await this.#loop.work();
    const { fault } = this.#loop;
    if (fault && isFatal(fault)) throw new StartError(EXIT.config, fault.message);
    await this.#loadBlocked();
    await this.#server.listen(registrarSocket(this.#start.folder));
    this.#broker.start();
    this.#answers.start();
    this.#authServer.start();
    this.#ticker.start();
  }

  #onOpen(opened: Opened): void {
    this.#epoch = opened.epoch;
    this.#log.info({ ...opened }, 'presence store open');
    this.#notifier.onOpen(opened);
  }

  // The work.

  #tick(): void {
    const jumpMs = this.#wallWatch.look();
    if (jumpMs !== 0) this.#complaints.wallJump(jumpMs);
    this.#count();
    this.#loop.wake();
    void this.#loadBlocked().catch(this.#onFatal);
    this.#publish();
    if (this.#epoch !== undefined && this.#loop.mayTry()) this.#wills.tick();
    this.#commands.consumer.tick();
  }

  /** As soon as the store is open. Acceptors that are new wait for it. */
  async #loadBlocked(): Promise<void> {
    if (this.#epoch === undefined || !this.#loop.mayTry()) return;
    await this.#blocked.load().catch((error) => this.#loop.failed(error));
  }

  /** What reads the store beside the batches: not while it cannot be trusted. */
  #toRead(): { mayRead: () => boolean; onFault: (error: unknown) => void } {
    return { mayRead: () => this.#loop.mayTry(), onFault: (error) => this.#loop.failed(error) };
  }

  /** Events that only the store has. */
  #publish(): void {
    void this.#notifier.makeRoom();
    void this.#wills.wills.makeRoom();
  }

  // The child.

  onNode(node: NodeMessage): void {
    const live = liveChildren(node, 'acceptor');
    this.#recorder.onNode(
      live.map(({ incarnation }) => incarnation),
      node.successions,
    );
    this.#server.makeRoom();
    this.#loop.wake();
  }

  #count(): void {
    const counters = this.#counters;
    const { waiting, outbox, held } = this.#recorder.figures();
    Object.assign(counters, { waiting, outbox, held, streams: this.#server.size });
    this.#authServer.count();
    counters.brokerUp = this.#broker.isUp ? 1 : 0;
    counters.blocked = this.#blocked.size;
    counters.walBytes = this.#store.walBytes;
    counters.storeDown = this.#loop.fault === undefined ? 0 : 1;
    counters.degraded = this.#health.degraded().every(({ part }) => part === 'auth') ? 0 : 1;
  }

  title(): string {
    return `owsla registrar outbox=${this.#recorder.figures().outbox}`;
  }

  figures(): Record<string, number> {
    return { ...this.#recorder.figures(), streams: this.#server.size };
  }

  /** Record what acceptors have reported, and wait a little for what is about to come. */
  async drain(): Promise<void> {
    const isBusy = () => {
      const { waiting, outbox, sweeps } = this.#recorder.figures();
      const pending = outbox + this.#commands.consumer.outcomesOwed + this.#wills.pending;
      return waiting + sweeps > 0 || (pending > 0 && this.#broker.isUp);
    };
    await within(CLOSE_BROKER_MS, this.#commands.deliveries.suspend());
    await this.#loop.settle(isBusy, LAST_EVENTS_MS);
    this.#ticker.stop();
    const { outbox } = this.#recorder.figures();
    this.#log.info({ outbox }, 'registrar drained');
    await this.#server.close();
    await within(CLOSE_BROKER_MS, this.#closeBroker());
    this.#count();
    await this.#report.stop();
    await this.#store.close();
  }

  async #closeBroker(): Promise<void> {
    const parts = [this.#broker, this.#answers, this.#authServer];
    await Promise.all(parts.map((part) => part.close()));
  }
}

/** Another start of the registrar would fail the same way: the node cannot continue. */
function isFatal({ fault }: StoreError): boolean {
  return fault === 'locked' || fault === 'newer';
}

/**
 * Start the registrar in this process; resolves when acceptors can reach it. Rejects with a
 * StartError (config) when its store belongs to another node, or to a newer Owsla.
 */
export async function startRegistrar(
  start: StartMessage,
  log: Logger,
  onFatal: (error: unknown) => void,
): Promise<RunningChild> {
  const registrar = new Registrar(start, log, onFatal);
  await registrar.open();
  return registrar;
}
