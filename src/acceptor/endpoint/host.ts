/**
 * Host: what an endpoint needs of the acceptor around it.
 * From: each link's Endpoint.  To: endpoints.ts, which is one.
 * Bound: the lists and deadlines behind it are those of the parts of endpoints.ts.
 */
import type { Clock } from '../../base/clock.ts';
import type { CloseReason, ProtocolError } from '../../base/errors.ts';
import type { Limits } from '../../base/limits.ts';
import type { Counters } from '../../base/metrics.ts';
import type { Ack, Event, Request, Result } from '../../wire/message.ts';
import type { Greeting } from '../../wire/protocol.ts';
import type { Endpoint } from './endpoint.ts';
import type { LinkWills } from './linkWills.ts';
import type { Flusher } from './outbox.ts';
import type { AuthFailure, AuthVerdict, Proof } from './proof.ts';
import type { ReadGate } from './readGate.ts';
import type { OwedClose } from './snapshot.ts';

/** One object serves all endpoints. */
export interface EndpointHost {
  readonly limits: Limits;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly flusher: Flusher;
  /** What its links want to be published if they end without a goodbye. */
  readonly wills: LinkWills;
  /** When it is read. */
  readonly gate: ReadGate<Endpoint>;
  /** It holds HEAVY_BYTES or more: it is to be looked at. */
  onHeavy(endpoint: Endpoint): void;
  /** Does what this link has shown prove that it is who it says? */
  prove(endpoint: Endpoint, greeting: Greeting): AuthVerdict | Promise<AuthVerdict>;
  /** It is not; `onEnd` follows. */
  onNoProof(endpoint: Endpoint, deviceId: string, failure: AuthFailure): void;
  /** The device has said who it is, and proved it. */
  onOpen(endpoint: Endpoint, proof: Proof): void;
  /** It wanted to publish to a topic that is not its own. */
  onNotAllowed(endpoint: Endpoint): void;
  onMessage(endpoint: Endpoint, message: Event | Request): void;
  /** An answer to a COMMAND; or to none, for an id is the device's word. */
  onAnswer(endpoint: Endpoint, message: Ack | Result): void;
  /** It can be sent COMMANDs from now on. */
  onReady(endpoint: Endpoint): void;
  /** The device broke the protocol; `onEnd` follows. */
  onError(endpoint: Endpoint, error: ProtocolError): void;
  /** The link is over: no message will come, none can be sent. Called once per endpoint. */
  onEnd(endpoint: Endpoint, reason: CloseReason): void;
  /** Another process has it: it has not ended, and is not here any more. */
  onLeft(endpoint: Endpoint): void;
  /** It is to be closed, while another process may have it. */
  onOwed(endpoint: Endpoint, reason: OwedClose['reason']): void;
  /** The socket is gone. */
  onClosed(endpoint: Endpoint): void;
}
