/** What an acceptor answers of its links, and what the observer makes of it: without a node. */
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { Endpoint } from '../../src/acceptor/endpoint/endpoint.ts';
import { EndedLinks } from '../../src/acceptor/operate/endedLinks.ts';
import { LinkWalk } from '../../src/acceptor/operate/linkWalk.ts';
import { makeOperate } from '../../src/acceptor/operate/operate.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { ChannelError } from '../../src/node/channel.ts';
import type { ClosedFacts, LinkDetail, LinkFacts } from '../../src/node/linkFacts.ts';
import { DRAINED } from '../../src/node/report.ts';
import { NodeDrain } from '../../src/observer/nodeDrain.ts';
import { nodeLinks } from '../../src/observer/nodeLinks.ts';
import { TYPE } from '../../src/wire/message.ts';
import { aNode } from '../helpers/fakes/aNode.ts';
import { END } from '../helpers/fakes/device.ts';
import { NOBODY_ASKS, noAnswer } from '../helpers/noAnswer.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { on, type Served } from '../helpers/worlds/endpoints.ts';

function operateOf({ registry, clock, limits }: Served) {
  const config = { limits: { ...limits, drainPaceMs: 0, drainMs: 0 }, acceptors: 2 };
  const open = { requests: () => 1, commands: () => 2 };
  const shared = { registry, clock, spread: (ms: number) => ms, open };
  return makeOperate({ ...{ config, index: 2, incarnation: 'x2' }, ...shared });
}

async function ask(served: Served, kind: string, body: unknown): Promise<unknown> {
  return operateOf(served).answers[kind]?.(body, NOBODY_ASKS);
}

on('TCP', 'a row: messages, rate, outbox, what pauses it', {}, async (t, served) => {
  const device = await served.open('door-17', { keepalive: 30 });
  for (let rounds = 0; rounds < 14; rounds += 1) served.pass(2_000);
  for (let times = 0; times < 8; times += 1) device.send({ type: TYPE.PING });
  for (let times = 0; times < 8; times += 1) await device.expect(TYPE.PONG);
  served.pass(2_000);

  const { rows } = (await ask(served, 'links', {})) as { rows: LinkFacts[] };
  t.match(rows, [
    {
      ...{ device: 'door-17', acceptor: 2, listener: String, state: 'open', keepaliveMs: 30_000 },
      ...{ messagesIn: 9, messagesOut: 9, ratePerSecond: 4, idleMs: 2_000, ageMs: Number },
      ...{ inFlight: 0, outboxBytes: 0, notAllowed: 0, identity: { method: 'none' } },
    },
  ]);
  t.notOk('paused' in (rows[0] ?? {}));
  const detail = (await ask(served, 'link', { device: 'door-17' })) as LinkDetail[];
  t.match(detail, [{ requestsOpen: 1, commandsOpen: 2, incarnation: 'x2', inFlightMax: Number }]);
  served.pass(2_000);
  served.pass(2_000);
  t.equal(served.endpoint().ratePerSecond, 1, 'it follows by half each time');
  for (let rounds = 0; rounds < 40; rounds += 1) served.endpoint().countRate(2_000);
  t.equal(served.endpoint().ratePerSecond, 0);
});

on('TCP', 'a link that finds no room says so', {}, async (t, served) => {
  served.routes.room = 0;
  const device = await served.open();
  device.send({ type: TYPE.EVENT, id: 1, topic: 'a.b', payload: Buffer.alloc(9), meta: {} });
  await waitFor('the pause', () => served.counters.pausedLinks === 1);
  t.match(await ask(served, 'links', { where: ['paused=broker', 'held>0'] }), {
    rows: [{ paused: 'broker', pausedMs: Number }],
  });
  t.match(await ask(served, 'links', { where: 'paused=' }), { rows: { length: 0 } });
  t.match(await ask(served, 'links', { sort: 'held', limit: 1 }), { rows: [{ paused: 'broker' }] });
  served.makeRoom();
});

on('TCP', 'a tap sees what is read and written, until it is taken away', {}, async (t, served) => {
  const device = await served.open();
  const seen: string[] = [];
  served.endpoint().tap = {
    onRead: (endpoint, message) => seen.push(`${endpoint.deviceId} < ${message.type}`),
    onWritten: (_, type, frame) => seen.push(`> ${type} ${frame.length}`),
    onStep: (_, { what }) => seen.push(what),
    onEnd: (_, reason) => seen.push(reason),
    onMoved: () => seen.push('moved'),
  };
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
  served.endpoint().tap = undefined;
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
  t.same(seen, ['door-17 < ping', '> pong 6']);
});

