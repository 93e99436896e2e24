/**
 * LocalSocket: a listening Unix socket, for its owner alone, that outlives the removal of its file.
 * From: the registrar and the observer, for what other processes of the node tell them.
 * To: connections, handed to `onStream`.
 * Bound: looks every LOOK_MS whether its file is there, and listens anew when not, for ever; those
 * that are connected notice nothing. Where a file is, there is one at every moment: a new one is
 * made beside it and renamed onto it, and one that is left is not touched.
 */
import { lstatSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';

const LOOK_MS = 1_000;

export class LocalSocket {
  readonly #path: string;
  /** Where its file is made: as long a name, since the kernel takes only short paths. */
  readonly #making: string;
  readonly #onStream: (stream: Socket) => void;
  #server: Server | undefined;
  /** Names the file that was made; undefined while there is none, or it is being made. */
  #file: string | undefined;
  #isListening = false;
  #ticker: NodeJS.Timeout | undefined;

  constructor(path: string, onStream: (stream: Socket) => void) {
    this.#path = path;
    this.#making = join(dirname(path), `~${basename(path).slice(1)}`);
    this.#onStream = onStream;
  }

  /** Resolves when others can connect. Rejects when the first time fails: there is no folder. */
  async listen(): Promise<void> {
    await this.#listen();
    this.#keepLooking();
  }

  /** The same, and tried again when the first time fails: rejects with why, once. */
  async listenInTheEnd(): Promise<void> {
    this.#keepLooking();
    await this.#listen();
  }

  #keepLooking(): void {
    this.#ticker = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  async #listen(): Promise<void> {
    this.#isListening = true;
    try {
      // What is connected stays.
      this.#server?.close();
      // Left over where a process before this one crashed.
      rmSync(this.#making, { force: true });
      const server = createServer(this.#onStream);
      this.#server = server;
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        // Node binds a path within the call, so nobody else can connect for a moment either.
        const before = process.umask(0o177);
        server.listen(this.#making, resolve);
        process.umask(before);
      });
      renameSync(this.#making, this.#path);
      this.#file = fileAt(this.#path);
    } finally {
      this.#isListening = false;
    }
  }

  #look(): void {
    if (this.#isListening) return;
    if (this.#file !== undefined && fileAt(this.#path) === this.#file) return;
    this.#file = undefined;
    // The supervisor makes the folder again: then the next look has better luck.
    this.#listen().catch(() => {});
  }

  /**
   * Takes no more; resolves when everybody who is connected has ended. `isFileLeft`: who connects
   * meanwhile sees that somebody is to come.
   */
  async close({ isFileLeft = false } = {}): Promise<void> {
    clearInterval(this.#ticker);
    const server = this.#server;
    if (!server?.listening) return;
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    const isOurs = this.#file !== undefined && fileAt(this.#path) === this.#file;
    if (isOurs && !isFileLeft) rmSync(this.#path, { force: true });
    await closed;
  }
}

/** Which file it is; undefined when there is none. */
function fileAt(path: string): string | undefined {
  try {
    const { dev, ino } = lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
