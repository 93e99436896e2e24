/** Restart: the window's arithmetic against a dumb twin, and what must hold for any history. */
import fc from 'fast-check';
import t from 'tap';
import { makeLimits } from '../../src/limits.ts';
import {
  type ChildKind,
  type Decision,
  decide,
  type Intensity,
  intensityOf,
  NO_RESTARTS,
  type RestartState,
} from '../../src/process/restart.ts';

const intensity: fc.Arbitrary<Intensity> = fc.record({
  restartsMax: fc.integer({ min: 1, max: 12 }),
  windowMs: fc.integer({ min: 1_000, max: 60_000 }),
  pauseMaxMs: fc.integer({ min: 0, max: 10_000 }),
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

t.test('the intensity grows with the logarithm of the pool, unless it is given', async (t) => {
  const of = (acceptors: number, restartsMax = 0) =>
    intensityOf(makeLimits({ restartsMax }), acceptors).restartsMax;
  t.same(
    [1, 2, 3, 4, 8, 9, 64].map((acceptors) => of(acceptors)),
    [5, 6, 7, 7, 8, 9, 11],
  );
  t.equal(of(8, 3), 3);
});
