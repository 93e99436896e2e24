/**
 * LinkVoice: what is said to the device of a link, and how much of it fits.
 * From: the host and the routes, by its Endpoint, which is one.  To: the protocol, for the bytes;
 * and `send`, for the outbox.
 * Bound: the outbox's hard bound; what a protocol has no word for is not said.
 */
import type { ProtocolError } from '../../base/errors.ts';
import { bump } from '../../base/metrics.ts';
import type { CommandMessage, Event, MessageType, Request } from '../../wire/message.ts';
import type { CommandReadiness, Greeting, Protocol } from '../../wire/protocol.ts';
import type { EndpointHost } from './host.ts';
import { LinkState } from './linkState.ts';

export abstract class LinkVoice extends LinkState {
  /** The connection id, as UUID text. */
  abstract readonly id: string;
  protected readonly protocol: Protocol;
  protected readonly host: EndpointHost;

  constructor(protocol: Protocol, host: EndpointHost) {
    super();
    this.protocol = protocol;
    this.host = host;
  }

  /** Bytes sent and not yet taken by the kernel. */
  abstract get outboxBytes(): number;

  /** There is no such COMMAND for its device. */
  protected abstract onNoCommand(id: number): void;

  protected abstract send(type: MessageType, frame: Buffer | undefined): void;

  /** It has said and proved who it is. */
  welcome(): void {
    const now = this.host.clock.wall();
    this.send('welcome', this.protocol.welcome(this.id, this.keepaliveMs, now));
  }

  /** What was wrong; a goodbye follows. */
  sayError(error: ProtocolError): void {
    bump(this.host.counters.errors, error.code);
    this.send('error', this.protocol.error(error));
  }

  pong(): void {
    this.send('pong', this.protocol.pong());
  }

  /** Its device may not publish to that topic. */
  sayNotAllowed(message: Event | Request | Greeting): void {
    const told = this.protocol.notAllowed(message);
    this.send(message.type === 'request' ? 'reply' : 'error', told);
  }

  /** What its protocol has to say of its own accord. */
  sayAside(answer: Buffer | undefined): void {
    this.send('aside', answer);
  }

  /** An EVENT is safe at the broker. */
  acknowledge(id: number): void {
    this.send('ack', this.protocol.acknowledge(id));
  }

  reply(id: number, status: number, payload: Buffer): void {
    this.send('reply', this.protocol.reply(id, status, payload));
  }

  /** What its protocol has no word for, its device would refuse. */
  command(message: CommandMessage): void {
    const frame = this.protocol.command(message);
    this.send('command', frame);
    if (frame === undefined) this.onNoCommand(message.id);
  }

  /** Another process could go on with it. */
  get canBeSaved(): boolean {
    return this.protocol.canMove !== false;
  }

  // A frame that the outbox cannot hold would close the link, however much the device takes.

  /** Longest payload of a REPLY that the device takes. */
  get replyBytesMax(): number {
    return this.protocol.replyBytesMax(this.host.limits.outboxHardBytes / 2);
  }

  /** It can be sent a COMMAND now. */
  get takesCommands(): CommandReadiness {
    return this.protocol.takesCommands;
  }

  /** Longest payload of a COMMAND that the device takes. */
  commandBytesMax(topic: string): number {
    return this.protocol.commandBytesMax(topic, this.host.limits.outboxHardBytes / 2);
  }

  /** The same, and that the outbox still has room for. */
  commandBytesNow(topic: string): number {
    const { outboxHardBytes } = this.host.limits;
    return this.protocol.commandBytesMax(topic, outboxHardBytes - this.outboxBytes);
  }
}
