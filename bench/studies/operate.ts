/**
 * Operate: how fast does a node with many links answer what people ask of them, while it works?
 * `node bench/studies/operate.ts [--links 200000] [--times 20] [--connect-rate 2000] [--rate 500]
 *   [--acceptors N]`: --rate round trips a second go on meanwhile. Asked at control.sock, as
 * `owsla` does; the start of a process is not in it. Prints the median and the slowest of --times.
 * Exit 1 unless the slowest is within the goal: a device 50 ms, a page of 100 100 ms, sorted 1 s.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { makeLimits, SHARDS } from '../../src/base/limits.ts';
import { type Ask, askNode } from '../../src/cli/askNode.ts';
import type { LinkAnswer, LinksAnswer } from '../../src/node/linkFacts.ts';
import { crowdOf, gather, startNode } from '../lib/fleet.ts';
import { loadAverages } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { spread } from '../lib/stats.ts';

const { links, times, connectRate, rate, ...sizes } = options({
  ...{ links: 200_000, times: 20, connectRate: 2_000, rate: 500, acceptors: 0 },
});
const PAGE = 100;
/** Until the garbage of the connects has been collected. */
const SETTLE_MS = 10_000;
/** Between two questions of a kind. */
const APART_MS = 100;

const crowd = crowdOf(links, sizes.acceptors);

/** How long each of `times` took, in ms. */
async function timed(work: (at: number) => Promise<void>): Promise<number[]> {
  const took: number[] = [];
  for (let at = 0; at < times; at += 1) {
    const begun = performance.now();
    await work(at);
    took.push(performance.now() - begun);
    await pause(APART_MS);
  }
  return took;
}

function verdict(name: string, took: readonly number[], goalMs: number): boolean {
  const { median, max: slowest } = spread(took);
  const figures = `${median.toFixed(1).padStart(9)} ms ${slowest.toFixed(1).padStart(9)} ms`;
  console.log(`${name.padEnd(34)}${figures} ${String(goalMs).padStart(7)} ms`);
  return slowest <= goalMs;
}

async function measure(ask: Ask): Promise<boolean> {
  const isWhole = ({ missing }: LinksAnswer | LinkAnswer) => {
    if (missing.length > 0) throw new Error(`acceptor ${missing[0]?.acceptor}: ${missing[0]?.why}`);
  };
  const links = async (body: object) => {
    const answer = (await ask('links', { limit: PAGE, ...body })) as LinksAnswer;
    isWhole(answer);
    return answer;
  };
  const link = async (device: string) => {
    const answer = (await ask('link', { device })) as LinkAnswer;
    isWhole(answer);
    return answer.links.length;
  };
  // From all over the fleet.
  const known: (string | undefined)[] = [];
  for (let at = 0; at < times; at += 1) {
    const shard = Math.floor((at * (SHARDS - 1)) / times);
    const from = `${shard.toString(16).padStart(2, '0')}~`;
    const { rows } = await links({ after: from, limit: 1, where: ['state=open'] });
    known.push(rows[0]?.device);
  }
  let after: string | undefined = '';
  console.log(
    `${''.padEnd(34)}${'median'.padStart(12)} ${'slowest'.padStart(12)} ${'goal'.padStart(10)}`,
  );
  const devices = await timed(async (at) => {
    if ((await link(known[at] ?? '')) !== 1) throw new Error(`${known[at]} is not found`);
  });
  const nobody = await timed(async () => void (await link('nobody')));
  const pages = await timed(async () => {
    const page: LinksAnswer = await links({ after });
    after = page.next ?? '';
  });
  const outbox = await timed(async () => void (await links({ sort: 'outbox' })));
  const rates = await timed(async () => void (await links({ sort: 'rate' })));
  const where = await timed(async () => void (await links({ where: ['device=none*'] })));
  return [
    verdict('a device', devices, 50),
    verdict('a device that is not there', nobody, 1_000),
    verdict('a page of 100', pages, 100),
    verdict('100 by outbox', outbox, 1_000),
    verdict('100 by rate', rates, 1_000),
    verdict('a condition that nobody meets', where, 1_000),
  ].every(Boolean);
}

const runDir = mkdtempSync(join(tmpdir(), 'ow-'));
const node = await startNode({ acceptors: crowd.acceptors, flags: ['--run-dir', runDir] });
try {
  const { failed } = await gather(node, crowd, { connectRate, rate });
  await pause(SETTLE_MS);
  console.log(`${links} links on ${crowd.acceptors} acceptors, ${rate} round trips a second`);
  const limits = makeLimits();
  const isGood = await Promise.race([failed, askNode({ runDir, limits }, measure)]);
  console.log(`load ${loadAverages()}`);
  process.exitCode = isGood ? 0 : 1;
} finally {
  await node.stop();
  rmSync(runDir, { recursive: true, force: true });
}
