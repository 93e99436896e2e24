/**
 * Table: a chaos run as text for people.
 * From: chaos.ts's outcome.  To: stdout.
 * Bound: one line for each figure, fault and gauge.
 */
import { STATUS } from '../../src/errors.ts';
import { FINDINGS, type Finding } from './books.ts';
import type { Outcome } from './chaos.ts';

const NAME_COLUMNS = 44;
const MiB = 1_048_576;

/** `12,345`. */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

function row(name: string, value: number | string, more = ''): string {
  const text = typeof value === 'number' ? grouped(value) : value;
  return `  ${name.padEnd(NAME_COLUMNS)}${text.padStart(12)}${more === '' ? '' : `  ${more}`}`;
}

function seconds(ms: number): string {
  return Number.isFinite(ms) ? `${(ms / 1_000).toFixed(2)} s` : 'never';
}

function mebibytes(bytes: number): string {
  return `${(bytes / MiB).toFixed(0)} MiB`;
}

function statusWord(status: number): string {
  const name = Object.entries(STATUS).find(([, code]) => code === status)?.[0];
  return name === undefined ? `status ${status}` : `status ${status}, ${name}`;
}

function ledgerRows({ books }: Outcome): string[] {
  const { counts, statuses, ends } = books;
  return [
    row('links', counts.links),
    ...[...ends].map(([reason, count]) => row(`  ended: ${reason}`, count)),
    row('EVENTs sent', counts.events),
    row('  ACKed', counts.acks),
    row('  at the backend, copies too', counts.eventsGot),
    row('REQUESTs sent', counts.requests),
    ...[...statuses]
      .sort(([a], [b]) => a - b)
      .map(([status, count]) => row(`  answered: ${statusWord(status)}`, count)),
    row('  at the backend, copies too', counts.requestsGot),
    row('  at the backend after their deadline', counts.stale),
    row('copies at the backend beyond the first', counts.repeats, `${counts.resent} re-sent`),
    row('longest wait for an answer', seconds(counts.slowestMs)),
    row('without an answer, with their link', counts.cut),
    row('due while the device had no link', counts.skipped),
  ];
}

function findingRows({ books }: Outcome): string[] {
  return Object.keys(FINDINGS).map((finding) => {
    const found = books.findings.get(finding as Finding);
    return row(finding, found?.count ?? 0, FINDINGS[finding as Finding]);
  });
}

/** The whole report, ending with the broken promises. */
export function writeTable(outcome: Outcome): string {
  const { seed, seconds: ran, suffered, highest, memory, failures } = outcome;
  const ratio = (memory.last / memory.first).toFixed(2);
  return [
    `Ledger of ${ran} s, seed ${seed}`,
    ...ledgerRows(outcome),
    'Broken promises',
    ...findingRows(outcome),
    'Faults: how long they lasted, and full rate after their end',
    ...suffered.map(({ name, from, to, backMs }) => {
      return row(name, seconds(to - from), `back after ${seconds(backMs)}`);
    }),
    'Gauges of one acceptor: the highest value, and its limit',
    ...highest.map(({ gauge, value, most, limit }) => {
      return row(gauge, value, `at most ${grouped(most)} (${limit})`);
    }),
    row('memory of the acceptors, collected', mebibytes(memory.last), `${ratio} times the start's`),
    row('memory of the acceptors, highest', mebibytes(memory.highest)),
    failures.length === 0 ? 'Every promise was kept.' : '',
    ...failures.map((failure) => `BROKEN: ${failure}`),
  ]
    .filter((line) => line !== '')
    .join('\n');
}
