/**
 * Bugs planted in the real parts of commands: an outcome is told before it is stored; a transient
 * command is sent twice. Their traces are no behaviours of tla/Commands.tla; without them it is.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import {
  DeviceCommands as AtLink,
  type CommandLink,
} from '../../src/acceptor/route/deviceCommands.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makeCommandCounters, makeCounters } from '../../src/base/metrics.ts';
import type { Trace } from '../../src/base/trace.ts';
import type { AmqpMessage } from '../../src/broker/amqp.ts';
import type { FromLink, ToLink } from '../../src/node/messages.ts';
import { Commands } from '../../src/registrar/command/commands.ts';
import type { Delivery } from '../../src/registrar/command/effects.ts';
import { Outcomes } from '../../src/registrar/command/outcomes.ts';
import type { Row } from '../../src/registrar/store/presenceRules.ts';
import type { Batch } from '../../src/registrar/store/store.ts';
import { type CommandMessage, MESSAGE_TYPES, TYPE } from '../../src/wire/message.ts';
import { judgeCommands } from '../../tla/judge.ts';
import { whyNot } from '../../tla/tlc.ts';
import type { TraceLine } from '../../tla/trace.ts';
import { amqpMessage } from '../helpers/fakes/amqpMessage.ts';
import { FakeAnswers } from '../helpers/fakes/fakeAnswers.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';

const skip = (await whyNot()) ?? false;
const limits = makeLimits({});
const NOW = 1_000_000;
const DOOR = 'door';

type Bug = 'none' | 'told before it is stored' | 'sent twice';

/** A store whose owner hears of a batch before it is written. */
class Hasty extends MemoryStore {
  onWrite: (batch: Batch) => void = () => {};

  override write(batch: Batch): Promise<number> {
    this.onWrite(batch);
    return super.write(batch);
  }
}

/** A registrar and an acceptor, with one device, whose links and streams are this object. */
class Planted {
  readonly lines: TraceLine[] = [];
  readonly #store = new Hasty();
  readonly #answers = new FakeAnswers();
  readonly #down: ToLink[] = [];
  readonly #up: FromLink[] = [];
  readonly #wire: CommandMessage[] = [];
  readonly #commands: Commands;
  readonly #atLink: AtLink;
  readonly #endpoint: CommandLink;

  constructor(bug: Bug) {
    const isHasty = bug === 'told before it is stored';
    const outcomes = this.#outcomes();
    if (isHasty)
      this.#store.onWrite = ({ commands }) => outcomes.onCommit(commands?.outcomes ?? []);
    const send = (message: ToLink) => this.#down.push(message);
    this.#commands = new Commands({
      effects: {
        send: ({ connection }, device, { key, topic, payload, due, after }) => {
          send(['command', device, connection, key, topic, payload, due, after]);
          if (bug === 'sent twice') send(['command', device, connection, key, topic, payload, due]);
          return 'sent';
        },
        settle: () => {},
        conclude: (_, outcome) => outcomes.publish(outcome, () => {}),
        settleAgain: () => {},
        publish: (outcome) => outcomes.publish(outcome),
        isChanging: () => false,
        wake: () => {},
      },
      store: this.#store,
      limits,
      counters: makeCommandCounters(),
      wall: () => NOW,
      now: () => NOW,
      newKey: () => '',
      trace: this.#as('registrar'),
      onOpen: () => {},
      onCommit: (_, stored) => (isHasty ? undefined : outcomes.onCommit(stored)),
      settledTo: () => outcomes.settledTo(),
    });
    const command = (message: CommandMessage) => this.#wire.push(message);
    const sizes = { commandBytesMax: () => 65_536, commandBytesNow: () => 65_536 };
    this.#endpoint = { id: 'c', state: 'open', outboxBytes: 0, ...sizes, command };
    this.#atLink = new AtLink({
      registry: { find: () => this.#endpoint },
      limits,
      counters: makeCounters(MESSAGE_TYPES),
      wall: () => NOW,
      trace: this.#as('acceptor'),
      notify: (message) => this.#up.push(message),
    });
  }

  #as(process: string): Trace {
    return (action, fields) =>
      void this.lines.push({ us: this.lines.length, process, action, ...fields });
  }

  /** The broker takes whatever is published. */
  #outcomes(): Outcomes {
    return new Outcomes({
      store: this.#store,
      answers: this.#answers,
      limits,
      wall: () => NOW,
      seen: async () => {},
      mayRead: () => true,
      trace: this.#as('registrar'),
      onDrop: (reason) => t.fail(reason),
      onFault: (error) => t.fail(String(error)),
    });
  }

  /** The device is connected, and gets a command of either kind, whose RESULTs it gives. */
  async run(): Promise<TraceLine[]> {
    this.#as('registrar')('RegistrarStart', { window: limits.commandWindowMax });
    this.#as('acceptor')('Connect', {});
    this.#as('acceptor')('Accept', { connection: 'c', device: DOOR });
    await this.#work([rowOf('c')]);
    for (const isKept of [true, false]) this.#commands.onDelivery(messageOf(isKept), DELIVERY);
    await this.#work([]);
    for (const message of this.#down) this.#atLink.onCommand(message);
    for (const { id } of this.#wire) {
      const result = { type: TYPE.RESULT, id, status: 100, payload: Buffer.alloc(0) } as const;
      this.#atLink.onAnswer(this.#endpoint, result);
    }
    for (const message of this.#up) this.#commands.onAnswer(message);
    await this.#work([]);
    // The broker has seen what was settled, and takes what it is told.
    await nextTurn();
    for (const answer of this.#answers.taken) answer.onConfirm();
    this.#as('test')('Rest', {});
    return this.lines;
  }

  /** One transaction, as the registrar does it. */
  async #work(rows: readonly Row[]): Promise<void> {
    for (const row of rows) this.#store.rows.set(row.device, row);
    const commands = await this.#commands.prepare();
    if (commands) await this.#store.write({ rows: [], events: [], settledTo: 0, commands });
    this.#commands.committed(rows);
  }
}

const DELIVERY: Delivery = { isRedelivered: false, isStale: false };

function messageOf(isKept: boolean): AmqpMessage {
  const name = isKept ? 'kept' : 'transient';
  const named = { type: 'door.open', messageId: name, replyTo: 'backend', correlationId: name };
  const mode = { deliveryMode: isKept ? 2 : 1, headers: { deadline: NOW + 60_000 } };
  const properties = { ...named, ...mode };
  return amqpMessage({ routingKey: DOOR, properties, content: 'now' });
}

function rowOf(connection: string): Row {
  const rest = { seq: 1, start: 1, acceptedUs: 1, at: 1, reason: 'connected' } as const;
  return { device: DOOR, online: true, connection, acceptor: 'acceptor', ...rest };
}

const verdictOf = async (bug: Bug) => judgeCommands(await new Planted(bug).run(), DOOR);

t.test('planted: the real parts do with commands what tla/ says', { skip }, async (t) => {
  const { isAccepted, unexplained } = await verdictOf('none');

  t.ok(isAccepted, String(unexplained));
});

t.test('planted: an outcome told before it is stored is rejected there', { skip }, async (t) => {
  const { isAccepted, unexplained } = await verdictOf('told before it is stored');

  t.notOk(isAccepted);
  t.match(unexplained, /"Publish".*"end":"result"/);
});

t.test('planted: a transient command sent twice is rejected there', { skip }, async (t) => {
  const { isAccepted, unexplained } = await verdictOf('sent twice');

  t.notOk(isAccepted);
  t.match(unexplained, /"TakeCommand".*"as":"known"/);
});
