/** Commands, decision by decision: what is refused and why, what goes on the way, what is told. */
import t, { type Test } from 'tap';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import { makeCommandCounters } from '../../src/base/metrics.ts';
import type { Unsent } from '../../src/node/messages.ts';
import { readCommand } from '../../src/registrar/command/command.ts';
import { Commands } from '../../src/registrar/command/commands.ts';
import type { Delivery, Effects, Sending, Sent } from '../../src/registrar/command/effects.ts';
import type { Outcome, StoredOutcome } from '../../src/registrar/store/commandRows.ts';
import type { Row } from '../../src/registrar/store/presenceRules.ts';
import { amqpMessage } from '../helpers/fakes/amqpMessage.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';

const NOW = 1_700_000_000_000;
const EMPTY = Buffer.alloc(0);

function row(device: string, connection: string | undefined): Row {
  const rest = { seq: 1, start: 1, acceptedUs: 1, at: NOW, reason: 'connected' } as const;
  const online = connection !== undefined;
  return { device, online, connection: connection ?? '', acceptor: 'acceptor-1', ...rest };
}

interface Order {
  readonly device?: string;
  readonly keepMs?: number;
  readonly isRedelivered?: boolean;
  readonly isStale?: boolean;
  readonly properties?: Readonly<Record<string, unknown>>;
}

/** Commands around a store in memory; `sent` decides what happens on the way to links. */
function make(limits: Partial<Record<LimitName, number>> = {}) {
  const store = new MemoryStore(() => world.now);
  const told: Outcome[] = [];
  const stored: StoredOutcome[] = [];
  const settled: Delivery[] = [];
  const sent: (Omit<Sending, 'payload'> & { device: string; to: string; payload: string })[] = [];
  /** `ahead`: how far the wall clock is, which people set. */
  const world = {
    now: NOW,
    ahead: 0,
    way: 'sent' as Sent,
    /** Too large now. */ large: '',
    count: 0,
  };
  const changing = new Set<string>();
  const effects: Effects = {
    send: ({ connection: to }, device, sending) => {
      const payload = sending.payload.toString();
      if (payload === world.large) return 'busy';
      if (world.way === 'sent') sent.push({ ...sending, device, to, payload });
      return world.way;
    },
    settle: (delivery) => void settled.push(delivery),
    conclude: (delivery, outcome) => {
      settled.push(delivery);
      told.push(outcome);
    },
    settleAgain: (_, delivery) => void settled.push(delivery),
    publish: (outcome) => void told.push(outcome),
    isChanging: (device) => changing.has(device),
    wake: () => {},
  };
  const counters = makeCommandCounters();
  const commands = new Commands({
    effects,
    store,
    counters,
    limits: makeLimits(limits),
    wall: () => world.now + world.ahead,
    now: () => world.now,
    newKey: () => {
      world.count += 1;
      return `fresh-${world.count}`;
    },
    onOpen: () => {},
    onCommit: (_, outcomes) => void stored.push(...outcomes),
    settledTo: () => 0,
    trace: () => {},
  });
  const work = async (...rows: Row[]) => {
    for (const one of rows) store.rows.set(one.device, one);
    const writes = await commands.prepare();
    if (writes) await store.write({ rows: [], events: [], settledTo: 0, commands: writes });
    commands.committed(rows);
  };
  const send = (text: string, order: Order = {}) => {
    const { device = 'door-17', keepMs, isRedelivered = false, isStale = false } = order;
    const headers = keepMs === undefined ? {} : { deadline: world.now + keepMs };
    const deliveryMode = keepMs === undefined ? 1 : 2;
    const ids = { messageId: text, correlationId: text, replyTo: 'backend' };
    const properties = { type: 'door.open', ...ids, deliveryMode, headers, ...order.properties };
    const message = amqpMessage({ routingKey: device, properties, content: text });
    commands.onDelivery(message, { isRedelivered, isStale });
  };
  /** The acceptor says this of what was sent at that place, from the first or the last. */
  const unsent = (at: number, why: Unsent) => {
    const one = sent.at(at);
    if (one) commands.onAnswer(['unsent', one.key, one.device, why, one.to, one.due]);
  };
  /** `type` and `reason` of all that was told. */
  const ends = () => [...told, ...stored].map(({ type, reason }) => [type, reason]);
  const kept = { told, stored, settled, sent };
  return { store, world, commands, counters, changing, ...kept, work, send, unsent, ends };
}

