/**
 * World: all that a chaos run is made of: brokers, proxies, node, backend, commander and fleet.
 * From: chaos.ts, with a plan.  To: faults.ts, which breaks it; ledger files in `folder`.
 * Bound: everything ends with `stop`, at the latest with this process.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Channel, connect } from 'amqplib';
import { type LimitName, type Limits, makeLimits } from '../../src/base/limits.ts';
import { names } from '../../src/broker/topology.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { quietPort } from '../helpers/loopback.ts';
import { type Broker, startBroker } from '../helpers/processes/broker.ts';
import { startCluster } from '../helpers/processes/cluster.ts';
import { type LogLine, Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { ANYWHERE, STANDS_MS } from './alarms.ts';
import { EVENTS_QUEUE, REQUESTS_QUEUE } from './backend.ts';
import { OUTCOMES_QUEUE } from './commander.ts';
import type { Watched } from './machine.ts';
import { collectGarbage, DEBUGGABLE, residentBytes } from './memory.ts';
import { BackendProcess, CommanderProcess, FleetProcess } from './processes.ts';

export interface WorldPlan {
  readonly seed: number;
  /** Every second one of them speaks MQTT, 3.1.1 and 5 by turns. */
  readonly devices: number;
  /** So many of them come and go, and are only commanded. */
  readonly visitors: number;
  /** Messages a second, of all devices together. */
  readonly perSecond: number;
  /** Commands a second, to all devices at random; half of them kept. */
  readonly commandsPerSecond: number;
  /** Deadline of most kept commands. */
  readonly keepMs: number;
  /** Every device ACKs and answers each command at once; else some do otherwise (obey.ts). */
  readonly isPrompt: boolean;
  readonly acceptors: number;
  /** Brokers; more than one make a cluster. */
  readonly nodes: number;
  readonly limits: Partial<Record<LimitName, number>>;
  /** How late the backend replies when it is late. */
  readonly lateMs: number;
  /**
   * False: nothing is between the node and its brokers. Else all passes through this process, which
   * can cut it without a FIN; on a busy machine that takes some milliseconds each way.
   */
  readonly isCuttable?: boolean;
}

export const PREFIX = 'owsla';
const REQUEST_SHARE = 0.5;
const OPEN_MS = 60_000;
const DRAINED_MS = 120_000;
/** Longer than figures take to reach /metrics. */
const SETTLED_MS = 1_000;

function acceptorNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `acceptor ${index + 1}`);
}

interface Parts {
  readonly backend: BackendProcess;
  readonly commander: CommanderProcess;
  readonly fleet: FleetProcess;
}

export class World {
  readonly limits: Limits;
  /** Holds the ledger files. */
  readonly folder: string;
  brokers: readonly Broker[] = [];
  readonly #plan: WorldPlan;
  readonly #stops: (() => unknown)[] = [];
  #proxies: readonly ToxicProxy[] = [];
  #parts: Parts | undefined;
  #port = 0;
  #mqttPort = 0;
  /** The node, and before it those that were killed. */
  readonly #servers: Server[] = [];

  private constructor(plan: WorldPlan) {
    this.#plan = plan;
    this.limits = makeLimits(plan.limits);
    this.folder = mkdtempSync(join(tmpdir(), 'owsla-chaos-'));
  }

  /** Starts everything; resolves when every link is open. */
  static async start(plan: WorldPlan): Promise<World> {
    const world = new World(plan);
    try {
      await world.#start();
    } catch (error) {
      await world.stop();
      world.forget();
      throw error;
    }
    return world;
  }

  async #start(): Promise<void> {
    const { seed, devices, visitors, perSecond, nodes, lateMs } = this.#plan;
    const { commandsPerSecond, keepMs, isPrompt } = this.#plan;
    await this.#startBrokers(nodes);
    this.#port = await quietPort();
    this.#mqttPort = await quietPort();
    this.#stops.push(() => this.#servers.at(-1)?.stop());
    await this.serve();
    const urls = this.brokers.map(({ url }) => url).toReversed();
    const common = { urls, prefix: PREFIX, seed, isQuorum: nodes > 1 };
    const file = (name: string) => join(this.folder, `${name}.ledger`);
    const backend = new BackendProcess({ ...common, lateMs }, (life) => file(`backend-${life}`));
    this.#stops.push(() => backend.kill());
    const commander = new CommanderProcess(
      { ...common, devices, perSecond: commandsPerSecond, keepMs },
      (life) => file(`commander-${life}`),
    );
    this.#stops.push(() => commander.kill());
    await Promise.all([backend.start(), commander.start()]);
    const messages = { perSecond, requestShare: REQUEST_SHARE };
    const ports = { port: this.#port, mqttPort: this.#mqttPort };
    const sizes = { ...ports, devices, visitors, isPrompt, ...messages };
    const fleet = new FleetProcess({ ...sizes, seed, file: file('fleet') });
    this.#stops.push(() => fleet.end());
    this.#parts = { backend, commander, fleet };
    await fleet.untilOpen(OPEN_MS);
  }

