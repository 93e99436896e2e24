/**
 * Watch: what do those who watch a node cost the messages of devices?
 * Readers of the live stream, and traces of devices that say nothing. One node, silent links, a
 * fleet of round trips at a constant rate; stretches with and without those who watch take turns,
 * and the ratio is of pairs.
 * `node bench/studies/watch.ts [--pairs 12] [--seconds 5] [--rate 500] [--links 2000]
 *   [--readers 20] [--traces 50]`
 * Of --traces one half is of silent links, the other of devices that are away.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { makeLimits } from '../../src/base/limits.ts';
import { askNode } from '../../src/cli/askNode.ts';
import { loopbackNet } from '../../test/helpers/loopback.ts';
import type { Answer, Ask } from '../lib/client.ts';
import { type Node, OPEN_GATE, startNode } from '../lib/fleet.ts';
import { cpuUsOf, loadAverages, rssBytesOf, US_PER_CORE_PERCENT } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';
import { Told } from '../lib/told.ts';

const { pairs, seconds, rate, links, readers, traces } = options({
  ...{ pairs: 12, seconds: 5, rate: 500, links: 2_000, readers: 20, traces: 50 },
});
const TALKERS = 200;
const WINDOW = 64;
/** Turns that do not count: V8 compiles. */
const WARM = 2;
/** Until those who watch are there, or gone. */
const SETTLE_MS = 1_500;
/** The goal: the median pair's ratio of CPU-µs per message. */
const RATIO_MAX = 1.05;

interface Stretch {
  readonly acceptorUs: number;
  readonly observerPercent: number;
  readonly observerMiB: number;
  readonly p99: number;
}

const runDir = mkdtempSync(join(tmpdir(), 'ow-'));
const limits = { ...OPEN_GATE, tracesMax: Math.max(50, traces) };
const node = await startNode({ acceptors: 1, limits, flags: ['--run-dir', runDir] });

function fleet(name: string): Told {
  return new Told('client.ts', ['owsla', String(node.server.port), name, loopbackNet()]);
}

/** All who watch, until what is given back is called. */
async function watch({ server }: Node): Promise<() => Promise<void>> {
  const aborter = new AbortController();
  const url = `http://127.0.0.1:${server.adminPort}/api/v1/stream`;
  const reading = Array.from({ length: readers }, async () => {
    const { body } = await fetch(url, { signal: aborter.signal });
    for await (const _ of body ?? []);
  });
  const over = Promise.withResolvers<void>();
  const armed = Promise.withResolvers<void>();
  const asking = askNode({ runDir, limits: makeLimits() }, async (ask) => {
    for (let at = 0; at < traces; at += 1) {
      const device = at % 2 === 0 ? `idle-${at}` : `away-${at}`;
      await ask('trace', { device, payloads: false, forMs: 3_600_000, max: 1_000_000 });
    }
    armed.resolve();
    await over.promise;
  });
  asking.catch(armed.reject);
  await armed.promise;
  return async () => {
    aborter.abort();
    over.resolve();
    await Promise.allSettled([...reading, asking]);
  };
}

async function measure({ server }: Node, talkers: Told, isWatched: boolean): Promise<Stretch> {
  const leave = isWatched ? await watch(node) : async () => {};
  await pause(SETTLE_MS);
  const of = (child: string) => cpuUsOf([server.childPid(child)]);
  const before = [of('acceptor 1'), of('observer')] as const;
  const ask: Ask = { do: 'rounds', rate, seconds };
  const { sent, times = [] } = await talkers.ask<Answer>(ask);
  const after = [of('acceptor 1'), of('observer')] as const;
  const observerMiB = rssBytesOf([server.childPid('observer')]) / 2 ** 20;
  await leave();
  return {
    acceptorUs: (after[0] - before[0]) / sent,
    observerPercent: (after[1] - before[1]) / seconds / US_PER_CORE_PERCENT,
    observerMiB,
    p99: times[1] ?? Number.NaN,
  };
}

function report(quiet: readonly Stretch[], watched: readonly Stretch[]): void {
  const of = (stretches: readonly Stretch[], name: keyof Stretch) =>
    stretches.map((stretch) => stretch[name]);
  const change = ratios(of(watched, 'acceptorUs'), of(quiet, 'acceptorUs'));
  console.log(heading(`${readers} readers, ${traces} traces, ${rate} round trips a second`));
  for (const [name, stretches] of [
    ['alone', quiet],
    ['watched', watched],
  ] as const) {
    console.log(row(`${name}: CPU-µs of a round trip`, spread(of(stretches, 'acceptorUs'))));
    console.log(row(`${name}: p99`, spread(of(stretches, 'p99')), 'ms'));
    console.log(row(`${name}: observer`, spread(of(stretches, 'observerPercent')), '% of a core'));
    console.log(row(`${name}: observer`, spread(of(stretches, 'observerMiB')), 'MiB'));
  }
  console.log(row('ratio of CPU-µs', change));
  const isMet = change.median <= RATIO_MAX;
  console.log(`${isMet ? 'met   ' : 'MISSED'}  ${change.median.toFixed(3)} (at most ${RATIO_MAX})`);
}

console.log(`node ${process.version}, load averages ${loadAverages().join(' ')}`);
const [idle, talkers] = [fleet('idle'), fleet('talk')];
try {
  await idle.ask<Answer>({ do: 'open', links, window: WINDOW } satisfies Ask);
  await talkers.ask<Answer>({ do: 'open', links: TALKERS, window: WINDOW } satisfies Ask);
  const quiet: Stretch[] = [];
  const watched: Stretch[] = [];
  for (let pair = -WARM; pair < pairs; pair += 1) {
    for (const isWatched of pair % 2 === 0 ? [false, true] : [true, false]) {
      const stretch = await measure(node, talkers, isWatched);
      if (pair >= 0) (isWatched ? watched : quiet).push(stretch);
    }
  }
  report(quiet, watched);
} finally {
  await Promise.all([idle.stop(), talkers.stop()]);
  await node.stop();
  rmSync(runDir, { recursive: true, force: true });
}
