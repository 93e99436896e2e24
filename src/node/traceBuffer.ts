/**
 * TraceBuffer: entries of one trace that wait for their reader, in order. What finds no room is
 * dropped, counted, and said in its place.
 * From: an acceptor's linkTraces.ts, the observer's nodeTraces.ts.  To: whoever reads, in pieces.
 * Bound: `charsMax` characters of JSON, and one entry that says what was lost; that is counted anew
 * from each gap to the next.
 */

/** How often what waits is handed on. */
export const TRACE_FLUSH_MS = 50;
/** Of a piece of it. */
export const TRACE_BATCH_CHARS = 32 * 1024;

export class TraceBuffer {
  readonly #charsMax: number;
  readonly #gapOf: (lost: number) => string;
  #entries: string[] = [];
  #chars = 0;
  /** Since the last gap was said. */
  #gap = 0;
  #lost = 0;

  /** `gapOf`: the entry that says how many are lost here. */
  constructor(charsMax: number, gapOf: (lost: number) => string) {
    this.#charsMax = charsMax;
    this.#gapOf = gapOf;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0 && this.#gap === 0;
  }

  get chars(): number {
    return this.#chars;
  }

  /** All that were dropped here. */
  get lost(): number {
    return this.#lost;
  }

  push(entry: string): void {
    if (this.#chars + entry.length > this.#charsMax) {
      this.#gap += 1;
      this.#lost += 1;
      return;
    }
    this.#sayGap();
    this.#add(entry);
  }

  #add(entry: string): void {
    this.#entries.push(entry);
    this.#chars += entry.length;
  }

  /** Behind what came before it. */
  #sayGap(): void {
    if (this.#gap === 0) return;
    this.#add(this.#gapOf(this.#gap));
    this.#gap = 0;
  }

  /** The next entries, `chars` characters or one entry, and `most` of them; they stay here. */
  next(chars: number, most = Number.POSITIVE_INFINITY): readonly string[] {
    this.#sayGap();
    let count = 0;
    let length = 0;
    for (const entry of this.#entries) {
      length += entry.length;
      if (count > 0 && (length > chars || count >= most)) break;
      count += 1;
    }
    return this.#entries.slice(0, count);
  }

  /** So many of them have been read. */
  taken(count: number): void {
    for (const entry of this.#entries.splice(0, count)) this.#chars -= entry.length;
  }
}
