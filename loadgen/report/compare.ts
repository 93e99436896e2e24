/**
 * Compare: two reports side by side, with what differed in their plans said first.
 * From: `owsla-loadgen compare a.json b.json`.  To: stdout.
 * Bound: reads reports of this tool only; says nothing about significance, only shows.
 */
import { readFileSync } from 'node:fs';
import type { Percentiles } from '../measure/totals.ts';
import { NOTES, WRONGS } from '../measure/violations.ts';
import { UsageError, wordsOf } from '../plan/units.ts';
import type { Report } from './report.ts';
import { grouped, writeMs } from './table.ts';

/** Read a report. Throws UsageError when the file is none. */
export function readReport(file: string): Report {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch (error) {
    throw new UsageError(`${file}: ${wordsOf(error)}`);
  }
  if (report?.tool !== 'owsla-loadgen' || report.format !== 1) {
    throw new UsageError(`${file}: not a report of owsla-loadgen`);
  }
  return report;
}

interface Row {
  readonly name: string;
  readonly a: number;
  readonly b: number;
  readonly write: (value: number) => string;
}

/** Empty where neither has any, or one report is older than this sort of time. */
function percentileRows(name: string, a?: Percentiles, b?: Percentiles): Row[] {
  if (a === undefined || b === undefined || a.count + b.count === 0) return [];
  const columns = ['p50', 'p90', 'p99', 'p999', 'max'] as const;
  return columns.map((column) => ({
    name: `${name} ${column} ms`,
    a: a[column],
    b: b[column],
    write: writeMs,
  }));
}

function rowsOf(a: Report, b: Report): Row[] {
  const count = (name: string, of: (report: Report) => number): Row => ({
    name,
    a: of(a),
    b: of(b),
    write: grouped,
  });
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
  return [
    count('links at most', ({ links }) => links.openMax),
    count('connects/s', ({ links }) => links.connectRate),
    count('reconnects', ({ links }) => links.reconnects),
    count('requests/s', ({ rates }) => rates.requests),
    count('replies/s', ({ rates }) => rates.replies),
    count('ACKs/s', ({ rates }) => rates.acks),
    ...percentileRows('round trip', a.times.request, b.times.request),
    ...percentileRows('  uncorrected', a.times.requestRaw, b.times.requestRaw),
    ...percentileRows('event to ACK', a.times.event, b.times.event),
    ...percentileRows('command to act', a.times.command, b.times.command),
    ...percentileRows('command to result', a.times.outcome, b.times.outcome),
    ...percentileRows('connect', a.times.connect, b.times.connect),
    count('skipped', ({ counts }) => counts.skipped),
    ...[
      ...WRONGS.map((name) => count(name, ({ violations }) => violations[name])),
      ...NOTES.map((name) => count(name, ({ notes }) => notes[name])),
    ].filter((row) => row.a + row.b > 0),
    { name: 'late sends', a: a.selfCheck.lateShare, b: b.selfCheck.lateShare, write: percent },
  ];
}

/** `plan.rate: 100 / 200` for every top-level part of the plans that differs. */
function differences(a: Report, b: Report): string[] {
  const names = Object.keys(a.plan).filter((name) => name !== 'run') as (keyof Report['plan'])[];
  return names
    .map((name) => [name, JSON.stringify(a.plan[name]), JSON.stringify(b.plan[name])] as const)
    .filter(([, left, right]) => left !== right)
    .map(([name, left, right]) => `  plan.${name}: ${left} / ${right}`);
}

/** The comparison as text. */
export function writeComparison(fileA: string, fileB: string): string {
  const a = readReport(fileA);
  const b = readReport(fileB);
  const different = differences(a, b);
  const lines = [`a: ${fileA}  ${a.startedAt}`, `b: ${fileB}  ${b.startedAt}`];
  if (different.length === 0) lines.push('the plans are the same');
  else lines.push('the plans differ:', ...different);
  for (const [name, { selfCheck, exitCode, failures }] of Object.entries({ a, b })) {
    if (exitCode !== 0) lines.push(`${name} FAILED (exit ${exitCode}): ${failures.join('; ')}`);
    if (selfCheck.wasBottleneck) lines.push(`${name}: ${selfCheck.sentences[0]}`);
  }
  lines.push('', `${''.padEnd(24)}${'a'.padStart(12)}${'b'.padStart(12)}${'b / a'.padStart(9)}`);
  for (const { name, a: left, b: right, write } of rowsOf(a, b)) {
    const ratio = left === 0 ? '-' : (right / left).toFixed(2);
    const cells = [write(left).padStart(12), write(right).padStart(12), ratio.padStart(9)];
    lines.push(`${name.padEnd(24)}${cells.join('')}`);
  }
  return `${lines.join('\n')}\n`;
}
