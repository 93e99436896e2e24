/**
 * A world around the consumer of commands, for property tests: a broker with one queue, devices
 * that remember 16 keys, their links, and a store; every step is taken when the test says so.
 * From: a list of steps that fast-check made up.  To: who acted upon what, and who was told what.
 * Bound: small numbers, so that steps meet each other often.
 */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { makeLimits } from '../../../src/base/limits.ts';
import type { AmqpMessage } from '../../../src/broker/amqp.ts';
import type { Answer as Outcome } from '../../../src/broker/replyQueues.ts';
import type { ToAcceptor, ToRegistrar } from '../../../src/node/messages.ts';
import { KEYS } from '../../../src/registrar/command/deviceQueue.ts';
import type { CommandParts } from '../../../src/registrar/commandParts.ts';
import type { CommandWrites } from '../../../src/registrar/store/commandRows.ts';
import type { Row } from '../../../src/registrar/store/presenceRules.ts';
import { amqpMessage } from '../fakes/amqpMessage.ts';
import { MemoryStore } from '../fakes/memoryStore.ts';
import { stillParts } from './commandParts.ts';

const LIMITS = {
  presenceBatchMax: 3,
  commandResultMs: 200,
  commandsPerDeviceMax: 60,
  commandRetryMs: 10,
  commandRememberMs: 600_000,
  // The publisher's own clock is the machine's: nothing here takes that long.
  confirmQuietMs: 3_600_000,
};

type Command = Extract<ToAcceptor, readonly ['command', ...unknown[]]>;
type Answer = Extract<ToRegistrar, readonly ['taken' | 'result' | 'unsent', ...unknown[]]>;

export interface Told {
  readonly type: string;
  readonly reason: string;
}

interface Queued {
  readonly number: number;
  readonly device: string;
  readonly properties: AmqpMessage['properties'];
  isRedelivered: boolean;
}

export interface Published {
  readonly number: number;
  readonly device: string;
  readonly isKept: boolean;
}

/**
 * The connection for outcomes: what was written reaches the broker in order, or not at all; and
 * what was not confirmed by its end is written again.
 */
class ModelPost {
  readonly world: World;
  /** Written, and not yet at the broker. */
  wire: Outcome[] = [];
  readonly confirms: Outcome[] = [];
  readonly #unconfirmed = new Set<Outcome>();

  constructor(world: World) {
    this.world = world;
  }

  get size(): number {
    return this.#unconfirmed.size;
  }

  isFull(): boolean {
    return false;
  }

  publish(outcome: Outcome): void {
    this.#unconfirmed.add(outcome);
    this.wire.push(outcome);
  }

  transfer(count: number): void {
    for (const outcome of this.wire.splice(0, count)) {
      const { correlationId, type = '', headers } = outcome.properties(false);
      const { reason = '' } = headers as { reason?: string };
      this.world.hear(Number(correlationId), { type, reason });
      this.confirms.push(outcome);
    }
  }

  confirm(): void {
    const outcome = this.confirms.shift();
    if (outcome === undefined) return;
    this.#unconfirmed.delete(outcome);
    outcome.onConfirm();
  }

  /** So much still arrives. */
  lose(arriving: number): void {
    this.transfer(arriving);
    this.confirms.length = 0;
    this.wire = [...this.#unconfirmed];
  }
}

/** The broker's end of one channel: what was written reaches the broker in order, or not at all. */
class ModelChannel extends EventEmitter {
  readonly world: World;
  /** Written, and not yet at the broker; `lost`: it never will be. */
  readonly wire: { readonly arrive: () => void; readonly lost?: () => void }[] = [];
  readonly out = new Map<number, Queued>();
  onMessage: ((message: AmqpMessage) => void) | undefined;
  #tag = 0;

  constructor(world: World) {
    super();
    this.world = world;
  }

