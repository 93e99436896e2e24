/**
 * Outbox: the only writer of a device socket.
 * From: Endpoint, frames already encoded.  To: socket.write, all frames of a turn as one chunk.
 * Bound: the endpoint stops reading at `outboxSoftBytes` and closes at `outboxHardBytes` or when
 * the device takes no byte for `stallMs`: one frozen device must not hold memory that a thousand
 * healthy ones need. A blocked link should hold little more than its bytes, not an object and
 * a slice of a shared buffer for each frame; so its frames are copied one after another:
 *
 *   free --the kernel leaves bytes untaken--> blocked --it has taken all--> free
 *
 * free: frames of a turn are one write, and nothing is held. blocked: one chunk is on its way, what
 * comes meanwhile is appended to one buffer, the next chunk.
 */
import type { Socket } from 'node:net';

const EMPTY = Buffer.alloc(0);
const NONE: readonly Buffer[] = [];
/** A backlog begins with so much, and grows by this factor: a fifth of it is unused, at most. */
const BACKLOG_BYTES_MIN = 512;
const GROWTH = 1.25;

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

/** Frames of a blocked link, copied behind one another. */
class Backlog {
  /** The chunk before is gone. */
  readonly onTaken: () => void;
  bytes = 0;
  // Not from the shared pool: what waits for long must pin nothing but itself.
  #buffer = EMPTY;

  constructor(onTaken: () => void) {
    this.onTaken = onTaken;
  }

  /** Memory held. */
  get heldBytes(): number {
    return this.#buffer.length;
  }

  append(frame: Buffer): void {
    const bytes = this.bytes + frame.length;
    if (bytes > this.#buffer.length) {
      const enough = Math.max(bytes, BACKLOG_BYTES_MIN, Math.ceil(this.bytes * GROWTH));
      const grown = Buffer.allocUnsafeSlow(enough);
      this.#buffer.copy(grown, 0, 0, this.bytes);
      this.#buffer = grown;
    }
    frame.copy(this.#buffer, this.bytes);
    this.bytes = bytes;
  }

  /** All of it as one chunk, which is the caller's. */
  take(): Buffer {
    const chunk = this.#buffer.subarray(0, this.bytes);
    this.clear();
    return chunk;
  }

  clear(): void {
    this.#buffer = EMPTY;
    this.bytes = 0;
  }
}

export class Outbox {
  readonly #socket: Socket;
  readonly #flusher: Flusher;
  /** Frames of this turn, while free. */
  #frames: readonly Buffer[] | Buffer[] = NONE;
  #framesBytes = 0;
  /** While blocked. */
  #backlog: Backlog | undefined;
  #waiter: { wake(): void } | undefined;
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
    return this.#socket.writableLength + this.#framesBytes + (this.#backlog?.bytes ?? 0);
  }

  /** Memory that these bytes hold, in bytes; `bytes` and what is allocated beyond them. */
  get heldBytes(): number {
    return this.#socket.writableLength + this.#framesBytes + (this.#backlog?.heldBytes ?? 0);
  }

  /** Queue one frame; it leaves when the turn ends. The frame must not be changed afterwards. */
  write(frame: Buffer): void {
    if (this.#backlog !== undefined) {
      this.#backlog.append(frame);
      return;
    }
    this.#framesBytes += frame.length;
    if (this.#frames.length > 0) {
      (this.#frames as Buffer[]).push(frame);
      return;
    }
    this.#frames = [frame];
    this.#flusher.add(this);
  }

  /** Wake `waiter` once, when the kernel has taken a chunk. Ask while `bytes` is above 0 only. */
  awaitRoom(waiter: { wake(): void }): void {
    this.#waiter = waiter;
  }

  flush(): void {
    const frames = this.#frames;
    // It ended, or dropped them, in the turn in which they were written.
    if (frames.length === 0) return;
    this.#socket.write(
      frames.length === 1 ? (frames[0] as Buffer) : joined(frames, this.#framesBytes),
    );
    this.#frames = NONE;
    this.#framesBytes = 0;
    if (this.#socket.writableLength > 0) this.#block();
    else this.#notifyRoom();
  }

  /** Hold back all until the chunk on its way is gone: an empty one behind it says so. */
  #block(): void {
    this.#backlog = new Backlog(() => this.#onTaken());
    this.#socket.write(EMPTY, this.#backlog.onTaken);
  }

  #onTaken(): void {
    const backlog = this.#backlog;
    if (backlog === undefined) return;
    if (this.#socket.destroyed) backlog.clear();
    if (backlog.bytes > 0) this.#socket.write(backlog.take(), backlog.onTaken);
    else this.#backlog = undefined;
    this.#notifyRoom();
  }

  #notifyRoom(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    this.#waiter = undefined;
    waiter.wake();
  }

  /** Drop all that is not on its way to the kernel; what is, ends with a whole frame. */
  drop(): void {
    this.#frames = NONE;
    this.#framesBytes = 0;
    this.#backlog?.clear();
  }

  /** Send FIN behind all that waits. */
  end(): void {
    this.flush();
    if (this.#backlog && this.#backlog.bytes > 0) this.#socket.write(this.#backlog.take());
    this.#socket.end();
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

/** Frames of one turn as one chunk: were it to wait, it would hold its own bytes and no others. */
function joined(frames: readonly Buffer[], bytes: number): Buffer {
  const chunk = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  for (const frame of frames) at += frame.copy(chunk, at);
  return chunk;
}
