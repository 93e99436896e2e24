/** The wall clock is set by people: what it may decide, and what it may not. */
import t from 'tap';
import { WallWatch } from '../../src/registrar/wallWatch.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';
import { World } from '../helpers/worlds/presenceWorld.ts';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

async function quiet(world: World): Promise<void> {
  await world.settle();
  world.check();
}

for (const days of [100, -100]) {
  t.test(`the wall clock ${days} days off for a minute: no device is forgotten`, async (t) => {
    const world = new World(1);
    for (const device of ['door-1', 'door-2', 'door-3']) world.connect(device, 0);
    await quiet(world);
    const [acceptor] = world.acceptors;
    for (const id of [...(acceptor?.links.keys() ?? [])].slice(1)) {
      world.disconnect(acceptor as never, id);
    }
    await quiet(world);

    world.ahead = days * DAY_MS;
    // One that ends meanwhile, and so is told with the wrong time.
    for (const id of acceptor?.links.keys() ?? []) world.disconnect(acceptor as never, id);
    for (let second = 0; second < 62; second += 1) {
      world.pass(1_000);
      await quiet(world);
    }
    world.ahead = 0;
    for (let minute = 0; minute < 3; minute += 1) {
      world.pass(MINUTE_MS);
      await quiet(world);
    }

    t.same([...world.store.rows.keys()].toSorted(), ['door-1', 'door-2', 'door-3']);
    t.equal(world.store.floor, 0);
  });
}

t.test('a device is forgotten when it was away for presenceKeepMs of lived time', async (t) => {
  const world = new World(1);
  world.connect('door-1', 0);
  await quiet(world);
  const [acceptor] = world.acceptors;
  for (const id of acceptor?.links.keys() ?? []) world.disconnect(acceptor as never, id);
  world.ahead = -1_000 * DAY_MS;
  await quiet(world);

  world.pass(89 * DAY_MS);
  await quiet(world);
  t.equal(world.store.rows.size, 1);
  world.pass(DAY_MS + MINUTE_MS);
  await quiet(world);

  t.equal(world.store.rows.size, 0);
});

t.test('that the wall clock was set is noticed, once, and by how much', async (t) => {
  const clock = new FakeClock();
  let ahead = 0;
  const watch = new WallWatch({ now: () => clock.now(), wall: () => clock.wall() + ahead });
  clock.advance(100 * DAY_MS);
  t.equal(watch.look(), 0, 'time that passes');
  ahead = 999;
  t.equal(watch.look(), 0, 'a small correction');
  ahead += 100 * DAY_MS;
  t.equal(watch.look(), 100 * DAY_MS);
  t.equal(watch.look(), 0);
  ahead = 0;
  t.equal(watch.look(), -100 * DAY_MS - 999);
});
