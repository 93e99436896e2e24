/**
 * The example devices against a scripted Owsla: what docs/protocol.md asks of every firmware.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { FatalCode } from '../../src/base/errors.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { Command } from '../helpers/processes/command.ts';
import { at, noCompiler } from '../helpers/processes/programs.ts';
import { waitFor } from '../helpers/waitFor.ts';

const BYTES_SEEN = 1_000;
/** Their PONGs are more than the kernel's buffers hold on the way to one that reads none. */
const UNREAD_PINGS = 500_000;
const WIDE_PINGS = 4_000;
/** Longer than what a device takes for a pause of its own. */
const STOPPED_MS = 600;
const EVENT = ['--event', 'hvac.temp', '21.5'];

/** A link as the scripted Owsla has it: what the device sent, one by one, and bytes back. */
class ScriptedLink {
  readonly #socket: Socket;
  readonly #messages: AsyncIterator<Message>;
  /** The first of what the device sent. */
  bytes = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#messages = this.#read();
  }

  async *#read(): AsyncGenerator<Message> {
    const reader = new V1Reader(65_536);
    for await (const chunk of this.#socket) {
      if (this.bytes.length < BYTES_SEEN) this.bytes = Buffer.concat([this.bytes, chunk]);
      reader.push(chunk);
      for (let message = reader.next(); message; message = reader.next()) yield message;
    }
  }

  /** The device's next message, or `undefined` when it has ended the link. */
  async next(): Promise<Message | undefined> {
    const { done, value } = await this.#messages.next();
    return done ? undefined : value;
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** The kernel has taken all that was written: to the device, or into its own bounded buffers. */
  async taken(): Promise<void> {
    await waitFor('the device to read', () => this.#socket.writableLength === 0);
  }

  /** One byte per segment, so that the device sees every cut that there is. */
  async writeSlowly(bytes: Buffer): Promise<void> {
    for (const byte of bytes) {
      this.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Take HELLO and answer it. */
  async welcome(keepalive = 60): Promise<Message | undefined> {
    const hello = await this.next();
    this.write(welcome(keepalive));
    return hello;
  }

  /** Send a COMMAND; the two frames that answer it. */
  async command(id: number, key: number): Promise<(Message | undefined)[]> {
    this.write(encode(doorOpen(id, key)));
    return [await this.next(), await this.next()];
  }

  /** Messages up to the device's end of the link. */
  async rest(): Promise<Message[]> {
    const messages: Message[] = [];
    for (let next = await this.next(); next; next = await this.next()) messages.push(next);
    return messages;
  }

  /** So many EVENTs, each as the `seq` above the first one's, with its id. */
  async events(count: number): Promise<Numbered[]> {
    const events: Numbered[] = [];
    while (events.length < count) {
      const message = await this.next();
      if (message?.type === TYPE.EVENT) events.push({ id: message.id, seq: message.meta.seq ?? 0 });
      else if (message?.type !== TYPE.PING) throw new Error(`no EVENT: ${message?.type}`);
    }
    return events;
  }

  /** ERROR and BYE, and our FIN. */
  refuse(code: FatalCode, id?: number, about?: number): void {
    const error = { type: TYPE.ERROR, code, message: 'why', id };
    const bye = { type: TYPE.BYE, reason: code, retryAfter: 20 };
    this.write(Buffer.concat([about ? { ...error, about } : error, bye].map(encode)));
    this.end();
  }

  /** BYE and our FIN. */
  bye(reason: string, retryAfter = 20): void {
    this.write(encode({ type: TYPE.BYE, reason, retryAfter }));
    this.end();
  }

  ack(id: number): void {
    this.write(encode({ type: TYPE.ACK, id }));
  }

  end(): void {
    this.#socket.end();
  }
}

interface Numbered {
  readonly id: number;
  readonly seq: number;
}

const numbers = (events: Numbered[], first: number) => events.map(({ seq }) => seq - first);

/** COMMAND `door.open`, its key and payload this number. */
function doorOpen(id: number, key: number) {
  const what = { topic: 'door.open', payload: Buffer.from(String(key)) };
  return { type: TYPE.COMMAND, id, ...what, key: Buffer.alloc(16, key), expiresIn: 5_000 };
}

function welcome(keepalive: number): Buffer {
  const limits = { keepalive, frameBytesMax: 65_536, time: 1_767_225_600_000 };
  return encode({ type: TYPE.WELCOME, connectionId: Buffer.alloc(16, 7), ...limits });
}

/** A frame of these payload bytes in hex. */
function raw(hex: string): Buffer {
  const payload = Buffer.from(hex, 'hex');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  return Buffer.concat([length, payload]);
}

const PING = encode({ type: TYPE.PING });
/** With a later version's element. */
const WIDE_PING = raw(`9203c50f00${'00'.repeat(0xf00)}`);

const links: ScriptedLink[] = [];
const waiting: ((link: ScriptedLink) => void)[] = [];
const owsla = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  const link = new ScriptedLink(socket);
  const taker = waiting.shift();
  if (taker) taker(link);
  else links.push(link);
});
owsla.listen(0, '127.0.0.1');
await once(owsla, 'listening');
const folder = mkdtempSync(join(tmpdir(), 'owsla-devices-'));
t.teardown(() => {
  owsla.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The next link that a device makes. */
function nextLink(): Promise<ScriptedLink> {
  const link = links.shift();
  if (link) return Promise.resolve(link);
  return new Promise((resolve) => waiting.push(resolve));
}

function compile(): string {
  const program = join(folder, 'device');
  const flags = ['-std=c99', '-Wall', '-Wextra', '-Werror', '-pedantic'];
  const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  if (noCompiler) return '';
  const files = [at('examples/device.c'), '-o', program];
  execFileSync('cc', [...flags, ...sanitizers, ...files], { stdio: 'inherit' });
  return program;
}

const program = compile();
const devices = [
  { name: 'device.c', skip: noCompiler, command: [program] },
  {
    name: 'device.ts',
    skip: false,
    command: [process.execPath, at('examples/device.ts')],
  },
];

for (const { name, skip, command } of devices) {
  const run = (...work: string[]): Command => {
    const { port } = owsla.address() as AddressInfo;
    return new Command([...command, '127.0.0.1', String(port), 'door-17', ...work]);
  };

  t.test(
    `${name}: waits retryAfter, then sends what was not ACKed with the same seq`,
    {
      skip,
    },
    async (t) => {
      const device = run(...EVENT);
      const first = await nextLink();
      const hello = await first.welcome();
      const before = await first.next();
      first.write(encode({ type: TYPE.BYE, reason: 'draining', retryAfter: 30 }));
      first.end();
      const second = await nextLink();
      await second.welcome();
      const after = await second.next();
      second.write(encode({ type: TYPE.ACK, id: 1 }));
      const bye = await second.next();
      second.end();

      t.match(hello, { type: TYPE.HELLO, deviceId: 'door-17', keepalive: 60, frameBytesMax: 4096 });
      t.match(before, {
        type: TYPE.EVENT,
        id: 1,
        topic: 'hvac.temp',
        payload: Buffer.from('21.5'),
      });
      t.strictSame(after, before);
      t.match(bye, { type: TYPE.BYE, reason: 'done' });
      t.equal(await device.exit, 0);
      t.match(device.output, /bye draining\nlink lost, next in 30 ms\n/);
    },
  );

  t.test(
    `${name}: any cut of the stream, and what a later version adds, change nothing`,
    {
      skip,
    },
    async (t) => {
      const device = run(...EVENT);
      const link = await nextLink();
      await link.next();
      await link.writeSlowly(welcome(60));
      const event = await link.next();
      await link.writeSlowly(raw('9363cb3fe0000000000000d1ff00')); // type 99
      await link.writeSlowly(encode({ type: TYPE.PING }));
      const pong = await link.next();
      await link.writeSlowly(raw('94060182a178c3a179910291c0')); // an ACK with more elements
      const bye = await link.next();
      link.end();

      t.equal(event?.type, TYPE.EVENT);
      t.equal(pong?.type, TYPE.PONG);
      t.equal(bye?.type, TYPE.BYE);
      t.equal(await device.exit, 0);
      t.match(device.output, /\nack 1\n$/);
    },
  );

  t.test(`${name}: many frames in one segment are all handled, in order`, { skip }, async (t) => {
    const device = run(...EVENT);
    const link = await nextLink();
    const pings = Array.from({ length: 3_000 }, () => encode({ type: TYPE.PING }));
    link.write(Buffer.concat([welcome(60), ...pings, encode({ type: TYPE.PING })]));
    const counts = new Map<string | undefined, number>();
    for (let i = 0; i < 3_003; i += 1) {
      const type = (await link.next())?.type;
      counts.set(type, (counts.get(type) ?? 0) + 1);
    }
    link.write(encode({ type: TYPE.ACK, id: 1 }));
    link.end();

    t.strictSame([...counts].toSorted(), [
      [TYPE.EVENT, 1],
      [TYPE.HELLO, 1],
      [TYPE.PONG, 3_001],
    ]);
    t.equal(await device.exit, 0);
  });

  t.test(`${name}: writes a seq above 2^32 as the uint of 8 bytes`, { skip }, async (t) => {
    const device = run(...EVENT);
    const link = await nextLink();
    await link.welcome();
    const [event] = await link.events(1);
    const seq = (event?.seq ?? 0).toString(16).padStart(16, '0');

    t.ok(link.bytes.toString('hex').endsWith(`a3736571cf${seq}`));
    link.ack(1);
    link.end();
    t.equal(await device.exit, 0);
  });

  for (const [what, bytes] of [
    ['a frame that ends early', raw('9408c402')],
    ['a frame longer than it takes', Buffer.from('7fffffff', 'hex')],
    ['a frame of length 0', Buffer.from('00000000', 'hex')],
    ['a REPLY without its status', raw('920801')],
    ['a frame of no known type that ends early', raw('9263c402')],
  ] as const) {
    t.test(`${name}: ${what} ends the link, and the device comes back`, { skip }, async (t) => {
      const device = run(...EVENT);
      const first = await nextLink();
      await first.welcome();
      await first.next();
      first.write(bytes);
      t.equal(await first.next().catch(() => undefined), undefined, 'the link is over');
      const second = await nextLink();
      await second.welcome();
      await second.next();
      second.write(encode({ type: TYPE.ACK, id: 1 }));
      second.end();

      t.equal(await device.exit, 0);
      t.match(device.output, /link lost, next in \d{1,3} ms\n/, 'within the first second');
    });
  }

  const SIX = [...EVENT, '--count', '6', '--window', '6'];

  t.test(`${name}: drops the message that an ERROR names, and no other`, { skip }, async (t) => {
    const device = run(...SIX);
    const first = await nextLink();
    await first.welcome();
    const before = await first.events(6);
    first.ack(before[1]?.id ?? 0);
    first.refuse('bad-topic', before[2]?.id);
    const second = await nextLink();
    await second.welcome();
    const after = await second.events(4);
    for (const { id } of after.toReversed()) second.ack(id);
    const bye = await second.rest();
    second.end();

    const seq = before[0]?.seq ?? 0;
    t.same(numbers(before, seq), [0, 1, 2, 3, 4, 5]);
    t.same(numbers(after, seq), [0, 3, 4, 5]);
    t.match(bye, [{ type: TYPE.BYE, reason: 'done' }]);
    t.equal(await device.exit, 1, 'one was refused');
  });

  t.test(`${name}: drops nothing when no message is named, and finds it`, { skip }, async (t) => {
    const device = run(...SIX);
    const first = await nextLink();
    await first.welcome();
    const seq = (await first.events(6))[0]?.seq ?? 0;
    first.refuse('bad-frame');
    const seen: number[][] = [];
    // The third of them is refused again when it is alone.
    while (seen.length < 2) {
      const link = await nextLink();
      await link.welcome();
      const alone: number[] = [];
      seen.push(alone);
      let next = await link.next();
      while (next?.type === TYPE.EVENT) {
        alone.push((next.meta.seq ?? 0) - seq);
        if (alone.at(-1) === 2) link.refuse('bad-frame');
        else link.ack(next.id);
        next = await link.next();
      }
      link.end();
    }

    t.same(seen, [
      [0, 1, 2],
      [3, 4, 5],
    ]);
    t.equal(await device.exit, 1);
  });

  t.test(`${name}: sends one at a time only what was kept at that ERROR`, { skip }, async (t) => {
    const device = run(...EVENT, '--count', '7', '--window', '3');
    const first = await nextLink();
    await first.welcome();
    const seq = (await first.events(3))[0]?.seq ?? 0;
    // An id that no message has names none.
    first.refuse('bad-frame', 4_000);
    const second = await nextLink();
    await second.welcome();
    const alone: number[] = [];
    for (let sent = 0; sent < 3; sent += 1) {
      const [event] = await second.events(1);
      second.write(encode({ type: TYPE.PING }));
      t.equal((await second.next())?.type, TYPE.PONG, 'no other message before its ACK');
      alone.push((event?.seq ?? 0) - seq);
      second.ack(event?.id ?? 0);
    }
    const together = await second.events(3);
    for (const { id } of together) second.ack(id);
    const [last] = await second.events(1);
    second.ack(last?.id ?? 0);
    second.end();

    t.same(alone, [0, 1, 2]);
    t.same(numbers(together, seq), [3, 4, 5]);
    t.equal(await device.exit, 0, 'nothing was dropped');
  });

  t.test(`${name}: an ERROR about its answer to a COMMAND drops no EVENT`, { skip }, async (t) => {
    const device = run(...SIX);
    const first = await nextLink();
    await first.welcome();
    const seq = (await first.events(6))[0]?.seq ?? 0;
    await first.command(3, 9);
    first.refuse('bad-frame', 3, CODE.result);
    const second = await nextLink();
    await second.welcome();
    const again = await second.events(6);
    const answers = await second.command(1, 9);
    for (const { id } of again) second.ack(id);
    second.end();

    t.same(numbers(again, seq), [0, 1, 2, 3, 4, 5]);
    t.match(answers[1], { type: TYPE.RESULT, id: 1, status: 5, payload: Buffer.alloc(0) });
    t.equal(await device.exit, 0);
  });

  t.test(`${name}: all good messages arrive, whatever is refused when`, { skip }, async (t) => {
    const total = 80;
    const isBad = (number: number) => number % 9 === 4;
    const device = run(...EVENT, '--count', String(total), '--window', '16');
    const good = [...Array(total).keys()].filter((number) => !isBad(number));
    const acked = new Set<number>();
    let refusals = 0;
    let seq: number | undefined;
    // Each second ERROR names its message; each tenth good message loses its link instead.
    // What stands before a good one is settled when that is ACKed, so the last good one is the end.
    for (let seen = 0; acked.size < good.length; ) {
      const link = await nextLink();
      await link.welcome();
      for (let next = await link.next(); next?.type === TYPE.EVENT; next = await link.next()) {
        seq ??= next.meta.seq ?? 0;
        seen += 1;
        const number = (next.meta.seq ?? 0) - seq;
        if (isBad(number)) {
          refusals += 1;
          link.refuse('bad-frame', refusals % 2 === 0 ? next.id : undefined);
          break;
        }
        if (seen % 10 === 0) {
          link.write(encode({ type: TYPE.BYE, reason: 'draining', retryAfter: 5 }));
          link.end();
          break;
        }
        acked.add(number);
        link.ack(next.id);
      }
      link.end();
    }

    t.same(
      [...acked].toSorted((a, b) => a - b),
      good,
    );
    t.equal(await device.exit, 1, `${refusals} refusals`);
  });

  t.test(`${name}: an ERROR without BYE ends nothing but its message`, { skip }, async (t) => {
    const device = run(...EVENT, '--count', '3', '--window', '2');
    const link = await nextLink();
    await link.welcome();
    const events = await link.events(2);
    const error = { type: TYPE.ERROR, code: 'a-later-word', message: 'why' };
    link.write(encode({ ...error, id: events[0]?.id }));
    events.push(...(await link.events(1)));
    for (const { id } of events.slice(1)) link.ack(id);
    const bye = await link.rest();
    link.end();

    t.same(numbers(events, events[0]?.seq ?? 0), [0, 1, 2]);
    t.match(bye, [{ type: TYPE.BYE, reason: 'done' }]);
    t.equal(await device.exit, 1);
  });

  t.test(`${name}: an ERROR without BYE and id sends nothing again`, { skip }, async (t) => {
    const device = run(...EVENT, '--count', '3', '--window', '2');
    const link = await nextLink();
    await link.welcome();
    const events = await link.events(2);
    link.write(encode({ type: TYPE.ERROR, code: 'a-later-word', message: 'why', id: undefined }));
    for (const { id } of events) link.ack(id);
    events.push(...(await link.events(1)));
    link.ack(events[2]?.id ?? 0);
    const bye = await link.rest();
    link.end();

    t.same(numbers(events, events[0]?.seq ?? 0), [0, 1, 2]);
    t.match(bye, [{ type: TYPE.BYE, reason: 'done' }]);
    t.equal(await device.exit, 0, 'nothing was dropped');
  });

  t.test(`${name}: only its own BYE makes an unknown ERROR one that ends`, { skip }, async (t) => {
    const device = run(...EVENT, '--count', '3', '--window', '3');
    const first = await nextLink();
    await first.welcome();
    const [one] = await first.events(3);
    const error = { type: TYPE.ERROR, code: 'a-later-word', message: 'why', id: undefined };
    first.write(encode(error));
    first.bye('draining');
    const second = await nextLink();
    await second.welcome();
    const together = await second.events(3);
    second.write(encode(error));
    second.bye('a-later-word');
    const third = await nextLink();
    await third.welcome();
    const alone: Numbered[] = [];
    for (let sent = 0; sent < 3; sent += 1) {
      alone.push(...(await third.events(1)));
      third.write(PING);
      t.equal((await third.next())?.type, TYPE.PONG, 'no other message before its ACK');
      third.ack(alone.at(-1)?.id ?? 0);
    }
    third.end();

    t.same(numbers(together, one?.seq ?? 0), [0, 1, 2]);
    t.same(numbers(alone, one?.seq ?? 0), [0, 1, 2]);
    t.equal(await device.exit, 0, 'nothing was dropped');
  });

  t.test(`${name}: sends no message behind an ERROR that ends the link`, { skip }, async (t) => {
    const device = run(...EVENT, '--count', '3', '--window', '2');
    const first = await nextLink();
    await first.welcome();
    const [one] = await first.events(2);
    const error = { type: TYPE.ERROR, code: 'bad-topic', message: 'why', id: one?.id };
    first.write(encode(error));
    for (let ping = 0; ping < 2; ping += 1) {
      first.write(PING);
      t.equal((await first.next())?.type, TYPE.PONG);
    }
    first.bye('bad-topic');
    const second = await nextLink();
    await second.welcome();
    const rest = await second.events(2);
    for (const { id } of rest) second.ack(id);
    second.end();

    t.same(numbers(rest, one?.seq ?? 0), [1, 2]);
    t.equal(await device.exit, 1);
  });

  for (const code of ['bad-topic', 'frame-too-long', 'version'] as const) {
    t.test(`${name}: a HELLO refused as ${code} is a human's to mend`, { skip }, async (t) => {
      const device = run(...EVENT);
      t.teardown(() => device.end('SIGKILL'));
      const link = await nextLink();
      await link.next();
      link.write(encode({ type: TYPE.ERROR, code, message: 'why', id: undefined }));
      link.bye(code, 3_600_000);

      await device.prints(/bye .+\nthis needs a human\nlink lost/);
    });
  }

  t.test(`${name}: a will that is refused is left out of the next HELLO`, { skip }, async (t) => {
    const device = run('--will', 'door.gone', 'lost', ...EVENT);
    const first = await nextLink();
    t.match(await first.next(), { will: { topic: 'door.gone' } });
    first.write(encode({ type: TYPE.ERROR, code: 'bad-topic', message: 'why', id: undefined }));
    first.bye('bad-topic');
    const second = await nextLink();
    t.match(await second.welcome(), { type: TYPE.HELLO, will: undefined });
    const [event] = await second.events(1);
    second.ack(event?.id ?? 0);
    second.end();

    t.match(device.output, /bye bad-topic\nthis needs a human\nlink lost/);
    t.equal(await device.exit, 0);
  });

  t.test(`${name}: an ERROR about id 0 is about none that it keeps`, { skip }, async (t) => {
    const device = run(...SIX);
    const first = await nextLink();
    await first.welcome();
    const seq = (await first.events(6))[0]?.seq ?? 0;
    first.refuse('bad-topic', 0);
    const second = await nextLink();
    await second.welcome();
    const again = await second.events(6);
    for (const { id } of again) second.ack(id);
    second.end();

    t.same(numbers(again, seq), [0, 1, 2, 3, 4, 5], 'all at once');
    t.equal(await device.exit, 0);
  });

  t.test(`${name}: a WELCOME without options has the page's limits`, { skip }, async (t) => {
    const device = run(...EVENT);
    const link = await nextLink();
    await link.next();
    link.write(raw(`9202c410${'07'.repeat(16)}`));
    const [event] = await link.events(1);
    link.ack(event?.id ?? 0);
    link.end();

    t.equal(await device.exit, 0);
    t.match(device.output, /^welcome, keepalive 60 s\n/);
  });

  t.test(`${name}: says nothing after a BYE of Owsla's`, { skip }, async (t) => {
    const device = run(...EVENT);
    const first = await nextLink();
    await first.welcome();
    await first.events(1);
    const bye = encode({ type: TYPE.BYE, reason: 'draining', retryAfter: 0 });
    first.write(Buffer.concat([bye, encode({ type: TYPE.PING })]));
    first.end();
    const said = await first.rest();
    const second = await nextLink();
    await second.welcome();
    const [event] = await second.events(1);
    second.ack(event?.id ?? 0);
    second.end();

    t.same(said, []);
    t.equal(await device.exit, 0);
    t.match(device.output, /link lost, next in 0 ms\n/);
  });

  t.test(`${name}: looks at nothing that comes after its own BYE`, { skip }, async (t) => {
    const device = run(...EVENT);
    const link = await nextLink();
    await link.welcome();
    const [event] = await link.events(1);
    link.ack(event?.id ?? 0);
    const bye = await link.next();
    link.write(Buffer.concat([encode({ type: TYPE.PING }), raw('9408c402')]));
    const said = await link.rest();
    link.end();

    t.match(bye, { type: TYPE.BYE, reason: 'done' });
    t.same(said, []);
    t.equal(await device.exit, 0);
    t.match(device.output, /^welcome, keepalive 60 s\nack 1\n$/);
  });

  t.test(`${name}: a retryAfter of weeks is taken for an hour`, { skip }, async (t) => {
    const device = run(...EVENT);
    t.teardown(() => device.end('SIGKILL'));
    const link = await nextLink();
    await link.next();
    link.write(encode({ type: TYPE.BYE, reason: 'server-full', retryAfter: 0xffff_ffff }));
    link.end();

    await device.prints(/link lost, next in 3600000 ms\n/);
  });

  t.test(`${name}: an ERROR before WELCOME drops nothing`, { skip }, async (t) => {
    const device = run(...SIX);
    const first = await nextLink();
    await first.next();
    first.refuse('version', 1);
    const second = await nextLink();
    await second.welcome();
    const events = await second.events(6);
    for (const { id } of events) second.ack(id);
    second.end();

    t.equal(await device.exit, 0);
  });

  t.test(
    `${name}: PINGs in time, and leaves a link on which nothing comes`,
    {
      skip,
    },
    async (t) => {
      const device = run();
      t.teardown(() => device.end('SIGKILL'));
      const first = await nextLink();
      await first.welcome(1);
      const startedAt = performance.now();
      const ping = await first.next();
      const pingedAt = performance.now();
      const end = await first.next().catch(() => undefined);
      const second = await nextLink();

      t.equal(ping?.type, TYPE.PING);
      t.ok(pingedAt - startedAt < 10_000, 'soon, when told so: its own keepalive is 60 s');
      t.equal(end, undefined, 'no second PING while the first has no PONG');
      t.match(await second.welcome(), { type: TYPE.HELLO });
      second.end();
    },
  );

  t.test(
    `${name}: acts once on a COMMAND that comes again, on this link or the next`,
    {
      skip,
    },
    async (t) => {
      const device = run();
      t.teardown(() => device.end('SIGKILL'));
      const first = await nextLink();
      await first.welcome();
      const answers = [await first.command(9, 1), await first.command(10, 1)];
      first.write(encode({ type: TYPE.BYE, reason: 'draining', retryAfter: 30 }));
      first.end();
      const second = await nextLink();
      await second.welcome();
      answers.push(await second.command(1, 1));
      await second.command(2, 2);
      second.end();

      for (const [at, id] of [9, 10, 1].entries()) {
        t.match(answers[at], [
          { type: TYPE.ACK, id },
          { type: TYPE.RESULT, id, status: 0, payload: Buffer.from('opened') },
        ]);
      }
      await device.prints(/next in 30 ms\n.*\nagain door\.open\ncommand door\.open: 2\n/);
      t.match(device.output, /keepalive 60 s\ncommand door\.open: 1\nagain door\.open\nbye/);
    },
  );

  t.test(`${name}: remembers the last 16 keys, and no more`, { skip }, async (t) => {
    const device = run();
    t.teardown(() => device.end('SIGKILL'));
    const link = await nextLink();
    await link.welcome();
    for (let key = 1; key <= 17; key += 1) await link.command(key, key);
    await link.command(18, 17);
    await link.command(19, 2);
    await link.command(20, 1);
    link.end();

    const acted = [...Array(17).keys()].map((at) => `command door.open: ${at + 1}`);
    await device.prints(/again door\.open\ncommand/);
    t.strictSame(device.output.split('\n').slice(1, 21), [
      ...acted,
      'again door.open',
      'again door.open',
      'command door.open: 1',
    ]);
  });

  t.test(
    `${name}: a COMMAND that lay in the socket while it was stopped is late`,
    { skip },
    async (t) => {
      const device = run();
      t.teardown(() => device.end('SIGKILL'));
      const link = await nextLink();
      await link.welcome();
      await link.command(1, 1);

      process.kill(device.pid, 'SIGSTOP');
      link.write(encode({ ...doorOpen(2, 2), expiresIn: 1 }));
      link.write(encode({ ...doorOpen(3, 3), expiresIn: 600_000 }));
      // What is tested is that time passes.
      await delay(STOPPED_MS);
      process.kill(device.pid, 'SIGCONT');

      t.match(await link.next(), { type: TYPE.RESULT, id: 2, status: 3 });
      t.match(await link.next(), { type: TYPE.ACK, id: 3 });
      t.match(await link.next(), { type: TYPE.RESULT, id: 3, status: 0 });
    },
  );

  t.test(`${name}: what came while it was stopped was heard`, { skip }, async (t) => {
    const device = run();
    t.teardown(() => device.end('SIGKILL'));
    const link = await nextLink();
    await link.welcome(1);
    await link.command(1, 1);

    process.kill(device.pid, 'SIGSTOP');
    link.write(encode({ ...doorOpen(2, 2), expiresIn: 600_000 }));
    // What is tested is that more than 1.5 keepalives pass.
    await delay(1_700);
    process.kill(device.pid, 'SIGCONT');

    let answer = await link.next();
    while (answer !== undefined && answer.type !== TYPE.RESULT) answer = await link.next();
    t.match(answer, { id: 2, status: 0 });
  });

  t.test(
    `${name}: refuses a COMMAND that it does not know or that has no key`,
    {
      skip,
    },
    async (t) => {
      const device = run();
      t.teardown(() => device.end('SIGKILL'));
      const link = await nextLink();
      await link.welcome();
      const open = doorOpen(5, 1);
      link.write(encode({ ...open, topic: 'door.shut' }));
      link.write(encode({ ...open, id: 6, key: undefined }));
      link.write(encode({ ...open, id: 7, key: Buffer.alloc(15) }));

      for (const id of [5, 6, 7]) t.match(await link.next(), { type: TYPE.RESULT, id, status: 3 });
      await link.command(8, 1);
      link.end();
      await device.prints(/command/);
      t.equal(device.output, 'welcome, keepalive 60 s\ncommand door.open: 1\n');
    },
  );
}

t.test(
  'device.c: reads on while Owsla takes nothing, and owes the PONGs',
  { skip: noCompiler },
  async (t) => {
    const { port } = owsla.address() as AddressInfo;
    const device = new Command([program, '127.0.0.1', String(port), 'door-17', ...EVENT]);
    const link = await nextLink();
    await link.welcome();
    await link.events(1);
    link.write(Buffer.alloc(UNREAD_PINGS * PING.length, PING));
    // Nobody reads the PONGs: the device cannot write, and these are more than the kernel holds.
    link.write(Buffer.alloc(WIDE_PINGS * WIDE_PING.length, WIDE_PING));
    await link.taken();
    let pongs = 0;
    while (pongs < UNREAD_PINGS + WIDE_PINGS && (await link.next())?.type === TYPE.PONG) pongs += 1;
    link.ack(1);
    link.end();

    t.equal(pongs, UNREAD_PINGS + WIDE_PINGS);
    t.equal(await device.exit, 0);
  },
);