  /** Starts the node; once more, on the same port and store, when it has been killed. */
  async serve(): Promise<void> {
    const { acceptors, limits, nodes } = this.#plan;
    const queues = nodes > 1 ? ['--queue-type', 'quorum'] : [];
    const server = await Server.start({
      amqp: this.brokers.map(({ url }, at) => this.#proxies[at]?.urlFor(url) ?? url).join(),
      prefix: PREFIX,
      acceptors,
      port: this.#port,
      limits,
      flags: [
        ...['--data-dir', join(this.folder, 'data'), '--mqtt-port', String(this.#mqttPort)],
        ...queues,
      ],
      env: DEBUGGABLE,
    });
    this.#servers.push(server);
  }

  async #startBrokers(nodes: number): Promise<void> {
    if (nodes > 1) {
      const cluster = await startCluster(nodes);
      this.#stops.push(() => cluster.stop());
      this.brokers = cluster.nodes;
    } else {
      const broker = await startBroker();
      this.#stops.push(() => broker.kill());
      this.brokers = [broker];
    }
    if (this.#plan.isCuttable === false) return;
    this.#proxies = await Promise.all(this.brokers.map(({ port }) => ToxicProxy.start(port)));
    for (const proxy of this.#proxies) this.#stops.push(() => proxy.stop());
  }

  get broker(): Broker {
    return this.brokers[0] as Broker;
  }

  get proxy(): ToxicProxy {
    return this.#proxies[0] as ToxicProxy;
  }

  get acceptors(): number {
    return this.#plan.acceptors;
  }

  /** The node; the last one, while there is none. */
  get server(): Server {
    const server = this.#servers.at(-1);
    if (server === undefined) throw new Error('the world has not started');
    return server;
  }

  /** What the node has logged, from the first to the last of its lives. */
  get log(): LogLine[] {
    return this.#servers.flatMap(({ log }) => log);
  }

  /** Whom a run waits for: the processes of the node, and the brokers that run. */
  get watched(): Watched {
    const children = ['registrar', 'observer', ...acceptorNames(this.acceptors)];
    const pids = children.map((child) => this.server.childPid(child)).filter((pid) => pid > 0);
    const brokers = this.brokers.map(({ pid }) => pid).filter((pid) => pid > 0);
    return { node: [this.server.pid, ...pids], brokers };
  }

  get backend(): BackendProcess {
    return this.#running.backend;
  }

  get commander(): CommanderProcess {
    return this.#running.commander;
  }

  get fleet(): FleetProcess {
    return this.#running.fleet;
  }

  get #running(): Parts {
    if (this.#parts === undefined) throw new Error('the world has not started');
    return this.#parts;
  }

  /** The reply queue of acceptor `index` as it lives now. */
  replyQueue(index: number): string {
    const ready = this.server.log.findLast(
      (line) => line.child === `acceptor ${index}` && line.msg === 'child ready',
    );
    return names(PREFIX).acceptor(String(ready?.incarnation));
  }

  /** Resident memory of the acceptors in bytes, once they have collected their garbage. */
  async memory(): Promise<number> {
    let bytes = 0;
    for (const acceptor of acceptorNames(this.acceptors)) {
      const pid = this.server.childPid(acceptor);
      await collectGarbage(pid, this.server.errors);
      bytes += residentBytes(pid);
    }
    return bytes;
  }

  /** A short visit to the broker, not by way of the proxy. */
  async atBroker<R>(visit: (channel: Channel) => Promise<R>): Promise<R> {
    const connection = await connect(this.broker.url);
    connection.on('error', () => {});
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    const result = await visit(channel);
    await connection.close();
    return result;
  }

  /** Stops the load, waits for the last answers and for the backends; then the links end. */
  async wind(deadlineMs: number): Promise<void> {
    this.fleet.rate(0);
    this.commander.rate(0);
    await this.fleet.untilAnswered(deadlineMs).catch(() => {});
    await waitFor('the backend to take what is left', () => this.#isDrained(), DRAINED_MS);
    // What does not settle, the ledger says.
    await this.#untilSettled(this.#plan.keepMs + deadlineMs).catch(() => {});
    await this.fleet.end();
  }

  #isDrained(): Promise<boolean> {
    return this.#areEmpty(EVENTS_QUEUE, REQUESTS_QUEUE);
  }

  #areEmpty(...queues: string[]): Promise<boolean> {
    return this.atBroker(async (channel) => {
      const looks = queues.map((queue) => channel.checkQueue(queue));
      return (await Promise.all(looks)).every(({ messageCount }) => messageCount === 0);
    });
  }

  /** For a second: no command waits, at the broker or with the node, and no outcome. */
  async #untilSettled(deadlineMs: number): Promise<void> {
    const gauges = ['kept', 'open', 'outcomes_waiting'].map((name) => `owsla_command_${name}`);
    const isQuiet = async () => {
      const values = await Promise.all(gauges.map((gauge) => this.server.metric(gauge)));
      if (!values.every((value) => value === 0)) return false;
      return this.#areEmpty(names(PREFIX).commands, OUTCOMES_QUEUE);
    };
    let since = performance.now();
    const isSettled = async () => {
      if (!(await isQuiet())) since = performance.now();
      return performance.now() - since > SETTLED_MS;
    };
    await waitFor('the last outcomes', isSettled, deadlineMs);
  }

  /** As far as the last look at the node goes; none but the machine's, and those that stand. */
  untilNoAlarm(deadlineMs: number): Promise<void> {
    const isCalm = async () => {
      const page = await this.server.page('/metrics').catch(() => '');
      const alarms = [...page.matchAll(/^owsla_alarm\{alarm="(.+)"\} (.+)$/gm)];
      const isAwaited = (name: string) => !ANYWHERE.includes(name) && STANDS_MS[name] === undefined;
      const raised = alarms.filter(([, name = '', is]) => is === '1' && isAwaited(name));
      return alarms.length > 0 && raised.length === 0;
    };
    return waitFor('no alarm', isCalm, deadlineMs);
  }

  /** Ends everything. The ledgers stay, for `forget`. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).toReversed()) await stop();
  }

  /** Removes the ledgers. */
  forget(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
