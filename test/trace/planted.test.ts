/**
 * A bug planted in the real parts: events are published before their transaction is committed.
 * Their trace is no behaviour of tla/Presence.tla; without the bug it is.
 */
import t from 'tap';
import { type Link, LinkChanges } from '../../src/acceptor/linkChanges.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makePresenceCounters } from '../../src/base/metrics.ts';
import type { Trace } from '../../src/base/trace.ts';
import type { Publishing } from '../../src/broker/publisher.ts';
import { upOf } from '../../src/registrar/linkWords.ts';
import { Notifier } from '../../src/registrar/presence/notifier.ts';
import { Recorder } from '../../src/registrar/presence/recorder.ts';
import type { Batch, OutboxEvent } from '../../src/registrar/store/store.ts';
import { judge } from '../../tla/judge.ts';
import { whyNot } from '../../tla/tlc.ts';
import type { TraceLine } from '../../tla/trace.ts';
import { makeLinkWills } from '../helpers/fakes/linkWills.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';

const skip = (await whyNot()) ?? false;
const limits = makeLimits({});
const clock = { now: () => 0, wall: () => 0, us: () => 0 };

/** A store whose owner hears of a batch before it is written. */
class Hasty extends MemoryStore {
  readonly #onWrite: (events: readonly OutboxEvent[]) => void;

  constructor(onWrite: (events: readonly OutboxEvent[]) => void) {
    super();
    this.#onWrite = onWrite;
  }

  override write(batch: Batch): Promise<number> {
    this.#onWrite(batch.events);
    return super.write(batch);
  }
}

/** One acceptor, one device that connects, and all that follows. */
async function traced(isHasty: boolean): Promise<TraceLine[]> {
  const lines: TraceLine[] = [];
  const as =
    (process: string): Trace =>
    (action, fields) =>
      void lines.push({ us: lines.length, process, action, ...fields });
  const sent: Publishing[] = [];
  const publisher = { publish: (event: Publishing) => void sent.push(event), isFull: () => false };
  const publish = (events: readonly OutboxEvent[]) => notifier.onCommit(events);
  const store = new Hasty(isHasty ? publish : () => {});
  const trace = as('registrar');
  const onFault = (error: unknown) => t.fail(String(error));
  const toRead = { store, mayRead: () => true, onFault };
  const notifier = new Notifier({ ...toRead, publisher, exchange: '', limits, trace });
  const recorder = new Recorder({
    store,
    node: 'node',
    limits,
    clock,
    trace,
    counters: makePresenceCounters(),
    onOpen: (opened) => notifier.onOpen(opened),
    onCommit: isHasty ? () => {} : publish,
    onTakeover: () => {},
    onClone: () => {},
    settledTo: () => notifier.settledTo(),
  });
  const links: Link[] = [];
  const changes = new LinkChanges({
    links: (at) => (at === 0 ? links : []),
    clock,
    trace: as('a'),
    ...makeLinkWills(),
  });

  recorder.onNode(['a']);
  changes.connected();
  const link = { id: 'c', deviceId: 'door', acceptedUs: 1 };
  links.push(link);
  changes.onUp(link);
  for (const message of changes.take(10)) {
    if (message[0] === 'begin') recorder.begin('a');
    if (message[0] === 'end') recorder.handedOver('a');
    if (message[0] === 'up') recorder.up({ acceptor: 'a', ...upOf(message) });
  }
  while (await recorder.work());
  for (const publishing of sent) publishing.onConfirm();
  as('test')('Rest', {});
  return lines;
}

t.test('planted: the real registrar and notifier do what tla/ says', { skip }, async (t) => {
  const { isAccepted, unexplained } = await judge(await traced(false));

  t.ok(isAccepted, String(unexplained));
});

t.test('planted: an event published before its commit is rejected there', { skip }, async (t) => {
  const { isAccepted, unexplained } = await judge(await traced(true));

  t.notOk(isAccepted);
  t.match(unexplained, /"Publish".*"seq":1/);
});
