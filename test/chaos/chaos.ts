/**
 * Chaos: one run: a steady load, one fault after the other in an order that a seed repeats, and
 * at the end every promise judged.
 * From: a plan.  To: an outcome; its `failures` are empty when all promises were kept.
 * Bound: the plan's duration, plus what is under way then; each fault has HEAL_MS to be healed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Random } from '../../loadgen/plan/random.ts';
import { type AlarmCourse, alarmFailures, alarmsOf, alarmWordsOf } from './alarms.ts';
import { Books, type Span } from './books.ts';
import { CommandBooks } from './commandBooks.ts';
import { type Detection, detectionsOf, failuresOf as lateOf, wordsOf } from './detection.ts';
import { type Fault, lossBy, type Times } from './faults.ts';
import { readLedgers } from './ledger.ts';
import { foreignShare, Machine, type Sample } from './machine.ts';
import { backAfter, isSlow, WATCH_MS } from './recovery.ts';
import { type Highest, Watch } from './watch.ts';
import { WillBooks } from './willBooks.ts';
import { World, type WorldPlan } from './world.ts';

export interface ChaosPlan extends WorldPlan {
  readonly durationMs: number;
  /** Load before the first fault; at its end memory is measured for the first time. */
  readonly warmMs: number;
  /** Load between two faults, once all is calm. */
  readonly calmMs: number;
  readonly faults: Readonly<Record<string, Fault>>;
  /** These come first; then all of them, in an order of chance. */
  readonly first?: readonly string[];
  readonly times: Times;
  /** Full rate means that answers take no longer. */
  readonly promptMs: number;
  /** Everything must be back at full rate so long after a fault, on a machine that has the time. */
  readonly backMs: number;
  /** What an answer may take beyond its deadline. */
  readonly graceMs: number;
  /** Memory at the end, as a multiple of that before the first fault; 0: not judged. */
  readonly memoryMax: number;
}

export interface Suffered extends Span {
  readonly name: string;
  /** Everything was back at full rate, in ms after its end; Infinity: it was not. */
  readonly backMs: number;
  /** What others had of the machine until then, 0 to 1. */
  readonly foreign: number;
  /** Of each link to a broker that the fault took away. */
  readonly detections: readonly Detection[];
  readonly alarms: AlarmCourse;
}

export interface Outcome {
  readonly seed: number;
  readonly seconds: number;
  readonly books: Books;
  readonly commands: CommandBooks;
  readonly wills: WillBooks;
  readonly suffered: readonly Suffered[];
  readonly highest: readonly Highest[];
  /** The acceptors' resident memory in bytes, without garbage; and the highest, as it was. */
  readonly memory: { readonly first: number; readonly last: number; readonly highest: number };
  /** One sentence for each promise that was broken. */
  readonly failures: readonly string[];
}

const HEAL_MS = 60_000;

/** `first`, then `names`, all of them before one comes again, in an order that `random` makes. */
export function* inRandomOrder(
  names: readonly string[],
  random: Random,
  first: readonly string[] = [],
): Generator<string> {
  yield* first;
  for (;;) {
    const left = [...names];
    while (left.length > 0) yield left.splice(random.below(left.length), 1)[0] as string;
  }
}

export async function chaos(plan: ChaosPlan, tell: (line: string) => void): Promise<Outcome> {
  const world = await World.start(plan);
  let isKept = false;
  let machine: Machine | undefined;
  try {
    const watch = new Watch(() => world.server.page('/metrics'), world.limits);
    machine = new Machine(() => world.watched);
    const begin = Date.now();
    world.fleet.rate(1);
    world.commander.rate(1);
    await pause(plan.warmMs);
    const first = await world.memory();
    const spans = await runFaults(world, plan, begin, tell);
    const end = Date.now();
    const memory = { first, last: await world.memory(), highest: watch.bytesMax };
    await world.wind(world.limits.requestMs + plan.graceMs);
    watch.stop();
    const outages = spans.map(({ from, to }) => ({ from, to: to + plan.backMs }));
    const kept = closedBooks(world, { outages, graceMs: plan.graceMs, willsUntil: end });
    const planned = kept.books.planned();
    const suffered = sufferedOf(world, spans, end, machine.samples, (endedAt) =>
      backAfter(planned, endedAt, plan.promptMs),
    );
    const seconds = Math.round((end - begin) / 1_000);
    const figures = { suffered, highest: watch.highest, memory };
    const part = { seed: plan.seed, seconds, ...kept, ...figures };
    const failures = [...failuresOf(part, plan), ...watch.breaches];
    isKept = failures.length > 0;
    if (isKept) tell(`the ledgers stay in ${world.folder}`);
    return { ...part, failures };
  } finally {
    machine?.stop();
    await world.stop();
    if (!isKept) world.forget();
  }
}

