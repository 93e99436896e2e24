/** Command publisher on a real RabbitMQ, behind a cable that is pulled. */
import t from 'tap';
import type { Outcome, Unpublished } from '../../loadgen/commands/commandLedger.ts';
import { CommandPublisher } from '../../loadgen/commands/commandPublisher.ts';
import { names } from '../../src/broker/topology.ts';
import { Backend } from '../helpers/fakes/backend.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { findBroker } from '../helpers/processes/broker.ts';

const broker = await findBroker();
t.teardown(() => broker.stop());

interface Arrived {
  readonly number: number;
  readonly messageId: string;
  readonly replyTo: string;
}

t.test(
  'command publisher: what was unconfirmed is published again if kept, else unsure',
  async (t) => {
    const prefix = `lgp${process.pid}`;
    const { commands } = names(prefix);
    const proxy = await ToxicProxy.start(broker.port);
    const node = await Backend.connect(broker.url);
    await node.channel.assertExchange(commands, 'topic');
    t.teardown(async () => {
      await node.channel.deleteExchange(commands);
      await node.close();
      proxy.stop();
    });
    const arrived: Arrived[] = [];
    const { promise: again, resolve: onAgain } = Promise.withResolvers<void>();
    await node.on(commands, '#', ({ properties }) => {
      const { correlationId, messageId, replyTo } = properties;
      arrived.push({ number: Number(correlationId), messageId, replyTo });
      if (arrived.length === 2) onAgain();
    });
    const unpublished: [number, Unpublished][] = [];
    const { promise: told, resolve: onTold } = Promise.withResolvers<[number, Outcome]>();
    const publisher = new CommandPublisher({ url: proxy.urlFor(broker.url), prefix }, 'test', {
      onUnpublished: (number, fate) => unpublished.push([number, fate]),
      onOutcome: (number, outcome) => onTold([number, outcome]),
    });
    const command = {
      deviceId: 'door-17',
      topic: 'door.open',
      payload: Buffer.alloc(1),
      deadline: 1,
    };

    await new Promise<void>((resolve) => void publisher.run(resolve));
    proxy.cut();
    publisher.publish({ ...command, number: 1, isKept: true });
    publisher.publish({ ...command, number: 2, isKept: false });
    publisher.publish({ ...command, number: 3, isKept: true });
    proxy.reset();
    proxy.heal();
    await again;
    const [first] = arrived;
    const headers = { status: 0, reason: 'because' };
    node.channel.sendToQueue(String(first?.replyTo), Buffer.from('done'), {
      ...{ type: 'result', correlationId: '3', headers },
    });

    t.same(
      arrived.map(({ number }) => number),
      [1, 3],
    );
    t.equal(first?.messageId, `${first?.replyTo}.1`);
    t.same(unpublished, [[2, 'unsure']]);
    const outcome = { type: 'result', status: 0, reason: 'because', payload: Buffer.from('done') };
    t.same(await told, [3, outcome]);
    await publisher.stop();
    // The broker's no costs the channel that asked.
    const asker = await Backend.connect(broker.url);
    await t.rejects(asker.channel.checkQueue(String(first?.replyTo)), { code: 404 });
    await asker.close();
  },
);
