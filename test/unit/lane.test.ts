/** One device's kept commands on their way: what follows what, and what belongs to which link. */
import t from 'tap';
import { Lane } from '../../src/command/lane.ts';
import type { CommandRow } from '../../src/command/rows.ts';

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
  t.same(sentBy(lane), [4]);
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
  t.same(lane.wants(), { device: 'door', after: 0, limit: WINDOW_MAX });
});

t.test('lane: a new row waits in the store while older ones do', async (t) => {
  const lane = new Lane('door', WINDOW_MAX);
  lane.add(rowOf(1), false);

  lane.add(rowOf(2), true);

  t.same(sentBy(lane), []);
  lane.loaded([rowOf(1), rowOf(2)], lane.generation);
  t.same(sentBy(lane), [1, 2]);
});
