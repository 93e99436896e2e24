/**
 * Table: a chaos run as text for people.
 * From: chaos.ts's outcome.  To: stdout.
 * Bound: one line for each figure, fault and gauge.
 */
import { STATUS } from '../../src/base/errors.ts';
import type { BesideOutcome } from './beside.ts';
import type { Outcome, Suffered } from './chaos.ts';
import type { Latency } from './latency.ts';
import { isStarved } from './recovery.ts';

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
  const { counts, statuses, ends, tongues } = books;
  return [
    row('links', counts.links),
    ...[...tongues].map(([tongue, count]) => row(`  by ${tongue}`, count)),
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

function commandRows({ commands }: Outcome): string[] {
  const { counts, outcomes } = commands;
  return [
    row('kept commands published', counts.kept),
    row('transient commands published', counts.transient),
    row('  refused by the broker', counts.nacked),
    row('  lost on their way there, or had: not known', counts.unsure),
    row('commands acted upon', counts.acts),
    row('  that came again, and were not', counts.known),
    row('told: delivered', counts.delivered),
    ...[...outcomes].toSorted().map(([words, count]) => row(`told, at last: ${words}`, count)),
    row('  that a device had acted upon all the same', counts.unheard, 'of those told: expired'),
    row('  once more', counts.repeated),
    row('transient ones without an end', counts.lost, 'an Owsla process, or the broker, died'),
  ];
}

function willRows({ wills: { counts } }: Outcome): string[] {
  return [
    row('links with a will', counts.links),
    row('  whose will was published', counts.published, `${counts.copies} copies`),
    row('  that no fault was near', counts.judged, 'these are judged'),
  ];
}

function findingRows({ books, commands, wills }: Outcome): string[] {
  const all = [books, commands, wills].flatMap(({ findings }) => findings.all());
  return all.map(([finding, count, sentence]) => row(finding, count, sentence));
}

function faultRow({ name, from, to, backMs, foreign }: Suffered): string {
  const share = `others had ${Math.round(100 * foreign)} % of the machine`;
  const note = isStarved(foreign) ? `${share}: not judged` : share;
  return row(name, seconds(to - from), `back after ${seconds(backMs)}; ${note}`);
}

function alarmRow({ name, alarms }: Suffered): string {
  return row(name, '', alarms.raised.length === 0 ? 'none' : alarms.raised.join(', '));
}

/** Of each fault: who noticed last, and who was up again last. */
function detectionRows({ name, detections }: Suffered): string[] {
  return (['noticed', 'up again'] as const).flatMap((wanted) => {
    const all = detections.filter(({ what }) => what === wanted);
    const slowest = all.toSorted((a, b) => b.tookMs - a.tookMs)[0];
    if (slowest === undefined) return [];
    const { link, tookMs, hasCome, boundMs, deniedMs } = slowest;
    const bound = `at most ${seconds(boundMs)}, and ${seconds(deniedMs)} that the machine made`;
    const took = hasCome ? seconds(tookMs) : 'never';
    return [row(`${name}:`.slice(0, NAME_COLUMNS), took, `${wanted}; ${bound} (${link})`)];
  });
}

/** The whole report, ending with the broken promises. */
export function writeTable(outcome: Outcome): string {
  const { seed, seconds: ran, suffered, highest, memory, failures } = outcome;
  const ratio = (memory.last / memory.first).toFixed(2);
  return [
    `Ledger of ${ran} s, seed ${seed}`,
    ...ledgerRows(outcome),
    ...commandRows(outcome),
    ...willRows(outcome),
    'Broken promises',
    ...findingRows(outcome),
    'Faults: how long they lasted, and full rate after their end',
    ...suffered.map(faultRow),
    'Alarms that each fault raised',
    ...suffered.map(alarmRow),
    'Links to the broker that faults took away: the slowest of each, and its bound',
    ...suffered.flatMap(detectionRows),
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

function latencyRows({ way, quiet, bad, ratio, stretches }: Latency): string[] {
  const ms = (value: number) => (Number.isFinite(value) ? `${value} ms` : 'never');
  return [
    row(way, `${ratio.toFixed(2)} x`, `p99 ${ms(quiet.p99)} quiet, ${ms(bad.p99)} beside them`),
    row('  p50', '', `${ms(quiet.p50)} quiet, ${ms(bad.p50)} beside them`),
    row('  how many', '', `${grouped(quiet.count)} quiet, ${grouped(bad.count)} beside them`),
    row('  p99 of each stretch, quiet and bad by turns', '', stretches.map(ms).join(', ')),
  ];
}

/** What innocents waited, what the neighbours did, and what they got for it. */
export function writeBeside({ latencies, deeds, got }: BesideOutcome): string {
  return [
    'Innocents: p99 with bad neighbours over the quiet one',
    ...latencies.flatMap(latencyRows),
    'What the neighbours did',
    ...deeds.map(([deed, count]) => row(deed, count)),
    'What grew meanwhile, the innocents included',
    ...got.map(([series, by]) => row(series.replace('owsla_', ''), by)),
  ].join('\n');
}
