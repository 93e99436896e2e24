/** A link's protocol by itself: the bytes of each call, what may come when, sizes, what is held. */
import { pack, unpack } from 'msgpackr';
import t from 'tap';
import { ProtocolError } from '../../src/base/errors.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import type { FromDevice, ProtocolState } from '../../src/wire/protocol.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import { V1Protocol } from '../../src/wire/v1Protocol.ts';
import { event, hello, request } from '../helpers/fakes/device.ts';

const FRAME_BYTES_MAX = 65_536;
const CONNECTION = '00112233-4455-4677-8899-aabbccddeeff';
const EMPTY = Buffer.alloc(0);
const KEY = Buffer.alloc(16, 9);

const ping: Message = { type: TYPE.PING };
const ack: Message = { type: TYPE.ACK, id: 3 };
const result: Message = { type: TYPE.RESULT, id: 3, status: 100, payload: EMPTY };
const bye: Message = { type: TYPE.BYE, reason: 'done', retryAfter: undefined };

/** What the link's device says, all of it accepted. */
function say(protocol: V1Protocol, ...messages: Message[]): FromDevice[] {
  protocol.push(Buffer.concat(messages.map(encode)));
  const accepted: FromDevice[] = [];
  for (let next = protocol.next(); next; next = protocol.next()) {
    accepted.push(protocol.accept(next));
  }
  return accepted;
}

/** What is accepted of these bytes. */
function accepted(protocol: V1Protocol, bytes: Buffer): FromDevice[] {
  protocol.push(bytes);
  return say(protocol);
}

/** As another process gets it. */
function passedOn(state: ProtocolState): ProtocolState {
  return unpack(pack(state)) as ProtocolState;
}

function greeted(options: Partial<Message> = {}): V1Protocol {
  const protocol = new V1Protocol(FRAME_BYTES_MAX);
  say(protocol, hello('door-17', options));
  return protocol;
}

