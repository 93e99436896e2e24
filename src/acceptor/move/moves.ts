/**
 * Moves: this acceptor's part in a reload: as a successor, as a predecessor, or first one, then the
 * other.
 * From: the supervisor, by child.ts: orders, words of other acceptors, ends.
 * To: giver.ts and taker.ts.
 * Bound: theirs; a word of any acceptor but its predecessors and successors is none, but for those
 * about listening.
 */
import type { Logger } from '../../base/log.ts';
import type { MoveMessage, MoveWord, PassMessage } from '../../node/ipc.ts';
import type { SocketHandle } from '../endpoint/socket.ts';
import type { Giver } from './giver.ts';
import type { MoveLine } from './moveLine.ts';
import type { Taker } from './taker.ts';

/** About listening handles. */
export type ListenWord = Extract<
  MoveWord,
  { what: 'listener' | 'listeners-end' | 'listening' | 'share' }
>;

export interface MovesOptions {
  readonly giver: Giver;
  readonly taker: Taker;
  readonly line: MoveLine;
  readonly log: Logger;
  /** Presence has to know it before a link comes. */
  readonly onFollow: (predecessor: string) => void;
}

/** Whose end was seen; of a successor also whether it was the last. */
export interface GoneSide {
  readonly side: 'predecessor' | 'successor';
  readonly isLast: boolean;
}

export class Moves {
  readonly #options: MovesOptions;

  constructor(options: MovesOptions) {
    this.#options = options;
  }

  /** Let all links go. */
  begin({ type: _, ...order }: MoveMessage): void {
    const { giver, line, log } = this.#options;
    const { to } = order;
    for (const successor of to) line.successors.add(successor);
    if (giver.begin(order)) log.info({ to }, 'moving links');
  }

  /** Links of this one come, too. */
  follow(predecessor: string): void {
    const { line, onFollow } = this.#options;
    line.predecessors.add(predecessor);
    onFollow(predecessor);
  }

  /** Gives what is about listening, which is no matter of links. */
  onPass({ from, word }: PassMessage, handle: SocketHandle | undefined): ListenWord | undefined {
    const { giver, taker, line } = this.#options;
    const isFromHeir = line.successors.has(from);
    if (!isFromHeir && !line.predecessors.has(from)) return this.#ofSharer(from, word, handle);
    switch (word.what) {
      case 'offer':
        taker.onOffer(from, word, handle);
        return undefined;
      case 'go':
      case 'cancel':
        taker.onWord(from, { what: word.what, connection: word.connection });
        return undefined;
      case 'ready':
      case 'dropped':
        giver.onWord(from, { what: word.what, connection: word.connection });
        return undefined;
      default:
        return word;
    }
  }

  /** One that joins the node, or that it has joined. */
  #ofSharer(
    from: string,
    word: MoveWord,
    handle: SocketHandle | undefined,
  ): ListenWord | undefined {
    const { sharers } = this.#options.line;
    if (word.what === 'share') sharers.add(from);
    if (sharers.has(from) && isAboutListening(word)) return word;
    handle?.close();
    return undefined;
  }

  /** Gives who it was. */
  onGone(acceptor: string): GoneSide | undefined {
    const { giver, taker, line, log } = this.#options;
    if (line.successors.delete(acceptor)) {
      const { moved } = giver.figures;
      const isLast = line.successors.size === 0;
      log.error({ acceptor, moved, isLast }, 'a successor has ended: links that are here stay');
      giver.onGone(acceptor);
      return { side: 'successor', isLast };
    }
    if (!line.predecessors.delete(acceptor)) return undefined;
    taker.onGone(acceptor);
    return { side: 'predecessor', isLast: line.predecessors.size === 0 };
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

const LISTENING: readonly MoveWord['what'][] = ['share', 'listener', 'listeners-end', 'listening'];

function isAboutListening(word: MoveWord): word is ListenWord {
  return LISTENING.includes(word.what);
}