t.test('commands: the context of its sender goes to the device, and back', async (t) => {
  const { work, send, sent, told, stored, commands, counters } = make();
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const context = { traceparent, tracestate: 'a=b' };
  await work(row('door-17', 'connection-1'));
  send('now', { properties: { headers: { ...context } } });
  send('bad', { properties: { headers: { traceparent: 7 } } });
  const headers = { deadline: NOW + 1_000, ...context };
  send('kept', { keepMs: 1_000, properties: { headers } });
  await work();
  await work();
  for (const { key } of sent) commands.onAnswer(['result', key, 0, EMPTY]);
  await work();

  t.strictSame(
    sent.map(({ payload, context }) => [payload, context]),
    [
      ['now', context],
      ['bad', undefined],
      ['kept', context],
    ],
  );
  t.strictSame(
    [...told, ...stored].map(({ correlationId, context }) => [correlationId, context]),
    [
      ['now', context],
      ['bad', undefined],
      ['kept', context],
    ],
  );
  t.equal(counters.traceDrops['bad-traceparent'], 1);
});

t.test('commands: bounds per device and in all: device-full, full', async (t) => {
  const { work, send, stored, counters } = make({ commandsPerDeviceMax: 2, commandsKeptMax: 3 });
  await work(row('door-1', undefined), row('door-2', undefined));
  for (const text of ['a', 'b', 'c']) send(text, { device: 'door-1', keepMs: 1_000 });
  for (const text of ['d', 'e']) send(text, { device: 'door-2', keepMs: 1_000 });
  await work();

  t.match(stored, [
    { correlationId: 'c', type: 'refused', reason: 'device-full' },
    { correlationId: 'e', type: 'refused', reason: 'full' },
  ]);
  t.equal(counters.refusals.full, 1);
  t.equal(counters.refusals['device-full'], 1);
});

t.test('commands: a transient waits until what its device has told is on record', async (t) => {
  const { work, send, sent, ends, changing } = make();
  await work(row('door-17', 'connection-1'), row('door-18', undefined));
  changing.add('door-17').add('door-18');
  for (const device of ['door-17', 'door-18', 'door-19']) {
    send(`1 to ${device}`, { device });
    send(`2 to ${device}`, { device });
  }
  t.equal(sent.length, 0);
  t.equal(ends().length, 2, 'of door-19, which nothing was told of');
  changing.delete('door-17');
  await work(row('door-17', 'connection-2'));
  t.match(sent, [
    { payload: '1 to door-17', to: 'connection-2' },
    { payload: '2 to door-17', to: 'connection-2' },
  ]);
  changing.delete('door-18');
  await work(row('door-18', undefined));

  t.equal(sent.length, 2);
  t.equal(ends().length, 4);
});

/** One whose device's link is not on record yet; meanwhile the time of day jumps. */
async function waitsASecond(t: Test, jumpMs: number): Promise<void> {
  const { work, send, sent, world, commands, changing } = make();
  await work(row('door-17', 'connection-1'));
  changing.add('door-17');
  send('a');
  world.ahead = jumpMs;
  world.now += 999;
  commands.tick();
  t.equal(sent.length, 0);
  world.now += 1;
  commands.tick();

  t.equal(sent.length, 1);
}

t.test('commands: a transient waits no longer than a second for that', (t) => waitsASecond(t, 0));

