/**
 * Devices that flood, one that says something now and then, and a broker that confirms so many a
 * millisecond: the publisher, its pace and the line for room, all in virtual time.
 */
import { EventEmitter } from 'node:events';
import t from 'tap';
import { RoomQueue, type RoomWaiter } from '../../src/acceptor/endpoint/roomQueue.ts';
import { makeLimits } from '../../src/base/limits.ts';
import type { PublishChannel } from '../../src/broker/amqp.ts';
import { Publisher } from '../../src/broker/publisher.ts';

const STEP_MS = 0.25;
const FLOODERS = 20;
const IN_FLIGHT_MAX = 256;
/** One message of a device that has nothing else under way, so often. */
const EVERY_MS = 8;
/** What a confirm takes beside waiting its turn. */
const LEAST_MS = 1;
const LENGTH_MS = 4_000;

/** Takes messages one after the other; how many a millisecond, by the time. */
class SlowBroker extends EventEmitter {
  readonly #perMs: (at: number) => number;
  #tag = 0;
  #taken = 0;
  #credit = 0;
  readonly #confirms: { readonly tag: number; readonly at: number }[] = [];

  constructor(perMs: (at: number) => number) {
    super();
    this.#perMs = perMs;
  }

  publish(): boolean {
    this.#tag += 1;
    return true;
  }

  pass(at: number): void {
    const gained = this.#perMs(at) * STEP_MS;
    this.#credit = Math.min(this.#credit + gained, this.#tag - this.#taken, 1 + gained);
    while (this.#credit >= 1) {
      this.#credit -= 1;
      this.#taken += 1;
      this.#confirms.push({ tag: this.#taken, at: at + LEAST_MS });
    }
    const due = this.#confirms.findLastIndex((confirm) => confirm.at <= at);
    const last = this.#confirms.splice(0, due + 1).at(-1);
    if (last) this.emit('ack', { deliveryTag: last.tag, multiple: true });
  }
}

interface Link extends RoomWaiter {
  inFlight: number;
  onConfirm(): void;
}

/** What one that asks now and then waits, in ms, sorted; and how many a second the others send. */
function run(perMs: (at: number) => number): { waits: number[]; perSecond: number } {
  let now = 0;
  let flooded = 0;
  const waits: number[] = [];
  const broker = new SlowBroker(perMs);
  const publisher = new Publisher({
    limits: makeLimits({}),
    now: () => now,
    onRoom: () => room.serve(),
    onReturn: () => {},
  });
  const room = new RoomQueue<Link>(() => publisher.isFull());
  publisher.open(broker as unknown as PublishChannel);

  /** It goes, or waits in line for its turn. */
  const send = (link: Link): boolean => {
    if (!room.hasRoom(link)) {
      room.add(link);
      return false;
    }
    link.inFlight += 1;
    room.took();
    publisher.publish({
      ...{ kind: 'event', exchange: '', routingKey: '', body: Buffer.alloc(1) },
      ...{ isWanted: () => true, properties: () => ({}), onNack: () => 'drop', onDrop: () => {} },
      onConfirm: () => {
        link.inFlight -= 1;
        link.onConfirm();
      },
    });
    return true;
  };
  const flooder = (): Link => {
    let isWaiting = false;
    const sendAll = () => {
      while (!isWaiting && link.inFlight < IN_FLIGHT_MAX) isWaiting = !send(link);
    };
    const onConfirm = () => {
      flooded += 1;
      sendAll();
    };
    const wake = () => {
      isWaiting = false;
      sendAll();
    };
    const link: Link = { inFlight: 0, wake, onConfirm };
    return link;
  };
  const ask = () => {
    const at = now;
    const wake = () => void send(link);
    const link: Link = { inFlight: 0, wake, onConfirm: () => void waits.push(now - at) };
    wake();
  };

  for (let count = 0; count < FLOODERS; count += 1) flooder().wake();
  for (let next = 0; now < LENGTH_MS; now += STEP_MS) {
    broker.pass(now);
    if (now < next) continue;
    next += EVERY_MS;
    ask();
  }
  publisher.close();
  waits.sort((a, b) => a - b);
  return { waits, perSecond: (flooded * 1_000) / LENGTH_MS };
}

const p99 = (sorted: readonly number[]) =>
  sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;

t.test('flood: beside a broker with little time, who asks once waits for few', async (t) => {
  const { waits, perSecond } = run(() => 1.5);
  t.comment(`p99 ${p99(waits)} ms beside ${perSecond} a second`);
  t.ok(p99(waits) < 140, 'a window of 4,096 would be seconds: docs/decisions/0013');
  t.ok(waits.length > 480, 'and none waits for ever');
  t.ok(perSecond > 1_300, 'the broker has always something to do');
});

t.test('flood: the first moment is no exception', async (t) => {
  const { waits } = run(() => 0.75);
  t.ok((waits.at(-1) ?? Number.NaN) < 300, `the longest wait: ${waits.at(-1)} ms`);
});

t.test('flood: a quick broker gets as much as it can take', async (t) => {
  const { waits, perSecond } = run(() => 12);
  t.ok(perSecond > 11_000, `${perSecond} a second`);
  t.ok(p99(waits) < 30, `p99 ${p99(waits)} ms`);
});

t.test('flood: a broker that runs for 10 ms in 60 gets as much as it can take', async (t) => {
  const { perSecond } = run((at) => (at % 60 < 10 ? 6 : 0));
  t.ok(perSecond > 820, `${perSecond} a second, of 875`);
});
