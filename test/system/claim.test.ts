/** One node at a time has a prefix, whatever its queues' type; and health says who has not. */
import { connect } from 'amqplib';
import t from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { names } from '../../src/broker/topology.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { endBroker, isReady, page, serve, testPrefix } from '../helpers/processes/serve.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** Generous: it only tells a hang from a wait. */
const LONG_MS = 60_000;
const broker = await findBroker();
t.teardown(() => endBroker(broker));

for (const type of ['classic', 'quorum']) {
  t.test(
    `${type} queues: a second node is not ready, and ends; then another may have it`,
    async (t) => {
      const prefix = `${testPrefix}-${type}`;
      t.teardown(() => forgetTopology(broker.url, prefix));
      const flags = ['--acceptors', '1', '--prefix', prefix, '--queue-type', type];
      const first = serve(t, broker.url, flags);
      await isReady(first);

      const second = serve(t, broker.url, [...flags, '--set', 'presenceClaimMs=3s']);
      await second.said('ready');
      const statuses = new Set<number>();
      const reasons = new Set<string>();
      while (second.process.exitCode === null) {
        const answer = await page(second, '/health/ready').catch(() => undefined);
        if (answer === undefined) break;
        statuses.add(answer.status);
        for (const { reason } of JSON.parse(answer.text).reasons) reasons.add(reason);
      }
      t.same(await second.exited, { code: EXIT.config, signal: null });
      t.same([...statuses], [503], 'at no moment is it ready');
      t.ok(reasons.has(`another node uses this prefix: it holds the queue ${names(prefix).claim}`));
      t.match(second.stderr, /a prefix is for one node at a time; choose another --prefix/);
      await isReady(first);

      t.same(await first.end(), { code: 0, signal: null });
      await isReady(serve(t, broker.url, flags));
    },
  );
}

t.test(
  'a claim that somebody deletes is made again; what is published to it is nothing',
  async (t) => {
    const node = serve(t, broker.url, ['--acceptors', '1', '--set', 'reconnectMaxMs=200ms']);
    await isReady(node);
    const { claim } = names(testPrefix);
    const model = await connect(broker.url);
    t.teardown(() => model.close());
    const channel = await model.createConfirmChannel();
    channel.sendToQueue(claim, Buffer.from('not for you'));
    await channel.waitForConfirms();

    await broker.ctl('delete_queue', claim);
    await node.line(({ msg }) => msg === 'claim queue was deleted');

    const isHeld = async () => {
      const looking = await model.createChannel();
      looking.on('error', () => {});
      const looked = looking.checkQueue(claim).then(
        () => 'free',
        (error: { code?: number }) => error.code,
      );
      return (await looked) === 405;
    };
    await waitFor('the claim', isHeld, LONG_MS);
    await isReady(node);
  },
);
