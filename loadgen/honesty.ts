/**
 * Honesty: was it the tool, and not the server, that made the figures?
 * From: totals.ts: CPU, event-loop delay, late sends, errors of our own machine.
 * To: the report, as figures and as plain sentences.
 * Bound: fixed limits, all stated in the sentences that they lead to.
 */
import { availableParallelism, loadavg } from 'node:os';
import { LATE_MS, type Plan } from './plan.ts';
import { type Percentiles, percentilesOf, type Totals, type WorkerSummary } from './totals.ts';

export interface Honesty {
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

/** The tool's own figures and what they mean for the run's. */
export function honestyOf(plan: Plan, totals: Totals): Honesty {
  const { counts } = totals;
  const sent = counts.requests + counts.events;
  const lateShare = sent === 0 ? 0 : counts.lateSends / sent;
  const bottleneck: string[] = [];
  const remarks: string[] = [];
  const sendLagMs = percentilesOf(totals.times.sendLag);
  if (lateShare > LATE_SHARE_MAX) {
    const late =
      `${percent(lateShare)} of the messages left more than ${LATE_MS} ms after their planned ` +
      `time (p99 ${sendLagMs.p99.toFixed(1)} ms)`;
    const isMuch = sendLagMs.p99 > LAG_PART_MAX * answerP99(totals);
    (isMuch ? bottleneck : remarks).push(late);
  }
  for (const { worker, cpuShareMax, lagP99MaxMs } of totals.workers) {
    if (cpuShareMax > CPU_SHARE_MAX) {
      bottleneck.push(
        `worker ${worker + 1} used ${percent(cpuShareMax)} of a core: give more --workers`,
      );
    }
    if (lagP99MaxMs > LAG_P99_MAX_MS) {
      remarks.push(
        `worker ${worker + 1}'s event loop was delayed by ${lagP99MaxMs.toFixed(0)} ms (p99 of its ` +
          'worst second): answers were read that much late',
      );
    }
  }
  for (const { worker, deniedMs, wallMs } of totals.workers) {
    if (deniedMs > DENIED_SHARE_MAX * wallMs) {
      remarks.push(
        `worker ${worker + 1} was ready to run and had no core for ${percent(deniedMs / wallMs)} ` +
          'of the time: other processes on this machine made it late',
      );
    }
  }
  for (const [code, advice] of Object.entries(OWN_ERRORS)) {
    const count = totals.labelled.connectErrors[code] ?? 0;
    if (count > 0) bottleneck.push(`${count} connects failed on our side (${code}): ${advice}`);
  }
  if (counts.skipped > 0) {
    remarks.push(`${counts.skipped} planned messages were skipped: no link was open to send them`);
  }
  const connects = Math.max(1, counts.attempts);
  if (plan.connectRate > 0 && counts.lateConnects / connects > LATE_CONNECTS_MAX) {
    remarks.push(`${percent(counts.lateConnects / connects)} of the connects began late`);
  }
  const [loadavg1 = 0] = loadavg();
  const cores = availableParallelism();
  if (loadavg1 > 1.5 * cores) {
    remarks.push(`the machine was crowded: load average ${loadavg1.toFixed(1)} on ${cores} cores`);
  }
  const sentences =
    bottleneck.length === 0
      ? remarks
      : [`The tool, not the server, was the bottleneck: ${bottleneck.join('; ')}.`, ...remarks];
  return {
    wasBottleneck: bottleneck.length > 0,
    sentences,
    lateShare,
    sendLagMs,
    workers: totals.workers,
    loadavg1,
    cores,
  };
}
