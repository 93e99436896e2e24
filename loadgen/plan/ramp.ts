/**
 * Ramp: a rate that changes with time, and the exact moment of each of its messages.
 * From: the plan's stages.  To: load.ts, which asks "when is message k due?".
 * Bound: after the last piece nothing is due any more: `inverse` gives Infinity.
 * Message k is due when the area under the rate reaches k, so a rate is exact over any time, and
 * worker w of W takes k = w, w + W, w + 2W, ...: exact over all workers together, ramps too.
 */

export interface RampPiece {
  readonly durationMs: number;
  /** Per second at the piece's start and end; between them the rate is linear. */
  readonly from: number;
  readonly to: number;
}

export class Ramp {
  readonly #pieces: readonly RampPiece[];
  /** Area under the pieces before each piece, and one more for the whole. */
  readonly #areas: number[] = [0];
  readonly #starts: number[] = [0];
  // Messages are asked for in order, so the piece of the last answer is where to look first.
  #at = 0;

  constructor(pieces: readonly RampPiece[]) {
    this.#pieces = pieces;
    for (const { durationMs, from, to } of pieces) {
      this.#areas.push((this.#areas.at(-1) ?? 0) + ((from + to) / 2) * (durationMs / 1_000));
      this.#starts.push((this.#starts.at(-1) ?? 0) + durationMs);
    }
  }

  get durationMs(): number {
    return this.#starts.at(-1) ?? 0;
  }

  /** How much is due in all. */
  get total(): number {
    return this.#areas.at(-1) ?? 0;
  }

  /** What is due up to `timeMs` after the start. */
  area(timeMs: number): number {
    let area = 0;
    for (const [index, { durationMs, from, to }] of this.#pieces.entries()) {
      const inside = Math.min(durationMs, timeMs - (this.#starts[index] ?? 0));
      if (inside <= 0) break;
      const rate = from + ((to - from) * inside) / durationMs;
      area += ((from + rate) / 2) * (inside / 1_000);
    }
    return area;
  }

  /** Milliseconds after the start at which `area` is reached, or Infinity. `area` >= 0. */
  inverse(area: number): number {
    if (area >= this.total) return Number.POSITIVE_INFINITY;
    if (area < (this.#areas[this.#at] ?? 0)) this.#at = 0;
    while (area >= (this.#areas[this.#at + 1] ?? 0)) this.#at += 1;
    const piece = this.#pieces[this.#at] as RampPiece;
    const rest = area - (this.#areas[this.#at] ?? 0);
    return (this.#starts[this.#at] ?? 0) + 1_000 * timeWithin(piece, rest);
  }
}

/** Seconds into `piece` at which `area` is reached: the root of slope/2 t^2 + from t = area. */
function timeWithin({ durationMs, from, to }: RampPiece, area: number): number {
  const slope = (to - from) / (durationMs / 1_000);
  if (Math.abs(slope) < 1e-12) return area / from;
  // A ramp from nothing has its first message at its start: no 0 / 0.
  if (area <= 0) return 0;
  const root = Math.sqrt(Math.max(0, from * from + 2 * slope * area));
  // The form without cancellation: area is small beside from^2 in nearly every call.
  return (2 * area) / (from + root);
}
