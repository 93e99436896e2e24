/** Moves in any order of words, closes, messages and deaths: one reader at most, and none hangs. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { Kernel, MOVE_MS, MoveWorld } from '../helpers/worlds/moveWorld.ts';

const LINKS = 3;
const link = fc.nat({ max: LINKS - 1 });
const which = fc.constantFrom('before' as const, 'after' as const);

type Step = (world: MoveWorld) => void;

const steps = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Step>((world) => world.tick()) },
  { weight: 10, arbitrary: which.map<Step>((name) => (world) => void world.pass(world[name])) },
  { weight: 4, arbitrary: link.map<Step>((at) => (world) => world.send(at)) },
  { weight: 4, arbitrary: link.map<Step>((at) => (world) => world.read(at)) },
  { weight: 3, arbitrary: link.map<Step>((at) => (world) => world.settle(at)) },
  {
    weight: 2,
    arbitrary: fc.tuple(link, which).map<Step>(
      ([at, name]) =>
        (world) =>
          world.close(at, world[name], 'taken-over'),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Step>((world) => world.tick(5_000)) },
  {
    weight: 3,
    arbitrary: fc.tuple(link, which).map<Step>(
      ([at, name]) =>
        (world) =>
          world.command(at, world[name]),
    ),
  },
  { weight: 2, arbitrary: fc.constant<Step>((world) => world.answer()) },
  { weight: 1, arbitrary: which.map<Step>((name) => (world) => world.kill(world[name])) },
  { weight: 1, arbitrary: fc.constant<Step>((world) => world.see()) },
  {
    weight: 1,
    arbitrary: link.map<Step>((at) => (world) => {
      world.after.refuses.add(world.kernel(at).id);
    }),
  },
);

t.test('moves: whatever happens in whatever order', async (t) => {
  const seen = { moved: 0, back: 0, lost: 0, over: 0 };
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 80 }), (taken) => {
      const world = new MoveWorld(LINKS);
      world.begin();
      for (const step of taken) {
        step(world);
        world.check();
      }
      world.end();
      world.checkEnd();
      for (const { isOver, readers } of world.kernels) {
        if (readers.has(world.after)) seen.moved += 1;
        else if (readers.has(world.before)) seen.back += 1;
        else if (isOver) seen.over += 1;
      }
    }),
    { numRuns: 1_500 },
  );
  t.ok(seen.moved > 0 && seen.back > 0 && seen.over > 0, JSON.stringify(seen));
});

/** With `beside`, which takes the place of `after` in some steps. */
const ofTwo = fc.oneof(
  { weight: 30, arbitrary: steps },
  {
    weight: 6,
    arbitrary: fc.constant<Step>((world) => {
      if (world.beside) world.pass(world.beside);
    }),
  },
  {
    weight: 1,
    arbitrary: link.map<Step>((at) => (world) => {
      if (world.beside) world.close(at, world.beside, 'taken-over');
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constant<Step>((world) => {
      if (world.beside) world.kill(world.beside);
    }),
  },
  {
    weight: 1,
    arbitrary: link.map<Step>((at) => (world) => {
      world.beside?.refuses.add(world.kernel(at).id);
    }),
  },
);

t.test('moves: the same to two successors', async (t) => {
  const seen = { after: 0, beside: 0, back: 0 };
  fc.assert(
    fc.property(fc.array(ofTwo, { maxLength: 80 }), (taken) => {
      const world = new MoveWorld(LINKS, undefined, 2);
      world.begin();
      for (const step of taken) {
        step(world);
        world.check();
      }
      world.end();
      world.checkEnd();
      for (const { readers } of world.kernels) {
        if (readers.has(world.after)) seen.after += 1;
        else if (readers.has(world.before)) seen.back += 1;
        else if (world.beside && readers.has(world.beside)) seen.beside += 1;
      }
    }),
    { numRuns: 1_000 },
  );
  t.ok(seen.after > 0 && seen.beside > 0, JSON.stringify(seen));
  t.equal(seen.back, 0, 'one of them takes what the other has no room for, or had');
});

t.test('moves: what one of two refuses goes to the other', async () => {
  const world = new MoveWorld(6, undefined, 2);
  for (let at = 0; at < 6; at += 1) world.after.refuses.add(world.kernel(at).id);
  world.begin();
  world.end();
  world.checkEnd();
  for (const { readers } of world.kernels) assert.deepEqual([...readers], [world.beside]);
  assert.deepEqual({ ...world.before.figures, ms: 0 }, { moved: 6, drained: 0, left: 0, ms: 0 });
});

t.test('moves: with nothing in the way all links move, and it is told', async () => {
  const world = new MoveWorld(9);
  for (let at = 0; at < 9; at += 1) world.send(at);
  world.begin();
  world.end();
  world.checkEnd();
  for (const { readers } of world.kernels) assert.deepEqual([...readers], [world.after]);
  assert.equal(world.before.registry.size, 0);
  assert.deepEqual({ ...world.before.figures, ms: 0 }, { moved: 9, drained: 0, left: 0, ms: 0 });
});

t.test('moves: three times it gives back the memory of those that have gone', async (t) => {
  for (const [links, collected] of [
    [2_000, [1_200, 500, 160]],
    [999, []],
  ] as const) {
    const world = new MoveWorld(links);
    world.begin();
    world.end();
    t.same(world.before.collected, collected);
    t.same([world.after.collected, world.before.registry.size], [[], 0]);
  }
});

t.test('moves: every link of the predecessor has moved, left or was drained', async () => {
  const world = new MoveWorld(9);
  const [first, second] = [world.kernels[0], world.kernels[1]] as [Kernel, Kernel];
  world.after.refuses.add(second.id);
  world.close(8, world.before, 'taken-over');
  world.begin();
  // One ends by itself, and one comes, while they move.
  world.close(0, world.before, 'keepalive-timeout');
  world.pass(world.before);
  world.before.accept(new Kernel('aa000000-0000-4000-8000-000000000000'));
  world.end();
  assert.ok(first.isOver);
  const { moved, left, drained } = world.before.figures ?? {};
  assert.deepEqual({ moved, left, drained }, { moved: 7, left: 1, drained: 1 });
});

t.test('moves: a slow machine is no reason to drain links that nobody has looked at', async () => {
  const world = new MoveWorld(99);
  world.begin();
  for (let words = 0; words < 40; words += 1) world.pass(world.before) || world.pass(world.after);
  // 2 ms for each of the 99 are behind MOVE_MS.
  world.tick(MOVE_MS + 190);
  world.end();
  const { moved, left, drained } = world.before.figures ?? {};
  assert.deepEqual({ moved, left, drained }, { moved: 99, left: 0, drained: 0 });
});

t.test('moves: what the successor does not take is drained at the end', async () => {
  const world = new MoveWorld(2);
  world.after.refuses.add(world.kernel(1).id);
  world.begin();
  world.end();
  world.checkEnd();
  assert.deepEqual(
    world.kernels.map(({ isOver, bye }) => [isOver, bye]),
    [
      [false, ''],
      [true, 'draining'],
    ],
  );
  assert.equal(world.before.figures?.drained, 1);
});

t.test('moves: both end in the middle: each link is told so by the one that has it', async () => {
  const world = new MoveWorld(5);
  world.begin();
  for (const from of ['before', 'after', 'before', 'before'] as const) world.pass(world[from]);
  for (const one of [world.before, world.after]) {
    one.moves.suspend();
    for (let at = 0; at < 5; at += 1) world.close(at, one, 'draining');
  }
  world.end();
  world.checkEnd();
  assert.ok(world.kernels.every(({ isOver, bye }) => isOver && bye === 'draining'));
});