t.test('commands: one that waits for that, and its channel is lost, comes again', async (t) => {
  const { work, send, sent, ends, commands, changing } = make();
  await work(row('door-17', 'connection-1'));
  changing.add('door-17');
  send('a');
  commands.channelLost();
  send('a', { isRedelivered: true });
  changing.clear();
  await work(row('door-17', 'connection-2'));

  t.same([sent.length, ends()], [0, [['expired', 'unknown']]]);
});

t.test('commands: nothing is settled before it is on record', async (t) => {
  const { work, send, settled, sent, commands } = make();
  await work(row('door-17', 'connection-1'));
  send('a', { keepMs: 1_000 });
  await commands.prepare();
  commands.rolledBack();
  t.same([settled.length, sent.length], [0, 0]);

  await work();

  t.same([settled.length, sent.length], [1, 1]);
});

t.test('commands: a repeated one is no second one, and hears the end again', async (t) => {
  const { work, send, commands, sent, stored, settled } = make();
  await work(row('door-17', 'connection-1'));
  send('a', { keepMs: 1_000 });
  await work();
  send('a', { keepMs: 1_000, isRedelivered: true });
  send('a', { keepMs: 1_000 });
  await work();
  t.equal(sent.length, 1);
  commands.onAnswer(['result', sent[0]?.key ?? '', 100, Buffer.from('done')]);
  await work();
  send('a', { keepMs: 1_000, properties: { replyTo: 'another' } });
  await work();

  t.equal(sent.length, 1);
  t.equal(settled.length, 4);
  t.match(stored, [
    { type: 'result', replyTo: 'backend', status: 100, payload: Buffer.from('done') },
    { type: 'result', replyTo: 'another', status: 100, payload: Buffer.from('done') },
  ]);
});

t.test(
  'commands: two without a name that look the same are two, redelivered ones one',
  async (t) => {
    const { work, send, sent } = make();
    await work(row('door-17', 'connection-1'));
    const nameless = { keepMs: 1_000, properties: { messageId: undefined } };
    send('a', nameless);
    await work();
    send('a', { ...nameless, isRedelivered: true });
    await work();
    t.equal(sent.length, 1);
    send('a', nameless);
    await work();

    t.equal(sent.length, 2);
    t.not(sent[0]?.key, sent[1]?.key);
  },
);

t.test('commands: an ACK that is repeated, or late, tells nothing new', async (t) => {
  const { world, work, send, commands, sent, ends, counters } = make({ commandResultMs: 500 });
  await work(row('door-17', 'connection-1'));
  send('a', { keepMs: 10_000 });
  await work();
  const key = sent[0]?.key ?? '';
  commands.onAnswer(['taken', key]);
  commands.onAnswer(['taken', key]);
  await work();
  world.now += 501;
  await work();
  commands.onAnswer(['result', key, 0, EMPTY]);
  await work();

  t.same(ends(), [
    ['delivered', ''],
    ['expired', 'no-result'],
  ]);
  t.equal(counters.lateAnswers, 2);
});

t.test('commands: kept, sent and never answered: expired at the deadline, no-answer', async (t) => {
  const { world, work, send, ends } = make();
  await work(row('door-17', 'connection-1'));
  send('a', { keepMs: 1_000 });
  await work();
  await work(row('door-17', undefined));
  world.now += 1_000;
  await work();

  t.same(ends(), [['expired', 'no-answer']]);
});

t.test('commands: kept, its link takes none until the deadline: expired, not-sent', async (t) => {
  const { world, work, send, sent, unsent, commands, stored } = make({ commandRetryMs: 100 });
  await work(row('door-17', 'connection-1'));
  for (const text of ['a', 'b', 'c']) send(text, { keepMs: 1_000 });
  await work();
  const [a, b, c] = sent.map(({ key }) => key);
  unsent(0, 'busy');
  unsent(1, 'busy');
  world.now += 100;
  commands.tick();
  await work();
  // Both are on their way again. What the acceptor says of one is no word on the other.
  unsent(0, 'expired');
  world.now += 900;
  await work();

  t.same(
    stored.map(({ key, type, reason }) => [key, type, reason]),
    [
      [a, 'expired', 'not-sent'],
      [b, 'expired', 'no-answer'],
      [c, 'expired', 'no-answer'],
    ],
  );
});

