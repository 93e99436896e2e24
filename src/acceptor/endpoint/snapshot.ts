/**
 * Snapshot: all that an endpoint knows of its link, for the endpoint of another process that goes
 * on with it.
 * From: a frozen endpoint.  To: bytes that pass through the supervisor, then `adopt`.
 * Bound: a few hundred bytes and what the device sent and was not handled: at most a frame and
 * what a paused link may hold.
 *
 * Times of a process's own clock are written as ages, for its successor's clock has another zero.
 */
import type { Socket } from 'node:net';
import type { ByeReason, ProtocolError } from '../../base/errors.ts';
import type { Protocol, ProtocolState } from '../../wire/protocol.ts';
import type { AllowanceState } from './allowance.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointHost } from './host.ts';
import type { Bequest } from './linkWills.ts';
import type { Proof, TopicFilter } from './proof.ts';
import { type SocketHandle, stopReading } from './socket.ts';

export interface LinkSnapshot {
  /** The connection id. */
  readonly id: string;
  readonly deviceId: string;
  /** In the machine's µs, which all processes share. */
  readonly acceptedUs: number;
  /** The name of its listener. */
  readonly listener: string;
  readonly peer: string;
  readonly keepaliveMs: number;
  /** How long ago its device was heard. */
  readonly silentMs: number;
  readonly proof: ProofState;
  readonly allowance: AllowanceState;
  readonly figures: LinkFigures;
  readonly protocol: ProtocolState;
  /** Absent: it has none. */
  readonly bequest?: Bequest;
}

/** What people are told of a link, since it was accepted. */
export interface LinkFigures {
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly notAllowed: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** A proof, written down: its topics as patterns, and no key: that is known by its id. */
export interface ProofState extends Omit<Proof, 'topics' | 'groupKey'> {
  readonly topics?: TopicFilter['patterns'];
  /** By a group key, of the id that `by` is. */
  readonly isByKey: boolean;
}

/** A link that nobody reads, on its way to another process. */
export interface FrozenLink {
  readonly handle: SocketHandle;
  readonly snapshot: LinkSnapshot;
}

/** What a link is to be closed with. `retryAfter` in ms. */
export interface OwedClose {
  readonly reason: ByeReason | ProtocolError['code'];
  readonly retryAfter: number | undefined;
}

/** A TLS socket or a WebSocket cannot pass to another process, nor what no protocol writes down. */
export function canMove({ origin, canBeSaved }: Endpoint): boolean {
  const isPlain = origin?.secured === undefined && origin?.isWebSocket !== true;
  return isPlain && canBeSaved;
}

/** Nothing of it is under way here. */
export function isQuiet(endpoint: Endpoint): boolean {
  const { state, inFlight, outboxBytes, isHolding } = endpoint;
  const isIdle = inFlight === 0 && outboxBytes === 0 && !isHolding;
  return state === 'open' && isIdle && canMove(endpoint);
}

/** Nobody reads it from now on. Undefined: its end has come. */
export function freezeLink(
  endpoint: Endpoint,
  socket: Socket,
  protocol: Protocol,
  host: EndpointHost,
): FrozenLink | undefined {
  const stopped = stopReading(socket);
  if (stopped === undefined) return undefined;
  if (stopped.unread.length > 0) protocol.push(stopped.unread);
  host.gate.unpause(endpoint);
  const snapshot = snapshotOf(endpoint, protocol.state(), host);
  endpoint.state = 'moving';
  // Nobody hears it until it thaws: that is no silence.
  host.gate.rest(endpoint);
  return { handle: stopped.handle, snapshot };
}

function snapshotOf(
  endpoint: Endpoint,
  protocol: ProtocolState,
  { clock, wills }: EndpointHost,
): LinkSnapshot {
  const { id, deviceId, acceptedUs, origin, peer, keepaliveMs, heardAt, proof } = endpoint;
  const { messagesIn, messagesOut, notAllowed, bytesIn, bytesOut } = endpoint;
  const now = clock.now();
  const bequest = wills.of(id);
  return {
    ...{ id, deviceId, acceptedUs, peer, keepaliveMs, protocol },
    listener: origin?.listener.name ?? '',
    silentMs: now - heardAt,
    proof: proofState(proof ?? { method: 'none' }),
    allowance: endpoint.allowance.state(now),
    figures: { messagesIn, messagesOut, notAllowed, bytesIn, bytesOut },
    ...(bequest && { bequest }),
  };
}

function proofState({ topics, groupKey, ...rest }: Proof): ProofState {
  const isByKey = groupKey !== undefined;
  return { ...rest, isByKey, ...(topics === undefined ? {} : { topics: topics.patterns }) };
}
