/**
 * Beside: one run with bad neighbours: quiet stretches and bad ones by turns, under the same load,
 * and at the end every promise to the innocents judged, and what they waited compared.
 * From: a plan.  To: an outcome; its `failures` are empty when all promises were kept.
 * Bound: the plan's duration, plus what is under way then.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '../helpers/waitFor.ts';
import type { Who } from './badDevices.ts';
import type { Books } from './books.ts';
import { closedBooks, failuresOf, type Outcome } from './chaos.ts';
import { type Latency, latencies, type Stretch } from './latency.ts';
import { NeighboursProcess } from './processes.ts';
import { Watch } from './watch.ts';
import { PREFIX, World, type WorldPlan } from './world.ts';

export interface BesidePlan extends WorldPlan {
  readonly durationMs: number;
  /** Load before the first stretch. */
  readonly warmMs: number;
  readonly stretchMs: number;
  /** Neighbours get what processor time is left. */
  readonly isLowest: boolean;
  /** Kinds of deeds without which no bad stretch ends. */
  readonly deedsMin: number;
  /** Series of /metrics, by a part of their names, that have grown before a bad stretch ends. */
  readonly grownMin: readonly string[];
  /** Who is at work in a bad stretch, by turns. */
  readonly casts: readonly (readonly Who[])[];
  /** Left out of a quiet stretch: what the bad one before it leaves behind. */
  readonly settleMs: number;
  /** p99 with bad neighbours, as a multiple of the quiet one; 0: not judged. */
  readonly ratioMax: number;
  /** What an answer may take beyond its deadline. */
  readonly graceMs: number;
}

/** A figure of /metrics that has grown in bad stretches. */
export type Grown = readonly [series: string, by: number];

export interface BesideOutcome extends Outcome {
  readonly latencies: readonly Latency[];
  /** What the neighbours did, and what they got for it. */
  readonly deeds: readonly (readonly [string, number])[];
  readonly got: readonly Grown[];
}

/** What is given up, refused or closed, of the whole node. */
const GOT = new RegExp(
  `^(owsla_(?:${[
    '(?:publish|presence|command_outcome)_drops',
    'closes',
    'deliveries',
    'nacks',
    'returns',
    'broker_losses',
    'presence_queries',
    'own_replies',
    'throttled',
    'messages_in',
    'command_undecided',
  ].join('|')})_total(?:\\{[^}]*\\})?) (\\S+)$`,
  'gm',
);

export async function beside(
  plan: BesidePlan,
  tell: (line: string) => void,
): Promise<BesideOutcome> {
  const world = await World.start({ ...plan, isCuttable: false });
  const { port } = world.server;
  const { seed, graceMs } = plan;
  const amqp = world.broker.url;
  const neighbours = new NeighboursProcess({
    port,
    amqp,
    prefix: PREFIX,
    seed,
    isLowest: plan.isLowest,
  });
  let isKept = false;
  try {
    const watch = new Watch(() => world.server.page('/metrics'), world.limits);
    const begin = Date.now();
    world.fleet.rate(1);
    world.commander.rate(1);
    await pause(plan.warmMs);
    const first = await world.memory();
    const { stretches, got } = await runStretches(world, neighbours, plan, tell);
    const memory = { first, last: await world.memory(), highest: watch.bytesMax };
    const seconds = Math.round((Date.now() - begin) / 1_000);
    await world.wind(world.limits.requestMs + graceMs);
    watch.stop();
    const kept = closedBooks(world, { outages: [], graceMs, willsUntil: Date.now() });
    const { books, commands } = kept;
    const part = { seed, seconds, ...kept, memory, suffered: [], highest: watch.highest };
    const compared = latencies(books, commands, plan.devices - plan.visitors, stretches);
    const failures = [
      ...failuresOf(part, { backMs: 0, graceMs: 0, memoryMax: 0 }),
      ...watch.breaches,
      ...besideFailures(plan, world, books, compared),
    ];
    isKept = failures.length > 0;
    if (isKept) tell(`the ledgers stay in ${world.folder}`);
    return { ...part, latencies: compared, deeds: neighbours.deeds, got, failures };
  } finally {
    await neighbours.end();
    await world.stop();
    if (!isKept) world.forget();
  }
}

async function runStretches(
  world: World,
  neighbours: NeighboursProcess,
  { durationMs, stretchMs, settleMs, casts, deedsMin, grownMin }: BesidePlan,
  tell: (line: string) => void,
): Promise<{ stretches: Stretch[]; got: Grown[] }> {
  const stretches: Stretch[] = [];
  const got = new Map<string, number>();
  const figures = async () => figuresOf(await world.server.page('/metrics'));
  const begin = Date.now();
  let turn = 0;
  do {
    const settled = Date.now() + (stretches.length === 0 ? 0 : settleMs);
    await pause(settled + stretchMs - Date.now());
    stretches.push({ side: 'quiet', from: settled, to: Date.now() });
    const before = await figures();
    const from = Date.now();
    const who = casts[turn % casts.length] ?? [];
    turn += 1;
    await neighbours.work(who);
    await pause(stretchMs);
    await neighbours.haveDone(deedsMin);
    await waitFor(`more of ${grownMin}`, async () => {
      const grown = [...(await figures())].filter(([s, value]) => value > (before.get(s) ?? 0));
      return grownMin.every((part) => grown.some(([series]) => series.includes(part)));
    });
    stretches.push({ side: 'bad', from, to: Date.now() });
    await neighbours.rest();
    for (const [series, value] of await figures()) {
      got.set(series, (got.get(series) ?? 0) + value - (before.get(series) ?? 0));
    }
    tell(
      `${((Date.now() - begin) / 1_000).toFixed(0).padStart(4)} s  quiet, then beside: ${who.join(', ')}`,
    );
  } while (Date.now() - begin < durationMs);
  return { stretches, got: [...got].filter(([, by]) => by > 0) };
}

function figuresOf(page: string): Map<string, number> {
  return new Map([...page.matchAll(GOT)].map(([, series = '', value]) => [series, Number(value)]));
}

function besideFailures(
  { ratioMax }: BesidePlan,
  world: World,
  books: Books,
  compared: readonly Latency[],
): string[] {
  const failures: string[] = [];
  const crashes = world.server.log.filter(({ msg }) => msg === 'child crashed').length;
  if (crashes > 0) failures.push(`${crashes} processes of the node ended`);
  const { skipped } = books.counts;
  if (skipped > 0) failures.push(`${skipped} messages were due while innocents had no link`);
  for (const { way, ratio } of compared) {
    if (ratioMax > 0 && !(ratio <= ratioMax)) {
      failures.push(`${way}: p99 with bad neighbours was ${ratio.toFixed(2)} times the quiet one`);
    }
  }
  return failures;
}
