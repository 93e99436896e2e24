/**
 * A protocol module that is wrong in every way there is: it costs its link, as a ProtocolError, and
 * nothing else ever leaves the adapter; what it gives is bounded. One that is right means the same,
 * however its stream is cut.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ProtocolError } from '../../src/base/errors.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { DEVICE_ID } from '../../src/base/names.ts';
import { framing } from '../../src/wire/module/framing.ts';
import { ModuleProtocol } from '../../src/wire/module/moduleProtocol.ts';
import type { DeviceLink, DeviceProtocol } from '../../src/wire/module/moduleTypes.ts';
import { byteByByte, cut } from '../helpers/cuts.ts';

const LIMITS = makeLimits({ frameBytesMax: 1_024, helloBytesMax: 512, inFlightMax: 8 });
const CONNECTION = '00112233-4455-4677-8899-aabbccddeeff';
const ID = 'door-17';

function moduleOf(link: object, more: Partial<DeviceProtocol> = {}) {
  const capabilities = {
    ...{ events: true, acknowledgements: true, requests: true },
    ...({ commands: 'results', keepalive: 'server' } as const),
  };
  const connect = () => link as DeviceLink;
  return { path: '/x.js', protocol: { name: 'x', capabilities, connect, ...more } };
}

/** What fast-check itself could not hold: it is made when it is used. */
class Late {
  readonly make: () => unknown;
  constructor(make: () => unknown) {
    this.make = make;
  }
}

function made(value: unknown, depth = 3): unknown {
  if (value instanceof Late) return value.make();
  if (depth === 0 || value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((one) => made(one, depth - 1));
  if (!('type' in value)) return value;
  const fields = Object.entries(value).map(([name, one]) => [name, made(one, depth - 1)]);
  return Object.fromEntries(fields);
}

/** Rejected promises that nobody heard would end this process: the test fails by that. */
const rejected = () => Promise.reject(new Error('nobody hears it'));
const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};
const throwing = new Proxy(
  {},
  {
    get: () => {
      throw new Error('a getter');
    },
  },
);
const circle: Record<string, unknown> = {};
circle.self = circle;

/** What nobody would think of. */
const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.anything(),
  fc.constantFrom<unknown>(undefined, null, 0, -1, 1.5, Number.NaN, 2 ** 53, '', 'x', [], {}),
  fc.constantFrom<unknown>(Symbol('s'), 10n, () => 1, new Map(), new Date(Number.NaN)),
  fc.constantFrom<unknown>(circle, Buffer.alloc(5_000), 'y'.repeat(5_000)),
  fc.constantFrom<unknown>(...[new Late(revoked), new Late(rejected), new Late(() => throwing)]),
);
const field = (good: unknown) =>
  fc.oneof({ weight: 30, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: junk });
const said = fc.oneof(
  { weight: 12, arbitrary: fc.record({ type: fc.constant('login'), deviceId: field(ID) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constantFrom('event', 'request', 'result', 'taken', 'alive', 'bye', 'login', 'x'),
      deviceId: field(ID),
      topic: field('a.b'),
      payload: field('text'),
      ack: field('ok'),
      answer: field('ok'),
      reply: field(() => 'ok'),
      number: field(1),
      status: field(0),
      seq: field(1),
      at: field(1),
      token: field(undefined),
      keepaliveSeconds: field(60),
    }),
  },
  { weight: 1, arbitrary: junk },
);
/** What one of its functions does when it is called: gives this, or throws it. */
const act = (good: fc.Arbitrary<unknown>) =>
  fc.tuple(fc.oneof({ weight: 20, arbitrary: good }, { weight: 1, arbitrary: junk }), fc.nat(60));
const does = ([value, chance]: readonly [unknown, number]): unknown => {
  if (chance === 0) throw made(value);
  return made(value);
};

