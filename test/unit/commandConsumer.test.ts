/** CommandConsumer: when what its channel brings is judged. The channel is a fake. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { amqpMessage } from '../helpers/fakes/amqpMessage.ts';
import { FakeAnswers } from '../helpers/fakes/fakeAnswers.ts';
import { FakeChannel } from '../helpers/fakes/fakeChannel.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';
import { stillParts } from '../helpers/worlds/commandParts.ts';

class Channel extends FakeChannel {
  command({ redelivered = false } = {}): void {
    const properties = {
      type: 'door.open',
      messageId: 'm',
      replyTo: 'backend',
      correlationId: 'm',
    };
    this.deliverRaw(amqpMessage({ routingKey: 'door', properties, redelivered }));
  }
}

async function build() {
  const turn: (() => void)[] = [];
  const sent: unknown[] = [];
  let isChanging = false;
  const answers = new FakeAnswers();
  const { consumer, commands } = stillParts({
    store: new MemoryStore(),
    answers,
    now: () => 1_000_000,
    send: (_, [, device]) => {
      sent.push(device);
      return 'sent';
    },
    isChanging: () => isChanging,
    later: (work) => turn.push(work),
  });
  const channel = new Channel();
  await consumer.open(channel, 'commands', () => {});
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
      await commands.prepare();
      commands.committed([row]);
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
    channel.command();
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
  channel.command();
  t.same(outcomes, []);

  await endTurn();

  t.same(outcomes, ['offline']);
});

t.test(
  'commandConsumer: what a channel brought that was lost in that turn is left to the next',
  async (t) => {
    const { channel, sent, record, endTurn } = await build();
    await record();
    channel.command();
    channel.emit('close');

    await endTurn();

    t.same(sent, []);
  },
);

t.test('commandConsumer: what the broker gives again has waited enough', async (t) => {
  const { channel, outcomes, endTurn } = await build();

  channel.command({ redelivered: true });
  await endTurn();

  t.same(outcomes, ['expired']);
});
