/**
 * A world around a move, for property tests: a predecessor and its successor with the real giver,
 * taker, link changes and commands; links whose kernel is a list of numbers; a supervisor that
 * passes on one word when the test says so, and sees an end when it says so.
 * From: a list of steps that fast-check made up.  To: who read what, and who was told what.
 * Bound: small numbers, so that steps meet each other often.
 */
import assert from 'node:assert/strict';
import type { Endpoint } from '../../../src/acceptor/endpoint/endpoint.ts';
import { Registry } from '../../../src/acceptor/endpoint/registry.ts';
import { openLinks } from '../../../src/acceptor/endpoint/shards.ts';
import type { OwedClose } from '../../../src/acceptor/endpoint/snapshot.ts';
import type { SocketHandle } from '../../../src/acceptor/endpoint/socket.ts';
import { LinkChanges } from '../../../src/acceptor/linkChanges.ts';
import { Giver } from '../../../src/acceptor/move/giver.ts';
import { MoveLine } from '../../../src/acceptor/move/moveLine.ts';
import { Moves } from '../../../src/acceptor/move/moves.ts';
import { Taker } from '../../../src/acceptor/move/taker.ts';
import { DeviceCommands } from '../../../src/acceptor/route/deviceCommands.ts';
import { makeLimits } from '../../../src/base/limits.ts';
import { makeLogger } from '../../../src/base/log.ts';
import { makeCounters } from '../../../src/base/metrics.ts';
import { noTrace, type Trace } from '../../../src/base/trace.ts';
import type { FromChild, MoveFigures, PassMessage } from '../../../src/node/ipc.ts';
import type { FromLink, ToLink } from '../../../src/node/messages.ts';
import { MESSAGE_TYPES } from '../../../src/wire/message.ts';
import { FakeClock } from '../fakes/clock.ts';
import { makeLinkWills } from '../fakes/linkWills.ts';

const LIMITS = makeLimits({});
const LOG = makeLogger('silent', { role: 'acceptor' });
const WINDOW = 2;
const QUIET_MS = 200;
export const MOVE_MS = 5_000;

/** What the kernel knows of a link. */
export class Kernel {
  readonly id: string;
  /** Messages of the device: 1, 2, 3, ... */
  sent = 0;
  /** In the kernel, unread. */
  unread: number[] = [];
  readonly handled: number[] = [];
  /** Keys of COMMANDs that the device got. */
  readonly commands: string[] = [];
  /** Processes that have it open. */
  readonly copies = new Set<Process | 'under way'>();
  readonly readers = new Set<Process>();
  bye = '';

  constructor(id: string) {
    this.id = id;
  }

  get isOver(): boolean {
    return this.copies.size === 0;
  }
}

/** As much of an endpoint as a move needs; what it has read and not handled goes with it. */
class MovingLink {
  readonly kernel: Kernel;
  readonly process: Process;
  readonly acceptedUs = 1;
  readonly origin = undefined;
  readonly outboxBytes = 0;
  readonly isHolding = false;
  readonly canBeSaved = true;
  readonly before: object | undefined;
  state: 'open' | 'moving' | 'adopted' | 'draining' | 'closed' = 'open';
  inFlight = 0;
  isHushed = false;
  held: number[];
  #owed: OwedClose | undefined;

  constructor(kernel: Kernel, process: Process, held?: number[]) {
    this.kernel = kernel;
    this.process = process;
    this.held = held ?? [];
    this.before = held && {};
    if (held) this.state = 'adopted';
    else kernel.readers.add(process);
    kernel.copies.add(process);
  }

  get id(): string {
    return this.kernel.id;
  }

