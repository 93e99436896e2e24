/** A drain that an operator asks for: who asked hears first how many links there are. */
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { Endpoint } from '../../src/acceptor/endpoint/endpoint.ts';
import { Registry } from '../../src/acceptor/endpoint/registry.ts';
import { OperatorDrain } from '../../src/acceptor/operate/operatorDrain.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';
import { waitFor } from '../helpers/waitFor.ts';

function made(ids: readonly string[]) {
  const registry = new Registry<Endpoint>();
  for (const id of ids) {
    const one = { id, inFlight: 0, close: () => registry.unregister(endpoint) };
    const endpoint = one as unknown as Endpoint;
    registry.register(endpoint);
  }
  const limits = makeLimits({ drainPaceMs: 0 });
  return {
    registry,
    drain: new OperatorDrain({ registry, limits, clock: new FakeClock(), spread: () => 0 }),
  };
}

/** In the first shard, and in the last. */
const IDS = ['00000000-0000-4000-8000-000000000000', 'ff000000-0000-4000-8000-000000000001'];

t.test('operator’s drain: no link ends before the answer is made', async (t) => {
  const { registry, drain } = made(IDS);
  t.equal(drain.begin(), true);
  t.equal(drain.begin(), false);
  t.equal(registry.size, 2);
  await waitFor('their ends', () => registry.size === 0);
});

t.test('operator’s drain: taken back at once, it ends none', async (t) => {
  const { registry, drain } = made(IDS);
  drain.begin();
  t.equal(drain.end(), true);
  await turn();
  await turn();
  t.same([registry.size, drain.isOn], [2, false]);
});
