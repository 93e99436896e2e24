/** Names and declarations at the broker: the AMQP contract word by word. */
import type { Channel } from 'amqplib';
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import type { AmqpModel } from '../../src/broker/amqp.ts';
import {
  declareApart,
  declareAuth,
  declareAuthAnswers,
  declareReplies,
  declareUplink,
  names,
  routingKey,
} from '../../src/broker/topology.ts';

/** Records what is declared, as `[method, ...arguments]`. */
function recorder(): { channel: Channel; declared: unknown[][] } {
  const declared: unknown[][] = [];
  const channel = new Proxy({} as Channel, {
    get:
      (_, method) =>
      async (...given: unknown[]) => {
        declared.push([method, ...given]);
      },
  });
  return { channel, declared };
}

t.test('topology: every name begins with the prefix', async (t) => {
  const at = names('acme');

  t.same(
    [at.events, at.unrouted, at.requests, at.acceptor('n1-3')],
    ['acme.events', 'acme.unrouted', 'acme.requests', 'acme.acceptor.n1-3'],
  );
});

t.test('topology: the routing key is the device id and the topic', async (t) => {
  t.equal(routingKey('door-17', 'hvac.temp'), 'door-17.hvac.temp');
});

t.test('topology: the longest routing key is within AMQP’s 255 bytes', async (t) => {
  t.ok(routingKey('d'.repeat(64), 't'.repeat(128)).length <= 255);
});

t.test('topology: events fall through to a bounded queue of the unrouted', async (t) => {
  const { channel, declared } = recorder();
  const limits = makeLimits({ unroutedMax: 7, unroutedAgeMs: 8_000 });

  await declareUplink(channel, names('owsla'), limits);

  t.same(declared, [
    ['assertExchange', 'owsla.unrouted', 'fanout', { durable: true }],
    [
      'assertExchange',
      'owsla.events',
      'topic',
      { durable: true, alternateExchange: 'owsla.unrouted' },
    ],
    ['assertExchange', 'owsla.requests', 'topic', { durable: true }],
    [
      'assertQueue',
      'owsla.unrouted',
      {
        durable: true,
        maxLength: 7,
        messageTtl: 8_000,
        arguments: { 'x-overflow': 'drop-head' },
      },
    ],
    ['bindQueue', 'owsla.unrouted', 'owsla.unrouted', ''],
  ]);
});

t.test('topology: quorum queues are asked for by their argument, all else the same', async (t) => {
  const { channel, declared } = recorder();
  const type = { arguments: { 'x-queue-type': 'quorum' } };

  await declareUplink(channel, names('owsla'), makeLimits(), 'quorum');
  await declareReplies(channel, 'owsla.acceptor.n1-3', makeLimits(), 'quorum');

  const queues = declared.filter(([method]) => method === 'assertQueue');
  t.match(queues[0], ['assertQueue', 'owsla.unrouted', type]);
  t.match(queues[1], ['assertQueue', 'owsla.acceptor.n1-3', { ...type, expires: 300_000 }]);
});

t.test('topology: replies wait in a durable queue with an end, an age and a length', async (t) => {
  const { channel, declared } = recorder();
  const limits = makeLimits({ replyQueueExpiresMs: 9_000, requestMs: 4_000, replyQueueMax: 5 });

  await declareReplies(channel, 'owsla.acceptor.n1-3', limits);

  t.same(declared, [
    [
      'assertQueue',
      'owsla.acceptor.n1-3',
      { durable: true, expires: 9_000, messageTtl: 4_000, maxLength: 5, arguments: {} },
    ],
  ]);
});

t.test('topology: questions about devices, and a bounded queue for the answers', async (t) => {
  const { channel, declared } = recorder();
  const limits = makeLimits({ authAskMs: 4_000, authQuestionsMax: 7 });
  const at = names('owsla');

  await declareAuth(channel, at);
  await declareAuthAnswers(channel, `${at.authAnswers('n1')}.0`, limits);

  t.same(declared, [
    ['assertExchange', 'owsla.auth', 'direct', { durable: true }],
    [
      'assertQueue',
      'owsla.auth.n1.0',
      {
        durable: true,
        expires: 300_000,
        messageTtl: 4_000,
        maxLength: 14,
        arguments: { 'x-overflow': 'reject-publish', 'x-queue-type': 'classic' },
      },
    ],
  ]);
});

const forEver = () => new Promise<void>(() => {});

/** A connection whose first channel answers as `declared` says, and all others at once. */
function modelOf(declared: () => Promise<unknown>): AmqpModel {
  let channels = 0;
  const createChannel = async () => {
    channels += 1;
    const assertQueue = channels === 1 ? declared : async () => {};
    return { on: () => {}, assertQueue, checkExchange: async () => {}, close: async () => {} };
  };
  return { createChannel } as unknown as AmqpModel;
}

const declareOne = (model: AmqpModel) =>
  declareApart(model, async (channel) => void (await channel.assertQueue('a', {})), 5);

t.test('topology: a queue that is declared, that is down, that nothing is heard of', async (t) => {
  t.equal(await declareOne(modelOf(async () => {})), true);
  t.equal(await declareOne(modelOf(() => Promise.reject({ code: 404 }))), false);
  t.equal(await declareOne(modelOf(forEver)), false, 'as RabbitMQ 4 is, for a minute');
  await t.rejects(declareOne(modelOf(() => Promise.reject({ code: 406 }))), { code: 406 });
});

t.test('topology: where nothing is answered a declaration is waited for', async (t) => {
  let answer = () => {};
  const asked = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const model = modelOf(() => asked);
  const create = model.createChannel;
  let channels = 0;
  // The second channel is not answered either, before the first is.
  model.createChannel = async () => {
    channels += 1;
    if (channels === 2) {
      setImmediate(answer);
      await asked;
    }
    return create.call(model);
  };

  t.equal(await declareOne(model), true);
  t.equal(channels, 2);
});