/** All that the ledgers say, judged. */
export function closedBooks(
  { folder, limits: { requestMs } }: World,
  rules: {
    readonly outages: readonly Span[];
    readonly graceMs: number;
    readonly willsUntil: number;
  },
): Pick<Outcome, 'books' | 'commands' | 'wills'> {
  const { outages, graceMs, willsUntil } = rules;
  const books = new Books(readLedgers(folder));
  books.close({ requestMs, graceMs, outages, endedAt: Date.now() });
  const commands = new CommandBooks(readLedgers(folder));
  commands.close({ outages, graceMs });
  const wills = new WillBooks(readLedgers(folder));
  wills.close({ outages, endedAt: willsUntil });
  return { books, commands, wills };
}

interface Named extends Span {
  readonly name: string;
}

/** What each fault cost, and what of it was due to the machine. */
function sufferedOf(
  world: World,
  spans: readonly Named[],
  endedAt: number,
  samples: readonly Sample[],
  backOf: (endedAt: number) => number,
): Suffered[] {
  const words = wordsOf(world.log);
  const alarmWords = alarmWordsOf(world.log);
  return spans.map((span, at) => {
    const backMs = backOf(span.to);
    const foreign = foreignShare(samples, span.from, span.to + Math.min(backMs, WATCH_MS));
    const loss = lossBy(span.name);
    const until = spans[at + 1]?.from ?? endedAt;
    const around = { words, samples, limits: world.limits, until };
    const detections = loss === undefined ? [] : detectionsOf(loss, span, around);
    const { limits } = world;
    const alarms = alarmsOf(span.name, span, {
      words: alarmWords,
      limits,
      until,
      endedAt,
      foreign,
    });
    return { ...span, backMs, foreign, detections, alarms };
  });
}

async function runFaults(
  world: World,
  plan: ChaosPlan,
  begin: number,
  tell: (line: string) => void,
): Promise<Named[]> {
  const random = new Random(plan.seed);
  const spans: Named[] = [];
  for (const name of inRandomOrder(Object.keys(plan.faults), random, plan.first)) {
    const from = Date.now();
    // What is to come first comes, however slow the machine is.
    const isOver = from - begin >= plan.durationMs;
    if (isOver && spans.length >= (plan.first?.length ?? 0)) break;
    const at = ((from - begin) / 1_000).toFixed(0).padStart(4);
    tell(`${at} s  ${name}`);
    const below = (count: number) => random.below(count);
    await plan.faults[name]?.(world, { times: plan.times, below });
    spans.push({ name, from, to: Date.now() });
    // Whether it came about, the ledger says.
    await world.fleet.untilCalm(HEAL_MS).catch((error: Error) => tell(`        ${error.message}`));
    // Whether they were cleared in time, the log says.
    await world.untilNoAlarm(HEAL_MS).catch((error: Error) => tell(`        ${error.message}`));
    await pause(plan.calmMs);
  }
  return spans;
}

/** What the books say, one sentence for each kind of broken promise. */
export function failuresOf(
  { books, commands, wills, suffered, memory }: Omit<Outcome, 'failures'>,
  { backMs, graceMs, memoryMax }: Pick<ChaosPlan, 'backMs' | 'graceMs' | 'memoryMax'>,
): string[] {
  const failures = [books, commands, wills].flatMap(({ findings }) => findings.failures());
  for (const { name, backMs: took, foreign, detections, alarms } of suffered) {
    failures.push(...lateOf(name, detections, graceMs), ...alarmFailures(name, alarms));
    if (isSlow(took, foreign, backMs)) {
      failures.push(`after '${name}' full rate took ${took} ms, not ${backMs}`);
    }
  }
  const ratio = memory.last / memory.first;
  if (memoryMax > 0 && !(ratio <= memoryMax)) {
    failures.push(`memory at the end was ${ratio.toFixed(2)} times that at the start`);
  }
  return failures;
}