on('TCP', 'disconnect, and a drain that is taken back', {}, async (t, served) => {
  const { answers, drain } = operateOf(served);
  const device = await served.open('one');
  t.same(await answers.disconnect?.({ device: 'two' }, NOBODY_ASKS), { disconnected: 0 });
  t.same(await answers.disconnect?.({ device: 'one', retryAfterMs: 7 }, NOBODY_ASKS), {
    disconnected: 1,
  });
  t.match(await device.rest(), [{ type: TYPE.BYE, reason: 'disconnected', retryAfter: 7 }]);

  const other = await served.open('other');
  t.same(answers.drain?.(null, NOBODY_ASKS), { already: false, links: 1 });
  t.same(answers.drain?.(null, NOBODY_ASKS), { already: true, links: 1 });
  t.match(await other.next(), { reason: 'draining', retryAfter: served.limits.drainRetryMs });
  t.equal(await other.next(), END);
  t.same(answers.resume?.(null, NOBODY_ASKS), { already: false, links: 0 });
  t.same([drain.isOn, answers.resume?.(null, NOBODY_ASKS)], [false, { already: true, links: 0 }]);
});

on('TCP', 'questions that are none are refused, each by one sentence', {}, async (t, served) => {
  const cases: [string, unknown, RegExp][] = [
    ['links', { after: 'x' }, /after is no connection id/],
    ['links', { limit: 0 }, /limit is a whole number/],
    ['links', { limit: '9' }, /limit is a whole number/],
    ['links', { where: [7] }, /a condition is/],
    ['links', { where: Array(9).fill('age>1') }, /at most 8 conditions/],
    ['links', { where: [`device=${'x'.repeat(200)}`] }, /a condition is/],
    ['links', { where: ['__proto__=1'] }, /a condition is/],
    ['links', { sort: 'constructor' }, /sort is one of/],
    ['closed', { before: 'x' }, /before is no order/],
    ['closed', { device: '../x' }, /device is no device id/],
    ['closed-groups', { by: 'constructor' }, /by is one of/],
    ['link', null, /device is no device id/],
    ['disconnect', { device: 'a', retryAfterMs: -1 }, /retryAfterMs is/],
    ['disconnect', { device: 'a', retryAfterMs: 2 ** 33 }, /retryAfterMs is/],
  ];
  for (const [kind, body, sentence] of cases) {
    t.match(await noAnswer(ask(served, kind, body)), new RegExp(`^bad: .*${sentence.source}`));
  }
});

t.test('ended links: two rings, newest first, none twice over pages', async (t) => {
  let us = 1_000_000;
  const clock = { now: () => us / 1_000, us: () => us, wall: () => us / 1_000 };
  const walk = new LinkWalk({ lateMs: 500 });
  const ended = new EndedLinks({ acceptor: 1, size: 8, clock, walk });
  const end = (deviceId: string, origin: object | undefined = { listener: { name: 'in' } }) => {
    const link = { id: `c${us}`, deviceId, origin, peer: '192.0.2.1:4', acceptedUs: us - 5_000 };
    ended.onEnd(link as unknown as Endpoint, 'peer-fin', undefined);
    us += 1_000;
  };
  for (let at = 0; at < 12; at += 1) end(`d${at}`);
  end('', undefined);
  for (let at = 0; at < 5; at += 1) {
    ended.onTurnedAway('[2001:db8::1]:9', 'tls-handshake', 'no cipher', 'tls');
  }

  const rows = [];
  for (let before: number | undefined; ; ) {
    const page: ClosedFacts[] = await ended.page({ before, limit: 3, conditions: [] });
    rows.push(...page);
    if (page.length < 3) break;
    before = page.at(-1)?.order;
  }
  t.same(
    rows.map(({ device, reason }) => device || reason),
    ['tls-handshake', 'tls-handshake', 'd11', 'd10', 'd9', 'd8', 'd7', 'd6', 'd5', 'd4'],
    'strangers push nobody out, and whoever was refused for our reasons is not in it',
  );
  t.match(rows[2], { durationMs: 5, isProved: true, acceptor: 1, listener: 'in' });
  const all = { before: undefined, limit: 9, conditions: [] };
  t.match(await ended.groups('peer', all), [
    { key: '192.0.2.1', ends: 8 },
    { key: '[2001:db8::1]', ends: 2, reason: 'tls-handshake' },
  ]);
});

