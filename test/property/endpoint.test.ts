/** The endpoint's state machine against a model: any frame in any state, and all that ends it. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { type Device, END, event, hello, request } from '../helpers/fakes/device.ts';
import {
  BROKEN,
  DOWNWARD,
  EndpointModel,
  type Kind,
  type Sent,
  VALID,
} from '../helpers/worlds/endpointModel.ts';
import { Served, settle, type Transport } from '../helpers/worlds/endpoints.ts';

const limits = { inFlightMax: 3, greetingMs: 10_000, keepaliveMs: 60_000, lingerMs: 1_000 };
const EMPTY = Buffer.alloc(0);
const KINDS = [...(Object.keys(BROKEN) as Kind[]), ...DOWNWARD, ...VALID];

const BYTES: Readonly<Record<Kind, (id: number) => Buffer>> = {
  hello: () => encode(hello('door-17')),
  ping: () => encode({ type: TYPE.PING }),
  pong: () => encode({ type: TYPE.PONG }),
  ack: () => encode({ type: TYPE.ACK, id: 1 }),
  result: () => encode({ type: TYPE.RESULT, id: 1, status: 0, payload: EMPTY }),
  event: (id) => encode(event(id)),
  'event without id': () => encode(event(0)),
  'event with an old id': (id) => encode(event(id)),
  request: (id) => encode(request(id)),
  bye: () => encode({ type: TYPE.BYE, reason: 'done', retryAfter: undefined }),
  welcome: () => {
    const connectionId = Buffer.alloc(16);
    return encode({ type: TYPE.WELCOME, connectionId, keepalive: 1, frameBytesMax: 1, time: 1 });
  },
  reply: () => encode({ type: TYPE.REPLY, id: 1, status: 0, payload: EMPTY }),
  command: () => {
    const payload = EMPTY;
    const rest = { topic: 't', payload, key: undefined, expiresIn: undefined };
    return encode({ type: TYPE.COMMAND, id: 1, ...rest });
  },
  error: () => encode({ type: TYPE.ERROR, code: 'x', message: 'y', id: undefined }),
  'hello of version 2': () => Buffer.from('00000005930102a164', 'hex'),
  'hello with a bad device id': () => encode(hello('a.b')),
  'event with a bad topic': () => encode(event(1, 'a..b')),
  'request with id 0': () => encode(request(0)),
  'unknown type': () => Buffer.from('00000002910d', 'hex'),
  'no MessagePack': () => Buffer.from('00000001c1', 'hex'),
  'length 0': () => Buffer.from('00000000', 'hex'),
  'length too long': () => Buffer.from('00010001', 'hex'),
};

function word(item: Message | typeof END): string {
  if (item === END) return END;
  if (item.type === TYPE.ERROR) {
    const { code, id, about } = item;
    return `error ${code}${id === undefined ? '' : ` ${id}`}${about ? ` of ${about}` : ''}`;
  }
  if (item.type === TYPE.BYE) return `bye ${item.reason}`;
  return item.type;
}

/** The link under test, and what its device got so far. */
interface Link {
  readonly served: Served;
  readonly device: Device;
  readonly heard: string[];
}

async function compare(model: EndpointModel, { served, device, heard }: Link): Promise<void> {
  await settle();
  while (device.waiting > 0) heard.push(word(await device.next()));
  const frames = heard.filter((item) => item !== END);
  assert.deepEqual(frames, model.heard, 'what the device got');
  assert.deepEqual(served.routes.ids(), model.handed, 'what was handed on');
  assert.deepEqual(served.gauges(), {
    links: model.isLive ? 1 : 0,
    greetings: model.state === 'greeting' ? 1 : 0,
    lingering: model.state === 'draining' ? 1 : 0,
    pausedLinks: model.isPaused ? 1 : 0,
  });
  const { reason } = model;
  const closes = Object.entries(served.counters.closes).filter(([, count]) => count > 0);
  assert.deepEqual(closes, reason === undefined ? [] : [[reason, 1]], 'why it ended');
  if (!model.isLive)
    assert.equal(heard.at(-1), END, 'the device sees the end, and nothing behind it');
}

type Command = fc.AsyncCommand<EndpointModel, Link>;

/** Whole frames in one write, or cut in two anywhere. */
class Write implements Command {
  readonly #kinds: readonly Kind[];
  readonly #cut: number;

  constructor(kinds: readonly Kind[], cut: number) {
    this.#kinds = kinds;
    this.#cut = cut;
  }

  check(model: EndpointModel): boolean {
    return model.state !== 'closed' && !model.isFinished;
  }

  async run(model: EndpointModel, link: Link): Promise<void> {
    const sent: Sent[] = this.#kinds.map((kind) => {
      if (kind === 'event' || kind === 'request') model.sentId += 1;
      const isOld = kind === 'event with an old id';
      const hasId = kind === 'event' || kind === 'request' || isOld;
      return { kind, id: hasId ? Math.max(model.sentId, 1) : 0 };
    });
    const frames = sent.map(({ kind, id }) => BYTES[kind](id));
    const bytes = Buffer.concat(frames);
    const cut = this.#cut % bytes.length;
    let end = 0;
    const whole = frames.filter((frame) => {
      end += frame.length;
      return end <= cut;
    }).length;
    for (const [part, completed] of [
      [bytes.subarray(0, cut), sent.slice(0, whole)],
      [bytes.subarray(cut), sent.slice(whole)],
    ] as const) {
      if (part.length === 0) continue;
      link.device.sendBytes(part);
      model.write(completed);
      await compare(model, link);
    }
  }

  toString(): string {
    return `write(${this.#kinds.join(', ')}${this.#cut === 0 ? '' : `; cut ${this.#cut}`})`;
  }
}

