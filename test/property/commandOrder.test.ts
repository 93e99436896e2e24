/**
 * Kept commands through both real ends, the registrar's and the acceptor's: the link has room for
 * small ones, for none or for all, the stream between breaks, its hand-over comes late, the device
 * gets other links. All are acted upon, in the order in which they were kept.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { type CommandLink, DeviceCommands } from '../../src/acceptor/route/deviceCommands.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makeCounters } from '../../src/base/metrics.ts';
import type { FromLink, ToLink } from '../../src/node/messages.ts';
import { type CommandMessage, MESSAGE_TYPES, TYPE } from '../../src/wire/message.ts';
import { V1Protocol } from '../../src/wire/v1Protocol.ts';
import { amqpMessage } from '../helpers/fakes/amqpMessage.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';
import { stillParts } from '../helpers/worlds/commandParts.ts';

const LIMITS = makeLimits({ commandWindowMax: 4, commandRetryMs: 10, presenceBatchMax: 3 });
const LARGE = 1_000;
/** What waits in the outbox: a large one fits; a small one; none. */
const FILLED = [0, LIMITS.outboxSoftBytes - 500, LIMITS.outboxSoftBytes];
const TIGHT = makeLimits({ ...LIMITS, outboxHardBytes: LIMITS.outboxSoftBytes });
const DAY_MS = 86_400_000;
const NOTHING = { rows: [], events: [], settledTo: 0 };
const trace = () => {};

