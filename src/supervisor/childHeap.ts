/**
 * ChildHeap: when V8 may grow a child's young space, and when it gives back what it does not need.
 * The old space: heapGrowth.ts.
 * From: child.ts: a reload begins or ends; each heartbeat.  To: a flag of V8; scavenges.
 * Bound: a look is some µs; at most one scavenge a look, of a young space of few megabytes, and
 * only while hardly anything is allocated: a millisecond or two.
 *
 * Of V8's young space (childSlot.ts bounds it) a process at rest needs a tenth. V8 does give the
 * rest back, but at a scavenge, and the less is allocated the later comes the next one: half a
 * minute. Until then each acceptor that had just started, moved links or told a new registrar of
 * them was up to 7 MiB larger than before; at the peak of a reload all of them were.
 */
import { getHeapSpaceStatistics } from 'node:v8';
import { collect, isGiven, setV8Flag } from '../base/v8.ts';

const YOUNG_GROWTH = '--semi-space-growth-factor';
/** V8's own. 1: the young space stays as large as it is. */
const YOUNG_GROWS = 2;
const YOUNG_STAYS = 1;

const MIB = 1_048_576;
/** V8 begins with as much. */
const SMALL_BYTES = 2 * MIB;
/** V8 shrinks the young space of who allocates less than 1 MB a second; of the rest we look on. */
const QUIET_BYTES_PER_MS = 500;
/** V8 judges by the last half second or so. */
const SETTLE_MS = 250;
const SETTLE_LOOKS = 4;

/** The young space. */
export interface Young {
  /** That V8 has taken. */
  readonly bytes: number;
  /** Filled since the last scavenge, and what survived it. */
  readonly used: number;
}

/** V8, as far as it is needed here. */
export interface Engine {
  young(): Young;
  scavenge(): void;
  setFlag(flag: string): void;
}

export interface ChildHeapOptions {
  readonly engine: Engine;
  readonly clock: { now(): number };
  readonly pause: (ms: number) => Promise<void>;
  /** What this process was started with: the operator's flags win. */
  readonly flags: readonly string[];
}

export class ChildHeap {
  readonly #options: ChildHeapOptions;
  #before: { readonly at: number; readonly used: number } | undefined;
  #isHeld = false;

  constructor(options: ChildHeapOptions) {
    this.#options = options;
  }

  /** While links move there is one acceptor more: the young spaces of all stay as they are. */
  hold(isHeld: boolean): void {
    if (this.#isHeld === isHeld) return;
    this.#isHeld = isHeld;
    const { engine, flags } = this.#options;
    if (isGiven(YOUNG_GROWTH, flags)) return;
    engine.setFlag(`${YOUNG_GROWTH}=${isHeld ? YOUNG_STAYS : YOUNG_GROWS}`);
  }

  /** Gives back what the start has taken, before links come that need it: a second at most. */
  async settle(): Promise<void> {
    const { engine, pause } = this.#options;
    for (let left = SETTLE_LOOKS; left > 0 && engine.young().bytes > SMALL_BYTES; left -= 1) {
      await pause(SETTLE_MS);
      engine.scavenge();
    }
  }

  /** Gives the young space back, if it is large and hardly used. */
  look(): void {
    const { engine, clock } = this.#options;
    const { bytes, used } = engine.young();
    const now = clock.now();
    const before = this.#before;
    this.#before = { at: now, used };
    if (before === undefined || bytes <= SMALL_BYTES) return;
    const filled = used - before.used;
    // Less is in it: V8 has just collected it, and decided.
    if (filled < 0 || filled > QUIET_BYTES_PER_MS * (now - before.at)) return;
    engine.scavenge();
    this.#before = undefined;
  }
}

/** This process's V8. */
export function v8Engine(): Engine {
  return {
    young() {
      const space = getHeapSpaceStatistics().find(({ space_name: of }) => of === 'new_space');
      return { bytes: space?.space_size ?? 0, used: space?.space_used_size ?? 0 };
    },
    scavenge() {
      collect({ type: 'minor' });
    },
    setFlag: setV8Flag,
  };
}
