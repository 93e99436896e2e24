/**
 * Endpoint: the object that owns one device socket from accept to closed: what was read and what
 * waits for its device, and its deadlines. What its bytes mean is its protocol's; when it is read
 * is the gate's (readGate.ts).
 * From: the socket's bytes.  To: `host.onMessage` with checked EVENTs and REQUESTs; frames back.
 * Bound: `inFlightMax` messages under way, the outbox's two bounds, the deadlines of the host.
 * When one is hit, reading stops or this link closes; no other link notices.
 *
 *   accept --> greeting --HELLO--> authenticating --proof--> open --BYE, FIN--> draining --> closed
 *                  \________________\__ERROR + BYE, deadline, FIN____________/
 *
 * authenticating: it waits for somebody who knows the device; most proofs need nobody.
 * draining: our BYE and FIN are on their way; what still comes is read and discarded.
 */
import type { Socket } from 'node:net';
import { type ByeReason, type CloseReason, ProtocolError, STATUS } from '../../base/errors.ts';
import { bump } from '../../base/metrics.ts';
import type { Event, MessageType, Request } from '../../wire/message.ts';
import type { Received } from '../../wire/protocol.ts';
import { Allowance } from './allowance.ts';
import { dispatch, refuse } from './dispatch.ts';
import { HEAVY_BYTES } from './heavy.ts';
import type { EndpointHost } from './host.ts';
import { keepaliveVerdict } from './keepalive.ts';
import { LinkVoice } from './linkVoice.ts';
import type { Came, Origin } from './origin.ts';
import { Outbox } from './outbox.ts';
import { peerOf } from './peer.ts';
import type { Obstacle } from './readGate.ts';
import { type FrozenLink, freezeLink, isQuiet, type OwedClose } from './snapshot.ts';
import { listenTo, startReading } from './socket.ts';

const NO_BYTES = Buffer.alloc(0);

export class Endpoint extends LinkVoice {
  /** The connection id, as UUID text. */
  readonly id: string;
  /** When its socket was accepted, in the clock's µs: of a device's links the latest is its own. */
  readonly acceptedUs: number;
  /** How it came. */
  readonly origin: Origin | undefined;
  /** Something was written since the outbox was last seen empty. */
  #hasWritten = false;

  /** What it may send now: the gate's books. */
  readonly allowance = new Allowance();

  readonly #socket: Socket;
  readonly #outbox: Outbox;
  /** Read, and waiting for room at the broker: nothing behind it is handled before it. */
  #held: Event | Request | undefined;
  #peer: string;
  /** The device's FIN came while frames before it were still waiting to be handled. */
  #isFinished = false;
  /** It was to be closed while it was moving. */
  #owed: OwedClose | undefined;

  constructor(
    id: string,
    { socket, acceptedUs, origin, protocol, isAdopted }: Came,
    host: EndpointHost,
  ) {
    super(protocol, host);
    this.id = id;
    this.acceptedUs = acceptedUs;
    this.origin = origin;
    this.#peer = origin?.peer ?? '';
    this.#outbox = new Outbox(socket, host.flusher);
    this.heardAt = host.clock.now();
    this.#socket = socket;
    listenTo(socket, this);
    // The listener hands sockets over unread.
    if (!isAdopted) socket.resume();
  }

