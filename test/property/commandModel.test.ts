/**
 * Commands against what devices really do: links come and go, the registrar dies between any two
 * steps, its channel breaks anywhere in what it wrote, the store fails. Nothing is acted upon
 * twice, kept commands stay in order, and nobody is told two different ends.
 */
import fc from 'fast-check';
import t from 'tap';
import { KEYS } from '../../src/registrar/command/deviceQueue.ts';
import { type Mood, World } from '../helpers/worlds/commandWorld.ts';

const DEVICES = ['door-1', 'door-2'];
/** One of them has most of the trouble. */
const at = fc.constantFrom(0, 0, 0, 1);
const device = fc.constantFrom('door-1', 'door-1', 'door-1', 'door-2');
const few = fc.nat(6);
const MOODS: readonly Mood[] = ['result', 'both', 'ack', 'silent'];

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      device,
      isKept: fc.boolean(),
      livesMs: fc.constantFrom(20, 500, 100_000),
    }),
  },
  // So that windows fill, and what a device remembers runs out.
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('burst' as const),
      device,
      isKept: fc.boolean(),
      count: fc.integer({ min: 1, max: KEYS + 2 }),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('flow' as const),
      at,
      mutes: fc.constantFrom(0, 0, 0, 1, 1, KEYS),
      takes: fc.integer({ min: 0, max: KEYS + 2 }),
    }),
  },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('deliver' as const) }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('work' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('connect' as const), at }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('disconnect' as const), at, is: fc.boolean() }),
  },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('take' as const), at }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('answer' as const), at }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('transfer' as const), few, toPost: few }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('confirm' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('loseChannel' as const), few }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('losePost' as const), few }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      few,
      is: fc.boolean(),
      hasWritten: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat(150) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), few }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('mood' as const),
      at,
      mood: fc.constantFrom(...MOODS),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function burst(world: World, device: string, isKept: boolean, count: number): void {
  for (let sent = 0; sent < count; sent += 1) world.publish(device, isKept, 100_000);
}

async function perform(world: World, step: Step): Promise<void> {
  if (step.do === 'publish') world.publish(step.device, step.isKept, step.livesMs);
  else if (step.do === 'burst') burst(world, step.device, step.isKept, step.count);
  else if (step.do === 'flow') await world.flow(step.at, step.mutes, step.takes);
  else if (step.do === 'deliver') world.deliver();
  else if (step.do === 'work') await world.work();
  else if (step.do === 'connect') world.connect(step.at);
  else if (step.do === 'disconnect') world.disconnect(step.at, step.is);
  else if (step.do === 'take') world.take(step.at);
  else if (step.do === 'answer') world.answer(step.at);
  else if (step.do === 'transfer') await world.transfer(step.few, step.toPost);
  else if (step.do === 'confirm') world.confirm();
  else if (step.do === 'loseChannel') world.loseChannel(step.few);
  else if (step.do === 'losePost') world.losePost(step.few);
  else if (step.do === 'crash') await world.crash(step.few, step.hasWritten, step.is);
  else if (step.do === 'pass') world.pass(step.ms);
  else if (step.do === 'fail') world.failures = step.few;
  else {
    const device = world.devices[step.at];
    if (device) device.mood = step.mood;
  }
}

const steps = fc.array(step, { maxLength: 150, size: 'max' });
/** The largest leaves a device one key between window and window. */
const windowMax = fc.constantFrom(1, 3, 8, KEYS - 1);

const RUNS = Number(process.env.RUNS ?? 700);

t.test('commands: after any steps and crashes: once, in order, and one end each', async () => {
  await fc.assert(
    fc.asyncProperty(windowMax, steps, async (windowMax, steps) => {
      const world = new World(DEVICES, windowMax);
      for (const step of steps) await perform(world, step);
      await world.settle();
      world.check();
    }),
    { numRuns: RUNS },
  );
});
