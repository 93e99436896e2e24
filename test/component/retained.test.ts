/**
 * What a link retains: about the bytes that its bounds count, whatever their shape. A device that
 * does not read, or whose messages wait, holds no object for each frame, and no buffer that is
 * mostly of others.
 */
import type { Socket } from 'node:net';
import { pack } from 'msgpackr';
import t from 'tap';
import {
  encodeMessages as encodeStream,
  MessageReader,
  type ToRegistrar,
} from '../../src/node/messages.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { type Device, event, request } from '../helpers/fakes/device.ts';
import { heldBytes } from '../helpers/heap.ts';
import { on, onBoth, type Served, settle, until } from '../helpers/worlds/endpoints.ts';

const KiB = 1_024;
const SLAB_BYTES = 8 * KiB;
const EMPTY = Buffer.alloc(0);
const PING = { type: TYPE.PING } as const;

/** Chunks that our end of a link has for its device, the one on its way included. */
function chunksOf(socket: Socket | undefined): number {
  type State = { _writableState: { getBuffer(): readonly unknown[] } };
  return (socket as unknown as State)._writableState.getBuffer().length + 1;
}

/** What a frame's Buffer keeps alive. */
const heldBy = ({ buffer }: Buffer) => buffer.byteLength;

const flood = { limits: { linkMessagesBurst: 1_000_000 } };

onBoth('retained: a blocked link’s frames are one chunk each time', flood, async (t, served) => {
  const device = await served.open();
  device.socket.pause();
  const pings = Array.from({ length: 20_000 }, () => PING);

  while (served.counters.pausedLinks === 0) {
    device.send(...pings);
    await settle();
  }

  const endpoint = served.endpoint();
  t.ok(endpoint.outboxBytes >= served.limits.outboxSoftBytes);
  t.ok(chunksOf(served.sockets[0]) <= 3, `${chunksOf(served.sockets[0])} chunks`);
});

const WARM = 4;
const LINKS = 16;

/** What each of some links holds when all are as `fill` leaves them. */
async function perLink(served: Served, fill: (device: Device, i: number) => Promise<void>) {
  const devices: Device[] = [];
  for (let i = 0; i < WARM + LINKS; i += 1) devices.push(await served.open(`d${i}`));
  let before = 0;
  for (const [i, device] of devices.entries()) {
    // The first ones are for what V8 compiles.
    if (i === WARM) before = await heldBytes();
    await fill(device, i);
  }
  return ((await heldBytes()) - before) / LINKS;
}

on(
  'pair',
  'retained: 64 KiB of PONGs hold less than four times as much',
  flood,
  async (t, served) => {
    const bytes = encode(PING);
    const pings = Buffer.concat(Array.from({ length: 12_000 }, () => bytes));

    const each = await perLink(served, async (device) => {
      device.socket.pause();
      const paused = served.counters.pausedLinks;
      // What a pair takes in the kernel's place.
      device.sendBytes(pings.subarray(0, 60_000));
      await settle();
      // In small pieces, as they come with a small MSS.
      for (let at = 0; served.counters.pausedLinks === paused; at += 90) {
        device.sendBytes(pings.subarray(at % pings.length, (at % pings.length) + 90));
        await settle();
      }
    });

    const { outboxSoftBytes } = served.limits;
    t.ok(each < 4 * outboxSoftBytes, `${Math.round(each / KiB)} KiB a link`);
  },
);

on(
  'pair',
  'retained: replies not read hold less than four times as much',
  {},
  async (t, served) => {
    const reply = (bytes: number, id: number): Message => {
      return { type: TYPE.REPLY, id, status: 0, payload: Buffer.alloc(bytes, 7) };
    };
    let nominal = 0;
    const each = await perLink(served, async (device, i) => {
      device.socket.pause();
      const endpoint = served.endpoint(`d${i}`);
      for (let id = 1; endpoint.outboxBytes < 100 * KiB; id += 1) {
        // A small one waits; big ones to others are encoded in between.
        endpoint.acknowledge(id);
        for (let other = 0; other < 20; other += 1) encode(reply(30 * KiB, id));
        endpoint.reply(id, 0, Buffer.alloc(1 * KiB, 7));
        await settle();
      }
      nominal = endpoint.outboxBytes;
    });

    t.ok(each < 4 * nominal, `${Math.round(each / KiB)} KiB a link, ${nominal / KiB} counted`);
  },
);

