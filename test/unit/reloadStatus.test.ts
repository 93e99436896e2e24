/** What people are told of a node while it is reloaded, and of how that ended. */
import t from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { makeCounters } from '../../src/base/metrics.ts';
import { statusText } from '../../src/cli/askStatus.ts';
import { reloadText } from '../../src/cli/reloadText.ts';
import { topLines } from '../../src/cli/topScreen.ts';
import type { ChildFacts, NodeMessage } from '../../src/node/ipc.ts';
import type { LiveAnswer } from '../../src/node/liveAnswer.ts';
import type { ReloadFacts } from '../../src/node/reloadFacts.ts';
import { type NodeQuestionsOptions, statusOf } from '../../src/observer/nodeQuestions.ts';
import { NodeStatus } from '../../src/observer/nodeStatus.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';

const MOVING: ReloadFacts = {
  ...{ number: 2, refusals: 0, phase: 'acceptors', by: 'SIGHUP', startedAt: Date.now() },
  ...{ acceptor: 2, acceptors: 6, step: 'moving', moved: 35, left: 3, drained: 1, ms: 12_340 },
};
const DONE: ReloadFacts = { ...MOVING, phase: 'done', startedAt: Date.now() - 200_000, ms: 20_000 };

t.test('reload: how far it is, and how it ended', async (t) => {
  const figures = '35 links moved, 3 left, 1 drained, 12.3 s';
  t.equal(reloadText(MOVING), `acceptor 2 of 6 moving: ${figures}`);
  t.equal(reloadText({ ...MOVING, phase: 'observer' }), `observer: ${figures}`);
  const tooMany = reloadText({ ...MOVING, acceptor: 4, acceptors: 2 });
  t.equal(tooMany, `acceptor 4 moving: ${figures}`, 'no fourth of two');
  t.equal(
    reloadText({ ...MOVING, phase: 'refused', why: 'no such key' }),
    `refused: no such key; ${figures}`,
  );
});

/** `links`: what each acceptor answers; undefined: it does not. */
async function asked(children: (Partial<ChildFacts> & { links?: number })[], reload: ReloadFacts) {
  const status = new NodeStatus(1, 1_000);
  const restarts = { acceptor: 0, registrar: 0, observer: 0 };
  const told = children.map(({ links: _, ...one }, at) => ({
    ...{ role: 'acceptor', index: 1, state: 'ready', incarnation: `${at}`, pid: at, ...one },
  }));
  const node = { type: 'node', isStopping: false, pid: 1, startedAt: 0, children: told, restarts };
  status.onNode({ ...node, reload } as NodeMessage, 0);
  const snapshot = { ...makeCounters(MESSAGE_TYPES), links: 999 };
  // As of a second ago.
  status.onReport({ index: 1, incarnation: '0', degraded: [], snapshot }, 0);
  const ask = async (incarnation: string) => {
    const { links } = children[Number(incarnation)] ?? {};
    if (links === undefined) throw new Error('it is not connected');
    return { version: '1', runtime: '1', uptimeMs: 1, snapshot: { ...snapshot, links } };
  };
  const start = { config: makeConfig({}), node: 'n' };
  return statusOf({
    start,
    status,
    children: { ask },
    clock: () => 0,
  } as never as NodeQuestionsOptions);
}

t.test('reload: an acceptor and its successor have all links together', async (t) => {
  const answer = await asked([{ links: 30 }, { links: 12, isBeside: true }], MOVING);
  t.equal(answer.links, 42);
  t.match(statusText(answer), /reload +acceptor 2 of 6 moving: 35 links moved, .*, by SIGHUP/);
  const live = {
    ...{ status: answer, rates: {}, now: {}, ends: {}, latency: {}, intervalMs: 0, at: 0 },
    ...{ processes: [{ role: 'acceptor', index: 1, rssBytes: 1_024, lagMs: 1 }], missing: [] },
    ...{ hot: { outbox: [] } },
  } as unknown as LiveAnswer;
  const lines = topLines({ answer: live, why: undefined, sort: 'outbox', columns: 200, rows: 50 });
  t.ok(lines.some((line) => line.startsWith('reload acceptor 2 of 6 moving')));
  t.equal(lines.filter((line) => /^acceptor 1 .*1\.0 KiB/.test(line)).length, 1, 'figures once');
});

t.test('reload: one that has handed over and ends is no fault', async (t) => {
  const answer = await asked([{ links: 42 }, { state: 'stopping', isBeside: true }], DONE);
  t.equal(answer.links, 42);
  t.same(
    answer.processes.filter(({ why }) => why !== undefined),
    [],
  );
  t.match(statusText(answer), /reload +done: 35 links moved, 3 left, .*; 3m \d+s ago, by SIGHUP/);
});
