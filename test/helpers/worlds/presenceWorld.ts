/**
 * A world around the registrar, for property tests: devices, acceptors with their link changes,
 * streams, a store and a broker, all in memory; every step is taken only when the test says so.
 * From: a list of steps that fast-check made up.  To: what is true, and what subscribers believe.
 * Bound: small numbers, so that steps meet each other often.
 */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import type { Bequest } from '../../../src/acceptor/endpoint/linkWills.ts';
import { type Link, LinkChanges } from '../../../src/acceptor/linkChanges.ts';
import type { CloseReason } from '../../../src/base/errors.ts';
import { makeLimits } from '../../../src/base/limits.ts';
import { makePresenceCounters } from '../../../src/base/metrics.ts';
import { noTrace } from '../../../src/base/trace.ts';
import type { Publishing } from '../../../src/broker/publisher.ts';
import type { Succession } from '../../../src/node/ipc.ts';
import type { ToAcceptor, ToRegistrar } from '../../../src/node/messages.ts';
import { downOf, upOf, willOf } from '../../../src/registrar/linkWords.ts';
import { Notifier } from '../../../src/registrar/presence/notifier.ts';
import { Recorder } from '../../../src/registrar/presence/recorder.ts';
import type { HeldLink, Row } from '../../../src/registrar/store/presenceRules.ts';
import type { Batch } from '../../../src/registrar/store/store.ts';
import { WillClock } from '../../../src/registrar/will/willClock.ts';
import { Wills, type WillsOptions } from '../../../src/registrar/will/wills.ts';
import type { Will } from '../../../src/wire/message.ts';
import { makeLinkWills } from '../fakes/linkWills.ts';
import { MemoryStore } from '../fakes/memoryStore.ts';
import { WillJudge } from './willJudge.ts';

const LIMITS = makeLimits({
  presenceBatchMax: 2,
  presenceQueueMax: 1_000,
  presenceOutboxMax: 6,
  takeoversMax: 1,
  takeoverDampMs: 50,
});
const WINDOW = 3;
/** Longer than any delay of a will here. */
const DELAYS_MS = 10_000;
const QUIET = { wall: () => 0, us: () => 0 };

export interface Event {
  readonly device: string;
  readonly epoch: number;
  readonly seq: number;
  readonly online: boolean;
  readonly connection: string;
  readonly reason: string;
}

type WillWordBack = Extract<ToAcceptor, readonly ['wanted' | 'gone' | 'tell-all', unknown]>;

interface OpenLink extends Link {
  readonly acceptor: Acceptor;
  bequest?: Bequest | undefined;
}

/** The store as one registrar process reaches it: what a dead process asked is never answered. */
class Handle extends MemoryStore {
  isDead = false;
  readonly #world: World;

  constructor(world: World) {
    super();
    this.#world = world;
  }

  /** A turn later, as from a thread. */
  async #answer<T>(ask: (store: MemoryStore) => Promise<T>): Promise<T> {
    await undefined;
    if (this.isDead) return new Promise(() => {});
    const answer = await ask(this.#world.store);
    return this.isDead ? new Promise(() => {}) : answer;
  }

  override open(node: string, now: number) {
    return this.#answer((store) => store.open(node, now));
  }

  override read(devices: readonly string[]) {
    return this.#answer((store) => store.read(devices));
  }

  override online(acceptor: string, after: string, limit: number) {
    return this.#answer((store) => store.online(acceptor, after, limit));
  }

  override acceptors() {
    return this.#answer((store) => store.acceptors());
  }

  override outbox(after: number, limit: number) {
    return this.#answer((store) => store.outbox(after, limit));
  }

  override write(batch: Batch) {
    return this.#answer((store) => this.#world.write(store, batch));
  }

  override willFigures() {
    return this.#answer((store) => store.willFigures());
  }

  override readWills(devices: readonly string[]) {
    return this.#answer((store) => store.readWills(devices));
  }

  override dueWills(limit: number) {
    return this.#answer((store) => store.dueWills(limit));
  }

  override willOutbox(after: number, limit: number) {
    return this.#answer((store) => store.willOutbox(after, limit));
  }

