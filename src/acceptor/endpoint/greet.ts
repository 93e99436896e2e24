/**
 * Greet: a link's HELLO: who is it? It opens, or is refused.
 * From: its Endpoint, with the greeting.  To: the host, which knows how to prove it; and back.
 * Bound: until that is known, nothing more of the link is handled; whoever is asked has a deadline.
 */
import { ProtocolError } from '../../base/errors.ts';
import { bump } from '../../base/metrics.ts';
import type { Greeting } from '../../wire/protocol.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointHost } from './host.ts';
import { ruleKeepalive } from './keepalive.ts';
import { willBytesOf } from './linkWills.ts';
import type { AuthFailure, AuthVerdict, Proof } from './proof.ts';

/** Throws ProtocolError for a will that is too long. */
export function greet(endpoint: Endpoint, greeting: Greeting, host: EndpointHost): void {
  checkWill(greeting, host);
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

function checkWill({ will }: Greeting, { limits }: EndpointHost): void {
  if (will === undefined || willBytesOf(will) <= limits.willBytesMax) return;
  const what = `topic and payload of the will are longer than ${limits.willBytesMax} bytes`;
  throw new ProtocolError('frame-too-long', what);
}

function open(endpoint: Endpoint, greeting: Greeting, proof: Proof, host: EndpointHost): void {
  const { deviceId, keepalive, isKeepaliveFixed, will, isCleanStart } = greeting;
  const mayWill = will === undefined || proof.topics?.allows(will.topic) !== false;
  host.wills.keep(endpoint.id, {
    ...(will && mayWill && { will }),
    ...(isCleanStart && { isCleanStart }),
  });
  endpoint.deviceId = deviceId;
  endpoint.proof = proof;
  endpoint.keepaliveMs = ruleKeepalive(keepalive, host.limits, isKeepaliveFixed);
  endpoint.state = 'open';
  host.onOpen(endpoint, proof);
  endpoint.welcome();
  if (!mayWill) refuseWill(endpoint, greeting, host);
}

/** It costs the will, and nothing else. */
function refuseWill(endpoint: Endpoint, greeting: Greeting, host: EndpointHost): void {
  bump(host.counters.wills, 'not-allowed');
  endpoint.sayNotAllowed(greeting);
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
