/**
 * World: all that a chaos run is made of: brokers, proxies, node, backend and fleet.
 * From: chaos.ts, with a plan.  To: faults.ts, which breaks it; ledger files in `folder`.
 * Bound: everything ends with `stop`, at the latest with this process.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Channel, connect } from 'amqplib';
import { names } from '../../src/broker/topology.ts';
import { type LimitName, type Limits, makeLimits } from '../../src/limits.ts';
import { type Broker, startBroker } from '../helpers/broker.ts';
import { startCluster } from '../helpers/cluster.ts';
import { Server } from '../helpers/server.ts';
import { ToxicProxy } from '../helpers/toxicProxy.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { EVENTS_QUEUE, REQUESTS_QUEUE } from './backend.ts';
import { collectGarbage, DEBUGGABLE, residentBytes } from './memory.ts';
import { BackendProcess, FleetProcess } from './processes.ts';

export interface WorldPlan {
  readonly seed: number;
  readonly devices: number;
  /** Messages a second, of all devices together. */
  readonly perSecond: number;
  readonly acceptors: number;
  /** Brokers; more than one make a cluster. */
  readonly nodes: number;
  readonly limits: Partial<Record<LimitName, number>>;
  /** How late the backend replies when it is late. */
  readonly lateMs: number;
}

const PREFIX = 'owsla';
const REQUEST_SHARE = 0.5;
const OPEN_MS = 60_000;
const DRAINED_MS = 120_000;

interface Parts {
  readonly server: Server;
  readonly backend: BackendProcess;
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
    const { seed, devices, perSecond, acceptors, nodes, limits, lateMs } = this.#plan;
    await this.#startBrokers(nodes);
    const urls = this.brokers.map(({ url }) => url);
    const byProxy = this.brokers.map(({ url }, at) => this.#proxies[at]?.urlFor(url));
    const server = await Server.start({
      amqp: byProxy.join(),
      prefix: PREFIX,
      acceptors,
      limits,
      flags: nodes > 1 ? ['--queue-type', 'quorum'] : [],
      env: DEBUGGABLE,
    });
    this.#stops.push(() => server.stop());
    const backend = new BackendProcess(
      { urls: urls.toReversed(), prefix: PREFIX, seed, lateMs, isQuorum: nodes > 1 },
      (life) => join(this.folder, `backend-${life}.ledger`),
    );
    this.#stops.push(() => backend.kill());
    await backend.start();
    const fleet = new FleetProcess({
      port: server.port,
      devices,
      perSecond,
      requestShare: REQUEST_SHARE,
      seed,
      file: join(this.folder, 'fleet.ledger'),
    });
    this.#stops.push(() => fleet.end());
    this.#parts = { server, backend, fleet };
    await fleet.untilOpen(OPEN_MS);
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

  get server(): Server {
    return this.#running.server;
  }

  get backend(): BackendProcess {
    return this.#running.backend;
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
    for (let index = 1; index <= this.acceptors; index += 1) {
      const pid = this.server.childPid(`acceptor ${index}`);
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

  /** Stops the load, waits for the last answers and for the backend; then the links end. */
  async wind(deadlineMs: number): Promise<void> {
    this.fleet.rate(0);
    await this.fleet.untilAnswered(deadlineMs).catch(() => {});
    await waitFor('the backend to take what is left', () => this.#isDrained(), DRAINED_MS);
    await this.fleet.end();
  }

  #isDrained(): Promise<boolean> {
    return this.atBroker(async (channel) => {
      const queues = [EVENTS_QUEUE, REQUESTS_QUEUE].map((queue) => channel.checkQueue(queue));
      return (await Promise.all(queues)).every(({ messageCount }) => messageCount === 0);
    });
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
