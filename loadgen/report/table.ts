/**
 * Table: numbers and the final report as text for people.
 * From: report.ts.  To: stdout, after the run.
 * Bound: the most frequent TOP_MAX labels of each list, the first examples of each violation.
 */

import type { Percentiles } from '../measure/totals.ts';
import { NOTES, VIOLATIONS, type Violation, WRONGS } from '../measure/violations.ts';
import { targetOf } from '../plan/plan.ts';
import type { Report } from './report.ts';

const TOP_MAX = 6;
/** What is said beside the verdict of such a run, wherever that stands. */
export const BOTTLENECK = 'the tool was the bottleneck';

/** `12,345`. */
export function grouped(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Milliseconds with three significant digits: `0.412`, `12.3`, `1,204`. */
export function writeMs(ms: number): string {
  if (ms >= 1_000) return grouped(ms);
  if (ms >= 100) return ms.toFixed(0);
  return ms >= 10 ? ms.toFixed(1) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(3);
}

/** Labels by count: `bye:draining 200, ECONNRESET 3`. */
export function writeLabels(labels: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(labels).sort(([, a], [, b]) => b - a);
  const shown = sorted.slice(0, TOP_MAX).map(([label, count]) => `${label} ${grouped(count)}`);
  if (sorted.length > TOP_MAX) shown.push(`${sorted.length - TOP_MAX} more`);
  return shown.join(', ');
}

const COLUMNS = ['count', 'mean', 'p50', 'p90', 'p99', 'p999', 'p9999', 'max'] as const;
const HEADS = ['count', 'mean', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max'];

function timeRow(name: string, times: Percentiles): string {
  const cells = COLUMNS.map((column) =>
    (column === 'count' ? grouped(times.count) : writeMs(times[column])).padStart(9),
  );
  return `  ${name.padEnd(30)}${cells.join('')}`;
}

function timeRows({ times }: Report): string[] {
  const rows: [string, Percentiles][] = [
    ['round trip', times.request],
    ['  uncorrected (from the send)', times.requestRaw],
    ['event to ACK', times.event],
    ['  uncorrected (from the send)', times.eventRaw],
    ['connect to WELCOME', times.connect],
    ['command to act', times.command],
    ['command to result', times.outcome],
    ['longest of a link, before', times.pauseBefore],
    ['longest of a link, reloading', times.pause],
    ['send lag (ours)', times.sendLag],
  ];
  const shown = rows.filter(([, { count }]) => count > 0);
  if (shown.length === 0) return [];
  const head = `  ${'ms'.padEnd(30)}${HEADS.map((name) => name.padStart(9)).join('')}`;
  return ['', head, ...shown.map(([name, times]) => timeRow(name, times))];
}

function linkRows({ links, counts, labelled, plan }: Report): string[] {
  const rows = [
    `links       ${grouped(links.openAtEnd)} open at the end of ${grouped(plan.devices)} planned, ` +
      `${grouped(links.openMax)} at most; ${grouped(links.connectRate)} connects/s, ` +
      `${grouped(links.reconnects)} reconnects, ${grouped(counts.connectFailures)} failed`,
  ];
  if (Object.keys(labelled.handshakes).length > 0) {
    const offered = counts.ticketsOffered;
    const tickets = offered === 0 ? '' : `; ${grouped(offered)} tickets offered`;
    rows.push(`  TLS       ${writeLabels(labelled.handshakes)}${tickets}`);
  }
  if (Object.keys(labelled.ends).length > 0) {
    rows.push(`  ended     ${writeLabels(labelled.ends)}`);
  }
  if (Object.keys(labelled.errors).length > 0) {
    rows.push(`  ERRORs    ${writeLabels(labelled.errors)}`);
  }
  if (Object.keys(labelled.connectErrors).length > 0) {
    rows.push(`  failed    ${writeLabels(labelled.connectErrors)}`);
  }
  if (counts.faults > 0) rows.push(`  faults    ${writeLabels(labelled.faults)}, on purpose`);
  return rows;
}

function deployRows({ deployed, counts }: Report): string[] {
  if (deployed === undefined) return [];
  const { reloads, times, presence } = deployed;
  const rows = reloads.map(({ isDone, why, ms, moved, left, drained }, at) => {
    const seconds = `${(ms / 1_000).toFixed(1)} s`;
    const links =
      moved === undefined
        ? ''
        : `, ${grouped(moved)} links moved, ${left} left, ${drained} drained`;
    return `reload ${at + 1}/${times}  ${isDone ? 'done' : `FAILED: ${why}`} in ${seconds}${links}`;
  });
  if (reloads.length === 0) rows.push('reload      none: the run ended before');
  rows.push(`  newcomers ${grouped(counts.newcomers)} connected meanwhile`);
  if (presence !== undefined) {
    const { devices, rows: changed, events } = presence;
    rows.push(
      `  presence  of ${grouped(devices)} devices: ${grouped(changed)} rows changed, ` +
        `${grouped(events)} with events`,
    );
  }
  return rows;
}

function commandRows(
  counts: Report['counts'],
  rates: Report['rates'],
  { outcomes }: Report['labelled'],
): string[] {
  const { commandsPublished, commandsActed, commandsAgain, commandsSkipped, wakes } = counts;
  const rows: string[] = [];
  if (commandsPublished > 0) {
    rows.push(
      `commands    ${grouped(commandsPublished)} published (${grouped(rates.commands)}/s), ` +
        `${grouped(commandsActed)} acted upon, ${grouped(commandsAgain)} came again`,
    );
    rows.push(`  outcomes  ${writeLabels(outcomes)}`);
  }
  if (commandsSkipped > 0) rows.push(`  skipped   ${grouped(commandsSkipped)}: no broker`);
  if (wakes > 0) rows.push(`  woke up   ${grouped(wakes)} devices`);
  return rows;
}

function messageRows({ counts, rates, labelled, unansweredAtEnd, watched }: Report): string[] {
  const rows: string[] = [];
  if (counts.requests > 0) {
    rows.push(
      `requests    ${grouped(counts.requests)} sent (${grouped(rates.requests)}/s), ` +
        `${grouped(counts.replies)} replies (${grouped(rates.replies)}/s)`,
    );
    const statuses = Object.keys(labelled.statuses);
    if (statuses.some((status) => status !== '0')) {
      rows.push(`  status    ${writeLabels(labelled.statuses)}`);
    }
  }
  if (counts.events > 0) {
    const { events, acks } = counts;
    rows.push(
      `events      ${grouped(events)} sent, ${grouped(acks)} ACKs (${grouped(rates.acks)}/s)`,
    );
  }
  if (watched !== undefined) {
    rows.push(
      `  delivered ${grouped(watched.delivered)} at the broker, ${grouped(watched.redelivered)} of ` +
        `them again (${grouped(watched.unmarked)} not marked as such)`,
    );
  }
  if (watched?.wills !== undefined) {
    const { published, owed } = watched.wills;
    rows.push(
      `wills       ${grouped(published)} published; ${grouped(owed)} links were cut for sure`,
    );
  }
  rows.push(...commandRows(counts, rates, labelled));
  if (counts.skipped > 0) rows.push(`  skipped   ${grouped(counts.skipped)}: no open link`);
  if (counts.excused > 0) {
    rows.push(
      `  excused   ${grouped(counts.excused)} unanswered: their links misbehaved on purpose`,
    );
  }
  if (unansweredAtEnd > 0) rows.push(`  open      ${grouped(unansweredAtEnd)} when the run ended`);
  return rows;
}

/** What a run without a violation has shown: no more than was sent, answered and looked into. */
function integrity({ counts, plan, unansweredAtEnd }: Report): string {
  const { requests, events, commandsPublished, replies, acks, commandsActed } = counts;
  if (requests + events + commandsPublished === 0)
    return 'nothing was sent, so nothing was checked';
  if (replies + acks + commandsActed === 0) return 'no answer came, so none was checked';
  const open =
    unansweredAtEnd === 0 ? '' : `, of what was answered: ${grouped(unansweredAtEnd)} not`;
  const said = {
    echo: `nothing lost, doubled, wrong or misrouted${open}`,
    ok: `nothing lost, doubled or wrong${open}; of replies their status was checked`,
    any: `nothing lost or doubled${open}; what replies say was not checked`,
  };
  // Only REPLYs have a payload to look into.
  return requests === 0 ? said.echo : said[plan.expect];
}

function findingRows(report: Report): string[] {
  const { violations, notes, examples } = report;
  const rows = (head: string, name: Violation, count: number, shown: number): string[] => [
    `${head.padEnd(12)}${name} ${grouped(count)}: ${VIOLATIONS[name]}`,
    ...examples
      .filter(({ violation }) => violation === name)
      .slice(0, shown)
      .map(({ device, text }) => `            e.g. ${device}: ${text}`),
  ];
  const wrong = WRONGS.filter((name) => violations[name] > 0);
  const noted = NOTES.filter((name) => notes[name] > 0);
  return [
    ...(wrong.length === 0 ? [`integrity   ${integrity(report)}`] : []),
    ...wrong.flatMap((name) => rows('WRONG', name, violations[name], 3)),
    ...noted.flatMap((name) => rows('note', name, notes[name], 1)),
  ];
}

function verdictRows(report: Report): string[] {
  const { selfCheck, thresholds, failures, ended, exitCode } = report;
  const rows: string[] = [];
  for (const { text, shown, crossed } of thresholds) {
    rows.push(`threshold   ${text}: ${shown} ${crossed ? 'CROSSED' : 'ok'}`);
  }
  for (const sentence of selfCheck.sentences) rows.push(`tool        ${sentence}`);
  if (selfCheck.sentences.length === 0) {
    const cpu = Math.max(0, ...selfCheck.workers.map(({ cpuShareMax }) => cpuShareMax));
    const late = (100 * selfCheck.lateShare).toFixed(2);
    rows.push(
      `tool        not the bottleneck: ${late} % late sends, ${Math.round(100 * cpu)} % of a core at most`,
    );
  }
  rows.push(`ended       ${ended.how}: ${ended.why}`);
  const passed = selfCheck.wasBottleneck ? `PASSED, but ${BOTTLENECK}` : 'PASSED';
  rows.push(exitCode === 0 ? passed : `FAILED (exit ${exitCode}): ${failures.join('; ')}`);
  return rows;
}

/** The final table, lines joined, with a newline at the end. */
export function writeTable(report: Report): string {
  const { plan, ended } = report;
  const seconds = (ended.loadToS - ended.loadFromS).toFixed(1);
  const rows = [
    '',
    `owsla-loadgen: ${targetOf(plan)}, ${grouped(plan.devices)} devices, ${plan.workers} ` +
      `worker${plan.workers === 1 ? '' : 's'}, ${seconds} s of load, seed ${plan.seed}`,
    ...linkRows(report),
    ...deployRows(report),
    ...messageRows(report),
    ...timeRows(report),
    '',
    ...findingRows(report),
    ...verdictRows(report),
  ];
  return `${rows.join('\n')}\n`;
}
