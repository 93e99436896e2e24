/**
 * Proof: what a method of identity says about a link, in one shape for all of them. Types only.
 * From: each method of identity.  To: whoever admits the link or refuses it.
 * Bound: `reason` and `sentence` are of fixed words, never of what the device sent: they may be
 * counted, logged and sent.
 */

/** What a device has proved. */
export interface Proof {
  readonly deviceId: string;
  /** ms since 1970; undefined: it never ends. */
  readonly expiresAt?: number;
  /** AMQP patterns of the topics it may publish; undefined: all. */
  readonly topics?: readonly string[];
}

/** Why a device is refused. */
export interface AuthFailure {
  readonly code: 'auth-failed' | 'auth-unavailable' | 'blocked';
  /** From a closed list of each method, for the counter. */
  readonly reason: string;
  readonly sentence: string;
  /** ms after which it may succeed. */
  readonly retryAfter?: number;
}

export type AuthVerdict = Proof | AuthFailure;