  async prefetch(): Promise<void> {}
  async cancel(): Promise<void> {}
  checkQueue(): Promise<{ messageCount: number }> {
    return new Promise((resolve, reject) => {
      const arrive = () => resolve({ messageCount: this.world.queue.length });
      this.wire.push({ arrive, lost: () => reject(new Error('Channel closed')) });
    });
  }
  async consume(_: string, onMessage: (message: AmqpMessage) => void) {
    this.onMessage = onMessage;
    return { consumerTag: 'tag' };
  }

  deliver(): void {
    const queued = this.onMessage && this.world.queue.shift();
    if (!queued) return;
    const { number, device, properties, isRedelivered: redelivered } = queued;
    this.#tag += 1;
    this.out.set(this.#tag, queued);
    const of = { routingKey: device, properties, content: String(number) };
    this.onMessage?.(amqpMessage({ ...of, deliveryTag: this.#tag, redelivered }));
  }

  ack({ fields }: AmqpMessage): void {
    assert.ok(this.out.has(fields.deliveryTag), 'settled once');
    this.wire.push({ arrive: () => this.out.delete(fields.deliveryTag) });
  }

  transfer(count: number): void {
    for (const { arrive } of this.wire.splice(0, count)) arrive();
  }

  /** So much still arrives; what is not acked goes back to its place. */
  lose(arriving: number): void {
    this.transfer(arriving);
    for (const { lost } of this.wire.splice(0)) lost?.();
    const back = [...this.out.values()];
    for (const queued of back) queued.isRedelivered = true;
    this.world.queue.unshift(...back);
    this.emit('close');
  }
}

/** How a device answers. */
export type Mood = 'result' | 'both' | 'ack' | 'silent';

class ModelDevice {
  readonly name: string;
  readonly acts: number[] = [];
  readonly keys: string[] = [];
  mood: Mood = 'both';
  connection: string | undefined;
  /** COMMANDs on their way to its present link, or to one before. */
  inbox: Command[] = [];
  answers: Answer[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Whatever its mood, a mute one says nothing of this command. */
  take(isMute: boolean): void {
    const command = this.inbox.shift();
    if (!command) return;
    const [, device, connection, key, , payload, due] = command;
    if (connection !== this.connection) {
      this.answers.push(['unsent', key, device, 'gone', connection, due]);
      return;
    }
    if (!this.keys.includes(key)) {
      this.keys.push(key);
      if (this.keys.length > KEYS) this.keys.shift();
      this.acts.push(Number(payload.toString()));
    }
    if (isMute) return;
    if (this.mood === 'ack' || this.mood === 'both') this.answers.push(['taken', key]);
    if (this.mood === 'result' || this.mood === 'both') {
      this.answers.push(['result', key, 100, Buffer.from('done')]);
    }
  }
}

export class World {
  readonly queue: Queued[] = [];
  readonly published: Published[] = [];
  readonly told = new Map<number, Told[]>();
  readonly devices: readonly ModelDevice[];
  failures = 0;
  crashes = 0;
  #store = new MemoryStore(() => this.#now);
  #parts: CommandParts;
  #channel: ModelChannel;
  #post: ModelPost;
  /** What the registrar has not recorded yet of who is connected. */
  #rows: Row[] = [];
  #now = 1_000_000;
  #connections = 0;
  readonly #windowMax: number;

  constructor(devices: readonly string[], windowMax: number) {
    this.#windowMax = windowMax;
    this.devices = devices.map((name) => new ModelDevice(name));
    for (const name of devices) this.#store.rows.set(name, rowOf(name, undefined));
    this.#post = new ModelPost(this);
    this.#parts = this.#makeParts();
    this.#channel = this.#makeChannel();
  }

  #makeParts(): CommandParts {
    return stillParts({
      store: this.#store,
      limits: makeLimits({ ...LIMITS, commandWindowMax: this.#windowMax }),
      answers: this.#post,
      now: () => this.#now,
      send: (_, message) => {
        const command = message as Command;
        this.#device(command[1]).inbox.push(command);
        return 'sent';
      },
      isChanging: (device) => this.#rows.some((row) => row.device === device),
      // Writes fail now and then: they are made again.
      onFault: () => {},
    });
  }

  #makeChannel(): ModelChannel {
    const channel = new ModelChannel(this);
    // All that it awaits is there at once.
    const open = this.#parts.consumer.open(channel, 'commands', () => {});
    // Of a channel that is lost before.
    open.catch(() => {});
    return channel;
  }

  #device(name: string): ModelDevice {
    return this.devices.find((device) => device.name === name) as ModelDevice;
  }

  // Backends.

  publish(device: string, isKept: boolean, livesMs: number): void {
    const number = this.published.length + 1;
    this.published.push({ number, device, isKept });
    const id = String(number);
    const properties = {
      type: 'door.open',
      messageId: id,
      correlationId: id,
      replyTo: 'backend',
      deliveryMode: isKept ? 2 : 1,
      headers: isKept ? { deadline: this.#now + livesMs } : {},
    };
    this.queue.push({ number, device, properties, isRedelivered: false });
  }

  hear(number: number, told: Told): void {
    this.told.set(number, [...(this.told.get(number) ?? []), told]);
  }

  // The broker.

  deliver(): void {
    this.#channel.deliver();
  }

  /** So much of either connection arrives; and what that answers is heard. */
  async transfer(count: number, toPost: number): Promise<void> {
    this.#channel.transfer(count);
    await nextTurn();
    this.#post.transfer(toPost);
  }

  confirm(): void {
    this.#post.confirm();
  }

  losePost(arriving: number): void {
    this.#post.lose(arriving);
  }

  loseChannel(arriving: number): void {
    this.#channel.lose(arriving);
    this.#channel = this.#makeChannel();
  }

  // Devices.

  connect(at: number): void {
    const device = this.devices[at] as ModelDevice;
    this.#connections += 1;
    device.connection = `connection-${this.#connections}`;
    this.#rows.push(rowOf(device.name, device.connection));
  }

  /** What it had answered may still be on its way, or is lost with it. */
  disconnect(at: number, isLost: boolean): void {
    const device = this.devices[at] as ModelDevice;
    if (isLost) device.answers = [];
    device.connection = undefined;
    this.#rows.push(rowOf(device.name, undefined));
  }

  take(at: number, isMute = false): void {
    this.devices[at]?.take(isMute);
  }

  answer(at: number): void {
    const answer = this.devices[at]?.answers.shift();
    if (answer) this.#parts.commands.onAnswer(answer);
  }

  /**
   * All that is queued is on record; then the device takes so many, the first of them mutely, and
   * its answers are heard.
   */
  async flow(at: number, mutes: number, takes: number): Promise<void> {
    while (this.queue.length > 0) this.deliver();
    while (await this.work());
    for (let taken = 0; taken < takes; taken += 1) this.take(at, taken < mutes);
    while (this.devices[at]?.answers.length) this.answer(at);
    while (await this.work());
  }

  // The registrar.

  async work(): Promise<boolean> {
    const { commands } = this.#parts;
    const rows = this.#rows.splice(0);
    try {
      const writes = await commands.prepare();
      await this.#write(writes);
    } catch {
      this.#rows.unshift(...rows);
      commands.rolledBack();
      return true;
    }
    for (const row of rows) this.#store.rows.set(row.device, row);
    commands.committed(rows);
    return commands.isBusy;
  }

  async #write(commands: CommandWrites | undefined): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('the store fails');
    }
    if (commands) await this.#store.write({ rows: [], events: [], settledTo: 0, commands });
  }

  /** It dies; between a transaction and what follows it, if `hasWritten`. */
  async crash(arriving: number, hasWritten: boolean, isLost: boolean): Promise<void> {
    this.crashes += 1;
    if (hasWritten) await this.#write(await this.#parts.commands.prepare()).catch(() => {});
    const channel = this.#channel;
    this.#post.transfer(arriving);
    this.#post = new ModelPost(this);
    this.#parts = this.#makeParts();
    channel.removeAllListeners();
    channel.lose(arriving);
    this.#channel = this.#makeChannel();
    this.#rows = [];
    for (const device of this.devices) {
      if (isLost) device.answers = [];
      // The hand-over; one that is gone is recorded as such by then.
      this.#rows.push(rowOf(device.name, device.connection));
    }
  }

  pass(ms: number): void {
    this.#now += ms;
    this.#parts.consumer.tick();
  }

  /** Nothing fails any more, until nothing changes any more. */
  async settle(): Promise<void> {
    this.failures = 0;
    // The consumer's `open` is done.
    await nextTurn();
    for (const [at, device] of this.devices.entries()) {
      device.mood = 'both';
      this.connect(at);
    }
    for (let round = 0; round < 6; round += 1) {
      await this.#flow();
      this.pass(LIMITS.commandResultMs + 200);
    }
    await this.#flow();
    this.pass(1_000_000);
    for (let round = 0; round < 3; round += 1) {
      await this.#flow();
      this.pass(200);
    }
  }

  async #flow(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet += 1) {
      this.#parts.consumer.tick();
      while (await this.work());
      if (this.#isMoving()) quiet = 0;
      while (this.queue.length > 0) this.deliver();
      while (await this.work());
      for (const at of this.devices.keys()) {
        while (this.devices[at]?.inbox.length) this.take(at);
        while (this.devices[at]?.answers.length) this.answer(at);
      }
      await this.transfer(1_000, 1_000);
      while (this.#post.confirms.length > 0) this.confirm();
    }
  }

  #isMoving(): boolean {
    const { wire, confirms } = this.#post;
    // The consumer looks at its queue again and again: that alone is no movement.
    const acks = this.#channel.wire.filter(({ lost }) => lost === undefined);
    const toMove = this.queue.length + acks.length + wire.length + confirms.length;
    return toMove > 0 || this.devices.some(({ inbox, answers }) => inbox.length + answers.length);
  }

  // What has to be true.

  check(): void {
    assert.equal(this.queue.length + this.#channel.out.size, 0, 'all deliveries are settled');
    for (const published of this.published) this.#checkOne(published);
    for (const { name, acts } of this.devices) {
      const kept = acts.filter((number) => this.published[number - 1]?.isKept);
      assert.deepEqual(
        kept,
        kept.toSorted((a, b) => a - b),
        `kept ones of ${name}, in order`,
      );
    }
  }

  #checkOne({ number, device, isKept }: Published): void {
    const told = this.told.get(number) ?? [];
    const finals = new Set(told.filter(({ type }) => type !== 'delivered').map(textOf));
    const acts = this.devices.flatMap(({ name, acts }) =>
      acts.filter((act) => act === number).map(() => name),
    );
    const what = `${number} (${isKept ? 'kept' : 'transient'}): ${told.map(textOf).join()}`;
    assert.ok(finals.size <= 1, `${what}: one end`);
    // Only a transient's outcome can be lost, with the process that was about to tell it.
    if (isKept || this.crashes === 0) assert.equal(finals.size, 1, `${what}: an end`);
    assert.ok(acts.length <= 1 && acts.every((name) => name === device), `${what}: acts ${acts}`);
    const [final = ''] = finals;
    if (final.startsWith('result')) assert.equal(acts.length, 1, `${what}: acted upon`);
    if (/offline|refused|not-sent/.test(final)) assert.equal(acts.length, 0, `${what}: not acted`);
  }
}

function textOf({ type, reason }: Told): string {
  return `${type} ${reason}`;
}

function rowOf(device: string, connection: string | undefined): Row {
  const rest = { seq: 1, start: 1, acceptedUs: 1, at: 1, reason: 'connected' } as const;
  const online = connection !== undefined;
  return { device, online, connection: connection ?? '', acceptor: 'acceptor-1', ...rest };
}
