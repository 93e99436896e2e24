/** NodeStatus and exposition: totals never fall, only named incarnations count. */
import t from 'tap';
import { observeUs } from '../../src/base/histogram.ts';
import { type Counters, makeCounters, makeRegistrarCounters } from '../../src/base/metrics.ts';
import type { ChildFacts, NodeMessage } from '../../src/node/ipc.ts';
import type { ReportMessage } from '../../src/node/report.ts';
import { Exposition, kernelCounters } from '../../src/observer/exposition.ts';
import { NodeStatus } from '../../src/observer/nodeStatus.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';

const REPORT_MS = 1_000;

function node(acceptors: Partial<ChildFacts>[], more: Partial<NodeMessage> = {}): NodeMessage {
  const children = acceptors.map((facts, at): ChildFacts => {
    return { role: 'acceptor', index: at + 1, state: 'ready', ...facts };
  });
  return {
    type: 'node',
    isStopping: false,
    pid: 1,
    startedAt: 0,
    restarts: { acceptor: 0, registrar: 0, observer: 0 },
    children,
    ...more,
  };
}

function report(index: number, incarnation: string, accepts: number, links = 0): ReportMessage {
  const snapshot = makeCounters(MESSAGE_TYPES);
  snapshot.accepts = accepts;
  snapshot.links = links;
  snapshot.closes['peer-fin'] = accepts - links;
  snapshot.loopLagP99Seconds = accepts;
  return { index, incarnation, degraded: [], snapshot };
}

/** A registrar that runs, and has claimed its prefix unless it says why not. */
function registrar(status: NodeStatus, notReady?: string): void {
  const child = { role: 'registrar', index: 0, state: 'ready', incarnation: 'r' } as const;
  status.onNode({ ...node([]), children: [child] }, 0);
  const snapshot = makeRegistrarCounters();
  const why = notReady === undefined ? {} : { notReady };
  status.onReport({ index: 0, incarnation: 'r', ...why, degraded: [], snapshot }, 0);
}

t.test('not ready before the prefix is claimed; degraded if the claim is lost', async (t) => {
  const status = new NodeStatus(1, REPORT_MS);
  const reason = 'another node has the prefix';
  registrar(status, reason);
  status.onNode(node([{ incarnation: 'a' }]), 0);
  status.onReport(report(1, 'a', 1), 0);
  t.same(status.unready(0), [{ reason }]);

  registrar(status);
  status.onNode(node([{ incarnation: 'a' }]), 0);
  t.same(status.unready(0), []);
  t.same(status.degraded(0), []);

  registrar(status, reason);
  t.same(status.unready(0), []);
  t.same(status.degraded(0), [
    { part: 'presence', reason },
    { part: 'commands', reason },
  ]);
});

t.test('what stands still in an acceptor is told with its number', async (t) => {
  const status = new NodeStatus(1, REPORT_MS);
  registrar(status);
  status.onNode(node([{ incarnation: 'a' }]), 0);
  const degraded = [{ part: 'events', reason: 'no confirms' }] as const;
  status.onReport({ ...report(1, 'a', 1), degraded }, 0);

  t.same(status.unready(0), []);
  t.same(status.degraded(0), [{ acceptor: 1, part: 'events', reason: 'no confirms' }]);
});

t.test('a restart keeps the counters of the ended incarnation and drops its gauges', async (t) => {
  const status = new NodeStatus(1, REPORT_MS);
  status.onNode(node([{ incarnation: 'a' }]), 0);
  status.onReport(report(1, 'a', 10, 4), 0);
  status.onNode(node([{ state: 'pausing' }]), 1);
  t.match(status.acceptors().get(1), { accepts: 10, links: 0, closes: { 'peer-fin': 6 } });
  status.onNode(node([{ incarnation: 'b', state: 'starting' }]), 2);
  status.onReport(report(1, 'b', 3, 2), 3);
  t.match(status.acceptors().get(1), { accepts: 13, links: 2, closes: { 'peer-fin': 7 } });
});

t.test(
  'totals go on with the next observer, and without an acceptor that is too many',
  async (t) => {
    const status = new NodeStatus(2, REPORT_MS);
    status.onNode(node([{ incarnation: 'a' }, { incarnation: 'b' }]), 0);
    status.onReport(report(1, 'a', 10), 0);
    status.onReport(report(2, 'b', 5), 0);
    status.onNode(node([{ incarnation: 'c' }, { incarnation: 'b' }]), 1);
    status.onReport(report(1, 'c', 3), 1);

    status.onNode(node([{ incarnation: 'c' }]), 2);
    const next = new NodeStatus(1, REPORT_MS);
    next.carry(JSON.parse(JSON.stringify(status.endedTotals)));
    next.onNode(node([{ incarnation: 'c' }]), 3);
    next.onReport(report(1, 'c', 4), 3);

    t.equal(status.gone.accepts, 5);
    t.equal(next.gone.accepts, 5);
    t.match(next.acceptors().get(1), { accepts: 14 });
  },
);

