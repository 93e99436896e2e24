/** Uplink: what a backend sees of an EVENT and a REQUEST, and when the device gets its ACK. */
import t from 'tap';
import { cumulative } from '../../src/base/histogram.ts';
import { type Event, TYPE } from '../../src/wire/message.ts';
import { Paths } from '../helpers/worlds/paths.ts';

t.test('uplink: an EVENT as the AMQP contract has it', async (t) => {
  const paths = new Paths();
  const link = paths.link();

  paths.event(link, 5, 'hvac.temp', '21.5');

  const { now, ...expected } = { now: paths.clock.wall(), exchange: 'owsla.events' };
  t.strictSame(paths.channel.published, [
    {
      ...expected,
      routingKey: 'door-1.hvac.temp',
      body: '21.5',
      options: {
        appId: 'owsla',
        contentType: 'application/octet-stream',
        timestamp: Math.floor(now / 1_000),
        type: 'event',
        persistent: true,
        messageId: `${link.id}:5`,
        headers: {
          device: 'door-1',
          connection: link.id,
          topic: 'hvac.temp',
          peer: '127.0.0.1:40000',
          receivedAt: now,
        },
      },
    },
  ]);
});

t.test('uplink: an EVENT without an id has no message id and no ACK', async (t) => {
  const paths = new Paths();
  const link = paths.link();

  paths.event(link, 0);
  paths.channel.confirm(1);

  t.notOk('messageId' in (paths.channel.published[0]?.options ?? {}));
  t.equal(link.inFlight, 0);
  t.same(link.sent, []);
});

t.test('uplink: seq and at of the device become headers', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  const payload = Buffer.from('x');
  const meta = { seq: 0, at: Number.MAX_SAFE_INTEGER };
  const message: Event = { type: TYPE.EVENT, id: 1, topic: 't', payload, meta };

  paths.uplink.onMessage(link.asEndpoint, message);

  t.match(paths.channel.published[0]?.options.headers, meta);
});

t.test(
  'uplink: the trace context of the device becomes headers; a bad one is counted once',
  async (t) => {
    const paths = new Paths();
    const link = paths.link();
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const message: Event = {
      type: TYPE.EVENT,
      id: 1,
      topic: 't',
      payload: Buffer.from('x'),
      meta: {},
    };
    const send = (id: number, meta: Event['meta']) =>
      paths.uplink.onMessage(link.asEndpoint, { ...message, id, meta });

    send(1, { traceparent, tracestate: 'a=b' });
    send(2, { traceparent, tracestate: '=' });
    send(3, { traceparent: '' });

    const seen = paths.channel.published.map(({ options }) => options.headers);
    t.match(seen[0], { traceparent, tracestate: 'a=b' });
    t.match(seen[1], { traceparent });
    t.notOk('tracestate' in (seen[1] ?? {}));
    t.notOk('traceparent' in (seen[2] ?? {}));
    t.match(paths.counters.traceDrops, { 'bad-traceparent': 1, 'bad-tracestate': 1 });
  },
);

t.test('uplink: a REQUEST as the AMQP contract has it', async (t) => {
  const paths = new Paths({ requestMs: 4_000 });
  const link = paths.link();

  paths.request(link, 9, 'door.open', 'please');

  const now = paths.clock.wall();
  t.strictSame(paths.channel.published, [
    {
      exchange: 'owsla.requests',
      routingKey: 'door-1.door.open',
      body: 'please',
      options: {
        appId: 'owsla',
        contentType: 'application/octet-stream',
        timestamp: Math.floor(now / 1_000),
        type: 'request',
        persistent: false,
        mandatory: true,
        messageId: `${link.id}:9`,
        correlationId: `${link.id}:9`,
        replyTo: 'owsla.acceptor.n1-1',
        expiration: 4_000,
        headers: {
          device: 'door-1',
          connection: link.id,
          topic: 'door.open',
          peer: '127.0.0.1:40000',
          receivedAt: now,
          deadline: now + 4_000,
        },
      },
    },
  ]);
});

