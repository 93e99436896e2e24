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
import { type Broker, findBroker } from '../helpers/processes/broker.ts';
import type { StartedNode } from '../helpers/processes/node.ts';
import { Server } from '../helpers/processes/server.ts';
import { Machine } from './machine.ts';
import { type KillOutcome, type KillPlan, ReloadKills } from './reloadKills.ts';

/** Reloads that take no longer than they must; a start that is too slow is no matter here. */
export const RELOAD_LIMITS = {
  ...{ drainMs: 200, drainPaceMs: 100, lingerMs: 100, reportMs: 500 },
  ...{ reloadQuietMs: 500, reloadMs: 5_000, reloadRetryMs: 100 },
  // So many ends are the test's own deed.
  ...{ restartsMax: 1_000, restartWindowMs: 1_000, deviceFlapsMax: 1_000_000 },
};

interface KillNode extends Pick<StartedNode, 'server' | 'runDir' | 'backend' | 'prefix'> {
  readonly broker: Pick<Broker, 'pid'>;
  /** Its `--trace-dir`. */
  readonly traceDir: string;
}

export async function runReloadKills(
  plan: KillPlan,
  { server, runDir, broker, backend, prefix, traceDir }: KillNode,
  random: Random,
  tell: (line: string) => void,
): Promise<KillOutcome> {
  const published = new Set<string>();
  const at = names(prefix);
  await backend.on(at.events, '#', ({ content }) => published.add(content.toString()));
  await backend.on(at.requests, '#', echo);
  const machine = new Machine(() => ({ node: [server.pid], brokers: [broker.pid] }));
  const { samples } = machine;
  const world = { server, runDir, random, published, traceDir, samples, tell };
  const outcome = await new ReloadKills(plan, world).run();
  machine.stop();
  tellOutcome(outcome, tell);
  return outcome;
}

function tellOutcome({ costs, reloads, refused, lost }: KillOutcome, tell: (line: string) => void) {
  tell(`${reloads} reloads, ${refused} of them refused; ${lost} links lost`);
  const heads = ['kill of', 'kills', 'links lost', 'slowest ms', 'of these own'];
  const rows = [...costs].sort(([a], [b]) => a.localeCompare(b));
  const cells = rows.map(([what, { kills, lost, slowestMs, slowestOwnMs }]) => [
    ...[what, kills, lost, Math.round(slowestMs), Math.round(slowestOwnMs)].map(String),
  ]);
  for (const [first = '', ...others] of [heads, ...cells]) {
    tell(`  ${first.padEnd(34)}${others.map((cell) => cell.padStart(13)).join('')}`);
  }
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
  const traceDir = join(runDir, 'trace');
  const server = await Server.start({
    ...{ amqp: broker.url, prefix, acceptors: 2, limits: RELOAD_LIMITS },
    flags: ['--run-dir', runDir, '--trace-dir', traceDir],
  });
  const backend = await Backend.connect(broker.url);
  try {
    const node = { server, runDir, broker, backend, prefix, traceDir };
    return await runReloadKills(plan, node, random, tell);
  } finally {
    await server.stop();
    await backend.close();
    await forgetTopology(broker.url, prefix);
    await broker.stop();
    rmSync(runDir, { recursive: true, force: true });
  }
}
