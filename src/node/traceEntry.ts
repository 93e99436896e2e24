/**
 * TraceEntry: what a trace of a device says, one JSON text each, and what people ask for.
 * From: acceptors, which write it once.  To: the observer, which hands the text on; the command
 * line and the page, which read it.
 * Bound: a payload is there only if it was asked for, up to `tracePayloadBytes`; a token never is.
 */
import { DEVICE_ID } from '../base/names.ts';

/**
 * `in`, `out`: a message of the device, or to it. `broker`: what became of it there. `command`:
 * what the registrar asked, and was told. `link`: its begin and end. `lost`: entries that were
 * dropped here, because they were not read in time.
 */
export type TraceKind = 'in' | 'out' | 'broker' | 'command' | 'link' | 'lost';

export interface TraceEntry {
  /** ms since 1970. */
  readonly at: number;
  /** Monotonic ms, of one clock for all processes of the machine; µs behind the point. */
  readonly ms: number;
  readonly acceptor: number;
  /** The connection id; '' of what is lost. */
  readonly link: string;
  readonly kind: TraceKind;
  /** The message's type, or what happened. */
  readonly what: string;
  readonly id?: number;
  readonly topic?: string;
  /** Of a frame, with all that frames it. */
  readonly bytes?: number;
  readonly payloadBytes?: number;
  /** base64; the first `tracePayloadBytes` of it. */
  readonly payload?: string;
  readonly status?: number;
  /** Of a link: why it ended, and others. */
  readonly reason?: string;
  /** Whatever else is known, by name. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
}

/** How long a trace is, and how many entries, where people do not say: as they would say it. */
export const TRACE_DEFAULTS = { for: '5m', max: '10000' } as const;

/** What `trace` is asked with. */
export interface TraceQuestion {
  readonly device: string;
  readonly payloads: boolean;
  readonly forMs: number;
  /** Entries. */
  readonly max: number;
}

/** What it is answered with: the notices `trace` follow, and at last `traced`. */
export interface TraceAnswer {
  /** Acceptors that watch for the device, by index. */
  readonly armed: readonly number[];
  /** Those that could not be told yet; that is tried again. */
  readonly unarmed: readonly { readonly acceptor: number; readonly why: string }[];
  /** Acceptors that have a link of it. */
  readonly connected: readonly number[];
}

/** The notice `trace`. */
export interface TraceBatch {
  readonly entries: readonly string[];
}

/** Why a trace ended: `count`, `time`: as it was asked; `node`: it stops or reloads. */
export type TraceEndWhy = 'count' | 'time' | 'node';

/** The notice `traced`: the last one. */
export interface TraceEnd {
  readonly why: TraceEndWhy;
  readonly sentence: string;
  /** Entries that were handed on, and that were lost on the way. */
  readonly entries: number;
  readonly lost: number;
}

/** What an acceptor is to watch: all of it, each time. */
export interface Armed {
  readonly id: number;
  readonly device: string;
  readonly payloads: boolean;
  /** For so long at most. */
  readonly forMs: number;
}

/** An acceptor's answer to that: devices that have a link there. */
export interface ArmedAnswer {
  readonly connected: readonly string[];
}

/** The notice `trace` of an acceptor. */
export interface AcceptorBatch extends TraceBatch {
  readonly id: number;
  /** Entries that are lost in the acceptor, with those of these. */
  readonly lost: number;
}

export function isAcceptorBatch(body: unknown): body is AcceptorBatch {
  if (typeof body !== 'object' || body === null) return false;
  const { id, entries, lost } = body as Partial<AcceptorBatch>;
  if (!Number.isSafeInteger(id) || !Number.isSafeInteger(lost) || !Array.isArray(entries)) {
    return false;
  }
  return entries.every((entry) => typeof entry === 'string');
}

export function isArmedList(body: unknown): body is readonly Armed[] {
  if (!Array.isArray(body)) return false;
  return body.every((one: Partial<Armed> | null) => {
    if (typeof one !== 'object' || one === null) return false;
    const { id, device, payloads, forMs } = one;
    if (!Number.isSafeInteger(id) || !(Number(forMs) >= 0)) return false;
    return typeof device === 'string' && DEVICE_ID.test(device) && typeof payloads === 'boolean';
  });
}

/** In the place of entries that were dropped, by acceptor `acceptor`, or 0: by the observer. */
export function lostEntry(
  clock: { wall(): number; us(): number },
  acceptor: number,
  lost: number,
): string {
  const times = { at: clock.wall(), ms: clock.us() / 1_000 };
  const entry: TraceEntry = {
    ...{ ...times, acceptor, link: '', kind: 'lost', what: 'lost' },
    facts: { lost },
  };
  return JSON.stringify(entry);
}
