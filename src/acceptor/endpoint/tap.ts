/**
 * Tap: somebody looks at the frames of one link as they pass. Types only.
 * From: its Endpoint, which has one while somebody looks.  To: who that is.
 * Bound: a call is done when it returns; it changes nothing, and keeps no view of a payload.
 */
import type { MessageType } from '../../wire/message.ts';
import type { Received } from '../../wire/protocol.ts';
import type { Endpoint } from './endpoint.ts';

export interface Tap {
  /** The device's message, whole, before it is handled. */
  onRead(endpoint: Endpoint, message: Received): void;
  /** A frame for the device, as it goes into the outbox. */
  onWritten(endpoint: Endpoint, type: MessageType, frame: Buffer): void;
}