/** FIN, perhaps in the middle of a frame. */
class Fin implements Command {
  readonly #isCut: boolean;

  constructor(isCut: boolean) {
    this.#isCut = isCut;
  }

  check(model: EndpointModel): boolean {
    return model.state !== 'closed' && !model.isFinished;
  }

  async run(model: EndpointModel, link: Link): Promise<void> {
    if (this.#isCut) {
      link.device.sendBytes(encode(event(4_000_000_000)).subarray(0, -1));
      model.write([]);
      await settle();
    }
    link.device.socket.end();
    model.fin();
    await compare(model, link);
  }

  toString(): string {
    return this.#isCut ? 'fin(amid a frame)' : 'fin()';
  }
}

/** The device's TCP connection breaks. After its FIN only a write of ours would find out. */
class Reset implements Command {
  check(model: EndpointModel): boolean {
    return model.state !== 'closed' && !model.isFinished;
  }

  async run(model: EndpointModel, link: Link): Promise<void> {
    (link.device.socket as Socket).resetAndDestroy();
    model.reset();
    model.isFinished = true;
    await compare(model, link);
  }

  toString(): string {
    return 'reset()';
  }
}

/** A step that has one number and only our own side. */
class Step implements Command {
  readonly #name: 'release' | 'makeRoom' | 'pass';
  readonly #value: number;

  constructor(name: 'release' | 'makeRoom' | 'pass', value: number) {
    this.#name = name;
    this.#value = value;
  }

  check(): boolean {
    return true;
  }

  async run(model: EndpointModel, link: Link): Promise<void> {
    const { served } = link;
    if (this.#name === 'release') served.routes.release(this.#value);
    else if (this.#name === 'makeRoom') served.makeRoom(this.#value);
    else served.pass(this.#value);
    model[this.#name](this.#value);
    await compare(model, link);
  }

  toString(): string {
    return `${this.#name}(${this.#value})`;
  }
}

// What ends a link is rare, so that links live long enough to be interesting.
const kind = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(...KINDS) },
  { weight: 40, arbitrary: fc.constantFrom<Kind[]>('event', 'request', 'event without id') },
  { weight: 10, arbitrary: fc.constantFrom<Kind[]>('ping', 'pong', 'ack', 'result') },
);
const kinds = fc.array(kind, { minLength: 1, maxLength: 6 });
const cut = fc.oneof(fc.constant(0), fc.nat(200));
const write = fc.tuple(kinds, cut).map(([kinds, cut]) => new Write(kinds, cut));
const release = fc.integer({ min: 1, max: 4 }).map((count) => new Step('release', count));
const room = fc.constantFrom(0, 1, 2, 5, Number.POSITIVE_INFINITY);
const makeRoom = room.map((messages) => new Step('makeRoom', messages));
const ms = fc.constantFrom(1, 500, 1_000, 10_000, 30_000, 59_999, 60_000, 90_000, 90_001);
const pass = ms.map((value) => new Step('pass', value));
const fin = fc.boolean().map((isCut) => new Fin(isCut));
const common = [write, write, write, write, release, release, release, makeRoom, makeRoom, pass];

function commands(transport: Transport) {
  const ends = transport === 'TCP' ? [fin, fc.constant(new Reset())] : [fin];
  return fc.commands([...common, ...common, ...ends], { maxCommands: 40, size: 'max' });
}

/** Most links begin with a HELLO. */
const hasHello = fc.nat(9).map((number) => number !== 0);

for (const [transport, numRuns] of [
  ['pair', 600],
  ['TCP', 300],
] as const) {
  t.test(`endpoint: does as the model, whatever comes when (${transport})`, async (t) => {
    const run = async (sequence: Iterable<Command>, hasHello: boolean) => {
      const served = new Served(transport, { limits });
      await served.begin();
      const link = { served, device: await served.connect(), heard: [] };
      const setup = () => ({ model: new EndpointModel(limits), real: link });
      const greeting = hasHello ? [new Write(['hello'], 0)] : [];
      try {
        await fc.asyncModelRun(setup, [...greeting, ...sequence]);
      } finally {
        await served.end();
      }
    };
    await fc.assert(fc.asyncProperty(commands(transport), hasHello, run), { numRuns });
    t.pass('held for every run');
  });
}

t.test(
  'endpoint: each kind of frame is refused or taken as the model says, in each state',
  async (t) => {
    for (const first of KINDS) {
      for (const second of KINDS) {
        const served = new Served('pair', { limits });
        const link = { served, device: await served.connect(), heard: [] };
        const model = new EndpointModel(limits);
        for (const command of [
          new Write([first], 0),
          new Write(['hello'], 0),
          new Write([second], 0),
        ]) {
          if (command.check(model)) await command.run(model, link);
        }
        await served.end();
      }
    }
    t.pass(`${KINDS.length} kinds of frame, before and after HELLO`);
  },
);
