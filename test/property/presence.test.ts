/**
 * Presence against what is really true: links come and go, processes die between any two steps,
 * the store fails, events are doubled; afterwards every subscriber's last word is the truth.
 */
import fc from 'fast-check';
import t from 'tap';
import { World } from '../helpers/worlds/presenceWorld.ts';

const ACCEPTORS = 2;
const acceptor = fc.nat({ max: ACCEPTORS - 1 });
const device = fc.constantFrom('door-1', 'door-2', 'door-3');

const will = fc.record({
  topic: fc.constant('gone'),
  payload: fc.nat(3).map((byte) => Buffer.from([byte])),
  delayMs: fc.constantFrom(0, 40, 2_000),
});
/** Of either protocol, or none. */
const anyWill = fc.option(
  fc.oneof(
    will,
    will.map((one) => ({ ...one, rules: 'mqtt' as const })),
  ),
  { nil: undefined },
);

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('connect' as const),
      device,
      acceptor,
      will: anyWill,
      isClean: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('goodbye' as const), acceptor }) },
  // Many steps at once, or an acceptor's word would seldom come through before a will is due.
  { weight: 4, arbitrary: fc.record({ do: fc.constant('flow' as const), acceptor }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('tick' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('disconnect' as const), acceptor }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('send' as const), acceptor }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('receive' as const), acceptor }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('receiveDead' as const), at: fc.nat(3) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('obey' as const), acceptor }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('work' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('deliver' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('confirm' as const), at: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), acceptor }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('killAcceptor' as const), acceptor }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('tellNode' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('killRegistrar' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('startRegistrar' as const) }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('startWork' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('startNode' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('failStore' as const), times: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('subscribe' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(100) }) },
);

/** Two more acceptors at most: a successor, and one that has come back. Or there are fewer. */
const anyOf4 = fc.nat({ max: ACCEPTORS + 1 });
const ofMoves = fc.oneof(
  { weight: 12, arbitrary: step },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('succeed' as const), acceptor: anyOf4 }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('join' as const), acceptor: anyOf4 }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('give' as const), acceptor: anyOf4 }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const), acceptor: anyOf4 }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('seeGone' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('retire' as const), acceptor: anyOf4 }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('send' as const), acceptor: anyOf4 }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('receive' as const), acceptor: anyOf4 }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('obey' as const), acceptor: anyOf4 }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('disconnect' as const), acceptor: anyOf4 }) },
);
type MoveStep = typeof ofMoves extends fc.Arbitrary<infer S> ? S : never;

async function performMove(world: World, step: MoveStep): Promise<void> {
  const at = 'acceptor' in step ? world.acceptors[step.acceptor] : undefined;
  if (step.do === 'succeed') world.succeed(step.acceptor);
  else if (step.do === 'join') world.join(step.acceptor);
  else if (step.do === 'give') {
    if (at) world.give(at);
  } else if (step.do === 'take') {
    if (at) world.take(at);
  } else if (step.do === 'seeGone') world.seeGone();
  else if (step.do === 'retire') world.retire(step.acceptor);
  else await perform(world, step);
}

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

async function perform(world: World, step: Step): Promise<void> {
  const at = 'acceptor' in step ? world.acceptors[step.acceptor] : undefined;
  if (step.do === 'connect') world.connect(step.device, step.acceptor, step.will, step.isClean);
  else if (step.do === 'goodbye' && at) {
    for (const id of at.links.keys()) return world.disconnect(at, id, 'peer-bye');
  } else if (step.do === 'flow' && at) await world.flow(at);
  else if (step.do === 'tick') {
    for (let times = 0; times < 3; times += 1) {
      await world.tick();
      await world.work();
    }
  } else if (step.do === 'disconnect' && at) {
    for (const id of at.links.keys()) return world.disconnect(at, id);
  } else if (step.do === 'send' && at) world.send(at);
  else if (step.do === 'receive' && at) world.receive(at);
  else if (step.do === 'obey' && at) world.obey(at);
  else if (step.do === 'receiveDead') {
    const dead = world.dead[step.at];
    if (dead) world.receive(dead);
  } else if (step.do === 'cut' && at) world.cut(at);
  else if (step.do === 'killAcceptor') world.killAcceptor(step.acceptor);
  else if (step.do === 'work') await world.work();
  else if (step.do === 'confirm') await world.confirm(step.at);
  else if (step.do === 'failStore') world.failures = step.times;
  else if (step.do === 'pass') world.pass(step.ms);
  else if (step.do === 'startWork') world.startWork();
  else if (step.do === 'startNode') world.startNode(ACCEPTORS);
  else if (step.do === 'deliver') world.deliver();
  else if (step.do === 'tellNode') world.tellNode();
  else if (step.do === 'killRegistrar') world.killRegistrar();
  else if (step.do === 'startRegistrar') world.startRegistrar();
  else if (step.do === 'subscribe') world.subscribe();
}

const RUNS = Number(process.env.RUNS ?? 2_000);

t.test('presence: after any steps and crashes, rows, links and subscribers agree', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120, size: 'max' }), async (steps) => {
      const world = new World(ACCEPTORS);
      for (const step of steps) await perform(world, step);
      await world.settle();
      world.check();
    }),
    { numRuns: RUNS },
  );
});

t.test('presence: the same while links move to successors that may die', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(ofMoves, { maxLength: 120, size: 'max' }), async (steps) => {
      const world = new World(ACCEPTORS);
      for (const step of steps) await performMove(world, step);
      await world.settle();
      world.check();
    }),
    { numRuns: RUNS / 2 },
  );
});