t.test('uplink: a REQUEST sent again has what is left of its deadline', async (t) => {
  const paths = new Paths({ requestMs: 4_000 });
  const link = paths.link();
  paths.request(link, 9);
  const deadline = paths.clock.wall() + 4_000;

  paths.loseChannel();
  paths.pass(1_500);
  const [again] = paths.reopen().published;

  t.equal(again?.options.expiration, 2_500);
  t.match(again?.options.headers, { deadline, resent: true });
  t.equal(again?.options.messageId, `${link.id}:9`);
});

t.test('uplink: ACK comes after the confirm, not before, and once', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  for (const id of [1, 2, 3]) paths.event(link, id);
  t.same(link.sent, []);
  t.equal(link.inFlight, 3);

  paths.channel.confirm(2, true);
  paths.channel.confirm(2);

  t.same(link.sent, [
    { type: TYPE.ACK, id: 1 },
    { type: TYPE.ACK, id: 2 },
  ]);
  t.equal(link.inFlight, 1);
});

t.test('uplink: a nacked EVENT gets no ACK until a later confirm', async (t) => {
  const paths = new Paths({ nackRetryMs: 10 });
  t.teardown(() => paths.publisher.close());
  const link = paths.link();
  paths.event(link, 1);

  paths.channel.nack(1);
  t.same(link.sent, []);
  t.equal(link.inFlight, 1);
  while (paths.channel.published.length < 2) await new Promise(setImmediate);
  paths.channel.confirm(2);

  t.same(link.sent, [{ type: TYPE.ACK, id: 1 }]);
  t.equal(link.inFlight, 0);
});

t.test('uplink: a nacked REQUEST is answered 4 and not sent again', async (t) => {
  const paths = new Paths({ nackRetryMs: 10 });
  const link = paths.link();
  paths.request(link, 1);

  paths.channel.nack(1);

  t.match(link.sent, [{ type: TYPE.REPLY, id: 1, status: 4 }]);
  t.equal(paths.publisher.size, 0);
  t.equal(paths.counters.ownReplies.overloaded, 1);
  paths.loseChannel();
  t.same(paths.reopen().published, []);
});

t.test('uplink: EVENTs of an ended link are still published and confirmed', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  paths.event(link, 1);
  paths.event(link, 2);
  paths.end(link);

  paths.loseChannel();
  const next = paths.reopen();
  t.equal(next.published.length, 2);
  next.confirm(2, true);

  t.same(link.sent, []);
  t.equal(paths.publisher.size, 0);
});

t.test('uplink: a REQUEST of an ended link is not published again', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  paths.request(link, 1);
  paths.end(link);

  paths.loseChannel();

  t.same(paths.reopen().published, []);
});

t.test('uplink: answered or expired, a REQUEST is never published again', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  const answered = paths.request(link, 1);
  paths.request(link, 2);
  paths.loseChannel();
  paths.request(link, 3);
  paths.pass(9_999);
  paths.request(link, 4);
  paths.reply({ correlationId: answered });
  paths.pass(1);

  const next = paths.reopen();

  t.same(
    next.published.map(({ options }) => options.messageId),
    [`${link.id}:4`],
  );
  t.match(link.sent, [
    { id: 1, status: 0 },
    { id: 2, status: 1 },
    { id: 3, status: 1 },
  ]);
});

t.test('uplink: what is timed, and what is not', async (t) => {
  const paths = new Paths({ requestMs: 50 });
  const link = paths.link();
  const { requestSeconds, confirmSeconds } = paths.counters;
  const counts = () => [requestSeconds, confirmSeconds].map((one) => cumulative(one).count);
  const answered = paths.request(link, 1);
  paths.event(link, 2);
  paths.event(link, 0);
  paths.channel.confirm(3, true);
  t.same(counts(), [0, 2], 'each EVENT’s confirm, also of several at once');
  paths.reply({ correlationId: answered });
  paths.reply({ correlationId: answered });
  t.same(counts(), [1, 2], 'a REPLY, once');
  paths.request(link, 4);
  paths.pass(60);
  t.same(counts(), [2, 2], 'a deadline');
  paths.request(link, 5);
  paths.channel.nack(5);
  t.same(link.sent.at(-1), { type: TYPE.REPLY, id: 5, status: 4, payload: Buffer.alloc(0) });
  t.same(counts(), [2, 2], 'not what was never with a backend');
});
