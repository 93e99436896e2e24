/**
 * An acceptor's part in commands: COMMAND frames, answers by id, and what is not sent at all; and
 * over it the registrar's part, where the two have to agree.
 */
import type { Test } from 'tap';
import {
  DeviceCommands,
  type DeviceCommandsOptions,
} from '../../src/acceptor/route/deviceCommands.ts';
import type { FromLink, ToLink } from '../../src/node/messages.ts';
import type { CommandParts } from '../../src/registrar/commandParts.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { amqpMessage } from '../helpers/fakes/amqpMessage.ts';
import { type Device, END } from '../helpers/fakes/device.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';
import { stillParts } from '../helpers/worlds/commandParts.ts';
import { on, type Served, settle } from '../helpers/worlds/endpoints.ts';

const KEY = '00112233445566778899aabbccddeeff';
const EMPTY = Buffer.alloc(0);

interface Parts {
  readonly commands: DeviceCommands;
  readonly told: FromLink[];
  /** Links that another acceptor has. */
  readonly moved: Set<string>;
  readonly device: Device;
  /** As the registrar does. It is due in 5 s. */
  command(key: string, payload?: Buffer, after?: string): void;
  /** The PONG behind what was sent: all of it has been handled. */
  handled(): Promise<void>;
}

async function make(served: Served, hello: Partial<Message> = {}): Promise<Parts> {
  const told: FromLink[] = [];
  const moved = new Set<string>();
  const { registry, limits, counters } = served;
  const notify: DeviceCommandsOptions['notify'] = (message) => told.push(message);
  const { clock } = served;
  const wall = () => clock.wall();
  const trace = () => {};
  const commands = new DeviceCommands({
    registry,
    limits,
    counters,
    wall,
    trace,
    notify,
    hasMoved: (connection) => moved.has(connection),
  });
  const device = await served.open('door-17', hello);
  served.routes.onAnswer = (endpoint, message) => commands.onAnswer(endpoint, message);
  const { id } = served.endpoint();
  return {
    commands,
    told,
    moved,
    device,
    command: (key, payload = EMPTY, after = undefined) =>
      commands.onCommand(commandTo(id, key, payload, clock.wall() + 5_000, after)),
    handled: async () => {
      device.send({ type: TYPE.PING });
      await device.expect(TYPE.PONG);
    },
  };
}

function commandTo(
  connection: string,
  key: string,
  payload: Buffer,
  due: number,
  after?: string,
): ToLink {
  return ['command', 'door-17', connection, key, 'door.open', payload, due, after];
}

const keyOf = (n: number) => n.toString(16).padStart(32, '0');
const result = (id: number, text = 'done'): Message => ({
  type: TYPE.RESULT,
  id,
  status: 100,
  payload: Buffer.from(text),
});

function test(promise: string, body: (t: Test, parts: Parts, served: Served) => Promise<void>) {
  on('TCP', `commands: ${promise}`, {}, async (t, served) => body(t, await make(served), served));
}

test('a COMMAND frame has key and time; ACK and RESULT come back by its id', async (t, parts) => {
  const { device, told, command, handled } = parts;
  command(KEY, Buffer.from([0, 255]));

  const got = await device.expect(TYPE.COMMAND);
  device.send({ type: TYPE.ACK, id: got.id }, result(got.id));
  await handled();

  t.match(got, { topic: 'door.open', payload: Buffer.from([0, 255]), expiresIn: 5_000 });
  t.equal(got.key?.toString('hex'), KEY);
  t.same(told, [
    ['taken', KEY],
    ['result', KEY, 100, Buffer.from('done')],
  ]);
});

test('ids rise; each answer goes to its own COMMAND, in any order', async (t, parts) => {
  const { device, told, command, handled } = parts;
  const ids: number[] = [];
  for (let n = 1; n <= 3; n += 1) {
    command(keyOf(n));
    ids.push((await device.expect(TYPE.COMMAND)).id);
  }
  device.send(...ids.toReversed().map((id) => result(id)));
  await handled();

  t.ok(Number(ids[0]) < Number(ids[1]) && Number(ids[1]) < Number(ids[2]));
  t.same(
    told.map(([, key]) => key),
    [3, 2, 1].map(keyOf),
  );
});

