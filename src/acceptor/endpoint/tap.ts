/**
 * Tap: somebody looks at one link: its frames as they pass, and what becomes of them. Types only.
 * From: its Endpoint, which has one while somebody looks, and the routes.  To: who that is.
 * Bound: a call is done when it returns; it changes nothing, and keeps no view of a payload.
 */
import type { CloseReason } from '../../base/errors.ts';
import type { MessageType } from '../../wire/message.ts';
import type { Protocol, Received } from '../../wire/protocol.ts';
import type { Endpoint } from './endpoint.ts';

/** What became of a message of the link: at the broker; or of a COMMAND. */
export interface TapStep {
  readonly of: 'broker' | 'command';
  readonly what: string;
  readonly id?: number;
  readonly status?: number;
  readonly payloadBytes?: number;
  readonly reason?: string;
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
}

export interface Tap {
  /** The device's message, whole, before it is handled: `bytes` with all that frames it. */
  onRead(endpoint: Endpoint, message: Received, bytes: number): void;
  /** A frame for the device, as it goes into the outbox; its protocol knows what it says. */
  onWritten(
    endpoint: Endpoint,
    type: MessageType,
    frame: Buffer,
    protocol: Pick<Protocol, 'describe'>,
  ): void;
  /** Also after the end of the link. */
  onStep(endpoint: Pick<Endpoint, 'id'>, step: TapStep): void;
  onEnd(endpoint: Endpoint, reason: CloseReason): void;
  /** Another process has the link: it is looked at there. */
  onMoved(endpoint: Endpoint): void;
}
