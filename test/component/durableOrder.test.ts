/** Kept commands of a device that is not known yet: the order in which they came stays. */
import t from 'tap';
import { amqpMessage } from '../helpers/fakes/amqpMessage.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';
import { stillParts } from '../helpers/worlds/commandParts.ts';

const DEVICE = 'door-17';

t.test(
  'kept: one that waits is not overtaken by one whose transaction is being made',
  async (t) => {
    const now = 1_000_000;
    const store = new MemoryStore(() => now);
    const { consumer, commands } = stillParts({ store, now: () => now });
    const deliver = (messageId: string) => {
      const headers = { deadline: now + 60_000 };
      const properties = { type: 'door.open', messageId, deliveryMode: 2, headers };
      const message = amqpMessage({ routingKey: DEVICE, properties, content: messageId });
      // Of a channel that was lost since: there is none to settle it on.
      const delivery = { isRedelivered: false, isStale: false, channel: null };
      commands.onDelivery(message, delivery);
    };
    const write = async (writes: Awaited<ReturnType<typeof commands.prepare>>) => {
      const nothing = { rows: [], events: [], settledTo: 0 };
      if (writes) await store.write({ ...nothing, commands: writes });
      commands.committed([]);
    };
    deliver('first');
    await write(await commands.prepare());

    deliver('second');
    // While the second is looked for, the first one's time has come, and its device is known.
    const { findCommands } = store;
    store.findCommands = (keys) => {
      consumer.tick();
      store.rows.set(DEVICE, {
        ...{ device: DEVICE, online: false, seq: 1, connection: 'c', acceptor: 'a' },
        ...{ start: 1, acceptedUs: 1, at: 1, reason: 'peer-bye' },
      });
      return findCommands.call(store, keys);
    };
    await write(await commands.prepare());
    store.findCommands = findCommands;
    consumer.tick();
    while (commands.isBusy) await write(await commands.prepare());

    const kept = await store.waitingCommands([{ device: DEVICE, after: 0, limit: 9 }]);
    t.same(
      kept.map(({ payload }) => payload.toString()),
      ['first', 'second'],
    );
  },
);