test('a stray, second or late answer is counted, and costs nothing', async (t, parts, served) => {
  const { device, told, command, handled } = parts;
  command(KEY);
  const { id } = await device.expect(TYPE.COMMAND);
  const ack: Message = { type: TYPE.ACK, id };
  device.send(
    { type: TYPE.ACK, id: id + 9 },
    result(id + 9),
    ack,
    ack,
    result(id),
    result(id),
    ack,
  );
  await handled();

  t.equal(told.length, 2);
  t.equal(served.counters.strayAcks, 3);
  t.equal(served.counters.strayResults, 2);
});

test('one that the link has is not sent again; its ACK is told again', async (t, parts) => {
  const { device, told, command, handled } = parts;
  command(KEY);
  const { id } = await device.expect(TYPE.COMMAND);
  command(KEY);
  await handled();
  t.same(told, []);
  device.send({ type: TYPE.ACK, id });
  await handled();
  command(KEY);
  t.same(told, [
    ['taken', KEY],
    ['taken', KEY],
  ]);

  device.send(result(id));
  await handled();
  command(KEY);

  t.not((await device.expect(TYPE.COMMAND)).id, id, 'answered for good: it is new to the link');
});

test('no such link, one that has ended, a stop: unsent, gone', async (t, parts, served) => {
  const { device, commands, told, command } = parts;
  const stranger = '0b54f3a2-8f5e-4b7f-9f3e-52a1f8d4c001';
  commands.onCommand(commandTo(stranger, KEY, EMPTY, served.clock.wall() + 5_000));
  commands.suspend();
  command(KEY);
  await settle();

  const due = served.clock.wall() + 5_000;
  t.same(told, [
    ['unsent', KEY, 'door-17', 'gone', stranger, due],
    ['unsent', KEY, 'door-17', 'gone', served.endpoint().id, due],
  ]);
  t.equal(device.waiting, 0);
  t.equal(served.counters.messagesOut.command, 0);
});

on('TCP', 'commands: longer than its device takes: unsent, too-long', {}, async (t, served) => {
  const options = { frameBytesMax: 300 } as Partial<Message>;
  const { device, told, command } = await make(served, options);
  command(keyOf(1), Buffer.alloc(228));
  command(keyOf(2), Buffer.alloc(227));

  t.match(await device.expect(TYPE.COMMAND), { payload: Buffer.alloc(227) });
  t.match(told, [['unsent', keyOf(1), 'door-17', 'too-long', String, Number]]);
});

on('TCP', 'commands: a trace context goes along, where it has room', {}, async (t, served) => {
  const options = { frameBytesMax: 300 } as Partial<Message>;
  const { device, commands } = await make(served, options);
  const { id } = served.endpoint();
  const due = served.clock.wall() + 5_000;
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  // Name and header of traceparent, and those of a tracestate that is not there: 83 bytes.
  for (const [at, bytes] of [227 - 83, 227 - 82].entries()) {
    const of = commandTo(id, keyOf(at + 1), Buffer.alloc(bytes), due);
    commands.onCommand([...of, traceparent, ''] as unknown as ToLink);
  }

  const [first, second] = [await device.expect(TYPE.COMMAND), await device.expect(TYPE.COMMAND)];
  t.match([first.traceparent, first.tracestate], [traceparent, undefined]);
  t.equal(second.traceparent, undefined);
  t.equal(served.counters.traceDrops['no-room'], 1);
});

