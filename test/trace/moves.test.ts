/**
 * Moves, as the real parts take them, judged by TLC as behaviours of tla/Presence.tla: giver,
 * taker, link changes and recorder, with an acceptor or the registrar that dies in the middle.
 */
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { makePresenceCounters } from '../../src/base/metrics.ts';
import type { Succession } from '../../src/node/ipc.ts';
import type { ToRegistrar } from '../../src/node/messages.ts';
import { downOf, upOf } from '../../src/registrar/linkWords.ts';
import { Recorder } from '../../src/registrar/presence/recorder.ts';
import type { OutboxEvent } from '../../src/registrar/store/store.ts';
import { judge } from '../../tla/judge.ts';
import { whyNot } from '../../tla/tlc.ts';
import type { TraceLine } from '../../tla/trace.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';
import { MoveWorld, type Process } from '../helpers/worlds/moveWorld.ts';

const skip = (await whyNot()) ?? false;
const LINKS = 4;

/** A world of moves, with a registrar, and the lines that all of them write. */
class Traced {
  readonly lines: TraceLine[] = [];
  readonly world = new MoveWorld(LINKS, (process) => this.#tracer(process));
  readonly #store = new MemoryStore(() => 0);
  readonly #streams = new Set<Process>();
  #successions: Succession[] = [];
  #settled = 0;
  #recorder: Recorder | undefined;

  #tracer(process: string) {
    return (action: string, fields: object) => {
      this.lines.push({ ...fields, us: this.lines.length, process, action });
    };
  }

  trace(process: string, action: string, fields: object = {}): void {
    this.#tracer(process)(action, fields);
  }

  get #processes(): Process[] {
    return [this.world.before, this.world.after];
  }

  /** Another registrar, perhaps after one that died. */
  startRegistrar(): void {
    for (const { changes, isAlive } of this.#processes) if (isAlive) changes.lost();
    this.#streams.clear();
    this.trace('registrar', 'RegistrarStart');
    this.#recorder = new Recorder({
      ...{ store: this.#store, node: 'node', limits: makeLimits() },
      ...{ clock: { now: () => 0, wall: () => 0 }, trace: this.#tracer('registrar') },
      ...{ counters: makePresenceCounters(), onOpen: () => {}, onClone: () => {} },
      onTakeover: () => {},
      onRecorded: (acceptor, connections) => {
        const of = this.#processes.find(({ name }) => name === acceptor);
        of?.changes.onRecorded(connections);
      },
      onCommit: (events) => this.#publish(events),
      settledTo: () => this.#settled,
    });
  }

  #publish(events: readonly OutboxEvent[]): void {
    for (const { id, body } of events) {
      const { device, seq } = JSON.parse(body) as { device: string; seq: number };
      this.trace('registrar', 'Publish', { device, seq });
      this.trace('registrar', 'Confirm', { device, seq });
      this.#settled = id;
    }
  }

  succeed(): void {
    this.trace('supervisor', 'SuccessorStart', { acceptor: 'after', of: 'before' });
    this.#successions = [{ of: 'before', by: 'after' }];
  }

  kill(process: Process): void {
    this.world.kill(process);
    this.trace('supervisor', 'AcceptorExit', { acceptor: process.name });
  }

  /** All that is to be told is told, and recorded. */
  async tell(): Promise<void> {
    const { before, after } = this.world;
    const started = this.#successions.length > 0 ? [before, after] : [before];
    const live = started.filter(({ isAlive }) => isAlive);
    this.#recorder?.onNode(
      live.map(({ name }) => name),
      this.#successions,
    );
    for (const process of live) {
      if (!this.#streams.has(process)) process.changes.connected();
      this.#streams.add(process);
      while (!process.changes.isDone) {
        for (const message of process.changes.take(3)) this.#hear(process.name, message);
      }
    }
    while (await this.#recorder?.work());
  }

  #hear(acceptor: string, message: ToRegistrar): void {
    const recorder = this.#recorder;
    if (message[0] === 'begin') recorder?.begin(acceptor);
    else if (message[0] === 'end') recorder?.handedOver(acceptor);
    else if (message[0] === 'moved') recorder?.moved(acceptor, message[1]);
    else if (message[0] === 'heir') recorder?.heir(acceptor, message[1]);
    else if (message[0] === 'up') recorder?.up({ acceptor, ...upOf(message) });
    else if (message[0] === 'down') recorder?.down(acceptor, downOf(message));
  }

  /** One link has moved, one is offered, and one on its way. */
  async beginMove(): Promise<void> {
    const { world } = this;
    this.startRegistrar();
    await this.tell();
    this.succeed();
    await this.tell();
    world.begin();
    for (const from of ['before', 'before', 'after', 'before'] as const) world.pass(world[from]);
    await this.tell();
  }

  async rest(): Promise<void> {
    this.world.end();
    await this.tell();
    this.trace('test', 'Rest');
  }
}

async function isBehaviour(t: Test, traced: Traced): Promise<void> {
  const verdict = await judge(traced.lines);
  t.match(verdict, { isAccepted: true }, JSON.stringify(verdict));
}

t.test('moves: the successor dies: what it had is over, all else stays', { skip }, async (t) => {
  const traced = new Traced();
  const { world } = traced;
  await traced.beginMove();
  traced.kill(world.after);
  world.see();
  await traced.tell();
  await traced.rest();
  await isBehaviour(t, traced);
});

t.test('moves: the registrar dies, then the predecessor', { skip }, async (t) => {
  const traced = new Traced();
  const { world } = traced;
  await traced.beginMove();
  for (const from of ['after', 'before'] as const) world.pass(world[from]);
  traced.startRegistrar();
  await traced.tell();
  traced.kill(world.before);
  await traced.tell();
  world.see();
  await traced.tell();
  await traced.rest();
  await isBehaviour(t, traced);
});
