/** An ERROR names the frame that broke, and every frame before it was handled; however cut. */
import { type ErrorMessage, type Message, TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { event, hello, request } from '../helpers/fakes/device.ts';
import { on, onBoth, type Served } from '../helpers/worlds/endpoints.ts';

interface Broken {
  readonly name: string;
  /** The frame without its length; or the whole of it. */
  readonly payload?: string;
  readonly raw?: string;
  readonly code: string;
  readonly id?: number;
  readonly about?: number;
}

// Ids above those of the good messages before it, and below the one behind.
const BROKEN: readonly Broken[] = [
  // The device's own messages.
  { name: 'EVENT with a bad topic', payload: '93051ea3612e2a', code: 'bad-topic', id: 30 },
  { name: 'REQUEST with a bad topic', payload: '93071ea0', code: 'bad-topic', id: 30 },
  { name: 'EVENT without a topic', payload: '92051e', code: 'bad-frame', id: 30 },
  { name: 'EVENT with a number as payload', payload: '94051ea17401', code: 'bad-frame', id: 30 },
  { name: 'EVENT that ends early', payload: '94051ea174c40578', code: 'bad-frame', id: 30 },
  { name: 'EVENT and a byte behind', payload: '93051ea17400', code: 'bad-frame', id: 30 },
  { name: 'EVENT with an ext element', payload: '96051ea174c080d40100', code: 'bad-frame', id: 30 },
  { name: 'EVENT nested too deep', payload: '96051ea174c08091919190', code: 'bad-frame', id: 30 },
  { name: 'EVENT id 0 with a bad topic', payload: '930500a0', code: 'bad-topic', id: 0 },
  {
    name: 'REQUEST with a negative seq',
    payload: '95071ea174c081a3736571ff',
    code: 'bad-frame',
    id: 30,
  },
  { name: 'EVENT of a wide id', payload: '9305cb403e000000000000a0', code: 'bad-topic', id: 30 },
  { name: 'EVENT of an old id', payload: '930501a174', code: 'bad-id', id: 1 },
  {
    name: 'EVENT of the highest id',
    payload: '9305ceffffffffa0',
    code: 'bad-topic',
    id: 4_294_967_295,
  },
  { name: 'REQUEST with id 0', payload: '930700a174', code: 'bad-id', id: 0 },
  // Answers: their ids are the COMMANDs', and must not be taken for an EVENT's.
  { name: 'RESULT without a status', payload: '920a01', code: 'bad-frame', id: 1, about: 10 },
  {
    name: 'RESULT with a status too high',
    payload: '930a01ce00010000',
    code: 'bad-frame',
    id: 1,
    about: 10,
  },
  { name: 'RESULT with a map', payload: '940a010080', code: 'bad-frame', id: 1, about: 10 },
  { name: 'ACK with an ext element', payload: '930601d40100', code: 'bad-frame', id: 1, about: 6 },
  { name: 'ACK with id 0', payload: '920600', code: 'bad-id', id: 0, about: 6 },
  // What is not the device's to send.
  { name: 'REPLY', payload: '93081e00', code: 'unexpected', id: 30, about: 8 },
  { name: 'COMMAND', payload: '93091ea174', code: 'unexpected', id: 30, about: 9 },
  // Frames that no id speaks for.
  { name: 'EVENT without an id', payload: '9105', code: 'bad-frame' },
  { name: 'EVENT with a str as id', payload: '9305a131a174', code: 'bad-frame' },
  { name: 'EVENT with half an id', payload: '9305cd01', code: 'bad-frame' },
  { name: 'EVENT with a negative id', payload: '9305ffa174', code: 'bad-id' },
  { name: 'EVENT with id 2^32', payload: '9305cf0000000100000000a174', code: 'bad-id' },
  { name: 'ERROR, whose id is not its own', payload: '940ca0a01e', code: 'unexpected' },
  { name: 'a second HELLO', payload: '930101a164', code: 'unexpected' },
  { name: 'WELCOME', payload: `9202c410${'00'.repeat(16)}`, code: 'unexpected' },
  { name: 'an unknown type', payload: '930d1ea174', code: 'unexpected' },
  { name: 'PING with an ext element', payload: '9203d40100', code: 'bad-frame' },
  { name: 'no MessagePack', payload: 'c1', code: 'bad-frame' },
  { name: 'length 0', raw: '00000000', code: 'bad-frame' },
  { name: 'a frame too long', raw: '0001000193051ea174', code: 'frame-too-long' },
];

function framed({ payload, raw }: Broken): Buffer {
  const bytes = Buffer.from(raw ?? payload ?? '', 'hex');
  if (raw !== undefined) return bytes;
  const header = Buffer.alloc(4);
  header.writeUInt32BE(bytes.length);
  return Buffer.concat([header, bytes]);
}

const BEFORE = [event(1), request(2), event(0), { type: TYPE.PING } as const, event(29)];
const BEHIND = event(31);

/** The ERROR that ends a link, when the stream comes in these pieces; and the ids handed on. */
async function outcome(served: Served, chunks: readonly Uint8Array[]) {
  const { handed } = served.routes;
  const first = handed.length;
  const device = await served.connect();
  for (const chunk of chunks) device.sendBytes(chunk);
  const items: readonly Message[] = await device.rest();
  const errors = items.filter((item): item is ErrorMessage => item.type === TYPE.ERROR);
  const ids = handed.slice(first).map(({ message }) => message.id);
  device.close();
  return { error: errors[0], errors: errors.length, ids };
}

onBoth('ERROR: names what it is about, and no other message', {}, async (t, served) => {
  for (const broken of BROKEN) {
    const start = [hello('door-17'), ...BEFORE].map(encode);
    const bytes = Buffer.concat([...start, framed(broken), encode(BEHIND)]);

    const { error, errors, ids } = await outcome(served, [bytes]);

    const { code, id, about } = broken;
    t.same([errors, error?.code, error?.id, error?.about], [1, code, id, about], broken.name);
    t.same(ids, [1, 2, 0, 29], `${broken.name}: what came before it was handled, no more`);
  }
});

const cuts = { limits: { greetingMs: 600_000 } };
on('pair', 'ERROR: names the same whatever byte the stream is cut at', cuts, async (t, served) => {
  for (const broken of BROKEN) {
    const start = Buffer.concat([hello('door-17'), ...BEFORE].map(encode));
    const bytes = Buffer.concat([start, framed(broken), encode(BEHIND)]);
    const expected = await outcome(served, [bytes]);
    const seen = [
      await outcome(
        served,
        [...bytes].map((byte) => Buffer.from([byte])),
      ),
    ];
    // Cut in two at each byte from the last good frame on.
    for (let at = start.length - 4; at < bytes.length; at += 1) {
      seen.push(await outcome(served, [bytes.subarray(0, at), bytes.subarray(at)]));
    }

    t.equal(expected.errors, 1);
    t.ok(
      seen.every((item) => JSON.stringify(item) === JSON.stringify(expected)),
      `${broken.name}: ${seen.length} cuts`,
    );
  }
});

onBoth('ERROR: before HELLO it names too, and nothing was handled', {}, async (t, served) => {
  for (const [message, id, about] of [
    [event(7), 7, undefined],
    [request(8), 8, undefined],
    [{ type: TYPE.ACK, id: 3 }, 3, CODE.ack],
    [{ type: TYPE.RESULT, id: 4, status: 0, payload: Buffer.alloc(0) }, 4, CODE.result],
    [{ type: TYPE.PING }, undefined, undefined],
    [{ type: TYPE.BYE, reason: 'done', retryAfter: undefined }, undefined, undefined],
  ] as const) {
    const { error, ids } = await outcome(served, [encode(message), encode(event(9))]);

    t.same([error?.code, error?.id, error?.about], ['unexpected', id, about]);
    t.same(ids, []);
  }
});
