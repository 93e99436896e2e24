/** The recorder's rules, one by one, in a world whose every step the test takes. */
import t from 'tap';
import { World } from '../helpers/worlds/presenceWorld.ts';

/** Everything that was sent has been received, recorded and obeyed. */
async function quiet(world: World): Promise<void> {
  await world.settle();
  world.check();
}

function deliverAll(world: World, at: number): void {
  const acceptor = world.acceptors[at];
  if (!acceptor) return;
  do world.send(acceptor);
  while (!acceptor.changes.isDone);
  while (acceptor.stream?.length) world.receive(acceptor);
}

/** All that is left to do is that its going is read. */
async function comesAndGoes(world: World): Promise<void> {
  world.connect('door-1', 0);
  await quiet(world);
  const [acceptor] = world.acceptors;
  for (const id of acceptor?.links.keys() ?? []) world.disconnect(acceptor as never, id);
}

t.test('a device that comes and goes: one event each, seq rises by 1', async (t) => {
  const world = new World(1);
  await comesAndGoes(world);
  await quiet(world);

  t.match(world.changes, [
    { seq: 1, online: true, reason: 'connected' },
    { seq: 2, online: false, reason: 'peer-fin' },
  ]);
  t.equal(world.changes.length, 2);
});

/** An acceptor that has a link to report, which is under way. */
async function reporting(world: World) {
  deliverAll(world, 0);
  await world.work();
  world.connect('door-1', 0);
  const [acceptor] = world.acceptors;
  if (acceptor === undefined) throw new Error('no acceptor');
  world.send(acceptor);
  return acceptor;
}

t.test('what an ended acceptor’s stream still holds is ignored', async (t) => {
  const world = new World(1);
  const dying = await reporting(world);

  world.killAcceptor(0);
  world.tellNode();
  world.receive(dying);
  await quiet(world);

  t.same(world.changes, []);
});

t.test('an ended acceptor’s rows go offline, more than one page of them', async (t) => {
  const world = new World(1);
  for (let at = 0; at < 7; at += 1) world.connect(`door-${at}`, 0);
  await quiet(world);

  world.killAcceptor(0);
  await quiet(world);

  const ends = world.changes.filter(({ online }) => !online);
  t.equal(ends.length, 7);
  t.ok(ends.every(({ reason, seq }) => reason === 'acceptor-ended' && seq === 2));
});

t.test(
  'a registrar that comes back finds what it missed: ends of links and of acceptors',
  async (t) => {
    const world = new World(2);
    world.connect('door-1', 0);
    world.connect('door-2', 1);
    world.connect('door-3', 1);
    await quiet(world);

    world.killRegistrar();
    world.killAcceptor(0);
    const [other] = world.acceptors;
    for (const id of other?.links.keys() ?? []) {
      world.disconnect(other as never, id);
      break;
    }
    await quiet(world);

    const ends = world.changes.filter(({ online }) => !online);
    t.match(
      ends.sort((a, b) => (a.device < b.device ? -1 : 1)),
      [
        { device: 'door-1', reason: 'acceptor-ended' },
        { device: 'door-2', reason: 'missed' },
      ],
    );
  },
);

t.test('a node’s earlier start is over: its rows go offline', async (t) => {
  const world = new World(2);
  world.connect('door-1', 0);
  world.connect('door-2', 1);
  await quiet(world);

  world.startNode(2);
  await quiet(world);
  world.connect('door-1', 1);
  await quiet(world);

  const after = world.changes.slice(2);
  t.equal(after.filter(({ reason }) => reason === 'node-ended').length, 2);
  t.match(after.at(-1), { device: 'door-1', seq: 3, online: true, reason: 'connected' });
});

t.test('a takeover across acceptors: one event, and the older link closes', async (t) => {
  const world = new World(2);
  world.connect('door-1', 0);
  await quiet(world);
  world.connect('door-1', 1);
  await quiet(world);

  t.match(world.changes[1], { seq: 2, online: true, reason: 'takeover' });
  t.equal(world.changes.length, 2);
  t.equal(world.acceptors[0]?.links.size, 0);
});

t.test('an older link that is told of later loses', async (t) => {
  const world = new World(2);
  world.connect('door-1', 0);
  world.connect('door-1', 1);
  deliverAll(world, 1);
  await world.work();
  await quiet(world);

  t.equal(world.changes.length, 1);
  t.equal(world.acceptors[0]?.links.size, 0);
});

