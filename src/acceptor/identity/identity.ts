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
import type { AuthQuestion, BackendVerdict } from '../../node/verdicts.ts';
import type { Greeting } from '../../wire/protocol.ts';
import type { Origin } from '../endpoint/origin.ts';
import type { AuthFailure, AuthVerdict, Proof, TopicFilter } from '../endpoint/proof.ts';
import { certIdOf } from './certId.ts';
import type { Crl } from './crl.ts';
import { type JwtKey, verifyJwt } from './jwt.ts';
import { bothFilters, topicFilter } from './topics.ts';

/** What may change while the node runs: files that are read again, people who are blocked. */
export interface IdentitySources {
  keys(): GroupKeys | undefined;
  jwtKeys(): readonly JwtKey[] | undefined;
  revoked(): Crl | undefined;
  isBlocked(deviceId: string): boolean;
  askBackend(question: AuthQuestion): Promise<BackendVerdict | undefined>;
  /** When a device may ask again about which nobody knows. */
  retryAfter(): number;
}

type Answer = AuthVerdict | Promise<AuthVerdict>;
/** What a proof says besides its method. */
interface Grounds {
  readonly expiresAt?: number | undefined;
  readonly by?: string | undefined;
  readonly groupKey?: Proof['groupKey'] | undefined;
  readonly topics?: TopicFilter | undefined;
}
/** Undefined: it does not apply. */
type Method = (origin: Origin, greeting: Greeting, now: number, from: At) => Answer | undefined;
/** Address and port. */
type At = { readonly peer: string };

