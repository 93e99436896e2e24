/**
 * Errors: the closed lists of codes and reasons, and one class per amount of loss.
 * From: wherever something is refused.  To: the device (code, reason), metrics, logs, exit codes.
 * Bound: ProtocolError costs one link, BrokerError one AMQP connection, StartError one process.
 */

/**
 * Codes of ERROR frames (docs/protocol.md). Each ends the link but `not-supported`, which is there
 * for later versions, and `not-allowed`.
 */
export const ERROR_CODES = [
  'bad-frame',
  'frame-too-long',
  'unexpected',
  'bad-id',
  'bad-topic',
  'bad-device-id',
  'version',
  'auth-failed',
  'not-supported',
  'not-allowed',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Reasons of BYE frames besides the error codes. */
export const BYE_REASONS = [
  'greeting-timeout',
  'keepalive-timeout',
  'outbox-full',
  'server-full',
  'memory-full',
  'rate-limited',
  'draining',
  'taken-over',
  'broker-lost',
  'auth-unavailable',
  'auth-expired',
  'blocked',
  'disconnected',
] as const;
export type ByeReason = (typeof BYE_REASONS)[number];

/** Ends that the device made: FIN, BYE, or a broken TCP connection. */
export const DEVICE_ENDS = ['peer-fin', 'peer-bye', 'peer-reset'] as const;
export type DeviceEnd = (typeof DEVICE_ENDS)[number];

/** Those that end no link. */
const MILD_CODES = ['not-supported', 'not-allowed'] as const;
type MildCode = (typeof MILD_CODES)[number];

export type FatalCode = Exclude<ErrorCode, MildCode>;
export type CloseReason = FatalCode | ByeReason | DeviceEnd;

export const CLOSE_REASONS: readonly CloseReason[] = [
  ...ERROR_CODES.filter((code): code is FatalCode => !MILD_CODES.some((mild) => mild === code)),
  ...BYE_REASONS,
  ...DEVICE_ENDS,
];

/** Why a link was over before its device could say anything. */
export const ESTABLISH_FAILURES = [
  'proxy-header',
  'proxy-source',
  'tls-handshake',
  'ws-handshake',
  'timeout',
  'peer-gone',
  'address-denied',
  'address-links',
  'address-failures',
] as const;
export type EstablishFailure = (typeof ESTABLISH_FAILURES)[number];

/** Why a JWT is no proof. */
export const JWT_FAILURES = [
  'malformed',
  'too-long',
  'bad-algorithm',
  'unknown-key',
  'bad-signature',
  'missing-claim',
  'wrong-audience',
  'not-yet-valid',
  'expired',
] as const;

/** Why a device did not prove who it is. */
export const AUTH_REASONS = [
  'no-proof',
  'other-device',
  'no-certificate',
  'unverified-certificate',
  'revoked-certificate',
  'no-id',
  'ambiguous-id',
  ...JWT_FAILURES,
  'denied',
  'unavailable',
  'blocked',
] as const;
export type AuthReason = (typeof AUTH_REASONS)[number];

/** Why a device came online. */
export const ONLINE_REASONS = ['connected', 'takeover'] as const;

/** Ends that no acceptor reported: all that is known is that the link is gone. */
export const UNSEEN_ENDS = ['missed', 'acceptor-ended', 'node-ended', 'restored'] as const;

/** Why a device is online or not: the `reason` of presence events (docs/presence.md). */
export const PRESENCE_REASONS = [...ONLINE_REASONS, ...CLOSE_REASONS, ...UNSEEN_ENDS] as const;
export type PresenceReason = (typeof PRESENCE_REASONS)[number];

/** Status of a REPLY (docs/protocol.md). 100 to 65535 belong to the backends. */
export const STATUS = {
  ok: 0,
  timedOut: 1,
  unroutable: 2,
  refused: 3,
  overloaded: 4,
  failed: 5,
} as const;
export const STATUS_MAX = 0xffff;
const OWN_STATUS_MIN = 100;

/** What others said: 0, 3, 5 and 100 to STATUS_MAX pass, nothing is 0, anything else is 5. */
export function knownStatus(said: unknown): number {
  if (said === undefined) return STATUS.ok;
  if (said === STATUS.ok || said === STATUS.refused) return said;
  const isOwn = typeof said === 'number' && said >= OWN_STATUS_MIN && said <= STATUS_MAX;
  return isOwn && Number.isInteger(said) ? said : STATUS.failed;
}

/**
 * What became of a command: the `type` of its outcomes (docs/commands.md). `delivered` may come
 * first; of the others exactly one follows, and is final.
 */
export const OUTCOMES = ['delivered', 'result', 'offline', 'expired', 'refused'] as const;
export type OutcomeType = (typeof OUTCOMES)[number];

/** Why a command was refused: it was not sent, and will not be. */
export const REFUSALS = [
  'bad-device',
  'bad-topic',
  'bad-deadline',
  'past-deadline',
  'too-long',
  'unknown-device',
  'busy',
  'unready',
  'device-full',
  'full',
] as const;
export type Refusal = (typeof REFUSALS)[number];

/** Why a command expired. Only after `not-sent` is it certain that the device has not acted. */
export const EXPIRIES = ['not-sent', 'no-answer', 'no-result', 'link-lost', 'unknown'] as const;
export type Expiry = (typeof EXPIRIES)[number];

/**
 * The device broke the protocol: costs its link. The message is made of fixed words and numbers,
 * never of bytes that the device sent, so that it may be logged.
 */
export class ProtocolError extends Error {
  readonly code: FatalCode;
  /** Type and id of the frame it is about; undefined when that much could not be read. */
  type: number | undefined;
  id: number | undefined;

  constructor(code: FatalCode, message: string) {
    super(message);
    this.name = 'ProtocolError';
    this.code = code;
  }

  /** It is about a frame of this type and id. */
  about(type: number | undefined, id: number | undefined): this {
    this.type = type;
    this.id = id;
    return this;
  }
}

/** Exit codes of `owsla`, after sysexits(3) where one fits. */
export const EXIT = {
  ok: 0,
  crashed: 1,
  usage: 64,
  unavailable: 69,
  config: 78,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/**
 * System errors that may pass: another process frees the resource, or an address, a name server or
 * space becomes available. All others (EACCES, ENOTFOUND, EINVAL ...) return at the next try.
 */
const PASSING = [
  'EADDRINUSE',
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'EAGAIN',
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'ENOSPC',
  'EDQUOT',
];

/** The exit code for what the system refused: whether waiting may help. */
export function exitOfSystem(code: string): ExitCode {
  return PASSING.includes(code) ? EXIT.unavailable : EXIT.config;
}

const UNBOUND: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'is in use by another process; stop that one or choose another (--port, --admin-port)',
  EACCES: 'may not be opened by this user; choose a port from 1024 up or grant the permission',
  EPERM: 'may not be opened: this system forbids it',
  EADDRNOTAVAIL: 'cannot be opened: this machine does not have that address',
  EINVAL: 'cannot be opened: that is not an address to listen on; a link-local one needs its %zone',
  EAFNOSUPPORT:
    'cannot be opened: this system does not support that kind of address (IPv6 may be off)',
  ENOTFOUND: 'cannot be opened: the host name is unknown',
  EAI_AGAIN: 'cannot be opened: the host name could not be resolved',
};

/** Why `what`, such as `admin port 80`, cannot be listened on at `host`. */
export function unbound(what: string, host: string, error: unknown): StartError {
  const { code = String(error) } = error as NodeJS.ErrnoException;
  const why = UNBOUND[code] ?? `cannot be opened (${code})`;
  return new StartError(exitOfSystem(code), `${what} on ${host} ${why}`);
}

/** This process cannot start or continue: one sentence for the operator, and the exit code. */
export class StartError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, sentence: string) {
    super(sentence);
    this.name = 'StartError';
    this.exitCode = exitCode;
  }
}
