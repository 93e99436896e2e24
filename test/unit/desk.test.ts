/** The desk: when what its channel brings is judged. The channel is what a desk sees of one. */
import { EventEmitter } from 'node:events';
import type { ConfirmChannel, ConsumeMessage } from 'amqplib';
import t from 'tap';
import { Desk } from '../../src/command/desk.ts';
import { makeLimits } from '../../src/limits.ts';
import { makeCommandCounters } from '../../src/observe/metrics.ts';
import { MemoryStore } from '../helpers/memoryStore.ts';

class Channel extends EventEmitter {
  readonly outcomes: unknown[] = [];
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
  publish(...[, , , { type }]: [string, string, Buffer, { type: string }]): boolean {
    this.outcomes.push(type);
    return true;
  }

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
  const desk = new Desk({
    store: new MemoryStore(),
    limits: makeLimits({}),
    counters: makeCommandCounters(),
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
  });
  const channel = new Channel();
  await desk.open(channel as unknown as ConfirmChannel, 'commands', () => {});
  return {
    channel,
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
      await desk.commands.prepare();
      desk.commands.committed([row]);
    },
    endTurn: () => {
      for (const work of turn.splice(0)) work();
    },
  };
}

t.test('desk: a command finds the link whose news is read after it, in one turn', async (t) => {
  const { channel, sent, tell, record, endTurn } = await build();
  channel.deliver();
  tell();
  endTurn();
  t.same(channel.outcomes, []);

  await record();

  t.same(sent, ['door']);
  t.same(channel.outcomes, []);
});

t.test('desk: with no news in that turn it is told when the turn is over', async (t) => {
  const { channel, endTurn } = await build();
  channel.deliver();
  t.same(channel.outcomes, []);

  endTurn();

  t.same(channel.outcomes, ['offline']);
});

t.test('desk: what a channel brought that was lost in that turn is left to the next', async (t) => {
  const { channel, sent, record, endTurn } = await build();
  await record();
  channel.deliver();
  channel.emit('close');

  endTurn();

  t.same(sent, []);
});

t.test('desk: what the broker gives again has waited enough', async (t) => {
  const { channel } = await build();

  channel.deliver({ redelivered: true });

  t.same(channel.outcomes, ['expired']);
});
