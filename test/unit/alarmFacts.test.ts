/** What alarms are judged by: silent processes, restarts, the machine; and what follows of them. */
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { makeCounters, makeRegistrarCounters } from '../../src/base/metrics.ts';
import type { ChildFacts, NodeMessage } from '../../src/node/ipc.ts';
import type { ReloadFacts } from '../../src/node/reloadFacts.ts';
import { FactsOfNode } from '../../src/observer/alarmFacts.ts';
import { AlarmWatch } from '../../src/observer/alarmWatch.ts';
import { lookAtMachine } from '../../src/observer/machine.ts';
import { NodeStatus } from '../../src/observer/nodeStatus.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';

const LIMITS = makeLimits({ alarmRaiseMs: 2_000, alarmClearMs: 3_000 });
const MACHINE = { filesShare: 0, memoryShare: 0, memoryMax: 0 };

function node(children: Partial<ChildFacts>[], more: Partial<NodeMessage> = {}): NodeMessage {
  return {
    ...{ type: 'node', isStopping: false, pid: 1, startedAt: 0 },
    restarts: { acceptor: 0, registrar: 0, observer: 0 },
    children: children.map((one) => ({ role: 'acceptor', index: 1, state: 'ready', ...one })),
    ...more,
  };
}

function told(status: NodeStatus, incarnation: string, now: number, links = 0): void {
  const snapshot = makeCounters(MESSAGE_TYPES);
  Object.assign(snapshot, { links, linksMax: 10, brokerUp: { publish: 1, consume: 1 } });
  status.onReport({ index: 1, incarnation, degraded: [], snapshot }, now);
}

t.test('facts: a child is at fault when it is silent or away, once it has served', async (t) => {
  const status = new NodeStatus(1, 1_000);
  const facts = new FactsOfNode(status, LIMITS);
  const faultAt = (now: number) => facts.at(now, now, MACHINE)?.children[0];
  t.equal(facts.at(0, 0, MACHINE), undefined, 'a node that begins is not judged');
  status.onNode(node([{ incarnation: 'a', state: 'starting' }]), 0);
  t.match(faultAt(0), { name: 'acceptor 1', fault: undefined }, 'it may take its time');
  status.onNode(node([{ incarnation: 'a' }]), 0);
  told(status, 'a', 0);
  t.match(faultAt(0), { fault: undefined, restarts: 0 });
  t.match(faultAt(3_001), { fault: 'silent' });
  t.same(facts.at(3_001, 0, MACHINE)?.acceptors, [], 'what it said then is not so any more');
  status.onNode(node([{ state: 'pausing', why: 'no files left', restarts: 1 }]), 3_100);
  t.match(faultAt(3_100), { fault: 'pausing: no files left' });
  status.onNode(node([{ incarnation: 'b', state: 'starting', restarts: 1 }]), 3_200);
  told(status, 'b', 3_200);
  t.match(faultAt(3_200), { fault: undefined, restarts: 1 }, 'it says that it waits for others');
  t.match(faultAt(123_201), { restarts: 0 });
  const reloaded = [
    { incarnation: 'c', restarts: 1 },
    { incarnation: 'b', restarts: 1, isBeside: true, state: 'stopping' },
  ] as const;
  status.onNode(node([...reloaded]), 123_202);
  told(status, 'c', 123_202);
  t.match(facts.at(123_202, 0, MACHINE)?.children, { length: 1 });
  t.match(faultAt(123_202), { fault: undefined, restarts: 0 }, 'a reload is no restart');
  status.onNode(node([], { isStopping: true }), 4_000);
  t.equal(facts.at(4_000, 0, MACHINE), undefined, 'nor is one that ends');
});

t.test(
  'facts: in a reload other processes are no restarts; those beside are no fault',
  async (t) => {
    const status = new NodeStatus(1, 1_000);
    const facts = new FactsOfNode(status, LIMITS);
    const childrenAt = (now: number) => facts.at(now, now, MACHINE)?.children;
    const reload = (number: number, phase: ReloadFacts['phase']) => {
      const figures = { moved: 0, left: 0, drained: 0, refusals: 0, startedAt: 0, ms: 0 };
      return { reload: { number, phase, by: 'SIGHUP', ...figures } };
    };
    status.onNode(node([{ incarnation: 'a' }]), 0);
    told(status, 'a', 0);
    childrenAt(0);

    const both = [{ incarnation: 'b', state: 'starting', isBeside: true }, { incarnation: 'a' }];
    status.onNode(node(both as Partial<ChildFacts>[], reload(1, 'acceptors')), 100);
    t.match(childrenAt(100), [{ restarts: 0, fault: undefined }], 'one, and it works');
    status.onNode(node([{ incarnation: 'b' }], reload(1, 'done')), 200);
    told(status, 'b', 200);
    t.match(childrenAt(200), [{ restarts: 0 }]);
    status.onNode(node([{ incarnation: 'c' }], reload(2, 'done')), 300);
    told(status, 'c', 300);
    t.match(childrenAt(300), [{ restarts: 0 }], 'a reload between two looks');
    status.onNode(node([{ incarnation: 'd', restarts: 1 }], reload(2, 'done')), 400);
    told(status, 'd', 400);
    t.match(childrenAt(400), [{ restarts: 1 }], 'a crash after it');
  },
);