t.test('retained: a frame holds its slab at most, whatever was encoded before', async (t) => {
  const some: readonly Message[] = [
    { type: TYPE.PONG },
    { type: TYPE.PING },
    { type: TYPE.ACK, id: 70_000 },
    { type: TYPE.REPLY, id: 1, status: 300, payload: Buffer.from('on') },
    { type: TYPE.BYE, reason: 'draining', retryAfter: 70_000 },
    { type: TYPE.ERROR, code: 'bad-id', message: 'no', id: 1 },
    { type: TYPE.COMMAND, id: 1, topic: 't', payload: EMPTY, key: EMPTY, expiresIn: 1 },
    {
      type: TYPE.WELCOME,
      connectionId: Buffer.alloc(16),
      keepalive: 60,
      frameBytesMax: 65_536,
      time: 1,
    },
  ];
  const payload = Buffer.alloc(30_000, 7);
  const big: readonly (() => unknown)[] = [
    () => encode({ type: TYPE.REPLY, id: 1, status: 0, payload }),
    () => encode({ type: TYPE.RESULT, id: 1, status: 0, payload }),
    () => encode({ ...(some[6] as Message), payload } as Message),
    // The registrar's stream, in the same process.
    () => pack([['result', 'key', 0, Buffer.alloc(1_000_000)]]),
  ];

  for (const grow of big) {
    for (const message of some) {
      grow();
      const held = heldBy(encode(message));
      t.ok(held <= SLAB_BYTES, `type ${message.type}: ${held} bytes`);
    }
  }
  for (const bytes of [1_000, 9_000, 30_000, 65_000, 1_000_000]) {
    for (const type of [TYPE.REPLY, TYPE.COMMAND] as const) {
      const message = { ...some[6], type, id: 1, status: 0, payload: Buffer.alloc(bytes) };
      const frame = encode(message as Message);
      t.ok(heldBy(frame) <= Math.max(SLAB_BYTES, frame.length), `${bytes} bytes of type ${type}`);
    }
  }
});

/** A frame with nothing in it that anybody wants. */
function junk(bytes: number): Buffer {
  const payload = pack([CODE.ping, Buffer.alloc(bytes)]);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(payload.length);
  return Buffer.concat([header, payload]);
}

const result = (id: number, payload: Buffer): Message => ({
  type: TYPE.RESULT,
  id,
  status: 0,
  payload,
});

for (const [name, of] of [
  ['a REQUEST', (id: number) => request(id, 'a', 'x')],
  ['an EVENT', (id: number) => event(id, 'a', 'x')],
  ['a RESULT', (id: number) => result(id, Buffer.from('x'))],
] as const) {
  t.test(`retained: a small payload of ${name} does not keep its chunk`, async (t) => {
    const reader = new V1Reader(64 * KiB);
    reader.push(Buffer.concat([encode(of(1)), junk(65_000), encode(of(2))]));

    const read = [reader.next(), reader.next(), reader.next()] as { payload?: Buffer }[];

    t.equal(read[0]?.payload?.toString(), 'x');
    t.ok(heldBy(read[0]?.payload as Buffer) <= KiB);
    t.ok(heldBy(read[2]?.payload as Buffer) <= KiB);
  });
}

t.test('retained: a payload that is most of its chunk is not copied', async (t) => {
  for (const bytes of [5, 300, 40_000]) {
    const reader = new V1Reader(64 * KiB);
    const frame = encode(event(1, 'a', 'x'.repeat(bytes)));
    // Of its own, as a socket's chunks are.
    const chunk = Buffer.allocUnsafeSlow(frame.length);
    frame.copy(chunk);
    reader.push(chunk);

    t.equal((reader.next() as { payload: Buffer }).payload.buffer, chunk.buffer, `${bytes} bytes`);
  }
});

