/**
 * Stage: a real node whose processes write traces, its devices, a subscriber and a commander.
 * From: scenarios, which connect, command, cut and kill.  To: the trace, a folder of .ndjson files.
 * `rest` waits until all is quiet and says so in the trace: then every row has to be right, and
 * every sender told.
 * Bound: the waits' deadline (waitFor.ts); `stop` ends the node and removes its files.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { traceTo } from '../../src/base/trace.ts';
import { TYPE, type Will } from '../../src/wire/message.ts';
import { readTrace } from '../../tla/judge.ts';
import type { TraceLine } from '../../tla/trace.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Obedient } from '../helpers/fakes/obedient.ts';
import type { Tongue } from '../helpers/fakes/speech.ts';
import { SpokenDevice } from '../helpers/fakes/spokenDevice.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import type { Broker } from '../helpers/processes/broker.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** Small enough that takeovers are damped and the presence outbox is compacted. */
const PRESENCE = { takeoversMax: 3, takeoverDampMs: 300, presenceOutboxMax: 5 };
/** Small enough that windows are full, and that who does not answer is told so soon. */
const COMMANDS = { commandWindowMax: 3, commandResultMs: 1_000 };
const LIMITS = { ...PRESENCE, ...COMMANDS };
/** Will.tla does not know that takeovers can be slowed down. */
const UNDAMPED = { takeoversMax: 1_000 };
/** How long commands are kept: longer than any scenario. */
const KEEP_MS = 600_000;
/** Five processes begin, one after the other: on a busy machine that takes its time. */
/** Far longer than anything of a node at rest takes. */
const SILENT_MS = 20_000;
const RELOAD_MS = 120_000;
let stages = 0;

/** The device that commands are for. */
export const OBEYING = 'door';

/** How an obeying device answers a COMMAND. */
export type Mood = 'result' | 'both' | 'ack' | 'nothing';

export type Scenario = (stage: Stage) => Promise<void>;

export class Stage {
  readonly #folder: string;
  readonly #broker: Broker;
  readonly #prefix: string;
  readonly #proxy: ToxicProxy;
  readonly #subscriber: Subscriber;
  readonly #commander: Commander;
  readonly #acceptors: number;
  readonly #limits: Readonly<Record<string, number>>;
  #server: Server;
  #obeying: Obedient | undefined;
  #mood: Mood = 'both';
  #tongue: Tongue = 'owsla';
  #receivedBefore = 0;
  /** Commands that were sent. */
  readonly #sent: Promise<string>[] = [];
  /** Per device: its newest link, while that is open. */
  readonly #links = new Map<string, SpokenDevice>();
  /** Those that newer ones took the place of: open until somebody ends them. */
  readonly #older = new Map<string, SpokenDevice[]>();

  private constructor(
    folder: string,
    broker: Broker,
    prefix: string,
    proxy: ToxicProxy,
    server: Server,
    subscriber: Subscriber,
    commander: Commander,
    acceptors: number,
    limits: Readonly<Record<string, number>>,
  ) {
    this.#folder = folder;
    this.#broker = broker;
    this.#prefix = prefix;
    this.#proxy = proxy;
    this.#server = server;
    this.#subscriber = subscriber;
    this.#commander = commander;
    this.#acceptors = acceptors;
    this.#limits = limits;
  }

