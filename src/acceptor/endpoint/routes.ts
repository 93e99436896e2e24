/**
 * Routes: what endpoints need of the acceptor around them: where messages go, and who is told of
 * links.
 * From: endpoints.ts, for every link; intake.ts, for those that are refused.
 * To: acceptor.ts, which makes each of these of its parts.
 * Bound: none of its own; each call is done when it returns.
 */
import type { Socket } from 'node:net';
import type { CloseReason } from '../../base/errors.ts';
import type { Ack, Event, Request, Result } from '../../wire/message.ts';
import type { Greeting, Protocol, ProtocolState } from '../../wire/protocol.ts';
import type { Endpoint } from './endpoint.ts';
import type { Origin } from './origin.ts';
import type { AuthVerdict, Proof } from './proof.ts';
import type { ProofState } from './snapshot.ts';

/** Messages that go to the broker. Each type has its own room there, and its own line. */
export type PublishedType = (Event | Request)['type'];

/** Where an endpoint's messages go. */
export interface Routes {
  /** No more messages of this type now; the `RoomSignal` says when there is room again. */
  isFull(type: PublishedType): boolean;
  /** The broker takes longer than it does when it has little to do. */
  isSlow(): boolean;
  onMessage(endpoint: Endpoint, message: Event | Request): void;
  onAnswer(endpoint: Endpoint, message: Ack | Result): void;
  /** It can be sent COMMANDs from now on. */
  onReady(endpoint: Endpoint): void;
  /** The link is over: nothing can be sent to it any more. */
  onEnd(endpoint: Endpoint): void;
}

/** Who knows whether a device is who it says. Nothing before it knows a device id. */
export interface Prover {
  prove(endpoint: Endpoint, greeting: Greeting): AuthVerdict | Promise<AuthVerdict>;
  /** It was not; of links with an origin only. */
  onNoProof(endpoint: Endpoint): void;
}

/** Who is told of links that opened (HELLO was accepted) and of the ends of these. */
export interface Presence {
  onUp(endpoint: Endpoint): void;
  onDown(endpoint: Endpoint, reason: CloseReason): void;
}

/** What the words of a snapshot are in this process. Undefined: nothing that is known here. */
export interface Restorer {
  /** By the protocol of the listener of that name. */
  protocol(state: ProtocolState, listener: string): Protocol | undefined;
  /** Of a link with such a proof, by the listener of that name, from that address and port. */
  origin(state: ProofState, listener: string, peer: string): Restored | undefined;
  /** Its socket is one of this process now; `peer` as above. */
  onAdopted(socket: Socket, peer: string): void;
}

/** Where a link came from, and what it has proved. */
export interface Restored {
  readonly origin: Origin;
  readonly proof: Proof;
}

/** What was wrong with a link that ends now: of fixed words. */
export interface EndCause {
  readonly why: string;
  /** As it was said; it is not proved. */
  readonly deviceId?: string;
}

/** Who remembers links that have ended. */
export interface Ends {
  onEnd(endpoint: Endpoint, reason: CloseReason, cause: EndCause | undefined): void;
}

/** What a log may say of a link. Both are empty where they are not known. */
export interface RefusedLink {
  readonly deviceId: string;
  readonly peer: string;
}

/** Who is told of links that are refused, or end by what their device did wrong. */
export interface Refusals {
  onRefusal(link: RefusedLink, reason: CloseReason, error?: { readonly message: string }): void;
}