t.test('commands: kept, sent once, then unsent to the same link: no-answer', async (t) => {
  const { world, work, send, unsent, ends } = make();
  await work(row('door-17', 'connection-1'));
  send('a', { keepMs: 1_000 });
  await work();
  // Its device answered, but that was lost with the stream; now the link is full.
  await work(row('door-17', 'connection-1'));
  await work();
  unsent(1, 'busy');
  world.now += 1_000;
  await work();

  t.same(ends(), [['expired', 'no-answer']]);
});

t.test('commands: kept, too long for the next link of its device: no-answer', async (t) => {
  const { work, send, unsent, ends } = make();
  await work(row('door-17', 'connection-1'));
  send('a', { keepMs: 1_000 });
  await work();
  await work(row('door-17', 'connection-2'));
  await work();
  unsent(1, 'too-long');
  await work();

  t.same(ends(), [['expired', 'no-answer']], 'the one before may have had it');
});

t.test(
  'commands: transient, repeated: unsent the first time is no word on the second',
  async (t) => {
    const { world, work, send, commands, unsent, ends } = make({ commandResultMs: 500 });
    await work(row('door-17', 'connection-1'));
    send('a');
    await work(row('door-17', 'connection-2'));
    send('a');
    unsent(0, 'gone');
    t.same(ends(), [['expired', 'link-lost']], 'the link of the second is another');

    world.now += 500;
    commands.tick();
    send('a');
    unsent(1, 'expired');
    t.same(ends().slice(1), [['expired', 'no-answer']], 'the second was due sooner than the third');
    unsent(2, 'expired');
    t.same(ends().slice(2), [['expired', 'not-sent']]);
  },
);

t.test('commands: transient, redelivered by the broker to another process: unknown', async (t) => {
  const { work, send, sent, ends } = make();
  await work(row('door-17', 'connection-1'));
  send('a', { isRedelivered: true });

  t.same(ends(), [['expired', 'unknown']]);
  t.equal(sent.length, 0);
});

t.test('commands: transient, in the queue for who knows how long: not-sent', async (t) => {
  const { world, work, send, sent, ends } = make();
  await work(row('door-17', 'connection-1'));
  send('a', { isStale: true });
  send('b', { isStale: true, properties: { headers: { deadline: world.now + 10 } } });

  t.same(ends(), [['expired', 'not-sent']]);
  t.match(sent, [{ payload: 'b' }]);
});

t.test('commands: transient: 16 of a device may be unanswered, the next is busy', async (t) => {
  const { work, send, sent, ends, world } = make();
  await work(row('door-17', 'connection-1'));
  for (let n = 1; n <= 17; n += 1) send(String(n));
  t.equal(sent.length, 16);
  world.way = 'busy';
  send('other', { device: 'door-18' });
  await work(row('door-18', 'connection-2'));
  send('next', { device: 'door-18' });

  t.same(ends(), [
    ['refused', 'busy'],
    ['offline', ''],
    ['refused', 'busy'],
  ]);
});

t.test('commands: the acceptor did not send: offline, busy, too-long, not-sent', async (t) => {
  const { work, send, unsent, ends } = make();
  await work(row('door-17', 'connection-1'));
  for (const why of ['gone', 'busy', 'too-long', 'expired'] as const) {
    send(why);
    unsent(-1, why);
  }
  send('kept', { keepMs: 1_000 });
  await work();
  unsent(-1, 'too-long');
  await work();

  t.same(ends(), [
    ['offline', ''],
    ['refused', 'busy'],
    ['refused', 'too-long'],
    ['expired', 'not-sent'],
    ['refused', 'too-long'],
  ]);
});