class Stage {
  now = 1_000_000;
  kept = 0;
  readonly #store = new MemoryStore(() => this.now);
  readonly acts: number[] = [];
  /** The stream: there or not, and what is on its way. */
  #hasStream = true;
  #down: ToLink[] = [];
  #up: FromLink[] = [];
  /** The device's link: its outbox, and what the device has not read of it. */
  #links = 0;
  outboxBytes = 0;
  #frames: CommandMessage[] = [];
  #rows: string[] = [];
  readonly #keys = new Set<string>();
  /** COMMANDs that the device has read and not answered. */
  #mutes = 0;
  #endpoint = this.#link();
  readonly #upper = stillParts({
    store: this.#store,
    limits: TIGHT,
    now: () => this.now,
    send: (_, message) => {
      if (!this.#hasStream) return 'gone';
      this.#down.push(message as ToLink);
      return 'sent';
    },
    isChanging: () => this.#rows.length > 0,
    trace,
  });
  readonly #commands = new DeviceCommands({
    registry: { find: (id) => (id === this.#endpoint.id ? this.#endpoint : undefined) },
    limits: TIGHT,
    counters: makeCounters(MESSAGE_TYPES),
    wall: () => this.now,
    trace,
    notify: (message) => {
      if (this.#hasStream) this.#up.push(message);
    },
  });

  #link(): CommandLink {
    this.#links += 1;
    const id = `connection-${this.#links}`;
    const stage = this;
    const protocol = new V1Protocol(LIMITS.frameBytesMax);
    this.#rows.push(id);
    return {
      id,
      state: 'open',
      get outboxBytes() {
        return stage.outboxBytes;
      },
      commandBytesMax: (topic: string) => protocol.commandBytesMax(topic, LIMITS.frameBytesMax),
      commandBytesNow: (topic: string) =>
        protocol.commandBytesMax(topic, TIGHT.outboxHardBytes - stage.outboxBytes),
      command: (message: CommandMessage) => stage.#frames.push(message),
    };
  }

  keep(isLarge: boolean): void {
    this.kept += 1;
    const content = Buffer.alloc(isLarge ? LARGE : 4);
    content.writeUInt32BE(this.kept);
    const headers = { deadline: this.now + DAY_MS };
    const properties = { type: 't', messageId: String(this.kept), deliveryMode: 2, headers };
    const message = amqpMessage({ routingKey: 'door-17', properties, content });
    const delivery = { isRedelivered: false, isStale: false, channel: null };
    this.#upper.commands.onDelivery(message, delivery);
  }

  async work(): Promise<void> {
    const { commands } = this.#upper;
    const rows = this.#rows.splice(0).map((connection) => {
      const rest = { seq: 1, start: 1, acceptedUs: 1, at: 1, reason: 'connected' } as const;
      return { device: 'door-17', online: true, connection, acceptor: 'acceptor-1', ...rest };
    });
    const writes = await commands.prepare();
    if (writes) await this.#store.write({ ...NOTHING, commands: writes });
    commands.committed(rows);
  }

  /** The acceptor reads so many, and the registrar what was answered before. */
  stream(count: number): void {
    for (const message of this.#up.splice(0)) this.#upper.commands.onAnswer(message);
    for (const message of this.#down.splice(0, count)) this.#commands.onCommand(message);
  }

  /** What was written last is lost. */
  loseStream(arriving: number): void {
    this.#down.length = Math.min(this.#down.length, arriving);
    this.#up.length = 0;
    this.#hasStream = false;
  }

  /** A new stream, once the older has been read to its end. */
  connect(): void {
    if (this.#hasStream || this.#down.length > 0) return;
    this.#hasStream = true;
  }

  handOver(): void {
    if (this.#hasStream) this.#rows.push(this.#endpoint.id);
  }

  relink(): void {
    this.#commands.onEnd(this.#endpoint);
    this.#frames = [];
    this.#endpoint = this.#link();
  }

  /** The device reads one, acts unless it knows it, and says so; or says nothing. */
  read(isMute: boolean): void {
    const command = this.#frames.shift();
    const key = command?.key?.toString('hex');
    if (!command || key === undefined) return;
    if (!this.#keys.has(key)) this.acts.push(command.payload.readUInt32BE());
    this.#keys.add(key);
    const { id } = command;
    if (isMute) {
      this.#mutes += 1;
      return;
    }
    const payload = Buffer.alloc(0);
    this.#commands.onAnswer(this.#endpoint, { type: TYPE.RESULT, id, status: 0, payload });
  }

  pass(ms: number): void {
    this.now += ms;
    this.#upper.consumer.tick();
  }

  /** Nothing fails any more, until nothing changes any more. */
  async settle(): Promise<void> {
    this.outboxBytes = 0;
    this.stream(Number.POSITIVE_INFINITY);
    this.connect();
    this.handOver();
    await this.#flow();
    // A COMMAND that was read and never answered comes again on another link only.
    if (this.#mutes > 0) this.relink();
    await this.#flow();
  }

  async #flow(): Promise<void> {
    for (let round = 0; round < 4 * this.kept + 10; round += 1) {
      await this.work();
      this.stream(Number.POSITIVE_INFINITY);
      while (this.#frames.length > 0) this.read(false);
      this.pass(LIMITS.commandRetryMs);
    }
  }
}

const count = fc.nat(6);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('keep' as const), is: fc.boolean() }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('work' as const) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('stream' as const), count }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('read' as const), is: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('fill' as const), bytes: fc.constantFrom(...FILLED) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('loseStream' as const), count }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('connect' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('handOver' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('relink' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

async function perform(stage: Stage, step: Step): Promise<void> {
  if (step.do === 'keep') stage.keep(step.is);
  else if (step.do === 'work') await stage.work();
  else if (step.do === 'stream') stage.stream(step.count);
  else if (step.do === 'read') stage.read(step.is);
  else if (step.do === 'fill') stage.outboxBytes = step.bytes;
  else if (step.do === 'pass') stage.pass(LIMITS.commandRetryMs);
  else if (step.do === 'loseStream') stage.loseStream(step.count);
  else if (step.do === 'connect') stage.connect();
  else if (step.do === 'handOver') stage.handOver();
  else stage.relink();
}

const RUNS = Number(process.env.RUNS ?? 300);

t.test(
  'commands: kept ones are all acted upon, in order, on links and streams that fail',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (steps) => {
        const stage = new Stage();
        // The link is on record: a device that was never seen is refused.
        await stage.work();
        for (const step of steps) await perform(stage, step);
        await stage.settle();

        assert.deepEqual(
          stage.acts,
          Array.from({ length: stage.kept }, (_, at) => at + 1),
        );
      }),
      { numRuns: RUNS },
    );
  },
);
