/**
 * TraceContext: the two headers of W3C Trace Context, by which the spans of several programs join.
 * From: a device's `meta` (uplink.ts); the headers of a backend's command (command.ts).
 * To: the headers of what is published; the `meta` of a COMMAND. Owsla makes no span of its own,
 * and so passes both on as they came.
 * Bound: TRACEPARENT_BYTES and TRACESTATE_BYTES_MAX. What has another form is left out and counted:
 * it never costs a message or a link.
 *
 * The forms: https://www.w3.org/TR/trace-context/#traceparent-header, and #tracestate-header.
 */

export interface TraceContext {
  readonly traceparent: string;
  /** '': none. */
  readonly tracestate: string;
}

/** Why a part of it was left out; `no-room`: the COMMAND would have been too long with it. */
export const TRACE_DROPS = ['bad-traceparent', 'bad-tracestate', 'no-room'] as const;
export type TraceDrop = (typeof TRACE_DROPS)[number];

const TRACEPARENT_BYTES = 55;
/** What everybody has to pass on; few send more. */
const TRACESTATE_BYTES_MAX = 512;
const TRACESTATE_MEMBERS_MAX = 32;

/** Longest of the two, in bytes: what is longer need not be read. */
export const TRACE_TEXT_BYTES_MAX = TRACESTATE_BYTES_MAX;

// Version, trace id, parent id, flags. Version ff is forbidden, ids are not all zero.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
// A key (also `tenant@system`), then printable ASCII but `,` and `=`, the last no space.
const KEY = '(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})';
const MEMBER = new RegExp(`^${KEY}=[ -+\\--<>-~]{0,255}[!-+\\--<>-~]$`);

/**
 * The context that these two make; undefined where there is none. `onDrop` hears of each part that
 * is left out; without a traceparent a tracestate means nothing, as the standard says.
 */
export function traceContextOf(
  traceparent: unknown,
  tracestate: unknown,
  onDrop: (why: TraceDrop) => void,
): TraceContext | undefined {
  if (traceparent === undefined && tracestate === undefined) return undefined;
  if (!isTraceparent(traceparent)) {
    onDrop('bad-traceparent');
    return undefined;
  }
  if (tracestate === undefined || tracestate === '') return { traceparent, tracestate: '' };
  if (isTracestate(tracestate)) return { traceparent, tracestate };
  onDrop('bad-tracestate');
  return { traceparent, tracestate: '' };
}

function isTraceparent(value: unknown): value is string {
  return typeof value === 'string' && value.length === TRACEPARENT_BYTES && TRACEPARENT.test(value);
}

function isTracestate(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > TRACESTATE_BYTES_MAX) return false;
  // Empty members are allowed, so that lists can be joined.
  const members = value.split(',').map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''));
  if (members.length > TRACESTATE_MEMBERS_MAX) return false;
  return members.every((member) => member === '' || MEMBER.test(member));
}

/** Its bytes in a COMMAND's `meta`, at most: two names, two headers, two texts. */
export function traceBytesOf({ traceparent, tracestate }: TraceContext): number {
  return 12 + 2 + traceparent.length + 11 + 3 + tracestate.length;
}
