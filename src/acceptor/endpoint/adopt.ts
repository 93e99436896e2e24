/**
 * Adopt: the endpoint of a link that another process had until now.
 * From: intake.ts, with a snapshot and what its words are in this process.  To: an endpoint.
 * Bound: it is not read before it thaws; the link stays what it was, its deadlines included.
 */
import type { Socket } from 'node:net';
import type { Protocol } from '../../wire/protocol.ts';
import { Endpoint } from './endpoint.ts';
import type { EndpointHost } from './host.ts';
import type { Origin } from './origin.ts';
import type { Proof } from './proof.ts';
import type { LinkSnapshot } from './snapshot.ts';

/** What a snapshot's words are in this process. */
export interface Adopted {
  readonly socket: Socket;
  readonly origin: Origin;
  readonly protocol: Protocol;
  readonly proof: Proof;
}

/** Makes the endpoint of a link that was frozen elsewhere. */
export function adoptLink(
  snapshot: LinkSnapshot,
  { socket, origin, protocol, proof }: Adopted,
  host: EndpointHost,
): Endpoint {
  const { id, deviceId, acceptedUs, keepaliveMs, silentMs, allowance, figures } = snapshot;
  const now = host.clock.now();
  const endpoint = new Endpoint(
    id,
    { socket, acceptedUs, origin, protocol, isAdopted: true },
    host,
  );
  endpoint.state = 'adopted';
  endpoint.deviceId = deviceId;
  endpoint.proof = proof;
  endpoint.keepaliveMs = keepaliveMs;
  endpoint.heardAt = now - silentMs;
  endpoint.allowance.restore(allowance, now);
  endpoint.messagesIn = figures.messagesIn;
  endpoint.messagesOut = figures.messagesOut;
  endpoint.notAllowed = figures.notAllowed;
  const { bytesIn, bytesOut } = figures;
  endpoint.before = { bytesIn, bytesOut };
  if (snapshot.bequest) host.wills.adopt(id, snapshot.bequest);
  host.gate.rest(endpoint);
  return endpoint;
}
