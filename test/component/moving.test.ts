/**
 * A link goes on in another acceptor: frozen, written down, read back, thawed; at every byte of its
 * stream, in every state that may move, and in none of the others.
 */
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { Endpoint } from '../../src/acceptor/endpoint/endpoint.ts';
import { isQuiet } from '../../src/acceptor/endpoint/snapshot.ts';
import { decodeSnapshot, encodeSnapshot } from '../../src/acceptor/move/snapshotBytes.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { event, request } from '../helpers/fakes/device.ts';
import { heldBytes } from '../helpers/heap.ts';
import { Served, settle, until } from '../helpers/worlds/endpoints.ts';

/** So many that what else the process holds does not matter. */
const LINKS = 200;

const ping: Message = { type: TYPE.PING };

/** Two acceptors, as a predecessor and its successor. */
async function pair(t: Test, options = {}): Promise<[Served, Served]> {
  const served: [Served, Served] = [new Served('TCP', options), new Served('TCP', options)];
  for (const one of served) await one.begin();
  t.teardown(() => Promise.all(served.map((one) => one.end())));
  return served;
}

/** Offer, ready. In one process both would have one handle: the old socket lets go of it. */
function hand(from: Served, to: Served, device = 'door-17'): [Endpoint, Endpoint] {
  const old = from.endpoint(device);
  const frozen = old.freeze();
  if (frozen === undefined) throw new Error('it cannot move');
  const socket = from.sockets.find((one) => handleIn(one) === frozen.handle);
  Object.assign(socket ?? {}, { _handle: null });
  const snapshot = decodeSnapshot(encodeSnapshot(frozen.snapshot));
  const adopted = snapshot && to.endpoints.adopt(snapshot, frozen.handle);
  if (adopted === undefined) throw new Error('it is not taken');
  return [old, adopted];
}

function handleIn(socket: Socket): unknown {
  return (socket as Socket & { _handle?: unknown })._handle;
}

/** And go. */
function move(from: Served, to: Served, device?: string): Endpoint {
  const [old, adopted] = hand(from, to, device);
  old.leave();
  adopted.thaw();
  return adopted;
}

t.test('moving: cut at every byte, each message is handled once, by one of them', async (t) => {
  const said = [event(1), ping, request(2), event(0), event(7), ping, request(9)];
  const frames = said.map(encode);
  const stream = Buffer.concat(frames);
  const ends = frames.map((_, at) => Buffer.concat(frames.slice(0, at + 1)).length);
  const [before, after] = await pair(t);

  for (let cut = 0; cut <= stream.length; cut += 1) {
    const id = `door-${String(cut).padStart(3, '0')}`;
    const device = await before.open(id);
    const link = before.endpoint(id);
    const greeting = link.bytesIn;
    device.sendBytes(stream.subarray(0, cut));
    const whole = ends.filter((end) => end <= cut).length;
    await until(() => link.bytesIn === greeting + cut && link.messagesIn === 1 + whole);
    before.routes.release(before.routes.held.length);
    await until(() => link.outboxBytes === 0);
    const moved = move(before, after, id);
    device.sendBytes(stream.subarray(cut));
    for (let pongs = 0; pongs < 2; pongs += 1) await device.expect(TYPE.PONG);
    await until(() => moved.messagesIn === 1 + said.length);
    after.routes.release(after.routes.held.length);

    t.same([...before.routes.ids(id), ...after.routes.ids(id)], [1, 2, 0, 7, 9], `cut at ${cut}`);
    // In one process both count by one handle.
    t.ok(moved.bytesIn >= greeting + stream.length);
    t.equal(moved.id, link.id);
    t.equal(moved.acceptedUs, link.acceptedUs);
    t.equal(moved.peer, link.peer);
  }
  t.same(before.gauges(), { links: 0, greetings: 0, lingering: 0, pausedLinks: 0 });
  t.equal(before.counters.moves.out, stream.length + 1);
  t.equal(after.counters.links, stream.length + 1);
  t.equal(after.counters.accepts, 0);
});

t.test('moving: what a device sends while nobody reads waits for who reads next', async (t) => {
  const [before, after] = await pair(t);
  const device = await before.open();
  const [old, adopted] = hand(before, after);
  device.send(event(1), ping);
  await settle();
  t.same([before.routes.ids(), after.routes.ids()], [[], []]);
  t.equal(device.waiting, 0);
  old.wake();
  adopted.wake();
  before.pass(120_000);
  t.same([old.state, adopted.state], ['moving', 'adopted']);

  old.leave();
  adopted.thaw();

  await device.expect(TYPE.PONG);
  t.same([before.routes.ids(), after.routes.ids()], [[], [1]]);
  t.same(before.routes.ended, [old]);
  after.routes.release();
});

t.test('moving: it stays after all, and reads on where it was', async (t) => {
  const [before, after] = await pair(t);
  const device = await before.open();
  device.sendBytes(encode(event(1)).subarray(0, 7));
  const link = before.endpoint();
  await until(() => link.messagesIn === 1 && link.heldBytes > 0);
  t.ok(link.freeze());
  t.equal(link.freeze(), undefined, 'once');
  device.sendBytes(encode(event(1)).subarray(7));

  link.thaw();

  await until(() => before.routes.ids().length === 1);
  before.routes.release();
  move(before, after);
  device.send(event(1));
  t.match(await device.expect(TYPE.ERROR), { code: 'bad-id' }, 'its last id is known');
});

