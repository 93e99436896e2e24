/** How far V8 may grow a child's heap, and when it gives back: by a fake V8, and by ours. */
import t from 'tap';
import { ChildHeap, type Engine, v8Engine, type Young } from '../../src/supervisor/childHeap.ts';
import { waitFor } from '../helpers/waitFor.ts';

const MIB = 1_048_576;

/** `after`: the young space after each scavenge. */
function heapOf(young: Young, after: readonly number[] = [], flags: readonly string[] = []) {
  const said: string[] = [];
  const left = [...after];
  const state = { young, now: 0, scavenges: 0, pauses: 0 };
  const engine: Engine = {
    young: () => state.young,
    scavenge: () => {
      state.scavenges += 1;
      state.young = { bytes: left.shift() ?? state.young.bytes, used: 0 };
    },
    setFlag: (flag) => said.push(flag),
  };
  const waits = async () => {
    state.pauses += 1;
  };
  const heap = new ChildHeap({ engine, clock: { now: () => state.now }, pause: waits, flags });
  /** A heartbeat, and what was allocated since the last one. */
  const beat = (allocated: number) => {
    state.now += 1_000;
    state.young = { ...state.young, used: state.young.used + allocated };
    heap.look();
    return state.scavenges;
  };
  return { heap, said, state, beat };
}

t.test('child heap: the young space of who does little is given back', async (t) => {
  const { beat, state } = heapOf({ bytes: 8 * MIB, used: MIB }, [4 * MIB, MIB]);

  t.equal(beat(1_000), 0, 'the first look knows no rate');
  t.equal(beat(1_000), 1);
  t.equal(beat(1_000), 1, 'what a scavenge has left tells no rate');
  t.equal(beat(1_000), 2);
  t.equal(state.young.bytes, MIB);
  for (let beats = 0; beats < 10; beats += 1) t.equal(beat(1_000), 2, 'it is small enough');
});

t.test('child heap: who is busy is left to V8', async (t) => {
  const { beat, state } = heapOf({ bytes: 8 * MIB, used: 0 });
  for (let beats = 0; beats < 10; beats += 1) {
    t.equal(beat(MIB), 0);
    // V8 has collected it.
    if (beats % 3 === 2) state.young = { ...state.young, used: 0 };
  }
});

t.test('child heap: in a reload the young space does not grow', async (t) => {
  const { heap, said } = heapOf({ bytes: MIB, used: 0 });
  for (const isHeld of [false, true, true, false, false]) heap.hold(isHeld);
  t.same(said, ['--semi-space-growth-factor=1', '--semi-space-growth-factor=2']);
});

t.test("child heap: the operator's flag wins", async (t) => {
  const flags = ['--semi-space-growth-factor=4'];
  const { heap, said } = heapOf({ bytes: MIB, used: 0 }, [], flags);
  heap.hold(true);
  t.same(said, []);
});

t.test('child heap: before links come it waits for V8 a few times, and no longer', async (t) => {
  const small = heapOf({ bytes: MIB, used: 0 });
  await small.heap.settle();
  t.equal(small.state.pauses, 0);
  const large = heapOf({ bytes: 7 * MIB, used: MIB }, [6 * MIB, MIB]);
  await large.heap.settle();
  t.equal(large.state.scavenges, 2);
  const busy = heapOf({ bytes: 7 * MIB, used: MIB });
  await busy.heap.settle();
  t.same([busy.state.scavenges, busy.state.pauses], [4, 4]);
});

t.test('child heap: V8 takes its flags, and shrinks', async (t) => {
  const engine = v8Engine();
  const kept: unknown[] = [];
  while (engine.young().bytes <= 4 * MIB) kept.push({ of: [kept.length] });
  const grown = engine.young().bytes;
  engine.setFlag('--semi-space-growth-factor=1');
  kept.length = 0;
  // V8 judges by what was allocated lately.
  await waitFor('a small young space', () => {
    engine.scavenge();
    return engine.young().bytes <= 2 * MIB;
  });
  for (let at = 0; at < 200_000; at += 1) kept.push({ of: [at] });
  const held = engine.young().bytes;
  engine.setFlag('--semi-space-growth-factor=2');
  t.ok(held < grown, `held at ${held} of ${grown}`);
});
