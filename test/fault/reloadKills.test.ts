/**
 * kill -9 of predecessor, successor and registrar at random points of reloads: up to 10 kills, as
 * many as there is time for; `make chaos PART=reload` has 200.
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Random } from '../../loadgen/plan/random.ts';
import { RELOAD_LIMITS, runReloadKills } from '../chaos/reloadRun.ts';
import { startNode } from '../helpers/processes/node.ts';

const seed = Number(process.env.SEED || randomInt(2 ** 31));
/** A machine that is busy with other work has not the time for all of them, nor to be prompt. */
const PLAN = { kills: 10, forMs: 10_000, links: 100, busy: 20, goOnMs: 20_000, hangMs: 60_000 };
const traceDir = mkdtempSync(join(tmpdir(), 'ot-'));
t.teardown(() => rmSync(traceDir, { recursive: true, force: true }));

t.test(`kills in the middle of reloads cost what they may (SEED=${seed})`, async (t) => {
  const flags = ['--trace-dir', traceDir];
  const node = await startNode(t, { acceptors: 2, limits: RELOAD_LIMITS, flags });
  const tell = (line: string) => t.comment(line);

  const outcome = await runReloadKills(PLAN, { ...node, traceDir }, new Random(seed), tell);

  t.same(outcome.failures, []);
  t.ok(outcome.reloads > 0);
});