t.test('what an ended or unknown incarnation still sends is ignored', async (t) => {
  const status = new NodeStatus(1, REPORT_MS);
  status.onReport(report(1, 'a', 1), 0);
  status.onNode(node([{ incarnation: 'b' }]), 0);
  status.onReport(report(1, 'a', 5), 1);
  status.onReport(report(2, 'b', 5), 1);
  t.match(status.acceptors().get(1), { accepts: 0 });
});

t.test('ready is when every acceptor is, says so, and has said so lately', async (t) => {
  const status = new NodeStatus(2, REPORT_MS);
  t.same(status.unready(0), [{ reason: 'starting' }]);
  registrar(status);
  status.onNode(node([{ incarnation: 'a' }, { incarnation: 'b', state: 'starting' }]), 0);
  t.same(status.unready(0), [
    { acceptor: 1, reason: 'no report' },
    { acceptor: 2, reason: 'starting' },
  ]);
  status.onReport({ ...report(2, 'b', 1), notReady: 'no block list yet' }, 0);
  t.match(status.unready(0)[1], { acceptor: 2, reason: 'no block list yet' });
  status.onNode(node([{ incarnation: 'a' }, { incarnation: 'b' }]), 0);
  status.onReport(report(1, 'a', 1), 0);
  status.onReport({ ...report(2, 'b', 1), notReady: 'no broker connection' }, 0);
  t.same(status.unready(0), [{ acceptor: 2, reason: 'no broker connection' }]);
  status.onReport(report(2, 'b', 1), 1_000);
  t.same(status.unready(3_000), []);
  t.same(status.unready(3_001), [{ acceptor: 1, reason: 'no report' }]);
  status.onNode(node([], { isStopping: true }), 3_001);
  t.same(status.unready(3_001), [{ reason: 'stopping' }]);
});

t.test('live is when the supervisor has been heard lately', async (t) => {
  const status = new NodeStatus(1, REPORT_MS);
  t.notOk(status.isLive(0, 15_000));
  status.onNode(node([]), 100);
  t.ok(status.isLive(15_100, 15_000));
  t.notOk(status.isLive(15_101, 15_000));
});

t.test('the page has sums, the worst lag, and each acceptor', async (t) => {
  const status = new NodeStatus(2, REPORT_MS);
  registrar(status);
  status.onNode(node([{ incarnation: 'a' }, { incarnation: 'b' }]), 0);
  status.onReport(report(1, 'a', 10, 4), 0);
  status.onReport(report(2, 'b', 5, 5), 0);
  const page = (await new Exposition(status, 1_000).page(0)).toString().split('\n');
  for (const line of [
    'owsla_links 9',
    'owsla_acceptor_links{acceptor="1"} 4',
    'owsla_accepts_total 15',
    'owsla_acceptor_accepts_total{acceptor="2"} 5',
    'owsla_closes_total{reason="peer-fin"} 6',
    'owsla_acceptor_closes_total{acceptor="1",reason="peer-fin"} 6',
    'owsla_closes_total{reason="taken-over"} 0',
    'owsla_loop_lag_p99_seconds 10',
    'owsla_ready 1',
    'owsla_restarts_total{role="acceptor"} 0',
    '# TYPE owsla_accepts_total counter',
    '# TYPE owsla_links gauge',
  ]) {
    t.ok(page.includes(line), line);
  }
  t.ok(page.some((line) => /^owsla_kernel_listen_overflows_total \d+$/.test(line)));
});

t.test('the page is rendered once per scrapeMs, and everyone who asks shares it', async (t) => {
  const status = new NodeStatus(1, REPORT_MS);
  status.onNode(node([{ incarnation: 'a' }]), 0);
  const exposition = new Exposition(status, 1_000);
  const first = exposition.page(0);
  status.onReport(report(1, 'a', 7), 1);
  t.equal(exposition.page(999), first);
  t.notMatch(String(await first), 'owsla_accepts_total 7');
  t.match(String(await exposition.page(1_000)), 'owsla_accepts_total 7');
  status.onReport(report(1, 'a', 9), 1);
  t.match(String(await exposition.page(2_000)), 'owsla_accepts_total 9');
});

