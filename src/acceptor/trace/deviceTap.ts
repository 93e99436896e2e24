/**
 * DeviceTap: the links of one device as its traces see them: each thing that happens is an entry.
 * From: its endpoints, and the routes; linkTraces.ts, which knows who looks.  To: a TraceBuffer for
 * each trace.
 * Bound: `traceBufferBytes` of a trace; a payload is shown up to `tracePayloadBytes`. Once nobody
 * looks any more, it does nothing.
 */
import type { Clock } from '../../base/clock.ts';
import type { CloseReason } from '../../base/errors.ts';
import type { TraceBuffer } from '../../node/traceBuffer.ts';
import type { TraceEntry } from '../../node/traceEntry.ts';
import type { MessageType } from '../../wire/message.ts';
import type { Greeting, Protocol, Received } from '../../wire/protocol.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Tap, TapStep } from '../endpoint/tap.ts';
import { shownOf } from './traceMessage.ts';

const US_PER_MS = 1_000;

export interface DeviceTapOptions {
  readonly acceptor: number;
  readonly clock: Pick<Clock, 'wall' | 'us'>;
  readonly payloadBytesMax: number;
}

/** One of those who look. */
export interface Looking {
  readonly payloads: boolean;
  readonly buffer: TraceBuffer;
}

type Told = Omit<TraceEntry, 'at' | 'ms' | 'acceptor' | 'link' | 'kind' | 'what'>;

export class DeviceTap implements Tap {
  readonly #options: DeviceTapOptions;
  /** Live links, which have this as their tap. */
  readonly links = new Set<Endpoint>();
  readonly looking = new Set<Looking>();

  constructor(options: DeviceTapOptions) {
    this.#options = options;
  }

  /** It says that it is this device; whether it is, its proof tells. */
  greeted(endpoint: Endpoint, greeting: Greeting): void {
    this.#join(endpoint);
    const { shown } = shownOf(greeting);
    const peer = { peer: endpoint.peer };
    this.#say(endpoint, 'in', 'HELLO', { ...shown, facts: { ...shown.facts, ...peer } });
  }

  /** It was there before anybody looked. */
  found(endpoint: Endpoint): void {
    if (this.looking.size === 0 || this.links.has(endpoint)) return;
    this.#join(endpoint);
    this.#say(endpoint, 'link', 'found', foundOf(endpoint, this.#options.clock.us()));
  }

  #join(endpoint: Endpoint): void {
    this.links.add(endpoint);
    endpoint.tap = this;
  }

  /** One more looks: it is told what is there already. */
  look(one: Looking): void {
    this.looking.add(one);
    for (const endpoint of this.links) {
      const facts = foundOf(endpoint, this.#options.clock.us());
      one.buffer.push(JSON.stringify(this.#entry(endpoint, 'link', 'found', facts)));
    }
  }

  /** False: nobody looks any more. */
  leave(one: Looking): boolean {
    this.looking.delete(one);
    if (this.looking.size > 0) return true;
    for (const endpoint of this.links) endpoint.tap = undefined;
    this.links.clear();
    return false;
  }

  onRead(endpoint: Endpoint, message: Received, bytes: number): void {
    // A HELLO that was taken has its entry already; a second one ends the link.
    const { shown, payload } = shownOf(message);
    this.#say(endpoint, 'in', message.type.toUpperCase(), { ...shown, bytes }, payload);
  }

  onWritten(
    endpoint: Endpoint,
    type: MessageType,
    frame: Buffer,
    protocol: Pick<Protocol, 'describe'>,
  ): void {
    const message = described(frame, protocol);
    const { shown, payload } = message === undefined ? { shown: {} } : shownOf(message);
    const bytes = frame.length;
    this.#say(endpoint, 'out', type.toUpperCase(), { ...shown, bytes }, payload);
  }

  onStep(endpoint: Endpoint, { of, what, ...told }: TapStep): void {
    this.#say(endpoint, of, what, told);
  }

  /** What its EVENTs become is still said: it stays the link's tap. */
  onEnd(endpoint: Endpoint, reason: CloseReason): void {
    this.links.delete(endpoint);
    this.#say(endpoint, 'link', 'end', { reason });
  }

  onMoved(endpoint: Endpoint): void {
    this.links.delete(endpoint);
    this.#say(endpoint, 'link', 'moved', {});
  }

  #entry(endpoint: Endpoint, kind: TraceEntry['kind'], what: string, told: Told): TraceEntry {
    const { acceptor, clock } = this.#options;
    const times = { at: clock.wall(), ms: clock.us() / US_PER_MS };
    return { ...times, acceptor, link: endpoint.id, kind, what, ...told };
  }

  #say(
    endpoint: Endpoint,
    kind: TraceEntry['kind'],
    what: string,
    told: Told,
    payload?: Buffer,
  ): void {
    const sizes = payload === undefined ? {} : { payloadBytes: payload.length };
    const entry = this.#entry(endpoint, kind, what, { ...told, ...sizes });
    let [plain, full]: [string | undefined, string | undefined] = [undefined, undefined];
    for (const { payloads, buffer } of this.looking) {
      if (payloads && payload !== undefined && payload.length > 0) {
        full ??= JSON.stringify({ ...entry, payload: this.#cut(payload) });
        buffer.push(full);
      } else {
        plain ??= JSON.stringify(entry);
        buffer.push(plain);
      }
    }
  }

  #cut(payload: Buffer): string {
    return payload.subarray(0, this.#options.payloadBytesMax).toString('base64');
  }
}

/** Whatever is wrong with it is no reason to end the link. */
function described(frame: Buffer, protocol: Pick<Protocol, 'describe'>): Received | undefined {
  try {
    return protocol.describe(frame);
  } catch {
    return undefined;
  }
}

function foundOf(endpoint: Endpoint, us: number): Told {
  const { peer, state, inFlight, outboxBytes } = endpoint;
  const ageMs = Math.max(0, Math.round((us - endpoint.acceptedUs) / US_PER_MS));
  return { facts: { peer, state, ageMs, inFlight, outboxBytes } };
}
