/**
 * Moves: this acceptor's part in a reload: as a predecessor, as a successor, or first one, then the
 * other.
 * From: the supervisor, by acceptor.ts: orders, words of the other acceptor, ends.
 * To: giver.ts and taker.ts.
 * Bound: theirs; a word of any acceptor but these two is none.
 */
import type { Logger } from '../../base/log.ts';
import type { MoveMessage, MoveWord, PassMessage } from '../../node/ipc.ts';
import type { SocketHandle } from '../endpoint/socket.ts';
import type { Giver } from './giver.ts';
import type { MoveLine } from './moveLine.ts';
import type { Taker } from './taker.ts';

/** About listening handles. */
export type ListenWord = Extract<MoveWord, { what: 'listener' | 'listeners-end' | 'listening' }>;

export interface MovesOptions {
  readonly giver: Giver;
  readonly taker: Taker;
  readonly line: MoveLine;
  readonly log: Logger;
}

export class Moves {
  readonly #options: MovesOptions;

  constructor(options: MovesOptions) {
    this.#options = options;
  }

  /** Let all links go. */
  begin({ to, ...order }: MoveMessage): void {
    const { giver, line, log } = this.#options;
    line.successor = to;
    if (giver.begin(order)) log.info({ to }, 'moving links');
  }

  /** Gives what is about listening, which is no matter of links. */
  onPass({ from, word }: PassMessage, handle: SocketHandle | undefined): ListenWord | undefined {
    const { giver, taker, line } = this.#options;
    const isFromHeir = from === line.successor;
    if (!isFromHeir && from !== line.predecessor) {
      handle?.close();
      return undefined;
    }
    switch (word.what) {
      case 'offer':
        taker.onOffer(word.connection, word.snapshot, handle);
        return undefined;
      case 'go':
      case 'cancel':
        taker.onWord({ what: word.what, connection: word.connection });
        return undefined;
      case 'ready':
      case 'dropped':
        if (isFromHeir) giver.onWord({ what: word.what, connection: word.connection });
        return undefined;
      default:
        return word;
    }
  }

  /** Gives who of the two it was. */
  onGone(acceptor: string): 'successor' | 'predecessor' | undefined {
    const { giver, taker, line, log } = this.#options;
    if (acceptor === line.successor) {
      const { moved } = giver.figures;
      log.error({ acceptor, lost: moved }, 'the successor has ended: links stay here');
      line.successor = undefined;
      giver.onGone();
      return 'successor';
    }
    if (acceptor !== line.predecessor) return undefined;
    line.predecessor = undefined;
    taker.onGone();
    return 'predecessor';
  }

  tick(): void {
    this.#options.giver.tick();
  }

  /** This acceptor ends, and all others do. */
  suspend(): void {
    this.#options.giver.suspend();
    this.#options.taker.suspend();
  }

  /** The supervisor is gone: nothing passes any more, and each link is one acceptor's. */
  stop(): void {
    this.#options.giver.stop();
    this.#options.taker.stop();
  }
}
