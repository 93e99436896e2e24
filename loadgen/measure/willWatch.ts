/**
 * WillWatch: which wills of this run arrived at the broker, and whether those are the right ones.
 * From: watch.ts, will by will; how links ended, from the workers (fleet/wills.ts).
 * To: the violations `unwilled` and `unwarranted`.
 * Bound: a number for each will. After the end it waits QUIET_MS for those that are missing, and
 * SETTLE_MS in any case: a will too many comes late, if ever.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { EXAMPLES_MAX, type Example } from './violations.ts';

/** What its will has to be after an end: there; or there or not. Without an entry: not there. */
export const WILL = { published: 1, either: 2 } as const;

const QUIET_MS = 5_000;
const SETTLE_MS = 500;
const LOOK_MS = 20;
/** More links than a device has. */
const LINKS_MAX = 2 ** 21;

export interface WillsSeen {
  readonly published: number;
  /** Of links whose will had to come. */
  readonly owed: number;
  readonly unwilled: number;
  readonly unwarranted: number;
  /** `device` is an index. */
  readonly examples: readonly (Omit<Example, 'device'> & { readonly device: number })[];
}

export class WillWatch {
  readonly #seen = new Set<number>();

  see(device: number, link: number): void {
    this.#seen.add(device * LINKS_MAX + link);
  }

  /** `ends`: device, link and one of WILL, in turn. */
  async judge(ends: readonly number[], quietMs = QUIET_MS): Promise<WillsSeen> {
    const owed = new Set<number>();
    const allowed = new Set<number>();
    for (let at = 0; at < ends.length; at += 3) {
      const key = (ends[at] as number) * LINKS_MAX + (ends[at + 1] as number);
      (ends[at + 2] === WILL.published ? owed : allowed).add(key);
    }
    await sleep(Math.min(SETTLE_MS, quietMs));
    const untilMs = performance.now() + quietMs;
    const isMissing = (key: number) => !this.#seen.has(key);
    while ([...owed].some(isMissing) && performance.now() < untilMs) await sleep(LOOK_MS);
    const missing = [...owed].filter(isMissing);
    const wrong = [...this.#seen].filter((key) => !owed.has(key) && !allowed.has(key));
    const told = (violation: 'unwilled' | 'unwarranted', keys: readonly number[], what: string) =>
      keys.slice(0, EXAMPLES_MAX).map((key) => {
        const text = `the will of link ${key % LINKS_MAX} ${what}`;
        return { violation, device: Math.floor(key / LINKS_MAX), text };
      });
    return {
      published: this.#seen.size,
      owed: owed.size,
      unwilled: missing.length,
      unwarranted: wrong.length,
      examples: [
        ...told('unwilled', missing, 'never came: the link was cut'),
        ...told('unwarranted', wrong, 'came: the link said goodbye, or went on'),
      ],
    };
  }
}
