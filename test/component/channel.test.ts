/** Channel: questions and answers both ways; what a peer does wrong costs its own stream only. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, duplexPair } from 'node:stream';
import { pack, unpack } from 'msgpackr';
import t, { type Test } from 'tap';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import {
  type AnswersByKind,
  Channel,
  ChannelError,
  type ChannelOptions,
  NO_ANSWERS,
} from '../../src/node/channel.ts';
import { FrameReader, frameOf } from '../../src/wire/frame.ts';
import { noAnswer, whyOf } from '../helpers/noAnswer.ts';
import { waitFor } from '../helpers/waitFor.ts';

type Overrides = Partial<Record<LimitName, number>>;
type Options = Omit<ChannelOptions, 'limits'>;

const LOOSE = 64 * 1024 * 1024;

function channelOn(stream: Duplex, options: Options = {}, limits: Overrides = {}): Channel {
  return new Channel(stream, { ...options, limits: makeLimits(limits) });
}

/** Two channels on one stream: `a` asks, `b` answers. */
function pair(answers: AnswersByKind, limits: Overrides = {}, options: Options = {}) {
  const [left, right] = duplexPair();
  const a = channelOn(left, {}, limits);
  const b = channelOn(right, { answers, ...options }, limits);
  return { a, b, left, right };
}

/** A channel whose peer writes bytes and reads frames; what went wrong with the stream. */
function raw(answers: AnswersByKind = {}, limits: Overrides = {}, options: Options = {}) {
  const [peer, stream] = duplexPair();
  const faults: unknown[] = [];
  const onBad = (fault: unknown) => faults.push(fault);
  const channel = channelOn(stream, { answers, onBad, ...options }, limits);
  const reader = new FrameReader(LOOSE);
  const frames: unknown[] = [];
  peer.on('error', () => {});
  peer.on('data', (chunk: Buffer) => {
    reader.push(chunk);
    for (let payload = reader.next(); payload; payload = reader.next())
      frames.push(unpack(payload));
  });
  const write = (...list: unknown[]) => peer.write(Buffer.concat(list.map((one) => frame(one))));
  return { channel, stream, peer, frames, faults, write };
}

const frame = (value: unknown): Buffer => frameOf(pack(value));

t.test('channel: both ends ask at once, and answers come in any order', async (t) => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const [left, right] = duplexPair();
  const answers = {
    wait: async (at: unknown) => {
      await gates[at as number]?.promise;
      return { at };
    },
  };
  const [a, b] = [channelOn(left, { answers }), channelOn(right, { answers })];
  const asked = [a.ask('wait', 0), a.ask('wait', 1), b.ask('wait', 0), b.ask('wait', 1)];

  gates[1]?.resolve();
  t.same(await Promise.all([asked[1], asked[3]]), [{ at: 1 }, { at: 1 }]);
  t.equal(a.open, 1);
  gates[0]?.resolve();

  t.same(await Promise.all([asked[0], asked[2]]), [{ at: 0 }, { at: 0 }]);
  t.equal(a.open, 0);
});

t.test('channel: a question or a notice of a later version is refused, or ignored', async (t) => {
  const { a, b } = pair({ echo: (body) => body });
  const { frames, write } = raw({ echo: (body) => body });

  t.equal(await whyOf(a.ask('later', null)), 'unknown');
  for (const name of ['constructor', '__proto__', 'toString', '']) {
    t.equal(await whyOf(a.ask(name, null)), 'unknown', name);
  }
  t.ok(b.notify('later', 1));
  t.equal(await a.ask('echo', 'still here'), 'still here');

  write([1, 'echo', 'x', 'further', 'elements'], [2, 'later', null], [3, 'echo']);
  await waitFor('three answers', () => frames.length === 3);
  t.match(frames, [
    [-2, 'unknown', String],
    [-1, '', 'x'],
    [-3, '', undefined],
  ]);
});

t.test('channel: a refusal has the name that its side gives it', async (t) => {
  const { a } = pair({
    throws: () => {
      throw new Error('the disk is full');
    },
    picky: () => {
      throw new ChannelError('bad', 'device is a string');
    },
  });

  t.equal(await noAnswer(a.ask('throws', null)), 'failed: the disk is full');
  t.equal(await noAnswer(a.ask('picky', null)), 'bad: device is a string');

  const { channel, write } = raw();
  const asked = channel.ask('x', null);
  write([-1, 'a-word-of-later', 'for people']);
  t.equal(await noAnswer(asked), 'a-word-of-later: for people');
});

t.test('channel: every question has its deadline, at either end', async (t) => {
  const never = Promise.withResolvers<void>();
  const { a } = pair({ never: () => never.promise, echo: (body) => body }, { questionsMax: 1 });
  const { channel, write } = raw();

  const late = channel.ask('x', null, 50);
  t.equal(await whyOf(late), 'late');
  write([-1, '', 'too late'], [-77, '', 'to nothing that was asked']);
  const next = channel.ask('x', null);
  write([-2, '', 'in time']);
  t.equal(await next, 'in time', 'one that is late is ignored');

  const answering = pair(
    { never: () => never.promise, echo: (body) => body },
    { questionsMax: 1 },
    {
      answerMs: 50,
    },
  );
  t.equal(await whyOf(answering.a.ask('never', null)), 'late', 'who answers ends it too');
  t.equal(await answering.a.ask('echo', 1), 1, 'and has room again');
  t.equal(await whyOf(a.ask('never', null, 50)), 'late');
});

