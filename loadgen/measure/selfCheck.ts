/**
 * SelfCheck: was it the tool, and not the server, that made the figures?
 * From: totals.ts: CPU, event-loop delay, late sends, errors of our own machine.
 * To: the report, as figures and as plain sentences.
 * Bound: fixed limits, all stated in the sentences that they lead to.
 */
import { availableParallelism, loadavg } from 'node:os';
import { LATE_MS, type Plan } from '../plan/plan.ts';
import { type Percentiles, percentilesOf, type Totals, type WorkerSummary } from './totals.ts';

export interface SelfCheck {
  readonly wasBottleneck: boolean;
  /** Empty when there is nothing to say against the figures. */
  readonly sentences: readonly string[];
  readonly lateShare: number;
  readonly sendLagMs: Percentiles;
  readonly workers: readonly WorkerSummary[];
  readonly loadavg1: number;
  readonly cores: number;
}

const LATE_SHARE_MAX = 0.01;
/** A worker starts by compiling its code: a few connects are always late. */
const LATE_CONNECTS_MAX = 0.1;
const CPU_SHARE_MAX = 0.9;
const DENIED_SHARE_MAX = 0.05;
const LAG_P99_MAX_MS = 20;
/** Beyond this part of the answers' p99, our own lag makes that figure. */
const LAG_PART_MAX = 0.25;

/** Errors of connect that our own machine makes, and what to do about each. */
const OWN_ERRORS: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'no free local port: give more --source addresses',
  EMFILE: "this process's open files are used up: more --workers, or a higher ulimit -n",
  ENFILE: "the machine's open files are used up: raise fs.file-max",
  ENOBUFS: 'the kernel has no buffers left',
  ENOMEM: 'the machine has no memory left',
};

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function answerP99(totals: Totals): number {
  const { request, event } = totals.times;
  return percentilesOf(request.totalCount > 0 ? request : event).p99;
}

interface Said {
  /** Reasons why the tool made the figures. */
  readonly bottleneck: string[];
  readonly remarks: string[];
}

function checkSends(totals: Totals, lateShare: number, lagP99Ms: number, said: Said): void {
  if (lateShare <= LATE_SHARE_MAX) return;
  const late =
    `${percent(lateShare)} of the messages left more than ${LATE_MS} ms after their planned ` +
    `time (p99 ${lagP99Ms.toFixed(1)} ms)`;
  const isMuch = lagP99Ms > LAG_PART_MAX * answerP99(totals);
  (isMuch ? said.bottleneck : said.remarks).push(late);
}

function checkWorkers(workers: readonly WorkerSummary[], said: Said): void {
  for (const { worker, cpuShareMax, lagP99MaxMs, deniedMs, wallMs } of workers) {
    const name = `worker ${worker + 1}`;
    if (cpuShareMax > CPU_SHARE_MAX) {
      said.bottleneck.push(`${name} used ${percent(cpuShareMax)} of a core: give more --workers`);
    }
    if (lagP99MaxMs > LAG_P99_MAX_MS) {
      said.remarks.push(
        `${name}'s event loop was delayed by ${lagP99MaxMs.toFixed(0)} ms (p99 of its worst ` +
          'second): answers were read that much late',
      );
    }
    if (deniedMs > DENIED_SHARE_MAX * wallMs) {
      said.remarks.push(
        `${name} was ready to run and had no core for ${percent(deniedMs / wallMs)} of the ` +
          'time: other processes on this machine made it late',
      );
    }
  }
}

function checkConnects(plan: Plan, { counts, labelled }: Totals, said: Said): void {
  for (const [code, advice] of Object.entries(OWN_ERRORS)) {
    const count = labelled.connectErrors[code] ?? 0;
    if (count > 0)
      said.bottleneck.push(`${count} connects failed on our side (${code}): ${advice}`);
  }
  if (counts.skipped > 0) {
    said.remarks.push(
      `${counts.skipped} planned messages were skipped: no link was open to send them`,
    );
  }
  const lateConnects = counts.lateConnects / Math.max(1, counts.attempts);
  if (plan.connectRate > 0 && lateConnects > LATE_CONNECTS_MAX) {
    said.remarks.push(`${percent(lateConnects)} of the connects began late`);
  }
}

/** The tool's own figures and what they mean for the run's. */
export function selfCheckOf(plan: Plan, totals: Totals): SelfCheck {
  const { counts, workers } = totals;
  const sent = counts.requests + counts.events + counts.commandsPublished;
  const lateShare = sent === 0 ? 0 : counts.lateSends / sent;
  const sendLagMs = percentilesOf(totals.times.sendLag);
  const said: Said = { bottleneck: [], remarks: [] };
  checkSends(totals, lateShare, sendLagMs.p99, said);
  checkWorkers(workers, said);
  checkConnects(plan, totals, said);
  const [loadavg1 = 0] = loadavg();
  const cores = availableParallelism();
  if (loadavg1 > 1.5 * cores) {
    said.remarks.push(
      `the machine was crowded: load average ${loadavg1.toFixed(1)} on ${cores} cores`,
    );
  }
  const { bottleneck, remarks } = said;
  const sentences =
    bottleneck.length === 0
      ? remarks
      : [`The tool, not the server, was the bottleneck: ${bottleneck.join('; ')}.`, ...remarks];
  return {
    wasBottleneck: bottleneck.length > 0,
    sentences,
    lateShare,
    sendLagMs,
    workers,
    loadavg1,
    cores,
  };
}
