/**
 * Violations: what was wrong with the answers, each kind counted and shown by examples.
 * From: device.ts, commandLedger.ts, the event watch.  To: the report's integrity section, the exit
 * code.
 * Bound: EXAMPLES_MAX examples per kind and worker; the counts go on.
 */

export const VIOLATIONS = {
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
  unwilled: 'wills of links that we cut, and that never came',
  unwarranted: 'wills of links that we ended with a goodbye, or that had not ended',
  flickered: 'devices whose presence changed in a reload',
  late: 'answers that came after their message had been given up',
  redelivered: 'events delivered more than once',
  reordered: 'replies that overtook an earlier one on their link',
  unheard: 'commands acted upon, told as expired: their result did not arrive',
  repeated: 'final outcomes told once more',
} as const;
export type Violation = keyof typeof VIOLATIONS;
export const VIOLATION_NAMES = Object.keys(VIOLATIONS) as readonly Violation[];

/** These are notes: at-least-once delivery and concurrent backends allow them. */
export const NOTES = [
  'late',
  'redelivered',
  'reordered',
  'unheard',
  'repeated',
] as const satisfies readonly Violation[];
export type Note = (typeof NOTES)[number];
export type Wrong = Exclude<Violation, Note>;

export function isNote(violation: Violation): violation is Note {
  return NOTES.some((note) => note === violation);
}

export const WRONGS = VIOLATION_NAMES.filter((name): name is Wrong => !isNote(name));

/** One part of the counts by itself. */
export function pick<F extends Violation>(counts: ViolationCounts, names: readonly F[]) {
  return Object.fromEntries(names.map((name) => [name, counts[name]])) as Record<F, number>;
}

export interface Example {
  readonly violation: Violation;
  readonly device: string;
  readonly text: string;
}

export const EXAMPLES_MAX = 5;

export type ViolationCounts = Record<Violation, number>;

export function newViolationCounts(): ViolationCounts {
  return Object.fromEntries(VIOLATION_NAMES.map((name) => [name, 0])) as ViolationCounts;
}

export class Violations {
  counts = newViolationCounts();
  readonly #shown = newViolationCounts();
  #examples: Example[] = [];

  /** Count one; `text` is only worked out for the first few. */
  add(violation: Violation, device: string, text: () => string): void {
    this.counts[violation] += 1;
    if (this.#shown[violation] >= EXAMPLES_MAX) return;
    this.#shown[violation] += 1;
    this.#examples.push({ violation, device, text: text() });
  }

  /** What was found since the last call. */
  take(): { counts: ViolationCounts; examples: Example[] } {
    const taken = { counts: this.counts, examples: this.#examples };
    this.counts = newViolationCounts();
    this.#examples = [];
    return taken;
  }
}