t.test('channel: what is too long is not sent; as an answer it is a refusal', async (t) => {
  const long = 'x'.repeat(65_536);
  const { a } = pair({ long: () => long }, { questionBytesMax: 65_536 });

  t.equal(await whyOf(a.ask('echo', long)), 'too-long');
  t.equal(await whyOf(a.ask('long', null)), 'too-long');
  t.throws(() => a.notify('n', long), { message: /^'n' has 65\d+ bytes/ });
});

t.test('channel: 1,000 questions at once: questionsMax are asked, the others busy', async (t) => {
  const { a } = pair({ echo: (body) => body }, { questionsMax: 64 });

  const told = await Promise.all(
    Array.from({ length: 1_000 }, (_, index) => whyOf(a.ask('echo', index))),
  );

  t.equal(told.filter((one) => one === 'answered').length, 64);
  t.equal(told.filter((one) => one === 'busy').length, 936);
  t.equal(await a.ask('echo', 'next'), 'next');
});

t.test('channel: 1,000 from a peer that keeps no bound: the same, by name', async (t) => {
  const gate = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  const answers = {
    wait: async (body: unknown) => {
      running += 1;
      most = Math.max(most, running);
      await gate.promise;
      running -= 1;
      return body;
    },
  };
  const { frames, write } = raw(answers, { questionsMax: 64 });

  write(...Array.from({ length: 1_000 }, (_, index) => [index + 1, 'wait', index]));
  await waitFor('the refusals', () => frames.length === 936);
  t.ok(frames.every((one) => Array.isArray(one) && one[1] === 'busy'));
  gate.resolve();

  await waitFor('the answers', () => frames.length === 1_000);
  t.equal(most, 64);
});

