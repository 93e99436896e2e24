/** One device's kept commands on their way: what follows what, and what belongs to which link. */
import t from 'tap';
import { Lane } from '../../src/registrar/command/deviceQueue.ts';
import type { CommandRow } from '../../src/registrar/store/commandRows.ts';

const WINDOW_MAX = 3;

function rowOf(id: number): CommandRow {
  const what = { key: `key-${id}`, device: 'door', topic: 'door.open', payload: Buffer.alloc(0) };
  const to = { replyTo: '', correlationId: '' };
  return { id, ...what, ...to, due: 1_000, state: 'waiting', status: 0, reason: '', at: 0 };
}

function laneOf(rows: number): Lane {
  const lane = new Lane('door', WINDOW_MAX);
  for (let id = 1; id <= rows; id += 1) lane.add(rowOf(id), true);
  return lane;
}

/** Send all that may go now. */
function sentBy(lane: Lane): number[] {
  const ids: number[] = [];
  for (let row = lane.next(0); row; row = lane.next(0)) {
    ids.push(row.id);
    lane.sent();
  }
  return ids;
}

t.test('lane: the next window begins when all of this one is answered', async (t) => {
  const lane = laneOf(3);
  t.same(sentBy(lane), [1, 2, 3]);

  lane.add(rowOf(4), true);
  lane.left('key-1');
  lane.left('key-2');
  t.same(sentBy(lane), []);

  lane.left('key-3');
  t.same(lane.wants(), { device: 'door', after: 3, limit: 1 });
  lane.loaded([rowOf(4)], lane.generation);
  t.same(sentBy(lane), [4]);
});

t.test(
  'lane: rewound, it holds nothing, and asks for the window again and what may follow',
  (t) => {
    const lane = laneOf(2);
    sentBy(lane);
    lane.left('key-1');
    lane.add(rowOf(3), true);
    lane.add(rowOf(4), true);

    lane.rewind();

    t.same(lane.ready, []);
    t.equal(lane.last, '');
    t.same(lane.wants(), { device: 'door', after: 0, limit: 2 }, 'one again, and the third');
    lane.loaded([rowOf(2), rowOf(3)], lane.generation);
    t.same(sentBy(lane), [2, 3]);
    t.equal(lane.wants(), undefined, 'the window is full');
    t.end();
  },
);

t.test('lane: one that is answered while the window is read again is not sent again', (t) => {
  const lane = laneOf(3);
  sentBy(lane);
  lane.rewind();
  lane.wants();

  lane.loaded([rowOf(1), rowOf(2), rowOf(3)], lane.generation);
  lane.left('key-2');

  t.same(sentBy(lane), [1, 3]);
  t.end();
});

t.test('lane: a store that has nothing is not asked for ever', (t) => {
  const lane = laneOf(3);
  sentBy(lane);
  lane.rewind();

  lane.loaded([], lane.generation);

  t.equal(lane.wants(), undefined);
  t.end();
});

t.test('lane: on another link what was sent goes first, one at a time, and alone', async (t) => {
  const lane = laneOf(3);
  sentBy(lane);
  lane.left('key-1');
  lane.unlink();

  lane.loaded([rowOf(2), rowOf(3)], lane.generation);

  t.same(sentBy(lane), [2]);
  t.equal(lane.admits(), false);
  lane.left('key-2');
  t.same(sentBy(lane), [3]);
  lane.left('key-3');
  t.equal(lane.admits(), true);
});

t.test('lane: what was read for an earlier link is not for this one', async (t) => {
  const lane = new Lane('door', WINDOW_MAX);
  lane.add(rowOf(1), false);
  const { generation } = lane;
  lane.unlink();

  lane.loaded([rowOf(1)], generation);

  t.same(sentBy(lane), []);
  t.same(lane.wants(), { device: 'door', after: 0, limit: 1 });
});

t.test('lane: a new row waits in the store while older ones do', async (t) => {
  const lane = new Lane('door', WINDOW_MAX);
  lane.add(rowOf(1), false);

  lane.add(rowOf(2), true);

  t.same(sentBy(lane), []);
  lane.loaded([rowOf(1), rowOf(2)], lane.generation);
  t.same(sentBy(lane), [1, 2]);
});
