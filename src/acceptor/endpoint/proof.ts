/**
 * Proof: what a method of identity says about a link, in one shape for all of them. Types only.
 * From: each method of identity.  To: whoever admits the link or refuses it.
 * Bound: `reason` and `sentence` are of fixed words, never of what the device sent: they may be
 * counted, logged and sent.
 */
import type { GroupKey } from '../../base/deviceKeys.ts';
import type { AuthReason } from '../../base/errors.ts';
import type { AuthMethod } from '../../base/listeners.ts';

export interface TopicFilter {
  /** As they were written: of several lists, all of them allow it. */
  readonly patterns: readonly (readonly string[])[];
  allows(topic: string): boolean;
}

/** A device is who it says. */
export interface Proof {
  /** How. */
  readonly method: AuthMethod;
  /** With which key, by its id: for people. */
  readonly by?: string;
  /** ms since 1970; undefined: it never ends. */
  readonly expiresAt?: number;
  /** Of which the device's own key is made. */
  readonly groupKey?: GroupKey;
  /** Undefined: it may publish to all topics. */
  readonly topics?: TopicFilter;
}

/** Why a device is refused. */
export interface AuthFailure {
  readonly code: 'auth-failed' | 'auth-unavailable' | 'blocked';
  readonly reason: AuthReason;
  readonly sentence: string;
  /** ms after which it may succeed. */
  readonly retryAfter?: number;
}

export type AuthVerdict = Proof | AuthFailure;
