/**
 * LinkFields: what is said of a link to people: one field, a row, or all that there is.
 * From: an Endpoint, read only.  To: linkPages.ts and linkQuestions.ts.
 * Bound: pure; a row is some numbers and short texts, and no payload or secret.
 */
import type { IdentityFacts, LinkFacts } from '../../node/linkFacts.ts';
import type { LinkField } from '../../node/linkQuery.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';

/** When it is looked at, and where. */
export interface Look {
  /** The clock's ms and µs, and ms since 1970. */
  readonly now: number;
  readonly us: number;
  readonly wall: number;
  readonly acceptor: number;
}

const US_PER_MS = 1_000;

function ageMs(endpoint: Endpoint, { us }: Look): number {
  return Math.max(0, Math.round((us - endpoint.acceptedUs) / US_PER_MS));
}

/** Moved on by pauses, it may lie a little ahead. */
function idleMs({ heardAt, pausedAt }: Endpoint, { now }: Look): number {
  return Math.max(0, (pausedAt || now) - heardAt);
}

function pausedBy(endpoint: Endpoint): LinkFacts['paused'] {
  if (endpoint.pausedAt === 0) return undefined;
  const { obstacle } = endpoint;
  return obstacle === 'over' ? undefined : obstacle;
}

const READ: Readonly<Record<LinkField, (endpoint: Endpoint, look: Look) => string | number>> = {
  device: ({ deviceId }) => deviceId,
  acceptor: (_, { acceptor }) => acceptor,
  listener: ({ origin }) => origin?.listener.name ?? '',
  protocol: ({ origin }) => origin?.listener.protocol ?? '',
  peer: ({ peer }) => peer,
  state: ({ state }) => state,
  method: ({ proof }) => proof?.method ?? '',
  paused: (endpoint) => pausedBy(endpoint) ?? '',
  outbox: ({ outboxBytes }) => outboxBytes,
  held: ({ heldBytes }) => heldBytes,
  rate: ({ ratePerSecond }) => ratePerSecond,
  age: ageMs,
  idle: idleMs,
  'in-flight': ({ inFlight }) => inFlight,
  messages: ({ messagesIn, messagesOut }) => messagesIn + messagesOut,
  bytes: ({ bytesIn, bytesOut }) => bytesIn + bytesOut,
  'not-allowed': ({ notAllowed }) => notAllowed,
};

export function readerOf(field: LinkField): (endpoint: Endpoint, look: Look) => string | number {
  return READ[field];
}

export function linkRowOf(endpoint: Endpoint, look: Look): LinkFacts {
  const { deviceId, id, origin, peer, state, keepaliveMs, proof, pausedAt } = endpoint;
  const paused = pausedBy(endpoint);
  return {
    ...{ device: deviceId, connection: id, acceptor: look.acceptor },
    ...{ listener: origin?.listener.name ?? '', protocol: origin?.listener.protocol ?? '', peer },
    ...{ state, ageMs: ageMs(endpoint, look), idleMs: idleMs(endpoint, look), keepaliveMs },
    ...(proof === undefined ? {} : { identity: identityOf(endpoint, look) }),
    ...(paused === undefined ? {} : { paused, pausedMs: look.now - pausedAt }),
    ratePerSecond: endpoint.ratePerSecond,
    inFlight: endpoint.inFlight,
    outboxBytes: endpoint.outboxBytes,
    heldBytes: endpoint.heldBytes,
    messagesIn: endpoint.messagesIn,
    messagesOut: endpoint.messagesOut,
    bytesIn: endpoint.bytesIn,
    bytesOut: endpoint.bytesOut,
    notAllowed: endpoint.notAllowed,
  };
}

function identityOf({ proof, origin }: Endpoint, { wall }: Look): IdentityFacts {
  const { method = 'none', expiresAt, by = shownBy(origin) } = proof ?? {};
  return {
    method,
    ...(by === undefined ? {} : { by }),
    ...(expiresAt === undefined ? {} : { expiresInMs: expiresAt - wall }),
  };
}

/** What its way has shown, and nobody had to keep. A PSK identity begins with the key's id. */
function shownBy(origin: Endpoint['origin']): string | undefined {
  if (origin === undefined) return undefined;
  const { pskIdentity, secured, proxied } = origin;
  if (pskIdentity !== undefined) return pskIdentity.slice(0, Math.max(0, pskIdentity.indexOf('.')));
  if (proxied?.commonName !== undefined) return `CN ${proxied.commonName}`;
  const serial = secured?.getPeerX509Certificate()?.serialNumber;
  return serial === undefined ? undefined : `serial ${serial}`;
}
