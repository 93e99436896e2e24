/** BatchLoop: when the registrar works, rests, hurries, and tries a store again that failed. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { BatchLoop, type BatchLoopOptions } from '../../src/registrar/batchLoop.ts';
import { StoreError, type StoreFault } from '../../src/registrar/store/store.ts';

const RETRY_MS = 1_000;

interface Part {
  readonly loop: BatchLoop;
  /** What the next batches come to, in order; then there is nothing left to do. */
  readonly batches: (boolean | StoreError | Error)[];
  readonly said: string[];
  readonly fatal: unknown[];
  begun: number;
  rooms: number;
  now: number;
}

function build(options: Partial<BatchLoopOptions> = {}, presenceBatchMs = 0): Part {
  const note = (_: object | string, line?: string) => part.said.push(line ?? String(_));
  const loop = new BatchLoop({
    limits: { presenceBatchMs, presenceRetryMs: RETRY_MS },
    log: { info: note, error: note },
    now: () => part.now,
    batch: async () => {
      part.begun += 1;
      const next = part.batches.shift() ?? false;
      if (next instanceof Error) throw next;
      return next;
    },
    isPatient: () => true,
    wasOpen: () => true,
    onRoom: () => {
      part.rooms += 1;
    },
    onFatal: (error) => part.fatal.push(error),
    ...options,
  });
  const part: Part = { loop, batches: [], said: [], fatal: [], begun: 0, rooms: 0, now: 5_000 };
  return part;
}

const fault = (name: StoreFault) => new StoreError(name, `it is ${name}`);

t.test('batchLoop: batch after batch until nothing is left, with room after each', async (t) => {
  const part = build();
  part.batches.push(true, true);
  await part.loop.work();

  t.equal(part.begun, 3);
  t.equal(part.rooms, 3);
  t.same(part.said, []);
});

t.test('batchLoop: who wakes it while it works does not begin a second batch', async (t) => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  let begun = 0;
  const batch = () => {
    begun += 1;
    return begun === 1 ? promise : Promise.resolve(false);
  };
  const { loop } = build({ batch });
  loop.wake();
  loop.wake();
  t.equal(begun, 1);

  resolve(false);
  await nextTurn();
  loop.wake();
  t.equal(begun, 2);
});

t.test('batchLoop: wakes of one turn are one batch, when the turn is over', async (t) => {
  const part = build();
  part.loop.wakeSoon();
  part.loop.wakeSoon();
  t.equal(part.begun, 0);

  await nextTurn();
  t.equal(part.begun, 1);
});

t.test('batchLoop: a batch rests after the last one, until somebody is in a hurry', async (t) => {
  const part = build({}, 60_000);
  part.loop.wake();
  await nextTurn();
  t.equal(part.begun, 1, 'the first has none to rest after');

  part.loop.wake();
  await nextTurn();
  t.equal(part.begun, 1, 'it rests');
  part.loop.wakeSoon();
  await nextTurn();
  await nextTurn();
  t.equal(part.begun, 2);
});

t.test('batchLoop: nobody rests who is not patient', async (t) => {
  const part = build({ isPatient: () => false }, 60_000);
  await part.loop.work();
  await part.loop.work();

  t.equal(part.begun, 2);
});

t.test('batchLoop: a store that fails is tried again after a while, and said once', async (t) => {
  const part = build();
  part.batches.push(fault('full'), fault('full'));
  await part.loop.work();
  t.equal(part.loop.fault?.fault, 'full');
  t.equal(part.loop.mayTry(), false);

  part.now += RETRY_MS - 1;
  part.loop.wake();
  t.equal(part.begun, 1, 'it is left alone until then');

  part.now += 1;
  await part.loop.work();
  t.equal(part.begun, 2);
  t.same(part.said, ['presence store failed'], 'the same fault is said once');

  part.now += RETRY_MS;
  await part.loop.work();
  t.equal(part.loop.fault, undefined);
  t.same(part.said, ['presence store failed', 'presence store works again']);
});

t.test('batchLoop: a fault that a reader meets while a batch goes well stands', async (t) => {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const { loop, said } = build({ batch: () => promise });
  const working = loop.work();
  loop.failed(fault('unusable'));
  resolve(true);
  await working;

  t.equal(loop.fault?.fault, 'unusable');
  t.same(said, ['presence store failed']);
});

t.test('batchLoop: what is corrupt is not tried again, once it was open', async (t) => {
  const opened = build();
  opened.loop.failed(fault('corrupt'));
  opened.now = Number.MAX_VALUE;
  t.equal(opened.loop.mayTry(), false);

  const closed = build({ wasOpen: () => false });
  closed.loop.failed(fault('corrupt'));
  closed.now += RETRY_MS;
  t.equal(closed.loop.mayTry(), true, 'somebody may put another file there');
});

t.test('batchLoop: a store that was removed ends the process; so does a bug', async (t) => {
  const removed = build();
  removed.loop.failed(fault('removed'));
  t.match(removed.fatal, [{ fault: 'removed' }]);

  const bug = build();
  bug.batches.push(new TypeError('a bug'));
  bug.loop.wake();
  await nextTurn();
  t.match(bug.fatal, [{ message: 'a bug' }]);
  t.equal(bug.loop.fault, undefined);
});

t.test('batchLoop: it settles when nothing is left, after a fault, or in time', async (t) => {
  const done = build();
  let left = 2;
  await done.loop.settle(() => {
    left -= 1;
    return left > 0;
  }, 1_000);
  t.equal(left, 0);

  const failing = build();
  failing.batches.push(fault('full'));
  await failing.loop.settle(() => true, 1_000_000);
  t.equal(failing.loop.fault?.fault, 'full');

  const endless = build({
    now: () => {
      endless.now += 400;
      return endless.now;
    },
  });
  await endless.loop.settle(() => true, 1_000);
  t.ok(endless.begun > 0);
});