  static async start(broker: Broker, acceptors: number, isOfWills = false): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), 'owsla-stage-'));
    stages += 1;
    const prefix = `trace-${process.pid}-${stages}`;
    const proxy = await ToxicProxy.start(broker.port);
    const limits = { ...LIMITS, ...(isOfWills && UNDAMPED) };
    const server = await serve(folder, proxy.urlFor(broker.url), prefix, acceptors, limits);
    const subscriber = await Subscriber.start(broker.url, prefix);
    const commander = await Commander.connect(broker.url, prefix);
    const others = [subscriber, commander] as const;
    return new Stage(folder, broker, prefix, proxy, server, ...others, acceptors, limits);
  }

  /** Between the node and the broker. */
  get proxy(): ToxicProxy {
    return this.#proxy;
  }

  /**
   * Through whichever acceptor the kernel picks; once more, as any device, if that one dies just
   * then. An older link of it stays as it is.
   */
  async connect(name: string, tongue: Tongue = 'owsla', will?: Will): Promise<void> {
    const port = this.#portOf(tongue);
    const device = await SpokenDevice.open({ port, tongue, deviceId: name, will });
    if (device === undefined) return this.connect(name, tongue, will);
    const older = this.#links.get(name);
    if (older) this.#older.set(name, [...(this.#older.get(name) ?? []), older]);
    this.#links.set(name, device);
  }

  /** It has a link on record, and its will with it: one that ends sooner may leave none. */
  async untilKnown(name: string): Promise<void> {
    await waitFor(`${name} on record`, () => this.#subscriber.online().includes(name));
  }

  /** No takeover may have come to them yet. */
  #closeOlder(name: string): void {
    for (const device of this.#older.get(name) ?? []) device.close();
    this.#older.delete(name);
  }

  #portOf(tongue: Tongue): number {
    return tongue === 'owsla' ? this.#server.port : this.#server.portOf('mqtt');
  }

  disconnect(name: string): void {
    this.#closeOlder(name);
    this.#links.get(name)?.close();
    this.#links.delete(name);
  }

  /** With a word, so that it leaves no will. */
  goodbye(name: string): void {
    this.#closeOlder(name);
    const device = this.#links.get(name);
    device?.send({ type: TYPE.BYE, reason: '', retryAfter: undefined });
    device?.socket.end();
    this.#links.delete(name);
  }

  /** SIGKILL, and whatever else a signal does. A killed child comes back by itself. */
  signal(child: 'registrar' | 'acceptor 1' | 'acceptor 2', signal: NodeJS.Signals): void {
    process.kill(this.#server.childPid(child), signal);
  }

  /** A killed acceptor's devices connect again; an acceptor is there for them. */
  async reconnectLost(): Promise<void> {
    for (const [name, device] of [...this.#links]) {
      const { tongue, will } = device.spoken;
      if (device.socket.closed) await this.connect(name, tongue, will);
    }
  }

  /** Everything dies at once, and is started again on the same store. */
  async restart(): Promise<void> {
    // All its children are in its group.
    await this.#server.stop();
    this.#links.clear();
    const url = this.#proxy.urlFor(this.#broker.url);
    this.#server = await serve(this.#folder, url, this.#prefix, this.#acceptors, this.#limits);
  }

  // Commands.

  #obedient(): Obedient {
    const stage = this;
    return new Obedient(() => this.#portOf(this.#tongue), OBEYING, {
      get tongue() {
        return stage.#tongue;
      },
      get acks() {
        return stage.#mood === 'both' || stage.#mood === 'ack';
      },
      result: () => (this.#mood === 'both' || this.#mood === 'result' ? 'done' : undefined),
    });
  }

  /**
   * The one device that obeys. It comes back by itself; once more, it takes over from itself.
   * Resolves when the node knows this link: what is sent before that goes to the older one.
   */
  async obey(mood: Mood, tongue: Tongue = 'owsla'): Promise<void> {
    this.#mood = mood;
    this.#tongue = tongue;
    const obeying = this.#obeying ?? this.#obedient();
    this.#obeying = obeying;
    this.#receivedBefore = obeying.received;
    const known = () => this.#subscriber.view.get(OBEYING)?.connection;
    const before = known();
    await obeying.wake();
    const isNamed = () => known() === obeying.connection;
    // MQTT 3.1.1 does not tell its device which one it is.
    const isKnown = () => (obeying.connection === '' ? known() !== before : isNamed());
    await waitFor('its link to be known', isKnown);
  }

  sleep(): void {
    this.#obeying?.sleep();
  }

  /** Send commands, in this order, without waiting for what becomes of them. */
  command(...kinds: readonly ('kept' | 'transient')[]): void {
    for (const kind of kinds) {
      const properties = { headers: { deadline: Date.now() + KEEP_MS } };
      const order = kind === 'kept' ? { keepMs: KEEP_MS } : { properties };
      this.#sent.push(this.#commander.send(OBEYING, order));
    }
  }

  /** The device has got `count` COMMANDs since it was last told how to obey. */
  async received(count: number): Promise<void> {
    const received = () => (this.#obeying?.received ?? 0) - this.#receivedBefore;
    await waitFor(`${count} COMMANDs`, () => received() >= count);
  }

  /** Everybody has been told the end of what he sent. */
  async told(): Promise<void> {
    for (const sent of this.#sent) await this.#commander.final(await sent);
  }

  /** So many senders have heard this. */
  async heardOf(type: string, count: number): Promise<void> {
    const heard = () =>
      [...this.#commander.told.values()].filter((told) => told.some((one) => one.type === type));
    await waitFor(`${count} times ${type}`, () => heard().length >= count);
  }

  /** The child has been killed, and its successor is ready. */
  async comeBack(child: string, pid: number): Promise<void> {
    await waitFor(`another ${child}`, () => this.pidOf(child) !== pid);
  }

  /** `meanwhile`: at the first line that says so. */
  async reload(step = '', meanwhile: () => void = () => {}): Promise<void> {
    const server = this.#server;
    const seen = server.log.length;
    const isOver = /^reload (done|refused)$/;
    server.signal('SIGHUP');
    if (step !== '') {
      const isThere = () => server.hasSaid(`reload: ${step}`, seen) || server.hasSaid(isOver, seen);
      await waitFor(step, isThere, RELOAD_MS);
      meanwhile();
    }
    await server.untilSaid(isOver, seen, RELOAD_MS);
    await waitFor('health', () => server.isReady());
  }

  pidOf(child: string): number {
    return this.#server.childPid(child);
  }

  trace(): TraceLine[] {
    return readTrace(join(this.#folder, 'trace'));
  }

  /** The subscriber has heard of `count` changes. */
  async heard(count: number): Promise<void> {
    await waitFor(`${count} events`, () => this.#subscriber.heard.length >= count);
  }

  /** All that is under way comes to its end, and the trace says so. */
  async rest(): Promise<void> {
    if (this.#sent.length > 0) {
      // Behind all that the broker may still give again.
      this.command('kept');
      await this.told();
    }
    await waitFor('the truth', () => this.#isTrue());
    await waitFor('every confirm', () => isConfirmed(this.trace()));
    await this.willsSettled();
    traceTo(join(this.#folder, 'trace'), 'test')('Rest', {});
  }

  /**
   * Every will that is due has been published; or nothing more comes. A registrar that is killed
   * between its commit and the line of it has kept a will, and the next one has no reason to say so
   * again: then the judge, who knows of that, has the last word, and not this.
   */
  async willsSettled(): Promise<void> {
    let length = 0;
    let since = performance.now();
    await waitFor('wills that wait or are published', () => {
      const lines = this.trace();
      if (lines.length !== length) since = performance.now();
      length = lines.length;
      return areSettled(lines) || performance.now() - since > SILENT_MS;
    });
  }

  /** Does the subscriber know each device's open link, and of no other? */
  #isTrue(): boolean {
    const online = this.#subscriber.online();
    const links = [...this.#links];
    const names = links.map(([name]) => name);
    if (this.#obeying) names.push(OBEYING);
    const { view } = this.#subscriber;
    const isAll = online.join() === names.toSorted().join();
    return (
      isAll &&
      links.every(([name, { connection }]) => {
        return connection === '' || view.get(name)?.connection === connection;
      })
    );
  }

  async stop(): Promise<void> {
    this.sleep();
    await this.#commander.close();
    await this.#subscriber.close();
    await this.#server.stop();
    this.#proxy.stop();
    rmSync(this.#folder, { recursive: true });
  }
}

function serve(
  folder: string,
  amqp: string,
  prefix: string,
  acceptors: number,
  limits: Readonly<Record<string, number>>,
): Promise<Server> {
  const folders = ['--data-dir', join(folder, 'data'), '--trace-dir', join(folder, 'trace')];
  const flags = [...folders, '--mqtt-port', '0'];
  return Server.start({ amqp, prefix, acceptors, limits, flags });
}

/** Has the broker confirmed all that was published, and that the outbox still has? */
function isConfirmed(lines: readonly TraceLine[]): boolean {
  const open = new Map<string, { device: string; seq: number }>();
  const recorded = new Map<string, number>();
  for (const line of lines.toSorted((a, b) => a.us - b.us)) {
    const { action } = line;
    const [device, seq] = [String(line.device), Number(line.seq ?? 0)];
    if (action === 'Publish') open.set(`${device} ${seq}`, { device, seq });
    if (action === 'Confirm') open.delete(`${device} ${seq}`);
    if ((action === 'Up' || action === 'Down') && seq > 0) recorded.set(device, seq);
    if (action !== 'Compact') continue;
    // What a registrar that died had published, and a later word has replaced.
    for (const [key, event] of open) {
      if (event.seq < Number(recorded.get(event.device))) open.delete(key);
    }
  }
  return open.size === 0;
}

/**
 * Of each will the last word on record is that it is kept, as that of each open link is, or
 * dropped, or the broker has confirmed it; and each end that a living acceptor has told of is on
 * record.
 */
function areSettled(lines: readonly TraceLine[]): boolean {
  const sorted = lines.toSorted((a, b) => a.us - b.us);
  const gone = new Set(sorted.map(({ action, acceptor }) => action === 'AcceptorExit' && acceptor));
  const willed = new Set<unknown>();
  /** Links that have left one, with their process. */
  const open = new Map<unknown, string>();
  const last = new Map<unknown, string>();
  /** Not committed yet. */
  const batch = new Map<unknown, string>();
  const told = new Set<unknown>();
  let isCommitted = true;
  for (const { action, connection, process, rules } of sorted) {
    if (action === 'Will!Leave' && rules !== 'none') willed.add(connection);
    if (action === 'Accept' && willed.has(connection)) open.set(connection, process);
    if (action === 'End') open.delete(connection);
    if (action === 'NodeStart') open.clear();
    if (/^Will!(?:Keep|Drop|Wait|Out)$/.test(action)) batch.set(connection, action);
    if (/^Will!(?:Publish|Confirm)$/.test(action)) last.set(connection, action);
    const isOurs = last.has(connection) || batch.has(connection);
    if (action === 'WriteDown' && isOurs && !gone.has(process)) told.add(connection);
    if (action === 'Down') told.delete(connection);
    if (action === 'Down' || action === 'Commit') isCommitted = action === 'Commit';
    if (action === 'Commit') for (const [of, word] of batch) last.set(of, word);
    if (/^(?:Commit|Rollback|RegistrarStart)$/.test(action)) batch.clear();
  }
  const isKept = ([of, by]: [unknown, string]) => gone.has(by) || last.get(of) === 'Will!Keep';
  const isOver = told.size === 0 && isCommitted && batch.size === 0 && [...open].every(isKept);
  return isOver && [...last.values()].every((action) => /Keep|Drop|Confirm/.test(action));
}