/** Why the last of these is not accepted. */
function refused(protocol: V1Protocol, ...messages: Message[]): ProtocolError {
  try {
    say(protocol, ...messages);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error('all were accepted');
}

/** The frame as its device reads it. */
function read(frame: Buffer): Message | undefined {
  const reader = new V1Reader(16 * 1_024 * 1_024);
  reader.push(frame);
  return reader.next();
}

t.test('protocol: each call gives its frame, byte by byte', async (t) => {
  const link = greeted();
  const error = new ProtocolError('bad-topic', 'no').about(5, 7);
  const answer = new ProtocolError('bad-frame', 'no').about(10, 7);
  const frames: Record<string, [Buffer, string]> = {
    ping: [link.ping(), '000000029103'],
    pong: [link.pong(), '000000029104'],
    acknowledge: [link.acknowledge(300), '00000005 9206cd012c'],
    reply: [link.reply(7, 200, Buffer.from('hi')), '00000009 940807cc c8c4026869'],
    goodbye: [link.goodbye('draining', 20), '0000000c 930b a8647261696e696e67 14'],
    'goodbye for good': [link.goodbye('blocked', undefined), '0000000a 920b a7626c6f636b6564'],
    error: [link.error(error), '00000010 940c a96261642d746f706963 a26e6f 07'],
    'error about an answer': [
      link.error(answer),
      '00000011 950c a96261642d6672616d65 a26e6f 07 0a',
    ],
  };

  for (const [call, [frame, hex]] of Object.entries(frames)) {
    t.equal(frame.toString('hex'), hex.replaceAll(' ', ''), call);
  }
});

t.test('protocol: WELCOME and COMMAND are what their device reads', async (t) => {
  const link = greeted();
  const command = { type: 'command', id: 9, topic: 'door.open', payload: EMPTY, key: KEY } as const;

  t.match(read(link.welcome(CONNECTION, 60_000, 1_700_000_000_000)), {
    type: TYPE.WELCOME,
    connectionId: Buffer.from(CONNECTION.replaceAll('-', ''), 'hex'),
    keepalive: 60,
    frameBytesMax: FRAME_BYTES_MAX,
    time: 1_700_000_000_000,
  });
  t.match(read(link.command({ ...command, expiresIn: 5_000 })), { ...command, expiresIn: 5_000 });
  t.match(read(link.command({ ...command, expiresIn: undefined })), { id: 9, topic: 'door.open' });
  t.match(
    read(link.command({ ...command, expiresIn: 2 ** 40 })),
    { expiresIn: 0xffff_ffff },
    'no number that small devices do not read',
  );
});

t.test('protocol: what devices say is accepted as it was read', async (t) => {
  const said = [event(1), request(2), event(0), ack, result, ping, { type: TYPE.PONG }, bye];

  const link = new V1Protocol(FRAME_BYTES_MAX);
  const greeting = say(link, hello('door-17', { keepalive: 20, frameBytesMax: 4_096 }));

  t.match(greeting, [{ type: 'hello', deviceId: 'door-17', keepalive: 20, frameBytesMax: 4_096 }]);
  t.match(say(link, ...(said as Message[])), said);
});

t.test('protocol: the first message is HELLO, and no other one is', async (t) => {
  for (const message of [event(1), ping, bye, ack]) {
    const error = refused(new V1Protocol(FRAME_BYTES_MAX), message);
    t.match(error, { code: 'unexpected', message: 'the first frame must be HELLO' });
  }
  t.match(refused(greeted(), hello('door-18')), { code: 'unexpected', id: undefined });
});

t.test("protocol: ids of EVENTs and REQUESTs rise, answers' are not theirs", async (t) => {
  const link = greeted();
  say(link, event(4), event(0), ack, result, request(5));

  t.match(refused(link, event(5)), { code: 'bad-id', id: 5 });
  t.match(refused(link, request(1)), { code: 'bad-id', id: 1 });
  t.match(say(link, event(6)), [{ id: 6 }], 'one that was refused leaves nothing behind');
});

t.test('protocol: a message is remembered when its turn has come, not when read', async (t) => {
  const link = greeted();
  link.push(Buffer.concat([encode(event(7)), encode(ping)]));
  const waits = link.next();
  const { bytes, elements } = link;

  t.equal(bytes, encode(event(7)).length);
  t.ok(elements >= 4);
  t.ok(waits && link.accept(waits));
  t.throws(() => waits && link.accept(waits), { code: 'bad-id' });
  t.match(link.next(), ping);
});

t.test('protocol: what is not for devices to send is refused by its number', async (t) => {
  const reply: Message = { type: TYPE.REPLY, id: 1, status: 0, payload: EMPTY };
  const error: Message = { type: TYPE.ERROR, code: 'x', message: 'y', id: 1 };

  const what = 'type 8 is not for devices to send';
  t.match(refused(greeted(), reply), { code: 'unexpected', message: what, type: 8, id: 1 });
  t.match(
    refused(greeted(), error),
    { code: 'unexpected', id: undefined },
    'its id is not its own',
  );
});

t.test(
  'protocol: the largest payloads fit, whatever ids, status and times there are',
  async (t) => {
    const topic = 'door.open';
    const rest = { id: 0xffff_ffff, topic, key: KEY, expiresIn: 0xffff_ffff };
    for (const frameBytesMax of [undefined, 256, 300, 70_000, 1_000_000]) {
      const link = greeted({ frameBytesMax } as Partial<Message>);
      for (const bytes of [200, 300, 65_536, 131_072]) {
        const most = Math.min(bytes, frameBytesMax ?? FRAME_BYTES_MAX);
        const reply = link.reply(0xffff_ffff, 65_535, Buffer.alloc(link.replyBytesMax(bytes)));
        const payload = Buffer.alloc(link.commandBytesMax(topic, bytes));
        const command = link.command({ type: 'command', ...rest, payload });
        for (const frame of [reply, command]) t.ok(frame.length - 4 <= most);
      }
    }
  },
);

t.test('protocol: what is not read is held, until nobody reads on', async (t) => {
  const link = greeted();
  link.push(encode(event(1)).subarray(0, 9));
  t.equal(link.next(), undefined);
  t.ok(link.heldBytes >= 9);

  link.drop();

  t.equal(link.heldBytes, 0);
});

t.test('protocol: written down and read back anywhere, it goes on as if nothing was', async (t) => {
  const said = [event(3), request(5, 'a.b'), ping, ack, result, event(0), event(9, 'x')];
  const stream = Buffer.concat([
    encode(hello('door-17', { frameBytesMax: 300 })),
    ...said.map(encode),
  ]);
  const whole = new V1Protocol(FRAME_BYTES_MAX);
  const expected = accepted(whole, stream);
  const first = encode(hello('door-17', { frameBytesMax: 300 })).length;

  for (let cut = first; cut <= stream.length; cut += 1) {
    const before = new V1Protocol(FRAME_BYTES_MAX);
    const got = accepted(before, stream.subarray(0, cut));
    const after = V1Protocol.restore(passedOn(before.state()));
    if (after === undefined) throw new Error('not restored');
    got.push(...accepted(after, stream.subarray(cut)));
    t.same(got, expected, `cut at ${cut}`);
    t.same(after.state(), whole.state());
    t.equal(after.replyBytesMax(1_000), whole.replyBytesMax(1_000));
    t.match(refused(after, event(9)), { code: 'bad-id' });
  }
});

t.test('protocol: what is written in no form of ours is not read', async (t) => {
  const state = greeted().state();
  t.equal(V1Protocol.restore({ ...state, form: 'owsla/2' }), undefined);
  for (const name of Object.keys(state.remembered)) {
    for (const odd of ['7', Number.NaN, undefined, -0.5]) {
      const remembered = { ...state.remembered, [name]: odd } as Record<string, number>;
      t.equal(V1Protocol.restore({ ...state, remembered }), undefined, `${name}: ${odd}`);
    }
  }
});