/** A channel behind a real socket, whose buffers are the kernel's; and its peer. */
async function overSocket(t: Test, options: Options, limits: Overrides) {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-channel-'));
  const path = join(folder, 'a.sock');
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const peer = connect(path);
  peer.on('error', () => {});
  const [socket] = (await accepted) as [Socket];
  const channel = channelOn(socket, options, limits);
  t.teardown(() => {
    for (const one of [peer, socket]) one.destroy();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { peer, socket, channel };
}

t.test(
  'channel: a peer that asks and does not read is cut off at answersUnreadBytes',
  async (t) => {
    const faults: unknown[] = [];
    const answers = { page: () => 'x'.repeat(30_000) };
    const limits = { questionBytesMax: 65_536, answersUnreadBytes: 65_536 };
    const onBad = (fault: unknown) => faults.push(fault);
    const { peer, socket } = await overSocket(t, { answers, onBad }, limits);
    let most = 0;
    socket.on('data', () => {
      most = Math.max(most, socket.writableLength);
    });

    peer.pause();
    const questions = frame([1, 'page', null]);
    const pump = () => {
      while (!peer.destroyed && peer.write(questions));
    };
    peer.on('drain', pump);
    pump();
    await once(socket, 'close');

    t.match(faults, [{ why: 'busy' }]);
    t.ok(most <= 65_536 + 100, `${most} bytes were kept`);
  },
);

t.test(
  'channel: a mute peer is asked no more above the bound, and notices are skipped',
  async (t) => {
    const limits = { questionBytesMax: 65_536, answersUnreadBytes: 131_072, questionMs: 50 };
    const { peer, socket, channel } = await overSocket(t, {}, { ...limits, questionsMax: 10_000 });
    peer.pause();

    const told = await Promise.all(
      Array.from({ length: 200 }, () => whyOf(channel.ask('q', 'x'.repeat(10_000)))),
    );

    t.same([...new Set(told)].toSorted(), ['busy', 'late']);
    t.ok(socket.writableLength <= 131_072);
    t.notOk(channel.notify('n', 1));
    t.notOk(socket.destroyed, 'it may only be stopped');
    peer.resume();
    await waitFor('it to read', () => channel.notify('n', 1));
  },
);

t.test(
  'channel: answers that are not read keep back no report, and reports not each other',
  async (t) => {
    const limits = { questionBytesMax: 65_536, answersUnreadBytes: 131_072, questionMs: 50 };
    const { peer, socket, channel } = await overSocket(t, {}, { ...limits, questionsMax: 10_000 });
    const reports: unknown[] = [];
    channelOn(peer, { notices: { report: (body) => reports.push(body) } });
    peer.pause();
    await Promise.all(
      Array.from({ length: 200 }, () => whyOf(channel.ask('q', 'x'.repeat(10_000)))),
    );
    t.notOk(channel.notify('n', 1), 'much is not read');

    const told = [1, 2, 3].map((count) => channel.keepTelling('report', count));

    t.same(told, [true, false, false], 'one waits, of each kind');
    t.ok(channel.keepTelling('other', 1));
    t.ok(socket.writableLength <= 131_072 + 100);
    peer.resume();
    await waitFor('the report', () => reports.length > 0);
    await waitFor('room for the next', () => channel.keepTelling('report', 4));
    await waitFor('the next', () => reports.length > 1);
    t.same(reports, [1, 4]);
    channel.close();
    t.notOk(channel.keepTelling('report', 5));
  },
);

t.test('channel: the end of the stream ends what is open, and later questions', async (t) => {
  const never = Promise.withResolvers<void>();
  const { peer, channel } = await overSocket(t, { answers: { never: () => never.promise } }, {});
  const asker = channelOn(peer);
  const open = [whyOf(asker.ask('never', null)), whyOf(asker.ask('never', null))];

  channel.close();

  t.same(await Promise.all(open), ['closed', 'closed']);
  t.equal(await whyOf(asker.ask('never', null)), 'closed');
  t.notOk(asker.notify('n', null));
  t.doesNotThrow(() => asker.endWith('n', null));
});

t.test('channel: a last notice arrives before the end', async (t) => {
  const told: unknown[] = [];
  const notices = { note: (body: unknown) => told.push(body) };
  const { peer, socket } = await overSocket(t, { notices }, {});

  channelOn(peer).endWith('note', 'goodbye');
  await once(socket, 'close');

  t.same(told, ['goodbye']);
});

const BAD: Readonly<Record<string, Buffer>> = {
  'an empty frame': Buffer.alloc(4),
  'a frame that is too long': Buffer.from([0xff, 0xff, 0xff, 0xff]),
  'no MessagePack': Buffer.from([0, 0, 0, 1, 0xc1]),
  'an array that promises more': Buffer.from([0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff]),
  'a map': frame({ id: 1 }),
  'a number': frame(7),
  'nothing in it': frame([]),
  'an id that is text': frame(['1', 'echo', null]),
  'an id with a fraction': frame([1.5, 'echo', null]),
  'an id that is NaN': frame([Number.NaN, 'echo', null]),
  'a kind that is no text': frame([1, 7, null]),
  'two values': frameOf(Buffer.concat([pack([1, 'echo', 1]), pack(2)])),
  'nesting without end': frameOf(Buffer.alloc(60_000, 0x91)),
  'the words of another protocol': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
};

for (const [what, bytes] of Object.entries(BAD)) {
  t.test(`channel: ${what} closes the stream, and nobody else's`, async (t) => {
    const answers = { echo: (body: unknown) => body };
    const bad = raw(answers);
    const good = raw(answers);

    bad.peer.write(bytes);
    await waitFor('its end', () => bad.stream.destroyed);

    t.equal(bad.faults.length, 1);
    good.write([1, 'echo', 'x']);
    await waitFor('an answer', () => good.frames.length === 1);
  });
}

t.test('channel: a notice that cannot be taken closes the stream', async (t) => {
  const notices = {
    report: () => {
      throw new Error('no report');
    },
  };
  const { stream, faults, write } = raw({}, {}, { notices });

  write([0, 'report', null], [0, 'report', null]);
  await waitFor('its end', () => stream.destroyed);

  t.match(faults, [{ message: 'no report' }]);
});

t.test('channel: every reason for no answer is one of the list', async (t) => {
  const told = ['unknown', 'bad', 'busy', 'too-long', 'late', 'failed', 'closed'];
  t.same([...NO_ANSWERS], told);
});

t.test(
  'channel: `say` goes behind what has not left, up to its bound; `notify` does not',
  async (t) => {
    const { channel, frames, peer } = raw({}, { answersUnreadBytes: 65_536 });
    peer.pause();
    const long = 'x'.repeat(20_000);
    while (channel.notify('first', long)) await new Promise(setImmediate);

    t.ok(channel.say('second', 'y'));
    t.notOk(channel.say('third', 'x'.repeat(60_000)), 'beyond its bound');
    t.throws(() => channel.say('fourth', 'x'.repeat(2 ** 21)), ChannelError);
    peer.resume();

    await waitFor(
      'the second',
      () => frames.length > 0 && (frames.at(-1) as unknown[])[1] === 'second',
    );
    channel.close();
    t.notOk(channel.say('after', 1));
  },
);

t.test('channel: who answers can tell the asker more, and learns of its end', async (t) => {
  const ends: string[] = [];
  const [left, right] = duplexPair();
  const heard: unknown[] = [];
  const a = channelOn(left, { notices: { more: (body) => heard.push(body) } });
  const answers: AnswersByKind = {
    watch: (body, asker) => {
      asker.say('more', body);
      const forget = asker.whenClosed(() => ends.push('forgotten'));
      asker.whenClosed(() => ends.push('closed'));
      forget();
      return 'done';
    },
  };
  const b = channelOn(right, { answers });

  t.equal(await a.ask('watch', 7), 'done');
  t.same(heard, [7]);
  right.destroy();

  await waitFor('the end', () => ends.length > 0);
  b.whenClosed(() => ends.push('late'));
  await waitFor('who asks later', () => ends.length === 2);
  t.same(ends, ['closed', 'late']);
});
