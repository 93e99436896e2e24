/** Traces over all acceptors: who is told, what a reader gets, bounds, and the end of each. */
import { pino } from 'pino';
import t from 'tap';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import { type Asker, ChannelError } from '../../src/node/channel.ts';
import type { NodeMessage } from '../../src/node/ipc.ts';
import type { Armed, TraceEnd } from '../../src/node/traceEntry.ts';
import { NodeTraces } from '../../src/observer/nodeTraces.ts';
import { watchQuestions } from '../../src/observer/watchQuestions.ts';
import { whyOf } from '../helpers/noAnswer.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** Two acceptors; what each was told last, and whether it answers. */
function node(limits: Partial<Record<LimitName, number>> = {}) {
  const children = ['a', 'b'].map((incarnation, at) => {
    return { role: 'acceptor', index: at + 1, incarnation, state: 'ready' } as const;
  });
  const told = new Map<string, readonly Armed[]>();
  const silent = new Set<string>();
  const traces = new NodeTraces({
    limits: makeLimits(limits),
    log: pino({ level: 'silent' }),
    node: () => ({ children }) as unknown as NodeMessage,
    children: {
      ask: async (incarnation, _, body) => {
        if (silent.has(incarnation)) throw new ChannelError('late', 'no answer');
        told.set(incarnation, body as readonly Armed[]);
        return { connected: incarnation === 'a' ? ['door-17'] : [] };
      },
    },
  });
  return { traces, told, silent, children };
}

function reader() {
  const made = {
    entries: [] as string[],
    ends: [] as TraceEnd[],
    isReading: true,
    take: (entries: readonly string[]) => {
      if (made.isReading) made.entries.push(...entries);
      return made.isReading;
    },
    end: (end: TraceEnd) => void made.ends.push(end),
  };
  return made;
}

const QUESTION = { device: 'door-17', payloads: false, forMs: 60_000, max: 10 };
const idOf = (told: ReadonlyMap<string, readonly Armed[]>) => told.get('a')?.at(-1)?.id ?? 0;

t.test('all acceptors are told, one that starts too; one that is silent is named', async (t) => {
  const { traces, told, silent, children } = node();
  silent.add('b');
  const [answer, leave] = await traces.begin(QUESTION, reader(), 'me');
  t.same(answer, {
    armed: [1],
    unarmed: [{ acceptor: 2, why: 'no answer' }],
    connected: [1],
  });
  silent.delete('b');
  await waitFor('it is asked again', () => told.get('b')?.length === 1);

  children.push({ role: 'acceptor', index: 3, incarnation: 'c', state: 'ready' });
  traces.onChildUp('c');
  await waitFor('the new one', () => told.get('c')?.length === 1);

  leave();
  await waitFor('all are told', () => ['a', 'b', 'c'].every((one) => told.get(one)?.length === 0));
  t.equal(traces.size, 0);
});

t.test('a reader gets max entries; one that does not read loses them, and is told', async (t) => {
  const { traces, told } = node({ traceBufferBytes: 32_768 });
  const [fast, slow] = [reader(), reader()];
  await traces.begin({ ...QUESTION, max: 3 }, fast, 'me');
  const first = idOf(told);
  await traces.begin(QUESTION, slow, 'me');
  const second = idOf(told);
  slow.isReading = false;

  traces.onBatch({ id: first, entries: ['1', '2'], lost: 0 }, 'a');
  traces.onBatch({ id: first, entries: ['3', '4'], lost: 5 }, 'b');
  const long = 'x'.repeat(20_000);
  traces.onBatch({ id: second, entries: [long, long, long], lost: 2 }, 'a');
  slow.isReading = true;
  await waitFor('what is left', () => slow.entries.length === 2);

  t.same(fast.entries, ['1', '2', '3']);
  t.match(fast.ends, [{ why: 'count', entries: 3, lost: 5 }]);
  t.equal(slow.entries[0], long);
  t.match(JSON.parse(slow.entries[1] ?? ''), { kind: 'lost', acceptor: 0, facts: { lost: 2 } });
  traces.close();
  t.match(slow.ends, [{ why: 'node', lost: 4, sentence: 'the node stops or reloads' }]);
  traces.onBatch({ id: second, entries: ['late'], lost: 0 }, 'a');
  t.equal(slow.entries.length, 2);
});

t.test('tracesMax, bad questions and bad batches are refused, and nothing else is', async (t) => {
  const { traces } = node({ tracesMax: 1, traceMs: 60_000, traceEntriesMax: 10 });
  for (const body of [
    ...[null, 7, {}, { ...QUESTION, device: 'no door' }, { ...QUESTION, payloads: 1 }],
    ...[
      { ...QUESTION, forMs: 60_001 },
      { ...QUESTION, forMs: undefined },
    ],
    ...[
      { ...QUESTION, max: 11 },
      { ...QUESTION, max: 0 },
      { ...QUESTION, max: 1.5 },
    ],
  ]) {
    t.equal(await whyOf(traces.begin(body, reader(), 'me')), 'bad', JSON.stringify(body));
  }
  const [, leave] = await traces.begin(QUESTION, reader(), 'me');
  t.equal(await whyOf(traces.begin(QUESTION, reader(), 'me')), 'busy');
  leave();
  const last = reader();
  await traces.begin({ ...QUESTION, forMs: 1 }, last, 'me');
  await waitFor('its time', () => last.ends.length === 1);
  t.match(last.ends, [{ why: 'time' }]);
  for (const body of [
    null,
    {},
    { id: 1, entries: [7], lost: 0 },
    { id: 'x', entries: [], lost: 0 },
  ]) {
    t.throws(() => traces.onBatch(body), ChannelError);
  }
});

t.test('an asker that stays keeps nothing of traces that are over', async (t) => {
  const { traces, told } = node();
  const waiting = new Set<() => void>();
  const ends: unknown[] = [];
  const asker: Asker = {
    notify: () => true,
    say: (_, end) => ends.push(end) > 0,
    whenClosed: (done) => {
      waiting.add(done);
      return () => waiting.delete(done);
    },
  };
  const live = { read: () => Promise.reject(new Error('nobody looks')) };
  const { trace } = watchQuestions({ traces, live }, 'me');

  await trace?.({ ...QUESTION, max: 1 }, asker);
  t.equal(waiting.size, 1);
  traces.onBatch({ id: idOf(told), entries: ['{}'], lost: 0 }, 'a');
  await waitFor('it forgets', () => waiting.size === 0);
  t.match(ends, [{ why: 'count' }]);

  await trace?.(QUESTION, asker);
  for (const done of waiting) done();
  t.equal(traces.size, 0, 'the other one ends with its asker');
});
