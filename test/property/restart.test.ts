/** Restart: the window's arithmetic against a dumb twin, and what must hold for any history. */
import fc from 'fast-check';
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import {
  type ChildKind,
  comeBack,
  type Decision,
  decide,
  type HelperState,
  type Intensity,
  intensityOf,
  NO_ENDS,
  NO_RESTARTS,
  type RestartState,
} from '../../src/supervisor/restart.ts';

const intensity: fc.Arbitrary<Intensity> = fc.record({
  restartsMax: fc.integer({ min: 1, max: 12 }),
  windowMs: fc.integer({ min: 1_000, max: 60_000 }),
  pauseMaxMs: fc.integer({ min: 0, max: 10_000 }),
  helperPauseMaxMs: fc.integer({ min: 100, max: 60_000 }),
});
const kind = fc.constantFrom<ChildKind>('permanent', 'transient', 'temporary');
const end = fc.record({ kind, isCrash: fc.boolean(), afterMs: fc.nat({ max: 20_000 }) });
const PERMANENT = { kind: 'permanent', isCrash: true } as const;

/** Remembers every restart ever granted and counts them anew each time. */
class DumbTwin {
  readonly granted: number[] = [];

  decide(
    { restartsMax, windowMs }: Intensity,
    e: { kind: ChildKind; isCrash: boolean },
    now: number,
  ) {
    if (e.kind === 'temporary') return 'leave';
    if (e.kind === 'transient' && !e.isCrash) return 'leave';
    let within = 0;
    for (const at of this.granted) if (at > now - windowMs) within += 1;
    if (within + 1 > restartsMax) return 'give-up';
    this.granted.push(now);
    return 'restart';
  }
}

t.test('any history of ends is decided as by a twin that remembers everything', async () => {
  const histories = fc.array(end, { maxLength: 60 });
  fc.assert(
    fc.property(intensity, histories, (limits, ends) => {
      const twin = new DumbTwin();
      let state: RestartState = NO_RESTARTS;
      let now = 0;
      return ends.every((e) => {
        now += e.afterMs;
        const decision = decide(state, limits, e, now);
        state = decision.state;
        return decision.action === twin.decide(limits, e, now);
      });
    }),
    { numRuns: 2_000 },
  );
});

t.test(
  'no window ever holds more restarts than the intensity, and the state is as small',
  async () => {
    fc.assert(
      fc.property(intensity, fc.array(end, { maxLength: 60 }), (limits, ends) => {
        const granted: number[] = [];
        let state: RestartState = NO_RESTARTS;
        let now = 0;
        for (const e of ends) {
          now += e.afterMs;
          const decision = decide(state, limits, e, now);
          state = decision.state;
          if (decision.action === 'restart') granted.push(now);
          if (state.length > limits.restartsMax) return false;
        }
        return granted.every(
          (from) =>
            granted.filter((at) => at >= from && at < from + limits.windowMs).length <=
            limits.restartsMax,
        );
      }),
    );
  },
);

t.test('a child that crashes as soon as it starts always ends in giving up', async () => {
  fc.assert(
    fc.property(intensity, (limits) => {
      // Its life is short against the window; its pauses are whatever was decided.
      const lifeMs = Math.floor(limits.windowMs / 2 / (limits.restartsMax + 1)) - 1;
      return outcomes(limits, lifeMs, limits.restartsMax + 1).at(-1)?.action === 'give-up';
    }),
  );
});

t.test('a child that crashes rarely is restarted for ever', async () => {
  fc.assert(
    fc.property(intensity, (limits) => {
      const lifeMs = Math.ceil(limits.windowMs / limits.restartsMax);
      return outcomes(limits, lifeMs, 100).every(({ action }) => action === 'restart');
    }),
  );
});

function outcomes(limits: Intensity, lifeMs: number, ends: number): Decision[] {
  const decisions: Decision[] = [];
  let state: RestartState = NO_RESTARTS;
  let now = 0;
  for (let count = 0; count < ends; count += 1) {
    now += lifeMs;
    const decision = decide(state, limits, PERMANENT, now);
    decisions.push(decision);
    state = decision.state;
    if (decision.action === 'restart') now += decision.afterMs;
  }
  return decisions;
}

t.test('the first restart is immediate; pauses grow, and stay below their limits', async () => {
  fc.assert(
    fc.property(intensity, (limits) => {
      const pauses = outcomes(limits, 0, limits.restartsMax).map((decision) =>
        decision.action === 'restart' ? decision.afterMs : Number.NaN,
      );
      const total = pauses.reduce((sum, pause) => sum + pause, 0);
      return (
        pauses[0] === 0 &&
        pauses.every((pause, at) => at === 0 || pause >= (pauses[at - 1] ?? 0)) &&
        pauses.every((pause) => pause <= limits.pauseMaxMs) &&
        total <= limits.windowMs / 2
      );
    }),
  );
});

/** The pauses of a helper whose lives last so long. */
function helperPauses(limits: Intensity, livesMs: readonly number[]): number[] {
  let state: HelperState = NO_ENDS;
  let now = 0;
  return livesMs.map((lifeMs) => {
    now += lifeMs;
    const decision = comeBack(state, limits, lifeMs, now);
    state = decision.state;
    now += decision.afterMs;
    return decision.afterMs;
  });
}

t.test('a helper comes back for ever, after a pause that has a bound', async () => {
  const lives = fc.array(fc.nat({ max: 20_000 }), { maxLength: 80 });
  fc.assert(
    fc.property(intensity, lives, (limits, livesMs) =>
      helperPauses(limits, livesMs).every(
        (pause) => pause >= 0 && pause <= Math.max(limits.pauseMaxMs, limits.helperPauseMaxMs),
      ),
    ),
  );
});

t.test(
  'a helper in a crash loop is tried as often as its intensity, then ever more seldom',
  async () => {
    fc.assert(
      fc.property(intensity, (limits) => {
        const lives = Array.from({ length: limits.restartsMax + 30 }, () => 0);
        const pauses = helperPauses(limits, lives);
        const beyond = pauses.slice(limits.restartsMax);
        const doubled = beyond.map((_, at) => Math.min(1_000 * 2 ** at, limits.helperPauseMaxMs));
        return beyond.every((pause, at) => pause === doubled[at]);
      }),
    );
  },
);

t.test('a helper beyond its intensity is within it again when it has lived a window', async () => {
  fc.assert(
    fc.property(intensity, fc.nat({ max: 8 }), (limits, more) => {
      const loop = Array.from({ length: limits.restartsMax + 1 + more }, () => 0);
      const lives = [...loop, limits.windowMs - 1, limits.windowMs, 0];
      const [short, well, next] = helperPauses(limits, lives).slice(-3);
      const isSlow = short === Math.min(1_000 * 2 ** (more + 1), limits.helperPauseMaxMs);
      // One restart is all that a window has, where the intensity is 1.
      return isSlow && well === 0 && (limits.restartsMax === 1 || (next ?? 0) <= limits.pauseMaxMs);
    }),
  );
});

t.test('the intensity grows with the logarithm of the pool, unless it is given', async (t) => {
  const of = (acceptors: number, restartsMax = 0) =>
    intensityOf(makeLimits({ restartsMax }), acceptors).restartsMax;
  t.same(
    [1, 2, 3, 4, 8, 9, 64].map((acceptors) => of(acceptors)),
    [5, 6, 7, 7, 8, 9, 11],
  );
  t.equal(of(8, 3), 3);
});