t.test('ended links are looked at in turns, while others end', async (t) => {
  let us = 0;
  const clock = { now: () => us / 1_000, us: () => us, wall: () => us / 1_000 };
  let now = 0;
  const walk = new LinkWalk({ lateMs: 500, now: () => (now += 0.6) });
  const ended = new EndedLinks({ acceptor: 1, size: 1_000, clock, walk });
  const end = () => {
    us += 1;
    const link = { id: `c${us}`, deviceId: `d${us}`, origin: { listener: { name: 'in' } } };
    const rest = { peer: '192.0.2.1:4', acceptedUs: us };
    ended.onEnd({ ...link, ...rest } as unknown as Endpoint, 'peer-fin', undefined);
  };
  for (let count = 0; count < 1_500; count += 1) end();

  let turns = 0;
  const others = setInterval(() => {
    turns += 1;
    for (let count = 0; count < 100; count += 1) end();
  }, 0);
  t.teardown(() => clearInterval(others));
  const rows = await ended.page({ before: undefined, limit: 10_000, conditions: [] });
  clearInterval(others);

  const orders = rows.map(({ order }) => order);
  t.ok(turns > 0, 'others had turns meanwhile');
  t.equal(orders[0], 1_500, 'as it was when asked');
  t.same(
    orders,
    [...new Set(orders)].sort((a, b) => b - a),
    'none twice, the newest first',
  );
  t.ok(orders.length >= 64 && Math.min(...orders) > 500, 'what was pushed out meanwhile is not');
});

t.test('walks: one at a time, in turns, and no more wait than are useful', async (t) => {
  let now = 0;
  const walk = new LinkWalk({ lateMs: 500, now: () => now });
  const turns: string[] = [];
  const slow = walk.shards(250, (shard) => {
    turns.push(`a${shard}`);
    now += 0.6;
    return false;
  });
  const next = walk.shards(254, (shard) => turns.push(`b${shard}`) > 99);
  await turn();
  t.ok(turns.length < 6, 'others had a turn meanwhile');
  const more = Array.from({ length: 8 }, () => noAnswer(walk.shards(256, () => true)));
  t.match(await more.at(-1), /^busy/);
  await Promise.all([slow, next]);
  t.same(turns.slice(-2), ['b254', 'b255']);
  t.same(turns.slice(0, 6), ['a250', 'a251', 'a252', 'a253', 'a254', 'a255']);

  const stuck = walk.shards(255, () => {
    now += 600;
    return true;
  });
  t.match(await noAnswer(walk.shards(255, () => true)), /^late/);
  await stuck;
});

function nodeOf(answers: Record<string, () => unknown>) {
  const asked: string[] = [];
  const ask = async (incarnation: string, kind: string) => {
    asked.push(`${incarnation} ${kind}`);
    const answer = answers[`${incarnation} ${kind}`];
    if (answer === undefined) throw new ChannelError('late', 'no answer within 9 ms');
    return answer();
  };
  const children = { ask };
  const drain = new NodeDrain(children);
  const lines: object[] = [];
  const log = { info: (line: object) => lines.push(line) };
  return { node: nodeLinks({ status: aNode(2), children, drain, log }), drain, asked, lines };
}

t.test('who does not answer is named; if nobody does, that is the answer', async (t) => {
  const row = { connection: 'aa', outboxBytes: 3 };
  const { node } = nodeOf({ '1 links': () => ({ rows: [row] }) });
  t.same(await node.links?.({ sort: 'outbox' }, ''), {
    rows: [row],
    missing: [{ acceptor: 2, why: 'no answer within 9 ms' }],
  });
  t.match(
    await noAnswer(nodeOf({}).node.links?.({}, '') as Promise<unknown>),
    /^failed: no acceptor answers: no answer within 9 ms/,
  );
  const refusing = () => {
    throw new ChannelError('bad', 'limit is wrong');
  };
  const refused = nodeOf({ '1 links': refusing, '2 links': () => ({ rows: [] }) });
  t.equal(await noAnswer(refused.node.links?.({}, '') as Promise<unknown>), 'bad: limit is wrong');
});

t.test(
  'a drain: told to those that begin later or missed it; learnt by a new observer',
  async (t) => {
    const done = () => ({ already: false, links: 4 });
    const report = { index: 2, incarnation: '2', degraded: [], snapshot: {} as never };
    const first = nodeOf({ '1 drain': done });
    t.match(await first.node.drain?.(null, 'me'), {
      ...{ isDrained: true, already: false, links: 4, missing: [{ acceptor: 2 }] },
    });
    t.same(first.lines, [{ who: 'me', what: 'drain', links: 4 }]);
    first.asked.length = 0;
    first.drain.onReport(report);
    first.drain.onReport({ ...report, notReady: DRAINED });
    first.drain.onReport({ ...report, index: 0 });
    t.same(first.asked, ['2 drain']);

    const second = nodeOf({});
    second.drain.onReport({ ...report, incarnation: '1' });
    t.same(second.asked, [], 'nobody has said so');
    second.drain.onReport({ ...report, incarnation: '1', notReady: DRAINED });
    second.drain.onReport(report);
    t.same(second.asked, ['2 drain']);
    second.drain.want(false);
    second.drain.onReport({ ...report, notReady: DRAINED });
    second.drain.onReport({ ...report, notReady: 'no broker connection' });
    t.same(second.asked, ['2 drain', '2 resume']);
    t.ok(makeLimits().closedLinksMax >= 10_000);
  },
);