  /**
   * Remote address and port, as text; empty when the device reset its link before this was asked.
   * Looked up once: a closed socket no longer knows.
   */
  get peer(): string {
    if (this.#peer === '') this.#peer = peerOf(this.#socket);
    return this.#peer;
  }

  get isLive(): boolean {
    return this.state === 'open' || this.state === 'greeting' || this.state === 'authenticating';
  }

  /** Bytes sent and not yet taken by the kernel. */
  get outboxBytes(): number {
    return this.#outbox.bytes;
  }

  /** Memory of what the device has not taken, and of what it sent and was not handled, in bytes. */
  get heldBytes(): number {
    const unread = this.protocol.heldBytes + this.#socket.readableLength;
    return this.#outbox.heldBytes + unread + (this.#held?.payload.length ?? 0);
  }

  /** What the kernel gave of the device's, and what was given to it. */
  get bytesIn(): number {
    return this.#socket.bytesRead + (this.before?.bytesIn ?? 0);
  }

  get bytesOut(): number {
    return this.#socket.bytesWritten + (this.before?.bytesOut ?? 0);
  }

  /** Why it is paused now, or would be; undefined: its next message is handled. */
  get obstacle(): Obstacle | 'broker' | undefined {
    return this.#held === undefined ? this.host.gate.obstacle(this) : 'broker';
  }

  /** A message was read, and waits for room at the broker; or its FIN was, and waits for that. */
  get isHolding(): boolean {
    return this.#held !== undefined || this.#isFinished || this.protocol.isHolding === true;
  }

  /** Something may wait for its device: if not, nothing does. */
  get mayWait(): boolean {
    return this.#hasWritten;
  }

  /** Memory of what the device has not taken, in bytes. */
  get outboxHeldBytes(): number {
    return this.#outbox.heldBytes;
  }

  receive(chunk: Buffer): void {
    this.host.counters.bytesIn += chunk.length;
    if (!this.isLive) return;
    this.protocol.push(chunk);
    if (this.pausedAt === 0) {
      this.heardAt = this.host.clock.now();
      this.#handle();
    } else {
      // As if it came at the end of the pause, which is when it is handled.
      this.heardAt = this.pausedAt;
      this.readAhead();
    }
    if (this.protocol.heldBytes >= HEAVY_BYTES) this.host.onHeavy(this);
  }

  /**
   * A paused link is read on, so that its end is seen, until it holds as much as it may. The reader
   * puts pieces together: in the socket's own queue each would be a Buffer, were it of one byte.
   */
  readAhead(): void {
    const isFull = this.protocol.heldBytes >= this.host.limits.outboxSoftBytes;
    if (this.pausedAt !== 0 && isFull) this.#socket.pause();
    else this.#socket.resume();
  }

  /** The device's FIN. All before it was read, but while paused not all of it was handled. */
  receiveFin(): void {
    if (!this.isLive) return;
    this.#isFinished = true;
    if (this.pausedAt === 0) this.end('peer-fin');
    else this.wake();
  }

  closed(): void {
    if (this.isLive || this.isMoving) this.#leave('peer-reset');
    this.state = 'closed';
    this.host.onClosed(this);
  }

  /** Handle what has been read, up to the first obstacle. */
  #handle(): void {
    const { gate } = this.host;
    let obstacle = gate.obstacle(this);
    try {
      while (obstacle === undefined) {
        const message = this.#held ?? this.protocol.next();
        if (message === undefined) {
          if (this.#isFinished) this.end('peer-fin');
          return;
        }
        if (!this.#hasRoom(message)) return;
        this.#onMessage(message);
        obstacle = gate.obstacle(this);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      refuse(this, error, this.host);
      return;
    }
    if (obstacle !== 'over') gate.pause(this, obstacle);
  }

  /** One that finds no room is kept, and so is what follows it, until there is some. */
  #hasRoom(message: Received): boolean {
    const isPublished = message.type === 'event' || message.type === 'request';
    this.#held = undefined;
    if (!isPublished || this.state !== 'open') return true;
    if (this.host.gate.hasRoom(this, message.type)) return true;
    this.#held = message;
    return false;
  }

  #onMessage(message: Received): void {
    bump(this.host.counters.messagesIn, message.type);
    this.messagesIn += 1;
    this.tap?.onRead(this, message, this.protocol.bytes);
    this.host.gate.pay(this, this.protocol);
    dispatch(this, this.protocol.accept(message), this.host);
  }

  // To the device: linkVoice.ts has the words.

  /** Send a frame. Beyond the outbox's hard bound the link closes instead ('outbox-full'). */
  protected send(type: MessageType, frame: Buffer | undefined): void {
    if (!this.isLive) return;
    if (frame === undefined) {
      // It may have nothing to say because it can do no more.
      const { failure } = this.protocol;
      if (failure && type !== 'error') refuse(this, failure, this.host);
      return;
    }
    const bytes = this.#outbox.bytes + frame.length;
    if (bytes >= HEAVY_BYTES) this.host.onHeavy(this);
    if (bytes > this.host.limits.outboxHardBytes) this.close('outbox-full');
    else this.#write(type, frame);
  }

  #write(type: MessageType, frame: Buffer): void {
    const { counters } = this.host;
    bump(counters.messagesOut, type);
    counters.bytesOut += frame.length;
    this.messagesOut += 1;
    this.tap?.onWritten(this, type, frame, this.protocol);
    this.#hasWritten = true;
    this.#outbox.write(frame);
  }