  override compact() {
    return this.#answer((store) => store.compact());
  }

  override forget(before: number, limit: number) {
    return this.#answer((store) => store.forget(before, limit));
  }
}

/** One incarnation. Its stream holds what was sent and not yet read by the registrar. */
export class Acceptor {
  readonly name: string;
  readonly links = new Map<string, OpenLink>();
  /** All that it ever had. */
  readonly ever: string[] = [];
  readonly changes: LinkChanges;
  stream: ToRegistrar[] | undefined;
  /** Takeovers on their way here, and what is on record as the successor's. */
  back: string[] = [];
  recorded: string[] = [];
  /** What the registrar says of wills, on its way here. */
  words: WillWordBack[] = [];
  readonly bequests = makeLinkWills({ willEndsMax: 1_000 });
  /** To which its links move, while they live; and whose come here. */
  readonly heirs = new Set<Acceptor>();
  readonly predecessors = new Set<Acceptor>();
  /** "go" is said, and has not come there. */
  given: { readonly link: OpenLink; readonly to: Acceptor }[] = [];

  constructor(name: string) {
    this.name = name;
    this.changes = new LinkChanges({
      links: (shard) => (shard === 0 ? this.links.values() : []),
      clock: QUIET,
      trace: noTrace,
      ...this.bequests,
    });
  }
}

export class World {
  readonly store = new MemoryStore(() => this.#clock);
  /** So many writes fail, and have written nothing then. */
  failures = 0;
  readonly acceptors: Acceptor[] = [];
  /** Their streams may hold something still. */
  readonly dead: Acceptor[] = [];
  /** Ends that neither the predecessor nor the successor knows of. */
  #unseen: Acceptor[] = [];
  /** Of this start of the node. */
  #successions: Succession[] = [];
  /** How far the wall clock is, which people set. */
  ahead = 0;
  readonly changes: Event[] = [];
  readonly clones: string[] = [];
  #recorder: Recorder | undefined;
  #handle: Handle | undefined;
  /** A batch that is under way. */
  #work: Promise<boolean> | undefined;
  #notifier: Notifier | undefined;
  #wills: Wills | undefined;
  #due: WillClock | undefined;
  readonly judge = new WillJudge();
  #sent: Publishing[] = [];
  #delivered: Publishing[] = [];
  #clock = 1;
  #count = 0;
  #node = 0;
  /** Every link that ever was, by device, in the order of accepting. */
  readonly #accepted: { id: string; device: string }[] = [];
  #subscribers: Map<string, Event>[] = [];

  constructor(acceptors: number) {
    this.subscribe();
    this.startNode(acceptors);
  }

  /** Everything of the node before is gone; a new one begins. */
  startNode(acceptors: number): void {
    this.killRegistrar();
    for (const { ever } of this.acceptors) this.judge.onKilled(ever);
    this.dead.length = 0;
    this.#node += 1;
    this.acceptors.length = 0;
    this.#unseen = [];
    this.#successions = [];
    for (let at = 0; at < acceptors; at += 1) this.#fork();
    this.startRegistrar();
  }

  #fork(): Acceptor {
    this.#count += 1;
    const acceptor = new Acceptor(`acceptor-${this.#count}`);
    this.acceptors.push(acceptor);
    return acceptor;
  }

  // Moves.

