/**
 * Results: what one benchmark wrote down, a line of JSON for each run, the first for the machine.
 * From: run.ts, which appends a line when a run has ended.  To: report.ts.
 */
import { readFileSync } from 'node:fs';
import type { Machine } from '../lib/machine.ts';

export interface Settings {
  readonly rounds: number;
  /** Idle links in stages, rising. */
  readonly stages: readonly number[];
  readonly talkers: number;
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly hold: number;
  readonly window: number;
  readonly isSubscribed: boolean;
}

export interface Header {
  readonly kind: 'header';
  readonly at: string;
  readonly machine: Machine;
  readonly settings: Settings;
}

/** Processor time for one link or message, in microseconds, by group; see peers.ts. */
export interface Costs {
  readonly server: number;
  readonly aside: number;
  readonly broker: number;
}

export interface Connects {
  readonly perSecond: number;
  readonly cpuUs: Costs;
  /** Share of a core that the client took: near 1, it was the client that could not go faster. */
  readonly clientShare: number;
}

export interface Rounds {
  /** Asked for; 0: as many as go with one under way on each link. */
  readonly rate: number;
  readonly perSecond: number;
  readonly cpuUs: Costs;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly lost: number;
  /** How late the client's own schedule was: p99 in ms. */
  readonly lateMs: number;
}

export interface Events {
  /** ACKed and taken by the backend, whichever is less. */
  readonly perSecond: number;
  readonly cpuUs: Costs;
  readonly lost: number;
}

export interface Stage {
  readonly links: number;
  readonly connects: Connects;
  /** Resident bytes over those before the first idle link. */
  readonly rss: { readonly server: number; readonly aside: number };
  /** Share of a core that all its processes take with the links silent. */
  readonly idleShare: number;
}

/** What came of messages, with all idle links open. */
export interface Talk {
  readonly rounds: readonly Rounds[];
  readonly saturation: Rounds;
  readonly events: Events;
  /** At the first rate, once all that was done, with fewer and fewer links idle. */
  readonly byLinks: readonly { readonly links: number; readonly rounds: Rounds }[];
}

export interface Run {
  readonly kind: 'run';
  readonly round: number;
  readonly peer: string;
  readonly version: string;
  readonly load: readonly number[];
  /** Resident bytes of the server's processes, just started. */
  readonly emptyRss: { readonly server: number; readonly aside: number };
  readonly stages: readonly Stage[];
  readonly talk: Talk | undefined;
}

/** A run that came to nothing, and why. */
export interface Failure {
  readonly kind: 'failure';
  readonly round: number;
  readonly peer: string;
  readonly why: string;
}

export interface Results {
  readonly header: Header;
  readonly runs: readonly Run[];
  readonly failures: readonly Failure[];
}

export function readResults(file: string): Results {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const parsed = lines.map((line) => JSON.parse(line) as Header | Run | Failure);
  const header = parsed.find((line) => line.kind === 'header');
  if (header === undefined) throw new Error(`${file} has no header`);
  return {
    header,
    runs: parsed.filter((line) => line.kind === 'run'),
    failures: parsed.filter((line) => line.kind === 'failure'),
  };
}
