/**
 * Findings: what was wrong with the answers, each kind counted and shown by examples.
 * From: device.ts, commandLedger.ts, the event watch.  To: the report's integrity section, the exit
 * code.
 * Bound: EXAMPLES_MAX examples per kind and worker; the counts go on.
 */

export const FINDINGS = {
  lost: 'requests without a reply in time, on a link that lived',
  unacked: 'events without an ACK in time, on a link that lived',
  cut: 'messages unanswered when the other side ended their link',
  doubled: 'second answers to the same message',
  wrong: 'replies with an unexpected status or payload',
  misrouted: "answers with another device's payload, or to what was never asked",
  badFrames: 'frames of the server that break the protocol',
  vanished: 'events that were ACKed and never delivered',
  twice: 'commands acted upon more than once',
  elsewhere: 'commands acted upon by another device than theirs',
  disordered: 'kept commands acted upon after a later one of their device',
  unsettled: 'kept commands without a final outcome in time',
  untold: 'transient commands without one',
  contradicted: 'commands with two different final outcomes',
  denied: 'commands acted upon, told as never sent',
  unacted: 'commands told as done that nobody acted upon',
  late: 'answers that came after their message had been given up',
  redelivered: 'events delivered more than once',
  reordered: 'replies that overtook an earlier one on their link',
  unheard: 'commands acted upon, told as expired: their result did not arrive',
  repeated: 'final outcomes told once more',
} as const;
export type Finding = keyof typeof FINDINGS;
export const FINDING_NAMES = Object.keys(FINDINGS) as readonly Finding[];

/** These are notes: at-least-once delivery and concurrent backends allow them. */
export const NOTES = [
  'late',
  'redelivered',
  'reordered',
  'unheard',
  'repeated',
] as const satisfies readonly Finding[];
export type Note = (typeof NOTES)[number];
export type Wrong = Exclude<Finding, Note>;

export function isNote(finding: Finding): finding is Note {
  return NOTES.some((note) => note === finding);
}

export const WRONGS = FINDING_NAMES.filter((name): name is Wrong => !isNote(name));

/** One part of the counts by itself. */
export function pick<F extends Finding>(counts: FindingCounts, names: readonly F[]) {
  return Object.fromEntries(names.map((name) => [name, counts[name]])) as Record<F, number>;
}

export interface Example {
  readonly finding: Finding;
  readonly device: string;
  readonly text: string;
}

export const EXAMPLES_MAX = 5;

export type FindingCounts = Record<Finding, number>;

export function newFindingCounts(): FindingCounts {
  return Object.fromEntries(FINDING_NAMES.map((name) => [name, 0])) as FindingCounts;
}

export class Findings {
  counts = newFindingCounts();
  readonly #shown = newFindingCounts();
  #examples: Example[] = [];

  /** Count one; `text` is only worked out for the first few. */
  add(finding: Finding, device: string, text: () => string): void {
    this.counts[finding] += 1;
    if (this.#shown[finding] >= EXAMPLES_MAX) return;
    this.#shown[finding] += 1;
    this.#examples.push({ finding, device, text: text() });
  }

  /** What was found since the last call. */
  take(): { counts: FindingCounts; examples: Example[] } {
    const taken = { counts: this.counts, examples: this.#examples };
    this.counts = newFindingCounts();
    this.#examples = [];
    return taken;
  }
}