  /** From now on its links may move to a new one. One reload at a time. */
  succeed(at: number): void {
    const acceptor = this.acceptors[at];
    const isBusy = this.acceptors.some((one) => one.heirs.size + one.predecessors.size > 0);
    if (acceptor === undefined || isBusy || this.#unseen.length > 0) return;
    this.#follow(acceptor, [this.#fork()]);
  }

  /** There are to be fewer: its links may move to all that started later. */
  join(at: number): void {
    const acceptor = this.acceptors[at];
    if (acceptor === undefined || this.#unseen.length > 0) return;
    if (acceptor.heirs.size + acceptor.predecessors.size > 0) return;
    const later = this.acceptors.slice(at + 1).filter(({ heirs }) => heirs.size === 0);
    this.#follow(acceptor, later);
  }

  #follow(acceptor: Acceptor, heirs: readonly Acceptor[]): void {
    for (const heir of heirs) {
      acceptor.heirs.add(heir);
      heir.predecessors.add(acceptor);
      heir.changes.follows(acceptor.name);
      this.#successions.push({ of: acceptor.name, by: heir.name });
    }
    this.tellNode();
  }

  /** Go is said. */
  give(acceptor: Acceptor): void {
    const [next, ...others] = acceptor.heirs;
    const [link] = acceptor.links.values();
    if (next === undefined || link === undefined) return;
    const to = others.find((other) => other.links.size < next.links.size) ?? next;
    acceptor.links.delete(link.id);
    acceptor.given.push({ link, to });
    acceptor.changes.onGiven(link, to.name);
    link.bequest = acceptor.bequests.wills.of(link.id);
    acceptor.bequests.wills.forget(link.id);
  }

  /** It comes to the successor, if that lives. */
  take(acceptor: Acceptor): void {
    const given = acceptor.given.shift();
    if (given === undefined) return;
    const { link, to } = given;
    if (!this.acceptors.includes(to)) {
      this.judge.onKilled([link.id]);
      return;
    }
    const taken = { ...link, acceptor: to, before: {} };
    to.links.set(link.id, taken);
    to.ever.push(link.id);
    if (link.bequest) to.bequests.wills.adopt(link.id, link.bequest);
    to.changes.onTaken(taken);
  }

  /** Each learns of the other's end, behind all that came from it. */
  seeGone(): void {
    for (const dead of this.#unseen.splice(0)) {
      while (dead.given.length > 0) this.take(dead);
      for (const heir of dead.heirs) {
        heir.predecessors.delete(dead);
        if (this.acceptors.includes(heir)) heir.changes.predecessorGone(dead.name);
      }
      for (const predecessor of dead.predecessors) {
        predecessor.heirs.delete(dead);
        const lost = predecessor.given.filter(({ to }) => to === dead);
        this.judge.onKilled(lost.map(({ link }) => link.id));
        predecessor.given = predecessor.given.filter(({ to }) => to !== dead);
        if (this.acceptors.includes(predecessor)) predecessor.changes.successorGone(dead.name);
      }
    }
  }

  /** A predecessor that has no link left ends when the registrar knows of all moves. */
  retire(at: number): void {
    const acceptor = this.acceptors[at];
    if (acceptor === undefined || acceptor.heirs.size === 0 || acceptor.changes.given > 0) return;
    if (acceptor.links.size + acceptor.given.length === 0) this.killAcceptor(at);
  }

  startRegistrar(): void {
    if (this.#recorder) return;
    const clock = { now: () => this.#clock, wall: () => this.#clock + this.ahead };
    const publisher = {
      publish: (publishing: Publishing) => void this.#sent.push(publishing),
      isFull: () => this.#sent.length + this.#delivered.length >= WINDOW,
    };
    const handle = new Handle(this);
    this.#handle = handle;
    const notifier = new Notifier({
      store: handle,
      publisher,
      exchange: 'presence',
      limits: LIMITS,
      trace: noTrace,
      mayRead: () => true,
      onFault: () => {},
    });
    this.#notifier = notifier;
    this.#startWills(handle, publisher, clock);
    this.#recorder = new Recorder({
      store: handle,
      node: `node-${this.#node}`,
      limits: LIMITS,
      clock,
      trace: noTrace,
      counters: makePresenceCounters(),
      onTakeover: (link) => this.#takeover(link),
      onRecorded: (acceptor, connections) => {
        const to = this.acceptors.find(({ name }) => name === acceptor);
        if (to?.stream) to.recorded.push(...connections);
      },
      onOpen: (opened) => notifier.onOpen(opened),
      onCommit: (events) => notifier.onCommit(events),
      onClone: (device) => this.clones.push(device),
      settledTo: () => notifier.settledTo(),
      ...(this.#wills && { wills: this.#wills }),
    });
    this.tellNode();
  }

  #startWills(store: Handle, publisher: WillsOptions['publisher'], clock: WillsOptions['clock']) {
    const onFault = () => {};
    const tell = (acceptor: string, word: WillWordBack) => {
      const to = this.acceptors.find(({ name }) => name === acceptor);
      if (to?.stream) to.words.push(word);
    };
    const due = new WillClock({
      ...{ store, now: clock.now, onFault, trace: noTrace },
      live: () => this.#recorder?.liveAcceptors ?? [],
      ask: (acceptor, mark) => tell(acceptor, ['tell-all', mark]),
      onDue: (wills) => this.#recorder?.due(wills),
    });
    this.#due = due;
    this.#wills = new Wills({
      ...{ store, publisher, clock, due, onFault, limits: LIMITS, trace: noTrace },
      exchange: 'events',
      mayRead: () => true,
      counters: makePresenceCounters(),
      onWanted: (acceptor, links) => tell(acceptor, ['wanted', links]),
      onGone: (acceptor, connections) => tell(acceptor, ['gone', connections]),
    });
  }

  /** All that this acceptor has to tell is told, read and recorded; and the way back. */
  async flow(acceptor: Acceptor): Promise<void> {
    this.send(acceptor);
    for (let sent = 0; sent < 20 && !acceptor.changes.isDone; sent += 1) this.send(acceptor);
    while (acceptor.stream?.length) this.receive(acceptor);
    await this.work();
    while (acceptor.back.length + acceptor.recorded.length + acceptor.words.length > 0) {
      this.obey(acceptor);
    }
  }

  /** The registrar looks whether wills are due. */
  async tick(): Promise<void> {
    if (this.#notifier === undefined) return;
    this.#due?.tick();
    await turn();
    await turn();
  }

  /** The supervisor's word. Acceptors that died since are missing in it. */
  tellNode(): void {
    const live = this.acceptors.map(({ name }) => name);
    this.#recorder?.onNode(live, this.#successions);
  }

  async write(store: MemoryStore, batch: Batch): Promise<number> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('the store fails');
    }
    for (const { body } of batch.events) this.changes.push(JSON.parse(body) as Event);
    this.judge.onWrite(batch, this.#clock);
    return store.write(batch);
  }

  killRegistrar(): void {
    if (this.#handle) this.#handle.isDead = true;
    this.#work = undefined;
    this.#recorder = undefined;
    this.#notifier = undefined;
    this.#wills = undefined;
    this.#due = undefined;
    this.#sent = [];
    this.#delivered = [];
    for (const acceptor of [...this.acceptors, ...this.dead]) this.cut(acceptor);
  }

  cut(acceptor: Acceptor): void {
    acceptor.stream = undefined;
    acceptor.back = [];
    acceptor.recorded = [];
    acceptor.words = [];
    acceptor.changes.lost();
  }

  killAcceptor(at: number): void {
    const [dead] = this.acceptors.splice(at, 1);
    if (dead === undefined) return;
    this.dead.push(dead);
    this.judge.onKilled(dead.ever);
    const isMoving = dead.heirs.size + dead.predecessors.size > 0;
    if (isMoving) this.#unseen.push(dead);
    if (!isMoving || this.acceptors.length === 0) this.#fork();
  }

  connect(device: string, at: number, will?: Will, isCleanStart = false): void {
    const acceptor = this.acceptors[at];
    if (acceptor === undefined) return;
    this.#clock += 1;
    this.#count += 1;
    const id = `connection-${this.#count}`;
    const link = { id, deviceId: device, acceptedUs: this.#clock, acceptor };
    this.#accepted.push({ id, device });
    acceptor.links.set(id, link);
    acceptor.ever.push(id);
    const clean = isCleanStart && ({ isCleanStart } as const);
    acceptor.bequests.wills.keep(id, {
      ...(will && { will }),
      ...(clean as { isCleanStart: true }),
    });
    this.judge.onAccept({ id, device, at: this.#clock, will, isCleanStart });
    acceptor.changes.onUp(link);
  }

  disconnect(acceptor: Acceptor, id: string, reason: CloseReason = 'peer-fin'): void {
    const link = acceptor.links.get(id);
    if (!link) return;
    acceptor.links.delete(id);
    acceptor.changes.onDown(link, reason);
    acceptor.bequests.wills.forget(id);
    if (reason === 'peer-bye') this.judge.onGoodbye(id);
  }

  /** The acceptor connects, or sends a little more. */
  send(acceptor: Acceptor): void {
    if (!this.#recorder?.isLive(acceptor.name)) return;
    if (!acceptor.stream) {
      acceptor.stream = [];
      acceptor.changes.connected();
      this.#due?.onStream(acceptor.name);
    }
    acceptor.stream.push(...acceptor.changes.take(2));
  }

  /** The registrar reads one message: of a dead acceptor's stream too, until it knows. */
  receive(acceptor: Acceptor): void {
    const message = acceptor.stream?.shift();
    const recorder = this.#recorder;
    const { name } = acceptor;
    if (!message || !recorder) return;
    if (message[0] === 'begin') recorder.begin(name);
    else if (message[0] === 'moved') recorder.moved(name, message[1]);
    else if (message[0] === 'heir') recorder.heir(name, message[1]);
    else if (message[0] === 'end') recorder.handedOver(name);
    else if (message[0] === 'up') {
      if (typeof message[5] === 'string') this.judge.onHash(message[2]);
      recorder.up({ acceptor: name, ...upOf(message) });
    } else if (message[0] === 'down') recorder.down(name, downOf(message));
    else if (message[0] === 'will') {
      const [, device, connection, word] = message;
      recorder.will(name, { kind: 'will', device, connection, will: willOf(word) });
    } else if (message[0] === 'all-told') {
      recorder.will(name, { kind: 'all-told', acceptor: name, mark: message[1] });
    }
  }

  #takeover({ acceptor, connection }: HeldLink): void {
    const to = this.acceptors.find(({ name }) => name === acceptor);
    if (to?.stream) to.back.push(connection);
  }

  /** A takeover reaches its acceptor. Never for the newest link of a device. */
  obey(acceptor: Acceptor): void {
    acceptor.changes.onRecorded(acceptor.recorded.splice(0, 1));
    this.#hear(acceptor, acceptor.words.shift());
    const connection = acceptor.back.shift();
    if (connection === undefined || !acceptor.links.has(connection)) return;
    const at = this.#accepted.findIndex(({ id }) => id === connection);
    const device = this.#accepted[at]?.device;
    const isOld = this.#accepted.slice(at + 1).some((link) => link.device === device);
    assert.ok(isOld, `${connection} was closed and no newer link of ${device} ever was`);
    this.disconnect(acceptor, connection, 'taken-over');
  }

  #hear({ changes }: Acceptor, word: WillWordBack | undefined): void {
    if (word?.[0] === 'wanted') changes.onWanted(word[1]);
    else if (word?.[0] === 'gone') changes.onGone(word[1]);
    else if (word) changes.tellAll(word[1]);
  }

  /** A batch begins; other steps may come before it is done. */
  startWork(): void {
    this.#work ??= this.#batch();
  }

  async #batch(): Promise<boolean> {
    const recorder = this.#recorder;
    try {
      return (await recorder?.work()) ?? false;
    } catch (error) {
      assert.match((error as Error).message, /the store fails/);
      return true;
    } finally {
      if (recorder === this.#recorder) this.#work = undefined;
    }
  }

  /** One batch, to its end; resolves with false when there is nothing to do, or no registrar. */
  async work(): Promise<boolean> {
    this.startWork();
    return (await this.#work) ?? false;
  }

  /** The broker takes one event, and hands it to all; its confirm may still be lost. */
  deliver(): void {
    const publishing = this.#sent.shift();
    if (!publishing) return;
    this.#delivered.push(publishing);
    if (publishing.exchange === 'events') {
      this.judge.onPublished(publishing);
      return;
    }
    const event = JSON.parse(publishing.body.toString()) as Event;
    // Some hear it twice.
    for (const view of this.#subscribers) merge(view, event);
    merge(this.#subscribers[0] as Map<string, Event>, event);
  }

  async confirm(at: number): Promise<void> {
    const [publishing] = this.#delivered.splice(at % Math.max(1, this.#delivered.length), 1);
    publishing?.onConfirm();
    await this.#notifier?.makeRoom();
    await this.#wills?.makeRoom();
  }

  /** One more joins late: it hears everything from now on, then asks for all rows. */
  subscribe(): void {
    const view = new Map<string, Event>();
    this.#subscribers.push(view);
    for (const row of this.store.rows.values()) merge(view, { ...row, epoch: 1 });
  }

  pass(ms: number): void {
    this.#clock += ms;
  }

  get outbox(): number {
    return this.store.events.length;
  }

  /** Nothing fails any more, until nothing changes any more. */
  async settle(): Promise<void> {
    this.failures = 0;
    this.startRegistrar();
    for (let round = 0; round < 3; round += 1) {
      for (const acceptor of this.acceptors) while (acceptor.given.length) this.take(acceptor);
      this.seeGone();
      this.tellNode();
      await this.#settleOnce();
      this.pass(LIMITS.takeoverDampMs + 1);
    }
    // The store's time: no delay is so long.
    this.pass(DELAYS_MS);
    while (this.store.wills.size > [...this.store.wills.values()].filter(isKept).length) {
      await this.#settleOnce();
    }
    await this.#settleOnce();
  }

  async #settleOnce(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet += 1) {
      for (const acceptor of this.acceptors) {
        this.send(acceptor);
        while (!acceptor.changes.isDone) this.send(acceptor);
        while (acceptor.stream?.length) this.receive(acceptor);
      }
      while (await this.work());
      for (const acceptor of this.acceptors) {
        while (acceptor.back.length + acceptor.recorded.length + acceptor.words.length > 0) {
          this.obey(acceptor);
        }
      }
      this.pass(1_000);
      await this.tick();
      await this.#notifier?.makeRoom();
      await this.#wills?.makeRoom();
      while (this.#sent.length + this.#delivered.length > 0) {
        this.deliver();
        await this.confirm(0);
      }
    }
  }

  /** What has to be true once nothing changes any more. */
  check(): void {
    for (const row of this.store.rows.values()) this.#checkRow(row);
    for (const acceptor of this.acceptors) {
      for (const { id, deviceId } of acceptor.links.values()) {
        const row = this.store.rows.get(deviceId);
        assert.deepEqual([row?.online, row?.connection], [true, id], `${id} is open`);
      }
    }
    assert.equal(this.outbox, 0, 'the presence outbox is empty');
    assert.equal(this.store.willEvents.length, 0, 'the outbox of wills is empty');
    this.judge.check();
    this.#checkSeqs();
  }

  #checkRow({ device, online, connection, seq, acceptor }: Row): void {
    const links = this.acceptors.flatMap((acceptor) => [...acceptor.links.values()]);
    const open = links.filter(({ deviceId }) => deviceId === device).map(({ id }) => id);
    assert.deepEqual(open, online ? [connection] : [], `the open links of ${device}`);
    const [holder] = links.filter(({ id }) => online && id === connection);
    if (holder) assert.equal(acceptor, holder.acceptor.name, `who has the link of ${device}`);
    for (const [at, view] of this.#subscribers.entries()) {
      const last = view.get(device);
      assert.deepEqual([last?.seq, last?.online], [seq, online], `subscriber ${at} of ${device}`);
    }
  }

  /** Every change of a row added 1. */
  #checkSeqs(): void {
    const seqs = new Map<string, number>();
    const begun = this.changes.filter(({ online }) => online).map(({ connection }) => connection);
    assert.equal(begun.length, new Set(begun).size, 'no link begins twice');
    for (const { device, seq } of this.changes) {
      const known = seqs.get(device);
      if (known !== undefined) assert.equal(seq, known + 1, device);
      seqs.set(device, seq);
    }
  }
}

function isKept({ due }: { readonly due?: number }): boolean {
  return due === undefined;
}

function merge(view: Map<string, Event>, event: Event): void {
  const known = view.get(event.device);
  if (!known || event.seq > known.seq) view.set(event.device, event);
}
