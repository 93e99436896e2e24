/**
 * ChildChannel: a child's end of its channel with the observer.
 * From: report.ts: notices, and answers to what the observer asks.  To: the observer's Unix socket.
 * Bound: channel.ts's. While the observer is away, nothing waits for it: notices are skipped.
 *
 *   away --connect--> up --close, error--> away, RECONNECT_MS later again
 */
import { connect, type Socket } from 'node:net';
import type { Limits } from '../base/limits.ts';
import { type AnswersByKind, Channel } from './channel.ts';

const RECONNECT_MS = 100;

export interface ChildChannelOptions {
  /** The observer's Unix socket. */
  readonly path: string;
  readonly limits: Limits;
  readonly answers: AnswersByKind;
  /** The observer listens: it knows nothing of this process yet. */
  readonly onUp: () => void;
  /** It is gone, and with it what it asked for. */
  readonly onLost?: (() => void) | undefined;
}

export class ChildChannel {
  readonly #options: ChildChannelOptions;
  #socket: Socket | undefined;
  /** Undefined while the observer is away. */
  #channel: Channel | undefined;
  #again: NodeJS.Timeout | undefined;
  #isEnding = false;

  constructor(options: ChildChannelOptions) {
    this.#options = options;
  }

  /** Begin to connect, until `endWith`. Never throws, and never waits for the observer. */
  start(): void {
    const { path, limits, answers, onUp } = this.#options;
    const socket = connect(path);
    this.#socket = socket;
    const channel = new Channel(socket, { limits, answers, onClose: () => this.#onClose() });
    socket.once('connect', () => {
      this.#channel = channel;
      onUp();
    });
  }

  #onClose(): void {
    if (this.#channel !== undefined) this.#options.onLost?.();
    this.#channel = undefined;
    if (!this.#isEnding) this.#again = setTimeout(() => this.start(), RECONNECT_MS).unref();
  }

  /** False, and skipped, while the observer is away or has not read the notice before. */
  notify(kind: string, body: unknown): boolean {
    return this.#channel?.notify(kind, body) ?? false;
  }

  /** The same behind what has not been read; skipped while the one before of its kind has not. */
  keepTelling(kind: string, body: unknown): boolean {
    return this.#channel?.keepTelling(kind, body) ?? false;
  }

  /** A last notice, and the end; resolves after `ms` at the latest. */
  async endWith(kind: string, body: unknown, ms: number): Promise<void> {
    this.#isEnding = true;
    clearTimeout(this.#again);
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    const late = setTimeout(() => socket.destroy(), ms);
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      if (this.#channel) this.#channel.endWith(kind, body);
      else socket.destroy();
    });
    clearTimeout(late);
  }
}