  protected onNoCommand(id: number): void {
    if (!this.isLive) return;
    this.host.onAnswer(this, { type: 'result', id, status: STATUS.refused, payload: NO_BYTES });
  }

  /** Say BYE and end the link. `retryAfter` in ms. Does nothing when it is over already. */
  close(reason: ByeReason | ProtocolError['code'], retryAfter?: number): void {
    if (this.isMoving) this.#owe({ reason, retryAfter });
    if (!this.isLive) return;
    const goodbye = this.protocol.goodbye(reason, retryAfter);
    if (goodbye) this.#write('bye', goodbye);
    this.end(reason);
  }

  #owe(owed: OwedClose): void {
    this.#owed ??= owed;
    this.host.onOwed(this, owed.reason);
  }

  /** Send FIN behind what is queued, then read and discard until the device's FIN or the linger. */
  end(reason: CloseReason): void {
    this.#leave(reason);
    this.#outbox.end();
    this.#socket.resume();
  }

  #leave(reason: CloseReason): void {
    this.host.gate.unpause(this);
    this.#held = undefined;
    this.protocol.drop();
    this.state = 'draining';
    this.host.onEnd(this, reason);
  }

  /**
   * Give up what waits for the device, and end the link, or drop the socket of one that is over:
   * all links together hold too much. `retryAfter` in ms.
   */
  shed(retryAfter: number): void {
    if (this.isLive) this.#outbox.drop();
    if (this.isLive || this.isMoving) this.close('memory-full', retryAfter);
    else this.destroy();
  }

  /** Read no more until woken, if the host still says so by then. */
  rest(): void {
    if (this.isLive) this.host.gate.pause(this, 'memory');
  }

  /** Drop the socket now; the linger is over, or the process ends. */
  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * One less; it was answered with so many bytes of payload. May read on at once, so a caller must
   * have settled its own books before.
   */
  release(answerBytes = 0): void {
    this.inFlight -= 1;
    this.allowance.answered(answerBytes);
    this.wake();
  }

  /** `wake` follows when the device has taken some of what waits for it. */
  awaitOutbox(): void {
    this.#outbox.awaitRoom(this);
  }

  /** Something gave way: handle what waits, and read on unless that fills the same place again. */
  wake(): void {
    if (!this.host.gate.open(this)) return;
    this.#handle();
    if (this.isLive) this.readAhead();
  }

  /** Handle nothing new of it, so that it gets quiet; or do so again. */
  hush(isHushed = true): void {
    if (!isHushed) this.host.gate.unhush(this);
    else if (this.isLive) this.host.gate.hush(this);
  }

  /** A quiet link: read no more, and write nothing. Undefined: its end has come, or is near. */
  freeze(): FrozenLink | undefined {
    return isQuiet(this) ? freezeLink(this, this.#socket, this.protocol, this.host) : undefined;
  }

  /** It stays here after all, or has come from another process: read on. */
  thaw(): void {
    if (!this.isMoving) return;
    this.state = 'open';
    this.host.gate.unpause(this);
    const owed = this.#owed;
    startReading(this.#socket);
    if (owed) this.close(owed.reason, owed.retryAfter);
    this.#handle();
    if (this.isLive) this.readAhead();
  }

  /** The other process has it, or may have it: our copy closes without a word. */
  leave(): void {
    if (!this.isMoving) return;
    this.state = 'closed';
    this.host.onLeft(this);
    this.protocol.drop();
    this.#socket.destroy();
  }

  /** Check the deadlines of an open link; once per round of the registry, `ms` after the last. */
  sweep(now: number, ms: number): void {
    if (this.state !== 'open') return;
    this.countRate(ms);
    // A fleet's sweep costs the memory that it reads: an idle link's outbox and socket are not.
    if (this.#hasWritten) {
      if (this.#outbox.isStalled(now, this.host.limits.stallMs)) this.close('outbox-full');
      this.#hasWritten = this.#outbox.bytes > 0;
    }
    const verdict = keepaliveVerdict(this, now);
    if (verdict === 'dead') this.close('keepalive-timeout');
    else if (verdict === 'ping' || (verdict === 'quiet' && this.protocol.pingsIdle)) {
      this.pingedAt = now;
      this.send('ping', this.protocol.ping());
    }
  }
}