const narrow = { limits: { outboxSoftBytes: 1_024, outboxHardBytes: 262_144 } };
on(
  'TCP',
  'commands: a link that takes nothing: unsent, busy; it stays',
  narrow,
  async (t, served) => {
    const { device, told, command } = await make(served);
    device.socket.pause();
    for (let n = 1; told.length === 0 && n < 10_000; n += 1) {
      command(keyOf(n), Buffer.alloc(32_768));
      await settle();
    }

    t.match(told, [['unsent', String, 'door-17', 'busy', String, Number]]);
    t.equal(served.endpoint().state, 'open');
  },
);

test('a link remembers its last 64 COMMANDs', async (t, parts, served) => {
  const { device, told, command, handled } = parts;
  const ids: number[] = [];
  for (let n = 1; n <= 65; n += 1) {
    command(keyOf(n));
    ids.push((await device.expect(TYPE.COMMAND)).id);
  }
  device.send(...ids.map((id) => result(id)));
  await handled();

  t.equal(told.length, 64);
  t.equal(served.counters.strayResults, 1);
});

test('expiresIn is what is left here; what is over is not sent', async (t, parts, served) => {
  const { device, commands, told } = parts;
  const { id } = served.endpoint();
  const now = served.clock.wall();
  served.clock.advance(2_000);
  commands.onCommand(commandTo(id, keyOf(1), EMPTY, now + 2_000, ''));
  commands.onCommand(commandTo(id, keyOf(2), EMPTY, now + 2_001, keyOf(1)));

  t.match(await device.expect(TYPE.COMMAND), { key: Buffer.from(keyOf(2), 'hex'), expiresIn: 1 });
  t.same(told, [['unsent', keyOf(1), 'door-17', 'expired', id, now + 2_000]]);
});

test('a deadline years ahead is a uint of 4 bytes to the device', async (t, parts, served) => {
  const { device, commands } = parts;
  const { id } = served.endpoint();
  const chunks: Buffer[] = [];
  device.socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  commands.onCommand(commandTo(id, KEY, EMPTY, served.clock.wall() + 5_000_000_000));

  t.match(await device.expect(TYPE.COMMAND), { expiresIn: 0xffff_ffff });
  t.match(Buffer.concat(chunks).toString('hex'), /ceffffffff$/);
});

test('kept: not without the one before it; one that never goes is none', async (t, parts) => {
  const { device, told, command } = parts;
  const endless = Buffer.alloc(70_000);
  command(keyOf(2), EMPTY, keyOf(1));
  command(keyOf(9));
  command(keyOf(1), endless, '');
  command(keyOf(2), EMPTY, keyOf(1));
  command(keyOf(4), EMPTY, keyOf(3));
  command(keyOf(2), EMPTY, '');
  command(keyOf(4), EMPTY, keyOf(2));

  const keys: (string | undefined)[] = [];
  for (let n = 0; n < 3; n += 1) {
    keys.push((await device.expect(TYPE.COMMAND)).key?.toString('hex'));
  }
  t.same(keys, [9, 2, 4].map(keyOf));
  t.same(
    told.map(([, key, , why]) => [key, why]),
    [
      [keyOf(2), 'busy'],
      [keyOf(1), 'too-long'],
      [keyOf(4), 'busy'],
    ],
  );
});

/** A registrar above this acceptor, without stream and broker between. */
class Upstairs {
  readonly #store = new MemoryStore();
  readonly #upper: CommandParts;
  readonly #parts: Parts;
  readonly #clock: Served['clock'];

