/**
 * Report: the whole outcome of a run as plain values, and its exit code.
 * From: totals.ts and how the run ended.  To: table.ts, html.ts, --json, compare.ts.
 * Bound: a Point per second of the run; everything else is of fixed size.
 */
import type { DeployReport } from '../deploy/deploy.ts';
import type { Counts, Labelled, TimeName } from '../measure/measures.ts';
import { type SelfCheck, selfCheckOf } from '../measure/selfCheck.ts';
import { type Judged, judge, percentileOf } from '../measure/thresholds.ts';
import { type Percentiles, type Point, percentilesOf, type Totals } from '../measure/totals.ts';
import { type Example, NOTES, type Note, pick, WRONGS, type Wrong } from '../measure/violations.ts';
import type { Watched } from '../measure/watch.ts';
import type { Plan } from '../plan/plan.ts';
import type { Output } from '../plan/settings.ts';

/** Exit codes of `owsla-loadgen run`; 99 is k6's for the same thing. */
export const EXIT = {
  ok: 0,
  crashed: 1,
  usage: 64,
  unreachable: 69,
  preflight: 71,
  bottleneck: 95,
  workerDied: 96,
  vanished: 97,
  integrity: 98,
  threshold: 99,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export type Ending = 'complete' | 'interrupted' | 'worker-died' | 'unreachable' | 'vanished';

export interface Ended {
  readonly how: Ending;
  /** One sentence. */
  readonly why: string;
  /** Seconds from the first planned connect. */
  readonly loadFromS: number;
  readonly loadToS: number;
  /** Seconds from the first planned connect to the last first WELCOME. */
  readonly connectedS: number;
}

export interface Report {
  readonly tool: 'owsla-loadgen';
  readonly format: 1;
  readonly startedAt: string;
  readonly ok: boolean;
  readonly exitCode: ExitCode;
  readonly ended: Ended;
  readonly failures: readonly string[];
  readonly plan: Plan;
  readonly links: {
    readonly opened: number;
    readonly openMax: number;
    readonly openAtEnd: number;
    /** First WELCOMEs a second while connecting. */
    readonly connectRate: number;
    readonly reconnects: number;
  };
  readonly rates: {
    readonly requests: number;
    readonly replies: number;
    readonly acks: number;
    readonly commands: number;
  };
  readonly counts: Counts;
  readonly labelled: Labelled;
  readonly unansweredAtEnd: number;
  /** Milliseconds; `*Raw` from the real send, the others from the planned one. */
  readonly times: Readonly<Record<TimeName, Percentiles>>;
  /** Value at rising percentiles, for plots: [percentile, milliseconds]. */
  readonly curves: Readonly<Record<'request' | 'requestRaw' | 'event', [number, number][]>>;
  /** Wrong answers; any of them fails the run, but for what --allow names. */
  readonly violations: Readonly<Record<Wrong, number>>;
  /** Remarkable, and allowed by the protocol. */
  readonly notes: Readonly<Record<Note, number>>;
  readonly examples: readonly Example[];
  /** What the watch of the events exchange saw; missing without --amqp. */
  readonly watched: Watched | undefined;
  /** How the reloads of the server went; missing where there was none. */
  readonly deployed: DeployReport | undefined;
  readonly warnings: readonly string[];
  readonly selfCheck: SelfCheck;
  readonly thresholds: readonly Judged[];
  readonly points: readonly Point[];
}

const CURVE = [
  0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97, 98, 99, 99.5, 99.8, 99.9, 99.95,
  99.98, 99.99, 99.995, 99.999, 100,
];

function curveOf(totals: Totals, name: TimeName): [number, number][] {
  const histogram = totals.times[name];
  if (histogram.totalCount === 0) return [];
  // Beyond 1 - 1/count there is no value of its own, only the maximum again.
  const known = 100 * (1 - 1 / histogram.totalCount);
  return CURVE.filter((at) => at <= known || at === 100).map((at) => [
    at,
    Math.round(histogram.getValueAtPercentile(at)) / 1_000,
  ]);
}

function rate(count: number, seconds: number): number {
  return seconds > 0 ? Math.round((100 * count) / seconds) / 100 : 0;
}

/** Names of thresholds and what they mean in a report. */
function figure(report: Omit<Report, Verdict>, name: string): number | undefined {
  const { counts, violations, notes, links, labelled } = report;
  const percentile = percentileOf(name);
  if (percentile !== undefined) {
    const times = report.times[percentile.times];
    return times.count === 0 ? undefined : times[percentile.at];
  }
  const sent = counts.requests + counts.events + counts.commandsPublished;
  const figures: Record<string, number | undefined> = {
    ...violations,
    ...notes,
    skipped: counts.skipped,
    late_sends: sent === 0 ? 0 : counts.lateSends / sent,
    connect_rate: links.connectRate,
    connect_failures: counts.connectFailures,
    newcomers: counts.newcomers,
    links: links.openAtEnd,
    links_lost: counts.ends - (labelled.ends.ours ?? 0),
    handshakes_full: labelled.handshakes.full ?? 0,
    handshakes_resumed: labelled.handshakes.resumed ?? 0,
    handshakes_failed: labelled.handshakes.failed ?? 0,
    errors: Object.values(labelled.errors).reduce((sum, count) => sum + count, 0),
    requests: counts.requests,
    replies: counts.replies,
    events: counts.events,
    acks: counts.acks,
    commands: counts.commandsPublished,
    acted: counts.commandsActed,
    request_rate: report.rates.requests,
    reply_rate: report.rates.replies,
    ack_rate: report.rates.acks,
  };
  return figures[name];
}

type Verdict = 'ok' | 'exitCode' | 'failures' | 'thresholds';
/** What of the output decides whether a run has failed. */
export type Judging = Pick<Output, 'thresholds' | 'allowed' | 'isBottleneckAllowed'>;

function verdict(report: Omit<Report, Verdict>, output: Judging): Pick<Report, Verdict> {
  const { ended, violations, plan, selfCheck } = report;
  const failures: string[] = [];
  let exitCode: ExitCode = EXIT.ok;
  const fail = (code: ExitCode, sentence: string): void => {
    failures.push(sentence);
    if (exitCode === EXIT.ok) exitCode = code;
  };
  if (ended.how === 'worker-died') fail(EXIT.workerDied, ended.why);
  if (ended.how === 'unreachable') fail(EXIT.unreachable, ended.why);
  if (ended.how === 'vanished') fail(EXIT.vanished, ended.why);
  for (const name of WRONGS) {
    if (violations[name] === 0 || output.allowed.has(name)) continue;
    fail(EXIT.integrity, `${name}: ${violations[name]}`);
  }
  // Before the thresholds: figures that the tool made say nothing of the server.
  if (selfCheck.wasBottleneck && !output.isBottleneckAllowed) {
    fail(EXIT.bottleneck, 'the tool was the bottleneck (--allow-bottleneck takes such figures)');
  }
  const thresholds = judge(output.thresholds, (name) => figure(report, name));
  for (const { text, shown, crossed } of thresholds) {
    if (crossed) fail(EXIT.threshold, `threshold ${text}: it is ${shown}`);
  }
  for (const sentence of deployFaults(report)) fail(EXIT.threshold, sentence);
  const isEndPlanned = plan.durationMs > 0 || plan.deploy !== undefined;
  if (ended.how === 'interrupted' && isEndPlanned) fail(EXIT.interrupted, ended.why);
  return { ok: failures.length === 0, exitCode, failures, thresholds };
}

/** What of the reloads that were planned was not done, or not looked at. */
function deployFaults({ deployed, ended }: Omit<Report, Verdict>): string[] {
  if (deployed === undefined || ended.how !== 'complete') return [];
  const { reloads, times, presenceFault } = deployed;
  const faults = reloads.flatMap(({ isDone, why }, at) =>
    isDone ? [] : [`reload ${at + 1} of ${times}: ${why}`],
  );
  if (presenceFault !== undefined) faults.push(`presence was not compared: ${presenceFault}`);
  return faults;
}

/** What is known of a run besides its totals. */
export interface RunFacts {
  readonly ended: Ended;
  readonly startedAt: Date;
  /** Of the preflight. */
  readonly warnings: readonly string[];
  readonly watched: Watched | undefined;
  readonly deployed?: DeployReport | undefined;
}

/** Put a report together and judge it. */
export function makeReport(
  plan: Plan,
  output: Judging,
  totals: Totals,
  { ended, startedAt, warnings, watched, deployed }: RunFacts,
): Report {
  const { counts } = totals;
  const loadS = ended.loadToS - ended.loadFromS;
  const times = Object.fromEntries(
    Object.entries(totals.times).map(([name, histogram]) => [name, percentilesOf(histogram)]),
  ) as Record<TimeName, Percentiles>;
  const report: Omit<Report, Verdict> = {
    tool: 'owsla-loadgen',
    format: 1,
    startedAt: startedAt.toISOString(),
    ended,
    plan,
    links: {
      opened: counts.welcomes,
      openMax: totals.openMax,
      openAtEnd: totals.openNow,
      connectRate: rate(counts.firstWelcomes, ended.connectedS),
      reconnects: counts.welcomes - counts.firstWelcomes - counts.newcomers,
    },
    rates: {
      requests: rate(counts.requests, loadS),
      replies: rate(counts.replies, loadS),
      acks: rate(counts.acks, loadS),
      commands: rate(counts.commandsPublished, loadS),
    },
    counts: { ...counts },
    labelled: totals.labelled,
    unansweredAtEnd: totals.pendingNow,
    times,
    curves: {
      request: curveOf(totals, 'request'),
      requestRaw: curveOf(totals, 'requestRaw'),
      event: curveOf(totals, 'event'),
    },
    violations: pick(totals.violations, WRONGS),
    notes: pick(totals.violations, NOTES),
    examples: [...totals.examples],
    watched: watched === undefined ? undefined : { ...watched, examples: [] },
    deployed,
    warnings,
    selfCheck: selfCheckOf(plan, totals),
    points: totals.points,
  };
  return { ...report, ...verdict(report, output) };
}
