/** CommandConsumer: when what its channel brings is judged. The channel is a fake. */
import { EventEmitter } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Channel as AmqpChannel, ConsumeMessage } from 'amqplib';
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { makeCommandCounters } from '../../src/base/metrics.ts';
import { CommandConsumer } from '../../src/registrar/command/commandConsumer.ts';
import { FakeAnswers } from '../helpers/fakes/fakeAnswers.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';

class Channel extends EventEmitter {
  #onMessage: (message: ConsumeMessage) => void = () => {};

  async prefetch(): Promise<void> {}
  async checkQueue(): Promise<{ messageCount: number }> {
    return { messageCount: 0 };
  }
  async consume(_: string, onMessage: (message: ConsumeMessage) => void) {
    this.#onMessage = onMessage;
    return { consumerTag: 'tag' };
  }
  ack(): void {}

  deliver({ redelivered = false } = {}): void {
    const properties = {
      type: 'door.open',
      messageId: 'm',
      replyTo: 'backend',
      correlationId: 'm',
    };
    const fields = { deliveryTag: 1, redelivered, routingKey: 'door' };
    const message = { content: Buffer.alloc(0), fields, properties };
    this.#onMessage(message as unknown as ConsumeMessage);
  }
}

async function build() {
  const turn: (() => void)[] = [];
  const sent: unknown[] = [];
  let isChanging = false;
  const answers = new FakeAnswers();
  const consumer = new CommandConsumer({
    store: new MemoryStore(),
    limits: makeLimits({}),
    counters: makeCommandCounters(),
    answers,
    wall: () => 1_000_000,
    now: () => 1_000_000,
    send: (_, [, device]) => {
      sent.push(device);
      return 'sent';
    },
    isChanging: () => isChanging,
    later: (work) => turn.push(work),
    wake: () => {},
    mayRead: () => true,
    trace: () => {},
    onFault: (error) => {
      throw error;
    },
    onUndecided: (error) => {
      throw error;
    },
  });
  const channel = new Channel();
  await consumer.open(channel as unknown as AmqpChannel, 'commands', () => {});
  return {
    channel,
    outcomes: answers.types,
    sent,
    /** An acceptor tells of the device's link. */
    tell: () => {
      isChanging = true;
    },
    /** And that is on record. */
    record: async () => {
      isChanging = false;
      const times = { seq: 1, start: 1, acceptedUs: 1, at: 1, reason: 'connected' } as const;
      const row = { device: 'door', online: true, connection: 'c', acceptor: 'a', ...times };
      await consumer.commands.prepare();
      consumer.commands.committed([row]);
    },
    /** With all that its answers bring. */
    endTurn: async () => {
      for (const work of turn.splice(0)) work();
      await nextTurn();
    },
  };
}

t.test(
  'commandConsumer: a command finds the link whose news is read after it, in one turn',
  async (t) => {
    const { channel, outcomes, sent, tell, record, endTurn } = await build();
    channel.deliver();
    tell();
    await endTurn();
    t.same(outcomes, []);

    await record();

    t.same(sent, ['door']);
    t.same(outcomes, []);
  },
);

t.test('commandConsumer: with no news in that turn it is told when the turn is over', async (t) => {
  const { channel, outcomes, endTurn } = await build();
  channel.deliver();
  t.same(outcomes, []);

  await endTurn();

  t.same(outcomes, ['offline']);
});

t.test(
  'commandConsumer: what a channel brought that was lost in that turn is left to the next',
  async (t) => {
    const { channel, sent, record, endTurn } = await build();
    await record();
    channel.deliver();
    channel.emit('close');

    await endTurn();

    t.same(sent, []);
  },
);

t.test('commandConsumer: what the broker gives again has waited enough', async (t) => {
  const { channel, outcomes, endTurn } = await build();

  channel.deliver({ redelivered: true });
  await endTurn();

  t.same(outcomes, ['expired']);
});