  get #isMoving(): boolean {
    return this.state === 'moving' || this.state === 'adopted';
  }

  get deviceId(): string {
    return `device-${this.kernel.id}`;
  }

  /** Reads one, and has it in flight until `settle`. */
  read(): void {
    if (this.state !== 'open') return;
    assert.ok(this.kernel.readers.has(this.process));
    if (this.isHushed) return;
    const next = this.held.shift() ?? this.kernel.unread.shift();
    if (next === undefined) return;
    this.kernel.handled.push(next);
    this.inFlight += 1;
  }

  settle(): void {
    this.inFlight = 0;
  }

  freeze() {
    // Node has read one more, maybe.
    const next = this.kernel.unread.shift();
    if (next !== undefined) this.held.push(next);
    this.state = 'moving';
    this.isHushed = false;
    this.kernel.readers.delete(this.process);
    return {
      handle: { kernel: this.kernel, close: () => {} },
      snapshot: { id: this.id, deviceId: '', peer: '' },
    };
  }

  thaw(): void {
    if (!this.#isMoving) return;
    this.state = 'open';
    assert.equal(this.kernel.readers.size, 0, 'another one reads');
    this.kernel.readers.add(this.process);
    if (this.#owed) this.close(this.#owed.reason);
  }

  leave(): void {
    if (!this.#isMoving) return;
    this.#gone('closed');
  }

  close(reason: OwedClose['reason']): void {
    if (this.#isMoving) {
      this.#owed ??= { reason, retryAfter: undefined };
      this.process.giver.onOwed(this as unknown as Endpoint, reason);
    }
    if (this.state !== 'open') return;
    this.kernel.bye = reason;
    this.#gone('draining');
    this.process.changes.onDown(this, reason);
  }

  #gone(state: 'draining' | 'closed'): void {
    this.state = state;
    this.kernel.readers.delete(this.process);
    this.kernel.copies.delete(this.process);
    this.process.registry.unregister(this as unknown as Endpoint);
    this.process.commands.onEnd(this as unknown as Endpoint);
  }

  hush(isHushed = true): void {
    this.isHushed = isHushed;
  }

  // As commands see it.

  commandBytesMax = () => 1_000;
  commandBytesNow = () => 1_000;

  command({ key }: { key: Buffer }): void {
    this.kernel.commands.push(key.toString('hex'));
    // It answers later.
    this.process.unanswered.push([this, key.toString('hex')]);
  }
}

export class Process {
  readonly name: string;
  readonly registry = new Registry<Endpoint>();
  readonly told: FromLink[] = [];
  readonly outbox: { message: PassMessage; handle: { kernel: Kernel } | undefined }[] = [];
  readonly unanswered: [MovingLink, string][] = [];
  readonly changes: LinkChanges;
  readonly commands: DeviceCommands;
  readonly giver: Giver;
  readonly taker: Taker;
  readonly moves: Moves;
  figures: MoveFigures | undefined;
  /** Links that were left when it gave memory back. */
  readonly collected: number[] = [];
  isAlive = true;

  constructor(name: string, clock: FakeClock, trace: Trace, predecessor?: string) {
    this.name = name;
    const shard = (at: number) => openLinks(this.registry, at);
    this.changes = new LinkChanges({ links: shard, clock, trace, ...makeLinkWills() });
    if (predecessor !== undefined) this.changes.follows(predecessor);
    this.commands = new DeviceCommands({
      ...{ registry: this.registry, limits: LIMITS, counters: makeCounters(MESSAGE_TYPES) },
      ...{ wall: () => 0, trace, notify: (message) => this.told.push(message) },
      hasMoved: (connection) => this.changes.hasGiven(connection),
    });
    const send = (message: FromChild, handle?: SocketHandle) => {
      if (!this.isAlive || message.type !== 'pass') return;
      const given = handle as unknown as { kernel: Kernel } | undefined;
      given?.kernel.copies.add('under way');
      this.outbox.push({ message, handle: given });
    };
    const line = new MoveLine(name, { predecessor }, send);
    const shared = { changes: this.changes, trace, wake: () => {} };
    this.giver = new Giver({
      ...{ ...shared, registry: this.registry, clock, commands: this.commands },
      after: (_, act) => act(),
      ...{ spread: () => 0, drainPaceMs: 0, recordMs: 0, mayCome: () => false },
      send: line.pass,
      onMoved: (figures) => {
        this.figures = figures;
      },
      collect: () => this.collected.push(this.registry.size),
    });
    this.taker = new Taker({
      ...{ ...shared, onTaken: () => {}, retryAfter: () => 0, send: line.pass },
      endpoints: { adopt: (_, handle) => this.#adopt(handle) },
    });
    const onFollow = (of: string) => this.changes.follows(of);
    this.moves = new Moves({ giver: this.giver, taker: this.taker, line, log: LOG, onFollow });
  }

  /** Of links that this one does not take. */
  readonly refuses = new Set<string>();
  /** What a snapshot holds here: the test world's links pass it beside it. */
  static readonly held = new Map<string, number[]>();

  #adopt(handle: SocketHandle): Endpoint | undefined {
    const { kernel } = handle as unknown as { kernel: Kernel };
    if (this.refuses.has(kernel.id)) return undefined;
    const held = [...(Process.held.get(kernel.id) ?? [])];
    const link = new MovingLink(kernel, this, held) as unknown as Endpoint;
    this.registry.register(link);
    return link;
  }

  link(id: string): MovingLink | undefined {
    return this.registry.find(id) as unknown as MovingLink | undefined;
  }

  accept(kernel: Kernel): void {
    const link = new MovingLink(kernel, this);
    this.registry.register(link as unknown as Endpoint);
    this.changes.onUp(link);
  }

  kill(kernels: Iterable<Kernel>): void {
    this.isAlive = false;
    for (const kernel of kernels) {
      kernel.readers.delete(this);
      kernel.copies.delete(this);
    }
  }
}

export class MoveWorld {
  readonly clock = new FakeClock();
  readonly kernels: Kernel[] = [];
  readonly before: Process;
  readonly after: Process;
  /** Another successor, where there is one: the two share the links. */
  readonly beside: Process | undefined;
  /** Ends that the other one has not heard of. */
  #unseen: Process[] = [];
  #keys = 0;
  /** Commands that nobody has answered for, by key: of which link. */
  readonly given = new Map<string, string>();

  constructor(links: number, traceOf: (process: string) => Trace = () => noTrace, heirs = 1) {
    Process.held.clear();
    this.before = new Process('before', this.clock, traceOf('before'));
    this.after = new Process('after', this.clock, traceOf('after'), 'before');
    this.beside =
      heirs > 1 ? new Process('beside', this.clock, traceOf('beside'), 'before') : undefined;
    for (let at = 0; at < links; at += 1) {
      const shard = String(at % 100).padStart(2, '0');
      const rest = String(Math.floor(at / 100)).padStart(6, '0');
      const kernel = new Kernel(`${shard}${rest}-0000-4000-8000-000000000000`);
      this.kernels.push(kernel);
      this.before.accept(kernel);
    }
  }

  kernel(at: number): Kernel {
    return this.kernels[at % this.kernels.length] as Kernel;
  }

  get #processes(): Process[] {
    return [this.before, this.after, ...(this.beside ? [this.beside] : [])];
  }

  get #isWhole(): boolean {
    return this.#processes.every(({ isAlive }) => isAlive);
  }

  begin(): void {
    if (!this.before.isAlive) return;
    const order = { window: WINDOW, quietMs: QUIET_MS, moveMs: MOVE_MS, retryMs: 0 };
    this.before.moves.begin({
      type: 'move',
      to: this.beside ? ['after', 'beside'] : ['after'],
      ...order,
    });
    this.#noteHeld();
  }

  /** What a frozen link has read goes with it. */
  #noteHeld(): void {
    for (const { id } of this.kernels) {
      const link = this.before.link(id);
      if (link?.state === 'moving') Process.held.set(id, [...link.held]);
    }
  }

  tick(ms = 50): void {
    this.clock.advance(ms);
    for (const one of this.#processes) if (one.isAlive) one.moves.tick();
    this.#noteHeld();
  }

  /** One word, of one of them, reaches the other. */
  pass(from: Process): boolean {
    const next = from.outbox.shift();
    if (next === undefined) return false;
    const to = this.#processes.find(({ name }) => name === next.message.to);
    next.handle?.kernel.copies.delete('under way');
    if (to?.isAlive) to.moves.onPass(next.message, next.handle as unknown as SocketHandle);
    this.#noteHeld();
    return true;
  }

  kill(which: Process): void {
    if (!this.#isWhole) return;
    which.kill(this.kernels);
    this.#unseen.push(which);
  }

  /** The supervisor sees the end of one, and passes on all that it had said before. */
  see(): void {
    for (const dead of this.#unseen) {
      while (this.pass(dead));
      for (const other of this.#processes) if (other.isAlive) other.moves.onGone(dead.name);
    }
    this.#unseen = [];
    this.#noteHeld();
  }

  send(at: number): void {
    const kernel = this.kernel(at);
    if (kernel.isOver) return;
    kernel.sent += 1;
    kernel.unread.push(kernel.sent);
  }

  read(at: number): void {
    for (const one of this.#processes) one.isAlive && one.link(this.kernel(at).id)?.read();
  }

  settle(at: number): void {
    for (const one of this.#processes) one.link(this.kernel(at).id)?.settle();
  }

  close(at: number, of: Process, reason: OwedClose['reason']): void {
    if (of.isAlive) of.link(this.kernel(at).id)?.close(reason);
    this.#noteHeld();
  }

  /** The registrar sends one to whom it takes for the link's acceptor. */
  command(at: number, to: Process): void {
    const { id } = this.kernel(at);
    if (!to.isAlive) return;
    this.#keys += 1;
    const key = this.#keys.toString(16).padStart(32, '0');
    this.given.set(key, id);
    to.commands.onCommand(commandTo(id, key));
  }

  /** Devices answer all. */
  answer(): void {
    for (const one of this.#processes) {
      for (const [link] of one.unanswered.splice(0)) {
        const hasMoved = link.state === 'closed' && one.isAlive;
        assert.ok(!hasMoved || link.kernel.isOver, 'it has moved before its answer came');
        if (link.state !== 'open' || !one.isAlive) continue;
        const open = one.commands.openOf(link as unknown as Endpoint);
        for (let id = 1; open > 0 && id < 200; id += 1) {
          const result = { type: 'result', id, status: 0, payload: Buffer.alloc(0) } as never;
          one.commands.onAnswer(link as unknown as Endpoint, result);
        }
      }
    }
  }

  /** Nothing fails any more; until nothing changes. */
  end(): void {
    for (let round = 0; round < 400; round += 1) {
      this.see();
      while (this.#processes.some((one) => this.pass(one)));
      this.answer();
      for (let at = 0; at < this.kernels.length; at += 1) {
        this.read(at);
        this.settle(at);
      }
      this.tick();
    }
  }

  /** At any moment. */
  check(): void {
    for (const { id, readers, handled } of this.kernels) {
      assert.ok(readers.size <= 1, `${id} has two readers`);
      for (const [at, message] of handled.entries()) {
        assert.equal(message, at + 1, `${id}: each message once, and in order`);
      }
    }
    const reached = this.kernels.flatMap(({ commands }) => commands);
    assert.equal(reached.length, new Set(reached).size, 'a command went out twice');
  }

  /** Once nothing changes any more. */
  checkEnd(): void {
    this.check();
    const isWhole = this.#isWhole;
    for (const { id, isOver, readers, sent, handled, bye } of this.kernels) {
      assert.ok(!isWhole || !isOver || bye !== '', `${id} was dropped without a word`);
      if (isOver) continue;
      const saidGone = this.before.told.some(([what, , , why, connection]) => {
        return what === 'unsent' && why === 'gone' && connection === id;
      });
      assert.ok(!isWhole || !saidGone, `${id} is there, and was said to be gone`);
      assert.equal(readers.size, 1, `${id} hangs`);
      assert.equal(handled.length, sent, `${id}: all was handled`);
    }
    this.#checkCommands();
  }

  /** Each was sent, or it was said that it was not; unless who had it was killed. */
  #checkCommands(): void {
    const reached = new Set(this.kernels.flatMap(({ commands }) => commands));
    const unsent = new Map<string, string>();
    for (const one of this.#processes) {
      for (const message of one.told)
        if (message[0] === 'unsent') unsent.set(message[1], message[3]);
    }
    for (const key of this.given.keys()) {
      assert.ok(!(reached.has(key) && unsent.has(key)), `${key}: sent, and said not to be`);
      const isKnown = reached.has(key) || unsent.has(key);
      if (this.#isWhole) assert.ok(isKnown, `${key} is lost`);
    }
  }
}

function commandTo(connection: string, key: string): ToLink {
  return ['command', 'device', connection, key, 'open', Buffer.alloc(0), 1_000];
}
