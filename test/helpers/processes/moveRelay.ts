/**
 * MoveRelay: two movers, predecessor and successor, and between them what a supervisor does: it
 * passes on words and handles in order, and says `gone` when it has seen an end.
 * From: tests, which say who is to die at which word.  To: movers; the test's assertions.
 * Bound: both processes are killed by `end`.
 */
import { type ChildProcess, fork, type SendHandle } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type {
  GoneMessage,
  MoveFigures,
  MoveMessage,
  MoveWord,
  PassMessage,
} from '../../../src/node/ipc.ts';

const MOVER = fileURLToPath(new URL('mover.ts', import.meta.url));

export interface MoverStart {
  readonly type: 'begin';
  readonly name: string;
  readonly predecessor?: string;
  /** '': TCP. */
  readonly path: string;
}

/** To a mover. */
export type MoverOrder = MoverStart | MoveMessage | PassMessage | GoneMessage;

type FromMover =
  | PassMessage
  | { readonly type: 'moved'; readonly figures: MoveFigures }
  | { readonly type: 'links'; readonly open: number }
  | { readonly type: 'listens'; readonly port: number };

export type Side = 'before' | 'after';
type What = MoveWord['what'];

/** At the so-and-so-many-th of these words, before it is passed on, or right after. */
export interface Death {
  readonly of: Side;
  readonly at: What;
  readonly times: number;
  readonly isPassedOn: boolean;
}

/** The relay's own copy of a handle. */
interface Copy {
  close(): void;
}

interface Mover {
  readonly handles: Set<Copy>;
  readonly child: ChildProcess;
  port: number;
  links: number;
  isGone: boolean;
}

export class MoveRelay {
  readonly #movers: Readonly<Record<Side, Mover>>;
  readonly #death: Death | undefined;
  readonly said = new Map<What, number>();
  figures: MoveFigures | undefined;

  constructor(death?: Death) {
    this.#death = death;
    this.#movers = { before: this.#fork('before', 'after'), after: this.#fork('after', 'before') };
  }

  #fork(side: Side, other: Side): Mover {
    const child = fork(MOVER);
    const mover: Mover = { child, port: 0, links: 0, isGone: false, handles: new Set() };
    child.on('message', (message: FromMover, handle) => {
      if (message.type === 'pass') this.#pass(message, handle, other);
      else if (message.type === 'links') mover.links = message.open;
      else if (message.type === 'moved') this.figures = message.figures;
      else mover.port = message.port;
    });
    // All that it had said was read by then. With a handle on its way there is no 'disconnect', nor
    // a callback: what has not come there has to be closed here.
    child.on('close', () => {
      mover.isGone = true;
      for (const copy of mover.handles) copy.close();
      mover.handles.clear();
      this.#tell(other, { type: 'gone', acceptor: side });
    });
    return mover;
  }

  #pass(message: PassMessage, handle: SendHandle | undefined, to: Side): void {
    const { what } = message.word;
    const times = (this.said.get(what) ?? 0) + 1;
    this.said.set(what, times);
    const death = this.#death;
    const isIt = death?.at === what && death.times === times;
    if (isIt && !death.isPassedOn) this.kill(death.of);
    this.#tell(to, message, handle);
    if (isIt && death.isPassedOn) this.kill(death.of);
  }

  #tell(to: Side, message: MoverOrder, handle?: SendHandle): void {
    const { child, handles } = this.#movers[to];
    const copy = handle as unknown as Copy | undefined;
    if (!child.connected) {
      copy?.close();
      return;
    }
    if (copy) handles.add(copy);
    child.send(message, handle, undefined, () => {
      if (copy && handles.delete(copy)) copy.close();
    });
  }

  kill(side: Side): void {
    this.#movers[side].child.kill('SIGKILL');
  }

  /** Resolves with the predecessor's port. */
  async begin(path = ''): Promise<number> {
    const { before, after } = this.#movers;
    this.#tell('before', { type: 'begin', name: 'before', path });
    this.#tell('after', { type: 'begin', name: 'after', predecessor: 'before', path });
    await Promise.all([this.#listens(before), this.#listens(after)]);
    return before.port;
  }

  async #listens({ child }: Mover): Promise<void> {
    for (;;) {
      const [message] = (await once(child, 'message')) as [FromMover];
      if (message.type === 'listens') return;
    }
  }

  move(order: Partial<MoveMessage> = {}): void {
    const limits = { window: 4, quietMs: 100, moveMs: 20_000, retryMs: 1_000 };
    this.#tell('before', { type: 'move', to: ['after'], ...limits, ...order });
  }

  isGone(side: Side): boolean {
    return this.#movers[side].isGone;
  }

  /** Open ones, as it said last. */
  links(side: Side): number {
    return this.#movers[side].links;
  }

  async end(): Promise<void> {
    for (const { child } of Object.values(this.#movers)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
}
