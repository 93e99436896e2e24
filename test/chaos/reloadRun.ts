/**
 * ReloadRun: reloadKills.ts on a node, with its backend.
 * From: test/fault/reloadKills.test.ts and run.ts.  To: its outcome.
 * Bound: the plan's.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Random } from '../../loadgen/plan/random.ts';
import { names } from '../../src/broker/topology.ts';
import { Backend, echo, forgetTopology } from '../helpers/fakes/backend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import type { StartedNode } from '../helpers/processes/node.ts';
import { Server } from '../helpers/processes/server.ts';
import { type KillOutcome, type KillPlan, ReloadKills } from './reloadKills.ts';

/** Reloads that take no longer than they must; a start that is too slow is no matter here. */
export const RELOAD_LIMITS = {
  ...{ drainMs: 200, drainPaceMs: 100, lingerMs: 100, reportMs: 500 },
  ...{ reloadQuietMs: 500, reloadMs: 5_000, reloadRetryMs: 100 },
  // So many ends are the test's own deed.
  ...{ restartsMax: 1_000, restartWindowMs: 1_000, deviceFlapsMax: 1_000_000 },
};

type KillNode = Pick<StartedNode, 'server' | 'runDir' | 'backend' | 'prefix'>;

export async function runReloadKills(
  plan: KillPlan,
  { server, runDir, backend, prefix }: KillNode,
  random: Random,
  tell: (line: string) => void,
): Promise<KillOutcome> {
  const published = new Set<string>();
  const at = names(prefix);
  await backend.on(at.events, '#', ({ content }) => published.add(content.toString()));
  await backend.on(at.requests, '#', echo);
  const kills = new ReloadKills(plan, { server, runDir, random, published, tell });
  const outcome = await kills.run();
  const { kills: by, reloads, refused, lost, slowestMs } = outcome;
  tell(JSON.stringify({ by, reloads, refused, lost, slowestMs: Math.round(slowestMs) }));
  return outcome;
}

/** With a broker, a node and a backend of its own. */
export async function reloadKillsAlone(
  plan: KillPlan,
  random: Random,
  tell: (line: string) => void,
): Promise<KillOutcome> {
  const broker = await findBroker();
  const prefix = `chaos-${randomUUID()}`;
  const runDir = mkdtempSync(join(tmpdir(), 'ot-'));
  const server = await Server.start({
    ...{ amqp: broker.url, prefix, acceptors: 2, limits: RELOAD_LIMITS },
    flags: ['--run-dir', runDir],
  });
  const backend = await Backend.connect(broker.url);
  try {
    return await runReloadKills(plan, { server, runDir, backend, prefix }, random, tell);
  } finally {
    await server.stop();
    await backend.close();
    await forgetTopology(broker.url, prefix);
    await broker.stop();
    rmSync(runDir, { recursive: true, force: true });
  }
}
