/** The node live: rates and latencies are of two looks close together; and how `top` says them. */
import t from 'tap';
import { observeUs } from '../../src/base/histogram.ts';
import { type Counters, makeCounters } from '../../src/base/metrics.ts';
import { topLines } from '../../src/cli/topScreen.ts';
import type { ChildFacts, NodeMessage } from '../../src/node/ipc.ts';
import type { LiveAnswer } from '../../src/node/liveAnswer.ts';
import type { StatusAnswer } from '../../src/node/statusAnswer.ts';
import { Live } from '../../src/observer/live.ts';
import { NodeStatus } from '../../src/observer/nodeStatus.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';

const STATUS = {
  ...{ node: 'n', state: 'ready', version: '1', uptimeMs: 0, links: 1, linksMax: 2 },
  ...{ reasons: [], degraded: [], alarms: [] },
  processes: [{ role: 'acceptor', index: 1, state: 'ready', pid: 7 }],
} as unknown as StatusAnswer;

/** A node of one acceptor, its clock, and what it has counted. */
function build() {
  const clock = { now: 1_000_000 };
  const counters = makeCounters(MESSAGE_TYPES);
  const status = new NodeStatus(1, 1_000);
  const children = [{ role: 'acceptor', index: 1, state: 'ready', incarnation: 'a', pid: 7 }];
  const restarts = { acceptor: 0, registrar: 0, observer: 0 };
  const node = { children: children as ChildFacts[], isStopping: false, restarts };
  status.onNode(node as unknown as NodeMessage, clock.now);
  const none = { shards: [], outbox: [], paused: [], rate: [], tookMs: 0, groups: [] };
  const live = new Live({
    status,
    children: { ask: async () => none },
    statusOf: async () => STATUS,
    now: () => clock.now,
  });
  /** So long after the last look, the acceptor having reported just before. */
  const look = (ms: number, change: (counters: Counters) => void = () => {}) => {
    clock.now += ms;
    change(counters);
    const snapshot = structuredClone(counters);
    status.onReport({ index: 1, incarnation: 'a', degraded: [], snapshot }, clock.now);
    return live.read();
  };
  return { look };
}

const page = (answer: LiveAnswer) =>
  topLines({ answer, why: undefined, sort: 'outbox', columns: 200, rows: 50 });
const ending = (count: number) => (counters: Counters) => {
  counters.closes.draining = (counters.closes.draining ?? 0) + count;
};

t.test('live: rates are of two looks, not since somebody looked long ago', async (t) => {
  const { look } = build();
  const first = await look(0, ending(5));
  t.match(first, { intervalMs: 0, rates: { ends: 0 }, ends: {}, latency: {} });
  t.match(page(first)[1], /new - {3}ended -$/);

  const second = await look(1_000, ending(4));
  t.match(second, { intervalMs: 1_000, rates: { ends: 4 }, ends: { draining: 4 } });
  t.equal(page(second)[1], 'links 1 of 2   new 0/s   ended 4.0/s (draining 4 in 1s)');

  const muchLater = await look(27_000, ending(62));
  t.match(muchLater, { intervalMs: 0, rates: { ends: 0 }, ends: {} }, 'it begins anew');
  const afterwards = await look(2_000, ending(6));
  t.match(afterwards, { intervalMs: 2_000, rates: { ends: 3 }, ends: { draining: 6 } });
  t.match(page(afterwards)[1], /ended 3\.0\/s \(draining 6 in 2s\)$/);
});

t.test('live: latencies of what happened between the two looks, and a line of them', async (t) => {
  const { look } = build();
  await look(0, ({ requestSeconds }) => observeUs(requestSeconds, 20_000_000));
  const answer = await look(1_000, ({ requestSeconds, confirmSeconds }) => {
    for (let at = 0; at < 98; at += 1) observeUs(requestSeconds, 2_000);
    for (let at = 0; at < 2; at += 1) observeUs(requestSeconds, 2_000_000);
    observeUs(confirmSeconds, 500);
  });

  const { request, confirm, ...others } = answer.latency;
  t.same(Object.keys(others), [], 'nobody connected');
  t.equal(request?.count, 100);
  t.ok(request && request.p50 > 1 && request.p50 < 2.5, `${request?.p50}`);
  t.equal(request?.p99, 1_750, 'half of those up to 2.5 s');
  t.same(confirm, { p50: 0.5, p99: 0.99, count: 1 });
  const line = page(answer).find((one) => one.startsWith('took: '));
  t.match(line, /^took: request 1\.8 ms \(p99 1\.8 s\) {3}confirm 0\.5 ms \(p99 1\.0 ms\)$/);
  t.same((await look(1_000)).latency, {}, 'nothing since');
});