const SENTENCES: Readonly<Partial<Record<AuthReason, string>>> = {
  'no-proof': 'nothing was shown that proves who this is',
  'other-device': 'the proof is for another device',
  'no-certificate': 'no certificate was shown',
  'unverified-certificate': 'the certificate is not verified',
  'revoked-certificate': 'the certificate is revoked',
  'no-id': 'the certificate names no device',
  'ambiguous-id': 'the certificate names more than one device',
  expired: 'the proof has ended',
  denied: 'this device is not let in',
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
  /**
   * Links keep their proof: one that says the same of many is one object. By method, and by the
   * group key, or this where there is none. Files that are read again have other keys.
   */
  readonly #shared = new Map<AuthMethod, WeakMap<object, Proof>>();
  /** ms since 1970. */
  readonly #wall: () => number;

  constructor(listener: ListenerConfig, sources: IdentitySources, wall: () => number) {
    const methods: Readonly<Record<AuthMethod, Method>> = {
      cert: (origin, greeting, now) => this.#byCertificate(origin, greeting, now),
      psk: (origin, greeting) => this.#byPsk(origin, greeting),
      key: (_, greeting, now) => this.#byKey(greeting, now),
      jwt: (_, greeting, now) => this.#byJwt(greeting, now),
      backend: (_, greeting, __, from) => this.#byBackend(greeting, from),
      none: () => this.#proof('none'),
    };
    this.#listener = listener;
    this.#sources = sources;
    this.#methods = listener.auth.map((method) => methods[method]);
    this.#topics = topicFilter(listener.topics);
    this.#wall = wall;
  }

  prove(origin: Origin, greeting: Greeting, from: At = origin): Answer {
    const answer = this.#firstOf(origin, greeting, from);
    if (!(answer instanceof Promise)) return this.#last(greeting, answer);
    // Whoever was asked failed: that refuses this device, and ends no process.
    const failed = () => authFailure('unavailable', this.#sources.retryAfter());
    return answer.catch(failed).then((verdict) => this.#last(greeting, verdict));
  }

  #firstOf(origin: Origin, greeting: Greeting, from: At): Answer {
    const now = this.#wall();
    for (const method of this.#methods) {
      const answer = method(origin, greeting, now, from);
      if (answer !== undefined) return answer;
    }
    return authFailure('no-proof');
  }

  /** Whoever is blocked is told so only once it is known that it is this device. */
  #last({ deviceId }: Greeting, verdict: AuthVerdict): AuthVerdict {
    if ('code' in verdict || !this.#sources.isBlocked(deviceId)) return verdict;
    return authFailure('blocked');
  }

  #proof(method: AuthMethod, grounds: Grounds = {}): Proof {
    const { expiresAt, by, groupKey, topics = this.#topics } = grounds;
    const isShared = expiresAt === undefined && topics === this.#topics;
    const shared = isShared ? this.#sharedBy(method) : undefined;
    const known = shared?.get(groupKey ?? this);
    if (known !== undefined) return known;
    const proof = {
      method,
      ...(by === undefined ? {} : { by }),
      ...(groupKey === undefined ? {} : { groupKey }),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(topics === undefined ? {} : { topics }),
    };
    shared?.set(groupKey ?? this, proof);
    return proof;
  }

  #sharedBy(method: AuthMethod): WeakMap<object, Proof> {
    const shared = this.#shared.get(method) ?? new WeakMap<object, Proof>();
    this.#shared.set(method, shared);
    return shared;
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
    return this.#proof('cert', { expiresAt: found.notAfter });
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
    if (!isSame(device, greeting.deviceId)) return authFailure('other-device');
    const key = keyIn(pskIdentity, this.#sources.keys() ?? new Map());
    return key ? this.#proof('psk', key) : authFailure('unknown-key');
  }

  #byKey({ deviceId, token }: Greeting, now: number): AuthVerdict | undefined {
    if (!token?.startsWith('k1.')) return undefined;
    const keys = this.#sources.keys();
    if (keys === undefined) return authFailure('unavailable');
    const verdict = verifyToken(token, deviceId, keys, now);
    if ('reason' in verdict) return authFailure(verdict.reason);
    return this.#proof('key', { ...verdict, ...keyIn(token.slice('k1.'.length), keys) });
  }

  #byJwt({ deviceId, token }: Greeting, now: number): Answer | undefined {
    if (token?.split('.').length !== 3) return undefined;
    const keys = this.#sources.jwtKeys();
    if (keys === undefined) return authFailure('unavailable');
    const audience = this.#listener.jwtAudience || undefined;
    return verifyJwt(token, deviceId, { keys, audience }, now).then((verdict) => {
      if (!('reason' in verdict)) return this.#proof('jwt', { expiresAt: verdict.expiresAt });
      const isOther = verdict.reason === 'wrong-device';
      return authFailure(isOther ? 'other-device' : verdict.reason);
    });
  }

  async #byBackend({ deviceId, token = '' }: Greeting, { peer }: At): Promise<AuthVerdict> {
    const question = { device: deviceId, token, peer, listener: this.#listener.name };
    const verdict = await this.#sources.askBackend(question);
    if (verdict === undefined) return authFailure('unavailable', this.#sources.retryAfter());
    const { isAllowed, expiresAt, topics } = verdict;
    if (!isAllowed) return authFailure('denied');
    if (expiresAt !== 0 && expiresAt <= this.#wall()) return authFailure('expired');
    const filter = bothFilters(this.#topics, topics);
    return this.#proof('backend', { expiresAt: expiresAt || undefined, topics: filter });
  }
}

/**
 * Of `<keyId>.` and more. The id is the file's own text: each link keeps it, and one that is cut
 * out of a token keeps all of that in memory.
 */
function keyIn(text: string, keys: GroupKeys): Pick<Grounds, 'by' | 'groupKey'> | undefined {
  const id = text.slice(0, text.indexOf('.'));
  for (const [by, groupKey] of keys) if (by === id) return { by, groupKey };
  return undefined;
}

function isSame(proved: string, claimed: string): boolean {
  const [a, b] = [Buffer.from(proved), Buffer.from(claimed)];
  return a.length === b.length && timingSafeEqual(a, b);
}
