/**
 * Identity: does a link prove that it is the device it says? By one listener's methods.
 * From: endpoints.ts, with each HELLO.  To: a Proof, or the reason why not.
 * Bound: the first method that applies decides alone: one that cannot decide refuses, and nothing
 * falls through to a weaker one. No word of what was sent is in a reason or sentence.
 */
import { timingSafeEqual } from 'node:crypto';
import { type GroupKeys, verifyToken } from '../../base/deviceKeys.ts';
import type { AuthReason } from '../../base/errors.ts';
import type { AuthMethod, ListenerConfig } from '../../base/listeners.ts';
import type { Greeting } from '../../wire/protocol.ts';
import type { Origin } from '../endpoint/origin.ts';
import type { AuthFailure, AuthVerdict, Proof, TopicFilter } from '../endpoint/proof.ts';
import { certIdOf } from './certId.ts';
import type { Crl } from './crl.ts';
import { type JwtKey, verifyJwt } from './jwt.ts';
import { topicFilter } from './topics.ts';

/** What may change while the node runs: files that are read again, people who are blocked. */
export interface IdentitySources {
  keys(): GroupKeys | undefined;
  jwtKeys(): readonly JwtKey[] | undefined;
  revoked(): Crl | undefined;
  isBlocked(deviceId: string): boolean;
}

type Answer = AuthVerdict | Promise<AuthVerdict>;
/** Undefined: it does not apply. */
type Method = (origin: Origin, greeting: Greeting, now: number) => Answer | undefined;

const SENTENCES: Readonly<Partial<Record<AuthReason, string>>> = {
  'no-proof': 'nothing was shown that proves who this is',
  'other-device': 'the proof is for another device',
  'no-certificate': 'no certificate was shown',
  'unverified-certificate': 'the certificate is not verified',
  'revoked-certificate': 'the certificate is revoked',
  'no-id': 'the certificate names no device',
  'ambiguous-id': 'the certificate names more than one device',
  expired: 'the proof has ended',
  'not-yet-valid': 'the proof begins later',
  unavailable: 'nobody can say now who this is',
  blocked: 'this device is blocked',
};

export function authFailure(reason: AuthReason, retryAfter?: number): AuthFailure {
  const code =
    reason === 'blocked'
      ? 'blocked'
      : reason === 'unavailable'
        ? 'auth-unavailable'
        : 'auth-failed';
  const sentence = SENTENCES[reason] ?? 'the token is not valid';
  return { code, reason, sentence, ...(retryAfter === undefined ? {} : { retryAfter }) };
}

export class Identity {
  readonly #listener: ListenerConfig;
  readonly #sources: IdentitySources;
  readonly #methods: readonly Method[];
  readonly #topics: TopicFilter | undefined;
  /** ms since 1970. */
  readonly #wall: () => number;

  constructor(listener: ListenerConfig, sources: IdentitySources, wall: () => number) {
    const methods: Readonly<Record<AuthMethod, Method>> = {
      cert: (origin, greeting, now) => this.#byCertificate(origin, greeting, now),
      psk: (origin, greeting) => this.#byPsk(origin, greeting),
      key: (_, greeting, now) => this.#byKey(greeting, now),
      jwt: (_, greeting, now) => this.#byJwt(greeting, now),
      backend: () => authFailure('unavailable'),
      none: () => this.#proof('none'),
    };
    this.#listener = listener;
    this.#sources = sources;
    this.#methods = listener.auth.map((method) => methods[method]);
    this.#topics = topicFilter(listener.topics);
    this.#wall = wall;
  }

  prove(origin: Origin, greeting: Greeting): Answer {
    const now = this.#wall();
    const answer = this.#firstOf(origin, greeting, now);
    if (answer instanceof Promise) return answer.then((verdict) => this.#last(greeting, verdict));
    return this.#last(greeting, answer);
  }

  #firstOf(origin: Origin, greeting: Greeting, now: number): Answer {
    for (const method of this.#methods) {
      const answer = method(origin, greeting, now);
      if (answer !== undefined) return answer;
    }
    return authFailure('no-proof');
  }