t.test('a module that throws and lies: each call gives bytes, or a ProtocolError', async (t) => {
  let [ended, survived] = [0, 0];
  const messages = fc.array(act(fc.oneof(said, fc.array(said, { maxLength: 70 }))), {
    minLength: 1,
    maxLength: 12,
  });
  const bytes = act(fc.constantFrom('ok', Buffer.from('ok'), undefined));
  const parts = { length: act(fc.constant(1)), read: messages, bytes, save: act(fc.constant({})) };
  fc.assert(
    fc.property(fc.record(parts), ({ length, read, bytes, save }) => {
      let at = 0;
      const write = () => does(bytes);
      const link = {
        frame: () => does(length),
        read: () => does(read[at++ % read.length] as never),
        ...{ welcome: write, command: write, ping: write, goodbye: write, save: () => does(save) },
      };
      const protocol = new ModuleProtocol(moduleOf(link), LIMITS);
      const written = lead(protocol, Buffer.alloc(16, 'x'));
      for (const one of written) assert.ok(one === undefined || one.length <= 4_096);
      assert.ok(protocol.heldBytes <= 80 * 1_024, `${protocol.heldBytes}`);
      if (protocol.failure) ended += 1;
      else survived += 1;
    }),
    { numRuns: 1_500 },
  );
  t.ok(ended > 150 && survived > 50, `${ended} ended, ${survived} did not`);
});

/** All that an endpoint may ask; what is written. */
function lead(protocol: ModuleProtocol, bytes: Buffer): (Buffer | undefined)[] {
  const written: (Buffer | undefined)[] = [];
  try {
    for (const byte of bytes) {
      protocol.push(Buffer.from([byte]));
      for (let next = protocol.next(); next; next = protocol.next()) {
        const message = protocol.accept(next);
        if (message.type === 'hello') {
          assert.match(message.deviceId, DEVICE_ID);
          written.push(protocol.welcome(CONNECTION, 60_000, 1));
          const command = { type: 'command', id: 7, topic: 'a', payload: bytes } as const;
          written.push(protocol.command({ ...command, key: undefined, expiresIn: 1 }));
        } else if (message.type === 'event') {
          assert.ok(message.payload.length <= LIMITS.frameBytesMax);
          written.push(protocol.acknowledge(message.id));
        } else if (message.type === 'request') {
          written.push(protocol.reply(message.id, 0, bytes), protocol.notAllowed(message));
        }
        written.push(protocol.ping());
      }
    }
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    assert.ok(error.message.length < 300 && !error.message.includes('nobody'), error.message);
  }
  const state = protocol.state();
  assert.ok(state.form === '' || state.form === 'module/1');
  written.push(protocol.goodbye('draining', 1));
  protocol.drop();
  written.push(protocol.ping(), protocol.goodbye('draining', 1), protocol.acknowledge(1));
  return written;
}

/** `login x`, `event`, `ask`, `two`, `nothing`, each on a line; anything else is refused. */
const right = moduleOf({
  frame: framing.lines(),
  read(line: Buffer) {
    const [word = '', id = ''] = line.toString('latin1').trim().split(' ');
    const event = { type: 'event', topic: word, payload: { id }, ack: `ack ${id}\n` };
    if (word === 'login') return { type: 'login', deviceId: id };
    if (word === 'event') return event;
    if (word === 'two') return [event, { ...event, topic: 'second' }];
    if (word === 'ask') return { type: 'request', topic: word, reply: () => `reply ${id}\n` };
    if (word === 'nothing') return undefined;
    throw new Error('refused');
  },
  welcome: () => 'welcome\n',
});

function meaning(chunks: readonly Buffer[]): string[] {
  const protocol = new ModuleProtocol(right, LIMITS);
  const words: string[] = [];
  try {
    for (const chunk of chunks) {
      protocol.push(Buffer.from(chunk));
      for (let next = protocol.next(); next; next = protocol.next()) {
        const message = protocol.accept(next);
        words.push(JSON.stringify(message));
        if (message.type === 'event') words.push(String(protocol.acknowledge(message.id)));
        if (message.type === 'request') words.push(String(protocol.reply(message.id, 0, chunk)));
      }
    }
  } catch (error) {
    assert.ok(error instanceof ProtocolError);
    words.push(error.code);
  }
  return words;
}

t.test('a module that is right: a stream means the same, however it is cut', async (t) => {
  const words = ['login door-17', 'event 1', 'two 2', 'ask 3', 'nothing', 'x', 'event'];
  const lines = fc.array(fc.constantFrom(...words), { maxLength: 8 });
  fc.assert(
    fc.property(lines, fc.boolean(), fc.array(fc.nat()), (lines, isGreeted, cuts) => {
      const text = [...(isGreeted ? ['login door-17'] : []), ...lines].map((line) => `${line}\n`);
      const bytes = Buffer.from(text.join(''));
      const whole = meaning([bytes]);
      assert.deepEqual(meaning(cut(bytes, cuts)), whole);
      assert.deepEqual(meaning(byteByByte(bytes)), whole);
    }),
    { numRuns: 500 },
  );
  t.pass();
});