t.test('commands: kept, a busy link is tried again a little later', async (t) => {
  const { world, work, send, sent, unsent, commands } = make({ commandRetryMs: 100 });
  await work(row('door-17', 'connection-1'));
  send('a', { keepMs: 10_000 });
  await work();
  unsent(0, 'busy');
  commands.tick();
  t.equal(sent.length, 1);
  world.now += 101;
  commands.tick();
  await work();

  t.equal(sent.length, 2);
  t.equal(sent[0]?.key, sent[1]?.key);
});

t.test(
  'commands: one window at a time; on the next link what it may have, one by one',
  async (t) => {
    const { work, send, sent, commands } = make({ commandWindowMax: 3 });
    await work(row('door-17', 'connection-1'));
    for (const text of ['a', 'b', 'c', 'd', 'e']) send(text, { keepMs: 10_000 });
    await work();
    await work();
    const payloads = () => sent.map(({ payload }) => payload).join('');
    t.equal(payloads(), 'abc');
    commands.onAnswer(['result', sent[0]?.key ?? '', 0, EMPTY]);
    await work();
    t.equal(payloads(), 'abc', 'two are not answered');

    await work(row('door-17', 'connection-2'));
    await work();
    t.equal(payloads(), 'abcb');
    send('now');
    t.equal(payloads(), 'abcb', 'no transient goes between');
    commands.onAnswer(['taken', sent[3]?.key ?? '']);
    await work();
    await work();
    t.equal(payloads(), 'abcbc');
    commands.onAnswer(['taken', sent[4]?.key ?? '']);
    await work();
    await work();
    t.equal(payloads(), 'abcbcde');
  },
);

t.test('commands: each kept one names the one before it, until nothing is before it', async (t) => {
  const { work, send, sent, commands } = make({ commandWindowMax: 3 });
  await work(row('door-17', 'connection-1'));
  for (const text of ['a', 'b', 'c', 'd']) send(text, { keepMs: 10_000 });
  await work();
  await work();
  const keys = sent.map(({ key }) => key);
  t.same(
    sent.map(({ after }) => after),
    ['', keys[0], keys[1]],
  );
  send('now');
  t.match(sent.at(-1), { payload: 'now', after: undefined });
  for (const key of keys) commands.onAnswer(['taken', key]);
  await work();
  await work();

  t.match(sent.at(-1), { payload: 'd', after: '' }, 'a new window');
});

t.test('commands: a hand-over sends the window again in order, or no more of it', async (t) => {
  const { world, work, send, sent, commands } = make({ commandRetryMs: 100 });
  await work(row('door-17', 'connection-1'));
  for (const text of ['a', 'b', 'c']) send(text, { keepMs: 10_000 });
  await work();
  const payloads = () => sent.map(({ payload }) => payload).join('');
  t.equal(payloads(), 'abc');
  commands.onAnswer(['result', sent[2]?.key ?? '', 0, EMPTY]);
  world.large = 'a';
  await work(row('door-17', 'connection-1'));
  t.equal(payloads(), 'abc', 'what has no room is not overtaken');

  world.large = '';
  world.now += 101;
  commands.tick();
  send('d', { keepMs: 10_000 });
  await work();

  t.equal(payloads(), 'abcabd');
  const [a, b] = sent;
  t.same(
    sent.slice(3).map(({ after }) => after),
    ['', a?.key, b?.key],
  );
});

