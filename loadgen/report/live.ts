/**
 * Live: one line a second about the running load.
 * From: totals.ts, each closed interval.  To: stderr: rewritten in place on a terminal, else a new
 * line every PLAIN_EVERY points, so that a build log stays readable.
 * Bound: nothing is kept.
 */

import { type Point, percentilesOf, type Totals } from '../measure/totals.ts';
import { grouped, writeMs } from './table.ts';

const PLAIN_EVERY = 5;

/** One line: links, rates, percentiles of this second and so far, trouble. */
export function writeLive(point: Point, totals: Totals): string {
  const { counts, times } = point;
  const parts = [`${point.t.toFixed(0).padStart(4)} s`, `links ${grouped(point.open)}`];
  const { attempts, ends, requests, replies, events, acks, skipped, lateSends } = counts;
  if (attempts > 0) parts.push(`connects ${grouped(attempts)}/s`);
  if (requests + replies > 0) parts.push(`req ${grouped(requests)}/s`, `rep ${grouped(replies)}/s`);
  if (events + acks > 0) parts.push(`ev ${grouped(events)}/s`, `ack ${grouped(acks)}/s`);
  const { commandsPublished, commandsActed } = counts;
  if (commandsPublished + commandsActed > 0) {
    parts.push(`cmd ${grouped(commandsPublished)}/s`, `act ${grouped(commandsActed)}/s`);
  }
  const now = times.request ?? times.event;
  if (now !== undefined) {
    const soFar = percentilesOf(
      times.request === undefined ? totals.times.event : totals.times.request,
    );
    const list = (p: typeof now): string => [p.p50, p.p99, p.p999].map(writeMs).join('/');
    parts.push(`p50/p99/p99.9 ms now ${list(now)} so far ${list(soFar)}`);
  }
  if (point.pending > 0) parts.push(`open ${grouped(point.pending)}`);
  if (ends > 0) parts.push(`ended ${grouped(ends)}`);
  if (skipped > 0) parts.push(`skipped ${grouped(skipped)}`);
  if (lateSends > 0) parts.push(`late ${grouped(lateSends)}`);
  if (point.violations > 0) parts.push(`WRONG ${grouped(point.violations)}`);
  return parts.join('  ');
}

/** Writes each point as it comes; `end` leaves the terminal on a fresh line. */
export class Live {
  readonly #out: NodeJS.WriteStream;
  #points = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  show(point: Point, totals: Totals): void {
    const line = writeLive(point, totals);
    this.#points += 1;
    if (this.#out.isTTY) {
      this.#out.write(`\r\x1b[2K${line.slice(0, Math.max(20, this.#out.columns - 1))}`);
    } else if (this.#points % PLAIN_EVERY === 1) {
      this.#out.write(`${line}\n`);
    }
  }

  end(): void {
    if (this.#out.isTTY && this.#points > 0) this.#out.write('\n');
  }
}
