/** Presence queries: what is asked, what is answered, and what becomes of the rest. */
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { Queries } from '../../src/registrar/presence/queries.ts';
import { Turns } from '../../src/registrar/presence/turns.ts';
import { StoreError } from '../../src/registrar/store/store.ts';
import { amqpMessage } from '../helpers/fakes/amqpMessage.ts';
import { FakeAnswers } from '../helpers/fakes/fakeAnswers.ts';
import { FakeChannel } from '../helpers/fakes/fakeChannel.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';
import { waitFor } from '../helpers/waitFor.ts';

const EPOCH = 1_700_000_000_000;

function row(device: string) {
  return {
    ...{ device, seq: 1, online: true, connection: `connection-${device}` },
    ...{ acceptor: 'acceptor-1', start: 1, acceptedUs: 1, at: EPOCH },
    reason: 'connected' as const,
  };
}

async function ask(
  given: unknown,
  {
    replyTo = 'asker' as string | undefined,
    isBroken = false,
    epoch = EPOCH as number | undefined,
  } = {},
) {
  const store = new MemoryStore();
  const rows = ['a', 'b', 'c'].map((device, at) => ({ ...row(device), seq: at + 1 }));
  await store.write({ rows, events: [], settledTo: 0 });
  if (isBroken) {
    store.page = async () => {
      throw new StoreError('corrupt', 'the store is corrupt');
    };
  }
  const fates: string[] = [];
  const limits = makeLimits({ presencePageMax: 2 });
  const count = (fate: string) => fates.push(fate);
  const commandsOf = (device: string) => (device === 'b' ? 2 : 0);
  const answers = new FakeAnswers();
  const queries = new Queries({ store, answers, limits, epoch: () => epoch, commandsOf, count });
  const channel = new FakeChannel();
  await queries.open(channel, 'owsla.presence.query', () => {});
  const content = Buffer.from(typeof given === 'string' ? given : JSON.stringify(given));
  const properties = { replyTo, correlationId: 'question-1' };
  channel.deliverRaw(amqpMessage({ content, properties }));
  while (channel.acks.length === 0) await new Promise(setImmediate);
  const [answer] = answers.taken;
  answer?.onConfirm();
  return { fates, answer, body: answer && JSON.parse(answer.body.toString()) };
}

t.test('a page goes on where the one before ended; the last has no next', async (t) => {
  const first = await ask({});
  t.same(first.fates, ['answered']);
  t.match(first.body, {
    epoch: EPOCH,
    devices: [
      { device: 'a', epoch: EPOCH, seq: 1, commands: 0 },
      { device: 'b', commands: 2 },
    ],
    next: 'b',
  });
  t.match(first.answer, { queue: 'asker' });
  t.match(first.answer?.properties(false), { correlationId: 'question-1', persistent: false });

  const last = await ask({ after: 'b', limit: 900 });
  t.match(last.body, { devices: [{ device: 'c' }], next: null });
  t.equal(last.body.devices.length, 1);
});

t.test('one device, or none of that name; an empty body asks for the first page', async (t) => {
  t.match((await ask({ device: 'b' })).body, {
    devices: [{ device: 'b', online: true }],
    next: null,
  });
  t.same((await ask({ device: 'z' })).body.devices, []);
  t.equal((await ask('')).body.next, 'b');
  t.equal((await ask({ after: null, limit: 1 })).body.next, 'a');
});

t.test('what is no question is answered as bad', async (t) => {
  for (const given of [
    '{',
    '[]',
    '7',
    'null',
    { device: 7 },
    { after: 7 },
    { limit: 0 },
    { limit: 'x' },
  ]) {
    const { fates, body } = await ask(given);
    t.same(fates, ['bad'], JSON.stringify(given));
    t.match(body, { error: 'bad-query', message: String });
  }
});

t.test('a store that fails or is not open yet makes it unavailable', async (t) => {
  const broken = await ask({}, { isBroken: true });
  t.same(broken.fates, ['unavailable']);
  t.match(broken.body, { error: 'unavailable', message: 'the store is corrupt' });
  t.same((await ask({}, { epoch: 0 })).fates, ['answered']);
});

t.test('a question that says not where to answer is acked and counted', async (t) => {
  const { fates, answer } = await ask({}, { replyTo: '' });
  t.same(fates, ['nowhere']);
  t.equal(answer, undefined);
});

t.test('pages are read piece by piece, in turn, one piece at a time', async (t) => {
  const store = new MemoryStore();
  const names = Array.from({ length: 500 }, (_, at) => `d-${String(at).padStart(3, '0')}`);
  const rows = names.map((device) => ({ ...row(device), seq: 1 }));
  await store.write({ rows, events: [], settledTo: 0 });
  const pieces: string[] = [];
  let underWay = 0;
  let most = 0;
  const page = store.page.bind(store);
  store.page = async (after, limit) => {
    underWay += 1;
    most = Math.max(most, underWay);
    await new Promise(setImmediate);
    underWay -= 1;
    pieces.push(`${after}+${limit}`);
    return page(after, limit);
  };
  const answers = new FakeAnswers();
  const limits = makeLimits({ presencePageMax: 250 });
  const queries = new Queries({
    ...{ store, answers, limits },
    ...{ epoch: () => EPOCH, commandsOf: () => 0, count: () => {} },
  });
  const channel = new FakeChannel();
  await queries.open(channel, 'owsla.presence.query', () => {});
  const deliver = (query: object, deliveryTag: number) => {
    const properties = { replyTo: 'asker', correlationId: `${deliveryTag}` };
    const content = Buffer.from(JSON.stringify(query));
    channel.deliverRaw(amqpMessage({ content, properties, deliveryTag }));
  };
  deliver({}, 1);
  deliver({ after: 'd-299' }, 2);
  deliver({ device: 'd-007' }, 3);
  await waitFor('three answers', () => answers.taken.length === 3);
  t.equal(most, 1, 'a command never waits for more than one piece');
  t.same(pieces, ['+100', 'd-299+100', 'd-099+100', 'd-399+100', 'd-199+50', 'd-499+50']);
  const bodies = answers.taken.map(({ body }) => JSON.parse(body.toString()));
  const [one, first, second] = bodies;
  t.match(one, { devices: [{ device: 'd-007' }] }, 'who asks for one device waits for no page');
  t.equal(second.devices.length, 200);
  t.equal(second.next, null);
  t.equal(first.next, 'd-249');
  t.same(
    first.devices.map(({ device }: { device: string }) => device),
    names.slice(0, 250),
  );
});

t.test('a piece that fails costs its own question only, and a rest follows each', async (t) => {
  let now = 0;
  const turns = new Turns(() => now);
  const order: string[] = [];
  const failed = turns.take(async () => {
    now += 20;
    order.push('fails');
    throw new StoreError('full', 'the disk is full');
  });
  const begin = performance.now();
  const done = turns.take(async () => order.push('works'));
  await t.rejects(failed, { message: 'the disk is full' });
  await done;
  t.same(order, ['fails', 'works']);
  t.ok(performance.now() - begin >= 19, 'as long as the piece took');
});
