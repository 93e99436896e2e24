/**
 * Greet: a link's HELLO: who is it? It opens, or is refused.
 * From: its Endpoint, with the greeting.  To: the host, which knows how to prove it; and back.
 * Bound: until that is known, nothing more of the link is handled; whoever is asked has a deadline.
 */
import { ProtocolError } from '../../base/errors.ts';
import type { Greeting } from '../../wire/protocol.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointHost } from './host.ts';
import { ruleKeepalive } from './keepalive.ts';
import type { AuthFailure, AuthVerdict, Proof } from './proof.ts';

export function greet(endpoint: Endpoint, greeting: Greeting, host: EndpointHost): void {
  const verdict = host.prove(endpoint, greeting);
  if (!(verdict instanceof Promise)) onVerdict(endpoint, greeting, verdict, host);
  else {
    endpoint.state = 'authenticating';
    void verdict
      .then((settled) => onVerdict(endpoint, greeting, settled, host))
      .then(() => endpoint.wake());
  }
}

function onVerdict(
  endpoint: Endpoint,
  greeting: Greeting,
  verdict: AuthVerdict,
  host: EndpointHost,
): void {
  if (!endpoint.isLive) return;
  if ('code' in verdict) refuse(endpoint, greeting, verdict, host);
  else open(endpoint, greeting, verdict, host);
}

function open(
  endpoint: Endpoint,
  { deviceId, keepalive, isKeepaliveFixed }: Greeting,
  proof: Proof,
  host: EndpointHost,
): void {
  endpoint.deviceId = deviceId;
  endpoint.proof = proof;
  endpoint.keepaliveMs = ruleKeepalive(keepalive, host.limits, isKeepaliveFixed);
  endpoint.state = 'open';
  host.onOpen(endpoint, proof);
  endpoint.welcome();
}

function refuse(
  endpoint: Endpoint,
  { deviceId }: Greeting,
  failure: AuthFailure,
  host: EndpointHost,
): void {
  const { code, sentence, retryAfter } = failure;
  host.onNoProof(endpoint, deviceId, failure);
  if (code === 'auth-failed') endpoint.sayError(new ProtocolError(code, sentence));
  endpoint.close(code, retryAfter);
}
