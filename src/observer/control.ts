/**
 * Control: control.sock, where people ask the node; the file is for its owner alone (0600).
 * From: the command line, by the same frames as children (channel.ts).  To: nodeQuestions.ts.
 * Bound: `controlConnectionsMax`: one more, and the one that has said nothing for longest is
 * closed. A connection with nonsense on it is closed, and nobody else's.
 */
import type { Socket } from 'node:net';
import type { Limits } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { type AnswersByKind, Channel } from '../node/channel.ts';
import { LocalSocket } from '../node/localSocket.ts';
import { endIdle, type Use } from './endIdle.ts';

export interface ControlOptions {
  readonly path: string;
  readonly limits: Limits;
  readonly log: Logger;
  readonly answers: AnswersByKind;
}

interface Asker {
  readonly channel: Channel;
  saidAt: number;
}

export class Control {
  readonly #options: ControlOptions;
  readonly #server: LocalSocket;
  /** The one that has said nothing for longest comes first; and since when that is. */
  readonly #asking = new Map<Socket, Asker>();

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#server = new LocalSocket(options.path, (socket) => this.#onSocket(socket));
  }

  get size(): number {
    return this.#asking.size;
  }

  /** Never rejects: health and metrics do without it, and it is tried again. */
  async listen(): Promise<void> {
    const { path, log } = this.#options;
    try {
      await this.#server.listenInTheEnd();
    } catch (error) {
      const why = (error as Error).message;
      log.error({ path, why }, 'control.sock cannot be opened; trying again');
    }
  }

  #onSocket(socket: Socket): void {
    const { limits, answers, log } = this.#options;
    // Answers ask other processes in turn, each within questionMs.
    const answerMs = 2 * limits.questionMs;
    const onBad = (err: unknown) => log.warn({ err }, 'closing a connection to control.sock');
    const onClose = () => this.#asking.delete(socket);
    const channel = new Channel(socket, { limits, answers, answerMs, onBad, onClose });
    this.#asking.set(socket, { channel, saidAt: performance.now() });
    socket.on('data', () => this.#touch(socket));
    const [idlest] = this.#asking.keys();
    if (this.#asking.size > limits.controlConnectionsMax) idlest?.destroy();
  }

  #touch(socket: Socket): void {
    const asker = this.#asking.get(socket);
    if (asker === undefined) return;
    asker.saidAt = performance.now();
    this.#asking.delete(socket);
    this.#asking.set(socket, asker);
  }

  /** Takes nobody any more; who has asked is answered. `isFileLeft`: as LocalSocket has it. */
  async close(file: { readonly isFileLeft?: boolean } = {}): Promise<void> {
    const closed = this.#server.close(file);
    await endIdle(() => this.#uses(), closed);
    for (const socket of this.#asking.keys()) socket.destroy();
    await closed;
  }

  *#uses(): Generator<readonly [Socket, Use]> {
    for (const [socket, { channel, saidAt }] of this.#asking) {
      yield [socket, { open: channel.answering, restsAt: saidAt }];
    }
  }
}
