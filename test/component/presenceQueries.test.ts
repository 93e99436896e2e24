/** Presence queries: what is asked, what is answered, and what becomes of the rest. */
import type { ConsumeMessage } from 'amqplib';
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { Queries } from '../../src/registrar/presence/queries.ts';
import { StoreError } from '../../src/registrar/store/store.ts';
import { FakeAnswers } from '../helpers/fakes/fakeAnswers.ts';
import { FakeChannel } from '../helpers/fakes/fakeChannel.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';

const EPOCH = 1_700_000_000_000;

async function ask(
  given: unknown,
  {
    replyTo = 'asker' as string | undefined,
    isBroken = false,
    epoch = EPOCH as number | undefined,
  } = {},
) {
  const store = new MemoryStore();
  const rows = ['a', 'b', 'c'].map((device, at) => ({
    device,
    seq: at + 1,
    online: true,
    connection: `connection-${at}`,
    acceptor: 'acceptor-1',
    start: 1,
    acceptedUs: 1,
    at: EPOCH,
    reason: 'connected' as const,
  }));
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
  await queries.open(channel.asChannel, 'owsla.presence.query', () => {});
  const content = Buffer.from(typeof given === 'string' ? given : JSON.stringify(given));
  const properties = { replyTo, correlationId: 'question-1' };
  channel.deliverRaw({
    content,
    properties,
    fields: { deliveryTag: 1 },
  } as unknown as ConsumeMessage);
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