t.test(
  'commands: a fleet that wakes: no more payloads are read at once than 8 MiB and a bit',
  async (t) => {
    const { store, work, send, sent, commands } = make({ commandsPerSecond: 1_000_000 });
    const devices = Array.from({ length: 400 }, (_, at) => `door-${at}`);
    const text = 'x'.repeat(60_000);
    await work(...devices.map((device) => row(device, undefined)));
    for (const device of devices) {
      send(text, { device, keepMs: 10_000, properties: { messageId: device } });
    }
    while (commands.isBusy) await work();
    let read = 0;
    const { waitingCommands } = store;
    store.waitingCommands = async (of) => {
      const rows = await waitingCommands.call(store, of);
      for (const { payload } of rows) read += payload.length;
      return rows;
    };
    await work(...devices.map((device) => row(device, `connection-${device}`)));

    const reads: number[] = [];
    while (commands.isBusy) {
      read = 0;
      await work();
      reads.push(read);
    }

    t.equal(sent.length, devices.length);
    t.ok(Math.max(...reads) < 10.5 * 1_024 * 1_024, `${reads}`);
    t.equal(reads.length, 3);
  },
);

t.test('commands: those that waited are sent at commandsPerSecond', async (t) => {
  const { world, work, send, sent, commands } = make({ commandsPerSecond: 100 });
  const devices = Array.from({ length: 40 }, (_, at) => `door-${at}`);
  await work(...devices.map((device) => row(device, undefined)));
  for (const device of devices) send(device, { device, keepMs: 10_000 });
  await work();
  await work(...devices.map((device) => row(device, `connection-${device}`)));

  const counts: number[] = [];
  for (let turn = 0; turn < 4; turn += 1) {
    while (commands.isBusy) await work();
    counts.push(sent.length);
    world.now += 100;
    commands.tick();
  }

  t.same(counts, [10, 20, 30, 40]);
});

t.test('commands: after a restart of the process nothing that was kept is forgotten', async (t) => {
  const before = make();
  await before.work(row('door-17', 'connection-1'));
  for (const text of ['a', 'b']) before.send(text, { keepMs: 10_000 });
  await before.work();

  const after = make();
  Object.assign(after.store, { commands: before.store.commands });
  await after.work(row('door-17', 'connection-1'));
  await after.work();
  await after.work();
  const [first] = after.sent;
  t.match(first, { payload: 'a', key: before.sent[0]?.key });
  t.equal(after.sent.length, 1, 'one by one: it may have them');
});

t.test(
  'commands: the key is that of device and message_id, whatever else it carries',
  async (t) => {
    const limits = makeLimits();
    const keyOf = (device: string, messageId: string | undefined, text = '') => {
      const properties = { messageId, type: 't', headers: {} };
      const message = amqpMessage({ routingKey: device, properties, content: text });
      return readCommand(message, limits, NOW).command.key;
    };

    t.match(keyOf('d', 'm'), /^[0-9a-f]{32}$/);
    t.equal(keyOf('d', 'm', 'a'), keyOf('d', 'm', 'b'));
    t.not(keyOf('d', 'm'), keyOf('e', 'm'));
    t.not(keyOf('d', undefined, 'a'), keyOf('d', undefined, 'b'));
    t.equal(keyOf('d', undefined, 'a'), keyOf('d', undefined, 'a'));
  },
);

/** So far the wall clock is set, forward and back. */
const JUMPS_MS = [8_640_000_000, -8_640_000_000];

