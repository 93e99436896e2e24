/** One device's kept commands on their way: what follows what, and what belongs to which link. */
import t from 'tap';
import { DeviceQueue } from '../../src/registrar/command/deviceQueue.ts';
import type { CommandRow } from '../../src/registrar/store/commandRows.ts';

const WINDOW_MAX = 3;

function rowOf(id: number): CommandRow {
  const what = { key: `key-${id}`, device: 'door', topic: 'door.open', payload: Buffer.alloc(0) };
  const to = { replyTo: '', correlationId: '' };
  return { id, ...what, ...to, due: 1_000, state: 'waiting', status: 0, reason: '', at: 0 };
}

function queueOf(rows: number): DeviceQueue {
  const queue = new DeviceQueue('door', WINDOW_MAX);
  for (let id = 1; id <= rows; id += 1) queue.add(rowOf(id), true);
  return queue;
}

/** Send all that may go now. */
function sentBy(queue: DeviceQueue): number[] {
  const ids: number[] = [];
  for (let row = queue.next(0); row; row = queue.next(0)) {
    ids.push(row.id);
    queue.sent();
  }
  return ids;
}

t.test('deviceQueue: the next window begins when all of this one is answered', async (t) => {
  const queue = queueOf(3);
  t.same(sentBy(queue), [1, 2, 3]);

  queue.add(rowOf(4), true);
  queue.left('key-1');
  queue.left('key-2');
  t.same(sentBy(queue), []);

  queue.left('key-3');
  t.same(queue.wants(), { device: 'door', after: 3, limit: 1 });
  queue.loaded([rowOf(4)], queue.generation);
  t.same(sentBy(queue), [4]);
});

t.test(
  'deviceQueue: rewound, it holds nothing, and asks for the window again and what may follow',
  (t) => {
    const queue = queueOf(2);
    sentBy(queue);
    queue.left('key-1');
    queue.add(rowOf(3), true);
    queue.add(rowOf(4), true);

    queue.rewind();

    t.same(queue.ready, []);
    t.equal(queue.last, '');
    t.same(queue.wants(), { device: 'door', after: 0, limit: 2 }, 'one again, and the third');
    queue.loaded([rowOf(2), rowOf(3)], queue.generation);
    t.same(sentBy(queue), [2, 3]);
    t.equal(queue.wants(), undefined, 'the window is full');
    t.end();
  },
);

t.test(
  'deviceQueue: one that is answered while the window is read again is not sent again',
  (t) => {
    const queue = queueOf(3);
    sentBy(queue);
    queue.rewind();
    queue.wants();

    queue.loaded([rowOf(1), rowOf(2), rowOf(3)], queue.generation);
    queue.left('key-2');

    t.same(sentBy(queue), [1, 3]);
    t.end();
  },
);

t.test('deviceQueue: a store that has nothing is not asked for ever', (t) => {
  const queue = queueOf(3);
  sentBy(queue);
  queue.rewind();

  queue.loaded([], queue.generation);

  t.equal(queue.wants(), undefined);
  t.end();
});

t.test(
  'deviceQueue: on another link what was sent goes first, one at a time, and alone',
  async (t) => {
    const queue = queueOf(3);
    sentBy(queue);
    queue.left('key-1');
    queue.unlink();

    queue.loaded([rowOf(2), rowOf(3)], queue.generation);

    t.same(sentBy(queue), [2]);
    t.equal(queue.admits(), false);
    queue.left('key-2');
    t.same(sentBy(queue), [3]);
    queue.left('key-3');
    t.equal(queue.admits(), true);
  },
);

t.test('deviceQueue: what was read for an earlier link is not for this one', async (t) => {
  const queue = new DeviceQueue('door', WINDOW_MAX);
  queue.add(rowOf(1), false);
  const { generation } = queue;
  queue.unlink();

  queue.loaded([rowOf(1)], generation);

  t.same(sentBy(queue), []);
  t.same(queue.wants(), { device: 'door', after: 0, limit: 1 });
});

t.test('deviceQueue: a new row waits in the store while older ones do', async (t) => {
  const queue = new DeviceQueue('door', WINDOW_MAX);
  queue.add(rowOf(1), false);

  queue.add(rowOf(2), true);

  t.same(sentBy(queue), []);
  queue.loaded([rowOf(1), rowOf(2)], queue.generation);
  t.same(sentBy(queue), [1, 2]);
});