t.test('retained: the beginning of a frame does not keep the chunk before it', async (t) => {
  for (const rest of [1, 3, 5, 2_000]) {
    const reader = new V1Reader(64 * KiB);
    const next = encode(event(1, 'a', 'x'.repeat(3_000)));
    reader.push(Buffer.concat([junk(50_000), next.subarray(0, rest)]));
    reader.next();
    t.equal(reader.next(), undefined);
    t.equal(reader.heldBytes, rest, `${rest} bytes of a frame`);

    reader.push(next.subarray(rest));
    t.match(reader.next(), { type: TYPE.EVENT, id: 1 });
    t.equal(reader.heldBytes, 0);
  }
});

t.test('retained: a frame is read the same, with beginnings let go in between', async (t) => {
  const reader = new V1Reader(64 * KiB);
  const sent = [junk(60_000), encode(event(1, 'a', 'x'.repeat(60_000))), encode(event(2))];
  const bytes = Buffer.concat(sent);
  const ids: number[] = [];
  for (let at = 0; at < bytes.length; at += 5_000) {
    reader.push(bytes.subarray(at, at + 5_000));
    for (let next = reader.next(); next; next = reader.next()) {
      if (next.type === TYPE.EVENT) ids.push(next.id);
      t.ok(reader.heldBytes <= 130_000);
    }
  }
  t.same(ids, [1, 2]);
});

on(
  'TCP',
  'retained: a paused link’s bytes, one at a time, are put together',
  {},
  async (t, served) => {
    const device = await served.open();
    served.routes.room = 0;
    device.send(event(0));
    await until(() => served.counters.pausedLinks === 1);

    type State = { _readableState: { buffer: readonly unknown[]; bufferIndex: number } };
    for (const before of [0, 60_000]) {
      device.sendBytes(junk(before));
      await settle();
      for (let bytes = 0; bytes < 200; bytes += 1) {
        device.sendBytes(Buffer.of(0));
        await settle();
      }
      const { buffer, bufferIndex } = (served.sockets[0] as unknown as State)._readableState;
      t.ok(buffer.length - bufferIndex <= 1, `${buffer.length - bufferIndex} chunks`);
    }
  },
);

on(
  'TCP',
  'retained: a link whose end is refused bytes keeps its order',
  flood,
  async (t, served) => {
    const device = await served.open();
    device.socket.pause();
    const endpoint = served.endpoint();
    const sent: number[] = [];
    for (let id = 1; endpoint.outboxBytes < 200 * KiB; id += 1) {
      const payload = Buffer.alloc(1 + ((id * 7_919) % 20_000), id % 256);
      endpoint.reply(id, 0, payload);
      sent.push(id);
      if (id % 3 === 0) await settle();
    }
    endpoint.close('draining', 0);
    device.socket.resume();

    const got = await device.rest();

    const replies = got.filter((message) => message.type === TYPE.REPLY);
    t.same(
      replies.map(({ id }) => id),
      sent,
    );
    for (const { id, payload } of replies) t.ok(payload.every((byte) => byte === id % 256));
    t.match(got.at(-1), { type: TYPE.BYE, reason: 'draining' });
  },
);

t.test('retained: a payload in the registrar does not keep the frame it came in', async (t) => {
  const reader = new MessageReader<ToRegistrar>();
  const payloads = [Buffer.from('x'), Buffer.alloc(100_000, 7), Buffer.from('y')];

  const read = reader.push(encodeStream(payloads.map((payload) => ['result', 'k', 0, payload])));

  for (const [i, message] of read.entries()) {
    const payload = message[3] as Buffer;
    t.ok(payload.equals(payloads[i] as Buffer));
    t.ok(Buffer.isBuffer(payload));
    t.equal(heldBy(payload), payload.length);
  }
});