  /** Whoever is blocked is told so only once it is known that it is this device. */
  #last({ deviceId }: Greeting, verdict: AuthVerdict): AuthVerdict {
    if ('code' in verdict || !this.#sources.isBlocked(deviceId)) return verdict;
    return authFailure('blocked');
  }

  #proof(method: AuthMethod, expiresAt?: number): Proof {
    return {
      method,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(this.#topics === undefined ? {} : { topics: this.#topics }),
    };
  }

  // The methods.

  #byCertificate(origin: Origin, greeting: Greeting, now: number): AuthVerdict | undefined {
    const { proxied, secured, pskIdentity } = origin;
    if (secured === undefined) return proxied && this.#byProxy(proxied, greeting);
    if (pskIdentity !== undefined) return undefined;
    const { tls, certId } = this.#listener;
    const certificate = secured.getPeerX509Certificate();
    if (certificate === undefined) {
      return tls?.clientCert === 'require' ? authFailure('no-certificate') : undefined;
    }
    if (!secured.authorized) return authFailure('unverified-certificate');
    // OpenSSL looks at full handshakes only, and a list may be newer than the handshake.
    if (this.#sources.revoked()?.isRevoked(certificate)) return authFailure('revoked-certificate');
    const found = certIdOf(certificate, certId);
    if ('reason' in found) return authFailure(found.reason);
    if (!isSame(found.deviceId, greeting.deviceId)) return authFailure('other-device');
    if (found.notAfter <= now) return authFailure('expired');
    return this.#proof('cert', found.notAfter);
  }

  /** As the proxy found it. It tells no more of the certificate than its common name. */
  #byProxy(proxied: NonNullable<Origin['proxied']>, greeting: Greeting): AuthVerdict | undefined {
    const { hasClientCert, isVerified, commonName } = proxied;
    if (!hasClientCert) return undefined;
    if (!isVerified) return authFailure('unverified-certificate');
    if (commonName === undefined) return authFailure('no-id');
    if (!isSame(commonName, greeting.deviceId)) return authFailure('other-device');
    return this.#proof('cert');
  }

  #byPsk({ pskIdentity }: Origin, greeting: Greeting): AuthVerdict | undefined {
    if (pskIdentity === undefined) return undefined;
    const device = pskIdentity.slice(pskIdentity.indexOf('.') + 1);
    return isSame(device, greeting.deviceId) ? this.#proof('psk') : authFailure('other-device');
  }

  #byKey({ deviceId, token }: Greeting, now: number): AuthVerdict | undefined {
    if (!token?.startsWith('k1.')) return undefined;
    const keys = this.#sources.keys();
    if (keys === undefined) return authFailure('unavailable');
    const verdict = verifyToken(token, deviceId, keys, now);
    if ('reason' in verdict) return authFailure(verdict.reason);
    return this.#proof('key', verdict.expiresAt);
  }

  #byJwt({ deviceId, token }: Greeting, now: number): Answer | undefined {
    if (token?.split('.').length !== 3) return undefined;
    const keys = this.#sources.jwtKeys();
    if (keys === undefined) return authFailure('unavailable');
    const audience = this.#listener.jwtAudience || undefined;
    return verifyJwt(token, deviceId, { keys, audience }, now).then((verdict) => {
      if (!('reason' in verdict)) return this.#proof('jwt', verdict.expiresAt);
      const isOther = verdict.reason === 'wrong-device';
      return authFailure(isOther ? 'other-device' : verdict.reason);
    });
  }
}

function isSame(proved: string, claimed: string): boolean {
  const [a, b] = [Buffer.from(proved), Buffer.from(claimed)];
  return a.length === b.length && timingSafeEqual(a, b);
}