t.test('facts: in a reload who is not at work yet, or no more, needs no broker', async (t) => {
  const status = new NodeStatus(2, 1_000);
  const facts = new FactsOfNode(status, LIMITS);
  const on = { number: 1, phase: 'registrar', by: 'SIGHUP', refusals: 0, startedAt: 0, ms: 0 };
  const reload = { ...on, moved: 0, left: 0, drained: 0 } as ReloadFacts;
  const brokerUp = { publish: 0, consume: 0 };
  const away = (children: Partial<ChildFacts>[], more: Partial<NodeMessage>) => {
    status.onNode(node(children, more), 0);
    for (const { index = 1, incarnation = '' } of children) {
      const snapshot =
        index === 0
          ? { ...makeRegistrarCounters(), brokerUp: 0 }
          : { ...makeCounters(MESSAGE_TYPES), linksMax: 10, brokerUp };
      status.onReport({ index, incarnation, degraded: [], snapshot }, 0);
    }
    const at = facts.at(0, 0, MACHINE);
    return at?.processes.flatMap(({ name, isBrokerAway }) => (isBrokerAway ? [name] : []));
  };
  const registrar = { role: 'registrar', index: 0, incarnation: 'r' } as const;
  const acceptor = { index: 1, incarnation: 'a' } as const;
  const beside = { index: 2, incarnation: 'b', isBeside: true } as const;
  for (const state of ['starting', 'stopping'] as const) {
    t.same(away([acceptor, beside, { ...registrar, state }], { reload }), ['acceptor 1'], state);
  }
  const ended = { reload: { ...reload, phase: 'done' } } as const;
  const begins = { ...registrar, state: 'starting' } as const;
  t.same(away([acceptor, begins], ended), ['acceptor 1', 'registrar'], 'without one');
  t.same(away([begins], {}), ['registrar'], 'nor at the start of a node');
});

t.test(
  'watch: one line when it is raised, one when cleared; health has it meanwhile',
  async (t) => {
    const status = new NodeStatus(1, 1_000);
    const lines: unknown[] = [];
    const log = {
      warn: (facts: object, msg?: string) => lines.push(['warn', msg, facts]),
      info: (facts: object, msg?: string) => lines.push(['info', msg, facts]),
    };
    let now = 0;
    const wall = () => 1_000_000 + now;
    const watch = new AlarmWatch({
      ...{ status, limits: LIMITS, log: log as never, now: () => now, wall },
      machine: () => MACHINE,
    });
    status.onNode(node([{ incarnation: 'a' }]), 0);
    const pass = (seconds: number, links: number) => {
      for (const end = now + seconds * 1_000; now < end; now += 1_000) {
        told(status, 'a', now, links);
        watch.look();
      }
    };
    pass(2, 10);
    t.same([status.alarms, lines], [[], []], 'not before it lasts');
    pass(3, 10);
    const reason = 'acceptor 1 has 10 of 10 links';
    t.same(status.alarms, [{ alarm: 'acceptor-full', raisedAt: 1_002_000, reason }]);
    t.same(
      status.degraded(now).filter(({ part }) => part === 'links'),
      [{ part: 'links', reason, cause: 'acceptor-full' }],
    );
    pass(10, 3);
    t.same(status.alarms, []);
    t.same(
      status.degraded(now).filter(({ part }) => part === 'links'),
      [],
    );
    t.match(lines, [
      ['warn', 'alarm raised', { alarm: 'acceptor-full', reason }],
      ['info', 'alarm cleared', { alarm: 'acceptor-full', reason, afterMs: 6_000 }],
    ]);
  },
);

t.test('facts: causes and figures of the registrar, and of each file once', async (t) => {
  const status = new NodeStatus(1, 1_000);
  const registrar = { role: 'registrar', index: 0, incarnation: 'r' } as const;
  status.onNode(node([{ incarnation: 'a' }, registrar]), 0);
  const snapshot = { ...makeRegistrarCounters(), walBytes: 7, brokerUp: 0 };
  const degraded = [
    { part: 'presence', reason: 'the disk is full', cause: 'store-degraded' },
  ] as const;
  const concern = { about: 'certificate', name: '/etc/server.pem', figure: 5 } as const;
  const concerns = [concern, concern];
  status.onReport({ index: 0, incarnation: 'r', degraded, concerns, snapshot }, 0);
  const facts = new FactsOfNode(status, LIMITS).at(0, 9, MACHINE);
  t.match(facts, { walBytes: 7, degraded, wall: 9 });
  t.match(facts?.processes, [{ name: 'registrar', isBrokerAway: true }]);
  t.same(facts?.concerns, [concern]);
});

t.test('machine: shares of files and memory; nothing where /proc does not say', async (t) => {
  const texts: Record<string, string> = {
    '/proc/sys/fs/file-nr': '900\t0\t1000\n',
    '/proc/meminfo': 'MemTotal:   1000 kB\nMemFree: 10 kB\nMemAvailable:   50 kB\n',
  };
  t.match(
    lookAtMachine((path) => texts[path] ?? ''),
    { filesShare: 0.9, memoryShare: 0.95 },
  );
  t.match(
    lookAtMachine(() => ''),
    { filesShare: 0, memoryShare: 0, memoryMax: 0 },
  );
  const { filesShare, memoryShare } = lookAtMachine();
  t.ok(filesShare >= 0 && filesShare <= 1 && memoryShare >= 0 && memoryShare <= 1);
});
