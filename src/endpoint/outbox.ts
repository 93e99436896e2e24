/**
 * Outbox: the only writer of a device socket.
 * From: Endpoint, frames already encoded.  To: socket.write, all frames of a turn in one call.
 * Bound: the endpoint stops reading at `outboxSoftBytes` and closes at `outboxHardBytes` or when
 * the device takes no byte for `stallMs`: one frozen device must not hold memory that a thousand
 * healthy ones need. The socket's own queue is the outbox; there is no second one.
 */
import type { Socket } from 'node:net';

/** Collects the outboxes written to in this turn and flushes them when the turn ends. */
export class Flusher {
  #written: Outbox[] = [];
  readonly #flush = (): void => {
    const written = this.#written;
    this.#written = [];
    for (const outbox of written) outbox.flush();
  };

  add(outbox: Outbox): void {
    // The first of the turn; nextTick runs when the current callback is done.
    if (this.#written.length === 0) process.nextTick(this.#flush);
    this.#written.push(outbox);
  }
}

/** What libuv knows of a socket; net.Socket's own idle timer tells progress by it as well. */
interface Handle {
  /** Bytes handed to libuv. */
  readonly bytesWritten: number;
  /** Those of them that the kernel has not taken. */
  readonly writeQueueSize: number;
}

export class Outbox {
  readonly #socket: Socket;
  readonly #flusher: Flusher;
  #isCorked = false;
  /** What the kernel had taken when that last changed. */
  #takenBytes = 0;
  /** When that was; 0 when nothing waited. */
  #waitingSince = 0;

  constructor(socket: Socket, flusher: Flusher) {
    this.#socket = socket;
    this.#flusher = flusher;
  }

  /** Bytes written and not yet taken by the kernel. */
  get bytes(): number {
    return this.#socket.writableLength;
  }

  /** Queue one frame; it leaves when the turn ends. The frame must not be changed afterwards. */
  write(frame: Buffer): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      this.#flusher.add(this);
    }
    this.#socket.write(frame);
  }

  flush(): void {
    this.#isCorked = false;
    this.#socket.uncork();
  }

  /** Has the device taken no byte of a waiting outbox for `stallMs`? Asked at every sweep. */
  isStalled(now: number, stallMs: number): boolean {
    if (this.#socket.writableLength === 0) {
      this.#waitingSince = 0;
      return false;
    }
    // `writableLength` counts a large write until its last byte is gone, and the queue looks the
    // same when one write follows another of its size. What was taken only grows, so a slow device
    // is not taken for a frozen one.
    const handle = (this.#socket as Socket & { _handle?: Handle | null })._handle;
    const taken = handle ? handle.bytesWritten - handle.writeQueueSize : 0;
    if (this.#waitingSince === 0 || taken !== this.#takenBytes) {
      this.#takenBytes = taken;
      this.#waitingSince = now;
      return false;
    }
    return now - this.#waitingSince >= stallMs;
  }
}
