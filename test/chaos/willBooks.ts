/**
 * WillBooks: every link with a will, and whether that was published as the table of
 * docs/protocol.md says. Pure.
 * From: ledger entries.  To: findings, each a broken promise; figures.
 * Bound: some 100 bytes for each link. What a fault may have hidden from the device, or from Owsla,
 * is judged by neither word: of that only what holds whatever happens. A busy machine makes Owsla
 * late, and a device that is back until then cancels its will: how late, others' wills show.
 */
import type { Span } from './books.ts';
import { Findings } from './findings.ts';
import type { Entry, WillEntry } from './ledger.ts';

const FINDINGS = {
  lost: 'wills of links that ended were not published',
  polite: 'wills were published though their device had said goodbye',
  back: 'wills were published though their device was back within the delay',
  different: 'wills came twice, with different words',
} as const;

/** A link that lasted so long is on record, where nothing fails; so is its end so long after. */
const RECORDED_MS = 1_000;
/** A will is published so long after it is due, where nothing fails. */
const PUBLISHED_MS = 5_000;
const SECOND_MS = 1_000;

interface Willed {
  readonly delayMs: number;
  /** By MQTT's rules a takeover, or a return without a delay, cancels nothing. */
  readonly isMqtt: boolean;
  /** Its device began to connect; it knew that it was open. */
  readonly triedAt: number;
  readonly openedAt: number;
  /** Before its end; and when its device knew of that. */
  leftAt: number;
  endedAt: number;
  isGoodbye: boolean;
  readonly words: Set<string>;
}

export interface WillRules {
  readonly outages: readonly Span[];
  readonly endedAt: number;
}

export class WillBooks {
  readonly counts = { links: 0, published: 0, copies: 0, judged: 0 };
  readonly findings = new Findings(FINDINGS);
  /** By what their payloads name. */
  readonly #wills = new Map<string, Willed>();
  /** By device, in order. */
  readonly #ofDevice = new Map<number, Willed[]>();
  readonly #got: WillEntry[] = [];
  /** How late others' wills came, at most, by the second in which they were due. */
  readonly #late = new Map<number, number>();

  constructor(entries: Iterable<Entry>) {
    for (const entry of entries) this.#add(entry);
  }

  #add(entry: Entry): void {
    if (entry.what === 'open' && entry.will !== undefined) {
      const { device, at: openedAt, will, tongue } = entry;
      const isMqtt = tongue !== 'owsla';
      const never = Number.POSITIVE_INFINITY;
      const end = { leftAt: never, endedAt: never, isGoodbye: false };
      const words = new Set<string>();
      const { delayMs, triedAt } = will;
      const willed = { delayMs, triedAt, isMqtt, openedAt, ...end, words };
      this.#wills.set(will.of, willed);
      const links = this.#ofDevice.get(device);
      if (links === undefined) this.#ofDevice.set(device, [willed]);
      else links.push(willed);
      this.counts.links += 1;
    } else if (entry.what === 'end') {
      const willed = this.#ofDevice.get(entry.device)?.at(-1);
      if (willed === undefined) return;
      willed.leftAt = entry.leftAt ?? entry.at;
      willed.endedAt = entry.at;
      willed.isGoodbye = entry.reason === 'ours';
    } else if (entry.what === 'will') this.#got.push(entry);
  }

  /** Judge them all. Called once. */
  close(rules: WillRules): void {
    for (const { of, reason, id, at } of this.#got) {
      this.counts.copies += 1;
      // Of one that is not here the device never knew that it was open.
      const willed = this.#wills.get(of);
      if (willed === undefined) continue;
      willed.words.add(`${reason} ${id}`);
      const dueAt = willed.endedAt + willed.delayMs;
      if (dueAt > at) continue;
      const second = Math.floor(dueAt / SECOND_MS);
      this.#late.set(second, Math.max(this.#late.get(second) ?? 0, at - dueAt));
    }
    for (const links of this.#ofDevice.values()) {
      for (const [at, willed] of links.entries()) this.#judge(willed, links[at + 1], rules);
    }
  }

  /** So long it took then until a link, or its end, was on record. */
  #recordedMs(at: number): number {
    const second = Math.floor(at / SECOND_MS);
    const around = PUBLISHED_MS / SECOND_MS;
    let most = RECORDED_MS;
    for (let one = second - around; one <= second + around; one += 1) {
      most = Math.max(most, this.#late.get(one) ?? 0);
    }
    return most;
  }

  #judge(willed: Willed, next: Willed | undefined, rules: WillRules): void {
    const { words, delayMs, isMqtt, openedAt, leftAt, endedAt, isGoodbye } = willed;
    const name = `a link from ${openedAt} to ${endedAt}`;
    if (words.size > 0) this.counts.published += 1;
    if (words.size > 1) this.findings.find('different', `${name}: ${[...words].join(', ')}`);
    // At the latest; and it may be back, or is for certain.
    const dueAt = endedAt + delayMs;
    const triedAt = next?.triedAt ?? Number.POSITIVE_INFINITY;
    const backAt = next?.openedAt ?? Number.POSITIVE_INFINITY;
    if (dueAt > rules.endedAt) return;
    const recordedMs = this.#recordedMs(dueAt);
    const publishedAt = dueAt + Math.max(PUBLISHED_MS, recordedMs);
    const until = isMqtt ? publishedAt : Math.min(backAt, publishedAt);
    const isQuiet = !rules.outages.some(({ from, to }) => from < until && to > openedAt);
    if (!isQuiet || publishedAt > rules.endedAt) return;
    this.counts.judged += 1;
    if (words.size > 0) {
      if (isGoodbye) this.findings.find('polite', name);
      const earlyMs = leftAt + delayMs - backAt;
      if (!isGoodbye && earlyMs > 0) this.findings.find('back', `${name}, by ${earlyMs} ms`);
    } else if (!isGoodbye) {
      const wasLeft = endedAt - openedAt > recordedMs;
      const isDue = triedAt > dueAt + recordedMs || (isMqtt && delayMs === 0);
      if (wasLeft && isDue) this.findings.find('lost', name);
    }
  }
}
