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

export interface ControlOptions {
  readonly path: string;
  readonly limits: Limits;
  readonly log: Logger;
  readonly answers: AnswersByKind;
}

export class Control {
  readonly #options: ControlOptions;
  readonly #server: LocalSocket;
  /** The one that has said nothing for longest comes first. */
  readonly #asking = new Set<Socket>();

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
    this.#asking.add(socket);
    socket.on('data', () => this.#touch(socket));
    new Channel(socket, { limits, answers, answerMs, onBad, onClose });
    const [idlest] = this.#asking;
    if (this.#asking.size > limits.controlConnectionsMax) idlest?.destroy();
  }

  #touch(socket: Socket): void {
    if (this.#asking.delete(socket)) this.#asking.add(socket);
  }

  async close(): Promise<void> {
    for (const socket of this.#asking) socket.destroy();
    await this.#server.close();
  }
}
