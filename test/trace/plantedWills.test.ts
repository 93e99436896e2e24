/**
 * A bug planted in the real parts of wills: a will whose delay is over goes out before all
 * acceptors have told of their links. Its trace is no behaviour of tla/Will.tla.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { LinkWills } from '../../src/acceptor/endpoint/linkWills.ts';
import { type Link, LinkChanges } from '../../src/acceptor/linkChanges.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makeCounters, makePresenceCounters } from '../../src/base/metrics.ts';
import type { Trace } from '../../src/base/trace.ts';
import type { Publishing } from '../../src/broker/publisher.ts';
import { downOf, upOf } from '../../src/registrar/linkWords.ts';
import { Recorder } from '../../src/registrar/presence/recorder.ts';
import { WillClock } from '../../src/registrar/will/willClock.ts';
import { Wills } from '../../src/registrar/will/wills.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';
import { judgeWills } from '../../tla/judge.ts';
import { whyNot } from '../../tla/tlc.ts';
import type { TraceLine } from '../../tla/trace.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';

const skip = (await whyNot()) ?? false;
const limits = makeLimits({});
const DELAY_MS = 1_000;
const DOOR = 'door';

/** Two acceptors and the registrar, whose streams are read when the test says so. */
class Traced {
  readonly lines: TraceLine[] = [];
  readonly #acceptors = new Map<
    string,
    { changes: LinkChanges; wills: LinkWills; links: Link[] }
  >();
  readonly #recorder: Recorder;
  readonly #due: WillClock;
  readonly #sent: Publishing[] = [];
  #now = 0;

  /** `isHasty`: only one of them is asked. */
  constructor(isHasty: boolean) {
    const now = () => this.#now;
    const store = new MemoryStore(now);
    const clock = { now, wall: now, us: () => this.lines.length };
    const trace = this.#as('registrar');
    const onFault = (error: unknown) => t.fail(String(error));
    const counters = makePresenceCounters();
    const due = new WillClock({
      ...{ store, now, trace, onFault },
      live: () => this.#recorder.liveAcceptors.slice(0, isHasty ? 1 : 2),
      ask: (acceptor, mark) => this.#acceptors.get(acceptor)?.changes.tellAll(mark),
      onDue: (wills) => this.#recorder.due(wills),
    });
    const publish = (publishing: Publishing) => void this.#sent.push(publishing);
    const wills = new Wills({
      ...{ store, clock, counters, limits, due, trace, onFault, exchange: '' },
      publisher: { publish, isFull: () => false },
      mayRead: () => true,
      onWanted: (acceptor, links) => this.#acceptors.get(acceptor)?.changes.onWanted(links),
      onGone: (acceptor, ids) => this.#acceptors.get(acceptor)?.changes.onGone(ids),
    });
    this.#due = due;
    this.#recorder = new Recorder({
      ...{ store, node: 'node', limits, clock, trace, counters, wills },
      ...{ onOpen: () => {}, onCommit: () => {}, onTakeover: () => {}, onClone: () => {} },
      settledTo: () => 0,
    });
    for (const name of ['a', 'b']) this.#start(name, clock);
    this.#recorder.onNode(['a', 'b']);
  }

  #as(process: string): Trace {
    return (action, fields) => {
      this.lines.push({ us: this.lines.length, process, action, ...fields });
    };
  }

  #start(name: string, clock: { us(): number; wall(): number }): void {
    const [trace, counters] = [this.#as(name), makeCounters(MESSAGE_TYPES)];
    const wills = new LinkWills({ limits, counters, trace });
    const links: Link[] = [];
    const open = (shard: number) => (shard === 0 ? links : []);
    const changes = new LinkChanges({ links: open, clock, trace, wills, limits, counters });
    this.#acceptors.set(name, { changes, wills, links });
    changes.connected();
  }

  accept(name: string, id: string): Link {
    const { changes, wills, links } = this.#at(name);
    const link = { id, deviceId: DOOR, acceptedUs: this.lines.length };
    wills.keep(id, { will: { topic: 'gone', payload: Buffer.from(id), delayMs: DELAY_MS } });
    links.push(link);
    changes.onUp(link);
    return link;
  }

  end(name: string, link: Link): void {
    const { changes, wills, links } = this.#at(name);
    links.splice(links.indexOf(link), 1);
    changes.onDown(link, 'peer-fin');
    wills.forget(link.id);
  }

  #at(name: string) {
    const acceptor = this.#acceptors.get(name);
    if (acceptor === undefined) throw new Error(`no acceptor ${name}`);
    return acceptor;
  }

  /** All that it has to tell is told, and recorded; wills that are due then are published. */
  async tell(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      for (const message of this.#at(name).changes.take(10)) {
        if (message[0] === 'begin') this.#recorder.begin(name);
        else if (message[0] === 'end') this.#recorder.handedOver(name);
        else if (message[0] === 'up') this.#recorder.up({ acceptor: name, ...upOf(message) });
        else if (message[0] === 'down') this.#recorder.down(name, downOf(message));
        else if (message[0] === 'all-told') {
          this.#recorder.will(name, { kind: 'all-told', acceptor: name, mark: message[1] });
        }
      }
    }
    while (await this.#recorder.work());
    await nextTurn();
    for (const publishing of this.#sent.splice(0)) publishing.onConfirm();
  }

  /** The delay of what waits is over, and the registrar looks. */
  async pass(): Promise<void> {
    this.#now += DELAY_MS;
    this.#due.tick();
    await nextTurn();
    while (await this.#recorder.work());
  }
}

/** The device is back within the delay, and its acceptor late to tell of that. */
async function traced(isHasty: boolean): Promise<TraceLine[]> {
  const world = new Traced(isHasty);
  await world.tell('a', 'b');
  const first = world.accept('a', 'c1');
  await world.tell('a');
  world.end('a', first);
  await world.tell('a');
  world.accept('b', 'c2');
  await world.pass();
  await world.tell('a');
  await world.tell('b');
  world.lines.push({ us: world.lines.length, process: 'test', action: 'Rest' });
  return world.lines;
}

/** By their names, without what TLC has to say: the scenarios have enough of it. */
t.test('planted: without the bug a device that is back has cancelled its will', async (t) => {
  const lines = await traced(false);

  t.match(
    lines.filter(({ action }) => /^Will!(?:Ask|Drop|Out)$/.test(action)),
    [{ connection: 'c1' }, { connection: 'c1', fate: 'cancelled' }],
  );
});

t.test('planted: a will that waits for no word of acceptors is rejected', { skip }, async (t) => {
  const { isAccepted, unexplained } = await judgeWills(await traced(true), DOOR);

  t.notOk(isAccepted);
  t.match(unexplained, /"Due"/);
});