t.test('moving: to be closed meanwhile is done by who reads next', async (t) => {
  const [before, after] = await pair(t);
  const stays = await before.open('stays');
  const goes = await before.open('goes');
  const link = before.endpoint('stays');
  link.freeze();
  link.close('blocked', 5);
  link.close('draining');
  const [old, adopted] = hand(before, after, 'goes');
  adopted.close('blocked');
  old.leave();
  old.leave();

  link.thaw();
  t.match(await stays.rest(), [{ type: TYPE.BYE, reason: 'blocked', retryAfter: 5 }]);
  adopted.thaw();
  t.match(await goes.rest(), [{ type: TYPE.BYE, reason: 'blocked' }]);
});

t.test('moving: only a quiet link can move', async (t) => {
  const [served] = await pair(t, { limits: { outboxHardBytes: 4_000_000 } });
  const greeting = await served.connect();
  greeting.sendBytes(encode(event(1)).subarray(0, 3));
  const busy = await served.open('busy');
  busy.send(request(1));
  await until(() => served.routes.held.length === 1);
  t.equal(isQuiet(served.endpoint('busy')), false, 'a REQUEST is under way');
  served.routes.release();
  t.equal(isQuiet(served.endpoint('busy')), true);

  served.routes.room = 0;
  busy.send(event(2));
  await until(() => served.counters.pausedLinks === 1);
  t.equal(isQuiet(served.endpoint('busy')), false, 'an EVENT waits for room');
  busy.socket.end();
  await settle();
  t.equal(served.endpoint('busy').freeze(), undefined, 'and its FIN has come');
  served.makeRoom();
  await until(() => served.routes.ids().length === 2);
  served.routes.release();

  const deaf = await served.open('deaf');
  deaf.socket.pause();
  deaf.send(request(1));
  await until(() => served.routes.held.length === 1);
  const link = served.endpoint('deaf');
  link.reply(1, 0, Buffer.alloc(2_000_000));
  served.routes.release();
  await settle();
  if (link.outboxBytes > 0) t.equal(isQuiet(link), false, 'it has not taken all');
  deaf.socket.resume();
});

t.test('moving: its rate, its silence and its proof go with it', async (t) => {
  const limits = { linkMessagesPerSecond: 10, linkMessagesBurst: 2, keepaliveMs: 600_000 };
  const [before, after] = await pair(t, { limits });
  const device = await before.open();
  device.send(event(0), event(0), event(0), event(0), event(0));
  await until(() => before.counters.pausedLinks === 1);
  const handled = before.routes.ids().length;
  before.clock.advance(7);
  const link = before.endpoint();
  link.proof = {
    method: 'key',
    by: 'k1',
    expiresAt: after.clock.wall() + 90_000,
    topics: { patterns: [['room.#']], allows: () => true },
  };

  const moved = move(before, after);
  await settle();

  t.ok(after.routes.ids().length < 5 - handled, 'it is as far ahead of its rate as it was');
  t.match(moved.proof, { method: 'key', by: 'k1' });
  t.equal(moved.proof?.topics?.allows('room.a'), true);
  t.equal(moved.proof?.topics?.allows('door.a'), false);
  await until(() => {
    after.pass(100);
    return before.routes.ids().length + after.routes.ids().length === 5;
  });
  after.pass(90_000);
  t.match(await device.rest(), [{ type: TYPE.BYE }], 'and it ends when its proof does');
});

t.test('moving: who is full, or reads another form, does not take it', async (t) => {
  const [before] = await pair(t);
  const full = new Served('TCP', { linksMax: 0 });
  await before.open();
  const frozen = before.endpoint().freeze();
  if (frozen === undefined) throw new Error('it cannot move');
  const { handle, snapshot } = frozen;

  t.equal(full.endpoints.adopt(snapshot, handle), undefined);
  const other = { ...snapshot, protocol: { ...snapshot.protocol, form: 'x/1' } };
  t.equal(before.endpoints.adopt(other, handle), undefined);
  t.equal(before.endpoints.adopt({ ...snapshot, listener: 'gone' }, handle), undefined);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from([0xc1]),
    encodeSnapshot(snapshot).subarray(1),
  ]) {
    t.equal(decodeSnapshot(bytes), undefined);
  }
  before.endpoint().thaw();
});

t.test('moving: a hushed link handles what it has read, and nothing new', async (t) => {
  const [served] = await pair(t);
  const device = await served.open();
  const link = served.endpoint();
  served.routes.room = 0;
  device.send(event(1), event(2));
  await until(() => served.counters.pausedLinks === 1);
  link.hush();
  served.makeRoom();
  await until(() => served.routes.ids().length === 1);
  await settle();
  t.same(served.routes.ids(), [1], 'that one was read before');
  served.routes.release();
  t.equal(isQuiet(link), true);

  link.hush(false);
  await until(() => served.routes.ids().length === 2);
  served.routes.release();

  link.hush();
  device.socket.end();
  await until(() => served.counters.links === 0);
  t.pass('its end is not waited for');
});

t.test('moving: a link that came keeps nothing of what brought it', async (t) => {
  const [before, after] = await pair(t);
  const wave = async (name: string, count: number) => {
    for (let at = 0; at < count; at += 1) await before.open(`${name}-${at}`);
  };
  const moveAll = (name: string, count: number) => {
    for (let at = 0; at < count; at += 1) move(before, after, `${name}-${at}`);
    // What only the test still knows of.
    before.sockets.length = 0;
    before.routes.ended.length = 0;
  };
  // What the first ones load and compile is not theirs.
  await wave('first', 20);
  moveAll('first', 20);
  const empty = await heldBytes();
  await wave('door', LINKS);
  const accepted = (await heldBytes()) - empty;
  moveAll('door', LINKS);
  await settle();
  const moved = (await heldBytes()) - empty;

  // It has its address and what it had read and written before; a piece of a larger text, or of a
  // buffer that others share, would be thousands of bytes.
  t.ok(moved <= 1.2 * accepted, `${accepted / LINKS} bytes a link, moved ${moved / LINKS}`);
});