t.test('a platform without /proc has no kernel counters, and no error', async (t) => {
  t.same(await kernelCounters('/nonexistent'), {});
});

/** Both parts of what the registrar does. */
function both(reason: string) {
  return (['presence', 'commands'] as const).map((part) => ({
    part,
    reason,
    cause: 'process-failing',
  }));
}

t.test('a registrar that is not there: degraded, in health and in the metric; ready', async (t) => {
  const status = new NodeStatus(1, REPORT_MS);
  const word = (registrar: Partial<ChildFacts>): NodeMessage => {
    const { children, ...rest } = node([{ incarnation: 'a' }]);
    const facts: ChildFacts = { role: 'registrar', index: 0, state: 'ready', ...registrar };
    return { ...rest, children: [...children, facts] };
  };
  status.onNode(word({ incarnation: 'r' }), 0);
  status.onReport(report(1, 'a', 1), 0);
  const says = (incarnation: string) =>
    status.onReport(
      {
        index: 0,
        incarnation,
        degraded: [],
        snapshot: makeRegistrarCounters(),
      },
      0,
    );
  says('r');
  t.same([status.unready(0), status.degraded(0)], [[], []]);
  t.equal(status.registrar(0).degraded, 0);

  status.onNode(word({ state: 'pausing', why: 'the store belongs to another node' }), 1);

  const reason = 'registrar pausing: the store belongs to another node';
  t.same([status.unready(1), status.degraded(0)], [[], both(reason)]);
  t.equal(status.registrar(0).degraded, 1);
  status.onNode(word({ state: 'pausing' }), 2);
  t.same(status.degraded(0), both('registrar pausing'));
  status.onNode(word({ incarnation: 's' }), 3);
  t.same(status.degraded(0), both('no report'));
  says('s');
  t.equal(status.registrar(0).degraded, 0);

  // It hangs, and the supervisor does not see it yet.
  t.same(status.degraded(3 * REPORT_MS + 1), both('no report'));
  t.same(status.unready(0), []);
});

t.test(
  'histograms: of the node, over all acceptors and restarts; none of an acceptor',
  async (t) => {
    const status = new NodeStatus(2, REPORT_MS);
    const timed = (index: number, incarnation: string, us: number) => {
      const told = report(index, incarnation, 1);
      observeUs((told.snapshot as Counters).connectSeconds, us);
      return told;
    };
    status.onNode(node([{ incarnation: 'a' }, { incarnation: 'b' }]), 0);
    status.onReport(timed(1, 'a', 4_000), 0);
    status.onReport(timed(2, 'b', 40_000), 0);
    status.onNode(node([{ incarnation: 'c' }, { incarnation: 'b' }]), 1);
    status.onReport(timed(1, 'c', 400_000_000), 1);
    const page = String(await new Exposition(status, 1).page(1));
    for (const line of [
      '_bucket{le="0.0025"} 0',
      '_bucket{le="0.005"} 1',
      '_bucket{le="0.05"} 2',
      '_bucket{le="300"} 2',
      '_bucket{le="+Inf"} 3',
      '_sum 400.044',
      '_count 3',
    ]) {
      t.ok(page.includes(`\nowsla_connect_seconds${line}\n`), line);
    }
    t.notMatch(page, 'owsla_acceptor_connect_seconds');
  },
);

t.test('series: at most 400 of an acceptor, and 450 of a node', async (t) => {
  const seriesOf = async (acceptors: number) => {
    const page = String(await new Exposition(new NodeStatus(acceptors, REPORT_MS), 1).page(0));
    return page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  };
  const [one, three] = [await seriesOf(1), await seriesOf(3)];
  const each = (three.length - one.length) / 2;
  t.equal(each, one.filter((line) => line.includes('acceptor="1"')).length);
  t.ok(each <= 400, `${each} series of an acceptor`);
  t.ok(one.length - each <= 450, `${one.length - each} of a node`);
});

t.test('the first certificate that ends is the node’s; 0 is none', async (t) => {
  const status = new NodeStatus(3, REPORT_MS);
  status.onNode(node(['a', 'b', 'c'].map((incarnation) => ({ incarnation }))), 0);
  for (const [at, ends] of [0, 9, 7].entries()) {
    const told = report(at + 1, 'abc'.charAt(at), 1);
    status.onReport({ ...told, snapshot: { ...told.snapshot, certificateEndSeconds: ends } }, 0);
  }
  const page = String(await new Exposition(status, 1).page(0));
  t.match(page, /^owsla_certificate_end_timestamp_seconds 7$/m);
});