  constructor({ limits, clock }: Served, parts: Parts) {
    this.#parts = parts;
    this.#clock = clock;
    this.#upper = stillParts({
      store: this.#store,
      limits,
      wall: () => clock.wall(),
      now: () => clock.now(),
      send: (_, message) => {
        if (message[0] === 'command') parts.commands.onCommand(message);
        return 'sent';
      },
    });
  }

  /** Who is connected is on record. */
  async link(connection: string): Promise<void> {
    const rest = { online: true, seq: 1, start: 1, acceptedUs: 1, at: 1, acceptor: 'acceptor-1' };
    const row = { device: 'door-17', connection, reason: 'connected' as const, ...rest };
    await this.#upper.commands.prepare();
    this.#upper.commands.committed([row]);
  }

  /** Kept commands come from the broker, and are stored together. */
  async keep(...payloads: Buffer[]): Promise<void> {
    for (const content of payloads) {
      const messageId = String(content.length);
      const headers = { deadline: this.#clock.wall() + 60_000 };
      const properties = { type: 'door.open', messageId, deliveryMode: 2, headers };
      const message = amqpMessage({ routingKey: 'door-17', properties, content });
      // Of a channel that was lost since: there is none to settle it on.
      const delivery = { isRedelivered: false, isStale: false, channel: null };
      this.#upper.commands.onDelivery(message, delivery);
    }
    await this.work();
  }

  async work(): Promise<void> {
    const { commands } = this.#upper;
    for (const message of this.#parts.told.splice(0)) commands.onAnswer(message);
    const writes = await commands.prepare();
    const nothing = { rows: [], events: [], settledTo: 0 };
    if (writes) await this.#store.write({ ...nothing, commands: writes });
    commands.committed([]);
  }

  pass(ms: number): void {
    this.#clock.advance(ms);
    this.#upper.consumer.tick();
  }
}

/** Bytes of the payloads that come before the next PONG. */
async function lengthsBeforePong(device: Device): Promise<number[]> {
  const lengths: number[] = [];
  device.send({ type: TYPE.PING });
  for (;;) {
    const item = await device.next();
    if (item === END) throw new Error('the link has ended');
    if (item.type === TYPE.PONG) return lengths;
    if (item.type === TYPE.COMMAND) lengths.push(item.payload.length);
  }
}

const tight = { limits: { outboxSoftBytes: 131_072, outboxHardBytes: 131_072 } };
on(
  'TCP',
  'commands: kept: one that found no room is not overtaken by a smaller one behind it',
  tight,
  async (t, served) => {
    const parts = await make(served);
    const { device, command, told } = parts;
    const upstairs = new Upstairs(served, parts);
    await upstairs.link(served.endpoint().id);
    device.socket.pause();
    for (let n = 1; served.endpoint().outboxBytes < 80_000; n += 1) {
      command(keyOf(n), Buffer.alloc(16_384));
      await settle();
    }
    told.length = 0;

    await upstairs.keep(Buffer.alloc(60_000), Buffer.alloc(1), Buffer.alloc(2));
    t.same(
      told.map(([what]) => what),
      ['unsent', 'unsent', 'unsent'],
    );
    device.socket.resume();
    const got = await lengthsBeforePong(device);
    await upstairs.keep(Buffer.alloc(3));
    upstairs.pass(served.limits.commandRetryMs);
    await upstairs.work();
    got.push(...(await lengthsBeforePong(device)));

    t.same(
      got.filter((length) => length !== 16_384),
      [60_000, 1, 2, 3],
    );
  },
);

test('what comes for a link that moves waits: sent if it stays', async (t, parts, served) => {
  const { device, told, command, commands, handled } = parts;
  const link = served.endpoint();
  commands.park(link);
  command(KEY);
  await handled();
  t.same([told, device.waiting], [[], 0]);

  commands.unpark(link);

  t.equal((await device.expect(TYPE.COMMAND)).key?.toString('hex'), KEY);
});

test('and said to be unsent if it has gone, or ended', async (t, parts, served) => {
  const { told, command, commands, moved } = parts;
  const link = served.endpoint();
  commands.park(link);
  command(keyOf(1), Buffer.from('now'));
  command(keyOf(2), EMPTY, '');
  served.registry.unregister(link);
  moved.add(link.id);
  commands.onEnd(link);
  command(keyOf(3));
  moved.clear();
  command(keyOf(4));

  const said = told.map(([, key, , why, , , whole]) => [Number(key), why, whole?.[5]?.toString()]);
  t.same(said, [
    [1, 'moved', 'now'],
    [2, 'moved', undefined],
    [3, 'moved', ''],
    [4, 'gone', undefined],
  ]);
  served.registry.register(link);
});