for (const jumpMs of JUMPS_MS) {
  const set = `wall clock set by ${jumpMs / 86_400_000} days`;

  t.test(`commands: ${set}: a transient has the time that it was given`, async (t) => {
    const { world, work, send, sent, commands, ends } = make({ commandResultMs: 500 });
    await work(row('door-17', 'connection-1'));
    send('a');
    send('b', { properties: { headers: { deadline: world.now + 300 } } });
    world.ahead = jumpMs;
    commands.tick();
    t.same(ends(), []);
    commands.onAnswer(['result', sent[0]?.key ?? '', 0, EMPTY]);
    world.now += 299;
    commands.tick();
    t.same(ends(), [['result', '']]);
    world.now += 1;
    commands.tick();

    t.same(ends(), [
      ['result', ''],
      ['expired', 'no-answer'],
    ]);
  });

  t.test(`commands: ${set}: one that was taken has commandResultMs for its RESULT`, async (t) => {
    const limits = { commandResultMs: 500, commandAgeMaxMs: 31_536_000_000 };
    const { world, work, send, sent, commands, ends } = make(limits);
    await work(row('door-17', 'connection-1'));
    for (const text of ['a', 'b']) send(text, { keepMs: 20_000_000_000 });
    await work();
    for (const { key } of sent) commands.onAnswer(['taken', key]);
    await work();
    world.ahead = jumpMs;
    world.now += 400;
    await work();
    commands.onAnswer(['result', sent[0]?.key ?? '', 0, EMPTY]);
    await work();
    world.now += 100;
    await work();

    t.same(ends(), [
      ['delivered', ''],
      ['delivered', ''],
      ['result', ''],
      ['expired', 'no-result'],
    ]);
  });

  t.test(`commands: ${set}: a busy link is tried again after commandRetryMs`, async (t) => {
    const limits = { commandRetryMs: 100, commandAgeMaxMs: 31_536_000_000 };
    const { world, work, send, sent, unsent, commands } = make(limits);
    await work(row('door-17', 'connection-1'));
    send('a', { keepMs: 20_000_000_000 });
    await work();
    unsent(0, 'busy');
    world.ahead = jumpMs;
    commands.tick();
    await work();
    t.equal(sent.length, 1, 'not sooner');
    world.now += 100;
    commands.tick();
    await work();

    t.equal(sent.length, 2);
  });

  t.test(`commands: ${set}: one that waits for its device's link waits a second`, (t) =>
    waitsASecond(t, jumpMs),
  );

  t.test(`commands: ${set} for a minute: what ended is remembered as long as ever`, async (t) => {
    const { world, work, send, sent, stored, store } = make({ commandRememberMs: 600_000 });
    await work(row('door-17', 'connection-1'));
    send('a', { keepMs: 100 });
    await work();
    world.now += 100;
    await work();
    world.ahead = jumpMs;
    for (let second = 0; second < 60; second += 1) {
      world.now += 1_000;
      await work();
    }
    world.ahead = 0;
    world.now += 480_000;
    await work();
    send('a', { keepMs: 100 });
    await work();
    t.equal(sent.length, 1, 'a repeat is answered, not sent again');
    t.same(
      stored.map(({ type }) => type),
      ['expired', 'expired'],
    );
    world.now += 120_000;
    await work();

    t.equal(store.commands.size, 0);
  });
}

t.test('commands: a deadline that a wrong clock has passed: told, and remembered', async (t) => {
  const { world, work, send, stored, store } = make({ commandResultMs: 500 });
  await work(row('door-17', undefined));
  send('a', { keepMs: 1_000_000 });
  await work();
  world.ahead = JUMPS_MS[0] ?? 0;
  world.now += 100;
  await work();
  world.ahead = 0;
  world.now += 100;
  await work();

  t.match(stored, [{ type: 'expired', reason: 'not-sent' }]);
  t.match([...store.commands.values()], [{ state: 'expired', reason: 'not-sent' }]);
});

t.test('commands: large ones take several transactions, each of some MiB, in order', async (t) => {
  const limits = { commandBytesMax: 1_048_576, commandsPerDeviceMax: 100 };
  const { work, send, commands, store } = make(limits);
  await work(row('door-17', undefined));
  const sizes = [700_000, 500_000, 500_000, 1_048_576, 9, 9];
  for (const [at, size] of sizes.entries()) send(`${at}`.padEnd(size, '.'), { keepMs: 1_000 });

  const counts: number[] = [];
  while (commands.isBusy) {
    const before = store.commands.size;
    await work();
    counts.push(store.commands.size - before);
  }

  t.same(counts, [1, 2, 1, 2]);
  t.same(
    [...store.commands.values()].map(({ payload }) => payload.length),
    sizes,
  );
});
