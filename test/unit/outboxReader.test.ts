/**
 * OutboxReader: what it reads back from the store, when, and what may leave it. (That it publishes
 * all, once and in order, through crashes is test/property/presence.test.ts.)
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { OutboxReader } from '../../src/registrar/store/outboxReader.ts';

interface Event {
  readonly id: number;
}

function build(stored: readonly Event[]) {
  const state = { mayRead: true, isFull: false };
  const taken: { readonly id: number; end: () => void }[] = [];
  const reads: number[] = [];
  const reader = new OutboxReader<Event, (typeof taken)[number]>({
    read: async (after, limit) => {
      reads.push(after);
      return stored.filter(({ id }) => id > after).slice(0, limit);
    },
    pageMax: 2,
    publisher: { publish: (event) => void taken.push(event), isFull: () => state.isFull },
    publishing: ({ id }, end) => ({ id, end }),
    mayRead: () => state.mayRead,
    onFault: (error) => t.fail(String(error)),
  });
  return { reader, state, taken, reads, ids: () => taken.map(({ id }) => id) };
}

t.test('outboxReader: nothing is read of a store that cannot be trusted', async (t) => {
  const { reader, state, reads, ids } = build([{ id: 3 }, { id: 4 }, { id: 6 }]);
  state.mayRead = false;
  reader.recordedTo(6);
  await reader.makeRoom();
  t.same(reads, []);
  t.same(ids(), []);

  state.mayRead = true;
  await reader.makeRoom();
  t.same(ids(), [3, 4, 6]);
});

t.test('outboxReader: settled is what is before the oldest that is under way', async (t) => {
  const { reader, taken } = build([{ id: 3 }, { id: 4 }]);
  reader.recordedTo(5);
  await nextTurn();
  t.equal(reader.settledTo(), 2);

  taken[1]?.end();
  t.equal(reader.settledTo(), 2);
  taken[0]?.end();
  t.equal(reader.settledTo(), 5, 'what is in no page is in no outbox');
});