t.test('two boxes with one id: takeovers are spaced, and reported', async (t) => {
  const world = new World(2);
  for (let round = 0; round < 40; round += 1) {
    world.connect('door-1', round % 2);
    deliverAll(world, 0);
    deliverAll(world, 1);
    while (await world.work());
    for (const acceptor of world.acceptors) while (acceptor.back.length) world.obey(acceptor);
    world.pass(10);
  }
  const made = world.changes.length;

  t.ok(made < 12, `${made} events of 40 connects in 400 ms, spaced by 50 ms`);
  t.ok(world.clones.length > 0);
  t.equal(new Set(world.clones).size, 1);
  await quiet(world);
});

t.test('a spaced link whose elder ends is online at once', async (t) => {
  const world = new World(2);
  for (const at of [0, 1, 0]) {
    world.connect('door-1', at);
    deliverAll(world, 0);
    deliverAll(world, 1);
    while (await world.work());
    for (const acceptor of world.acceptors) while (acceptor.back.length) world.obey(acceptor);
  }
  t.equal(world.changes.length, 2, 'the third waits');
  const [, elder] = world.acceptors;
  for (const id of elder?.links.keys() ?? []) world.disconnect(elder as never, id);
  deliverAll(world, 1);
  while (await world.work());

  t.match(world.changes.slice(2), [{ online: false }, { online: true, reason: 'connected' }]);
  await quiet(world);
});

t.test('a spaced link outlives a store that fails under it', async (t) => {
  const world = new World(2);
  for (const at of [0, 1, 0]) {
    world.connect('door-1', at);
    deliverAll(world, at);
    while (await world.work());
    for (const acceptor of world.acceptors) while (acceptor.back.length) world.obey(acceptor);
  }
  const [, elder] = world.acceptors;
  for (const id of elder?.links.keys() ?? []) world.disconnect(elder as never, id);
  deliverAll(world, 1);
  world.failures = 2;
  await world.work();
  t.equal(world.changes.length, 2);
  await world.work();
  await world.work();

  t.match(world.changes.at(-1), { online: true, reason: 'connected' });
  await quiet(world);
});

t.test('the presence outbox stays within its bound, and the last words come out', async (t) => {
  const world = new World(1);
  let highest = 0;
  for (let round = 0; round < 60; round += 1) {
    const [acceptor] = world.acceptors;
    for (const id of acceptor?.links.keys() ?? []) world.disconnect(acceptor as never, id);
    world.connect(`door-${round % 3}`, 0);
    deliverAll(world, 0);
    while (await world.work());
    highest = Math.max(highest, world.outbox);
  }

  t.ok(highest <= 6 + 2, `at most ${highest} events, with a bound of 6 and batches of 2`);
  t.equal(world.changes.length, 119);
  await quiet(world);
});

t.test('a device that was forgotten comes back above every seq that was', async (t) => {
  const world = new World(1);
  await comesAndGoes(world);
  await quiet(world);
  await world.store.forget(-1, 9);
  t.equal(world.store.rows.size, 0);
  world.killRegistrar();
  world.startRegistrar();
  world.connect('door-1', 0);
  world.connect('door-2', 0);
  await quiet(world);

  t.match(
    world.changes.slice(2).map(({ seq }) => seq),
    [3, 3],
  );
});

t.test(
  'an end that was seen while the store failed is recorded behind what came before',
  async (t) => {
    const world = new World(1);
    const dying = await reporting(world);
    world.receive(dying);
    world.killAcceptor(0);
    world.tellNode();
    world.failures = 1;

    await world.work();
    await quiet(world);

    t.match(world.changes, [{ online: true }, { online: false, reason: 'acceptor-ended' }]);
  },
);

t.test('a hand-over that was recorded while the next one began takes nobody offline', async (t) => {
  const world = new World(2);
  for (let at = 1; at <= 4; at += 1) world.connect(`door-${at}`, 0);
  await quiet(world);
  const [acceptor] = world.acceptors;
  if (!acceptor) return;
  const [first, second, third] = acceptor.links.keys();
  world.cut(acceptor);
  do world.send(acceptor);
  while (!acceptor.changes.isDone);
  // All but the end; then a change, so that the batch of the end has something to write.
  while (acceptor.stream && acceptor.stream.length > 1) world.receive(acceptor);
  world.connect('door-5', 1);
  deliverAll(world, 1);
  world.receive(acceptor);
  const write = world.write.bind(world);
  world.write = async (store, batch) => {
    world.write = write;
    world.cut(acceptor);
    for (const gone of [first, second, third]) world.disconnect(acceptor, String(gone));
    world.connect('door-9', 0);
    deliverAll(world, 0);
    return write(store, batch);
  };

  await quiet(world);

  const ends = world.changes.filter(({ online }) => !online);
  t.same(ends.map(({ device }) => device).toSorted(), ['door-1', 'door-2', 'door-3']);
});
