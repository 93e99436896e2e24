/**
 * LinkTraces: the devices that somebody looks at, in this acceptor; also while they are away.
 * From: the observer's question `traces`: all that are to be watched, each time; endpoints.ts, each
 * HELLO.  To: a DeviceTap on each of their links; the observer, by notices, each TRACE_FLUSH_MS.
 * Bound: `tracesMax` traces, for as long as each was asked for, or until the observer is gone.
 * A batch that cannot leave waits in its TraceBuffer.
 */
import type { Clock } from '../../base/clock.ts';
import type { Limits } from '../../base/limits.ts';
import { type AnswersByKind, ChannelError } from '../../node/channel.ts';
import { TRACE_BATCH_CHARS, TRACE_FLUSH_MS, TraceBuffer } from '../../node/traceBuffer.ts';
import {
  type AcceptorBatch,
  type Armed,
  type ArmedAnswer,
  isArmedList,
  lostEntry,
} from '../../node/traceEntry.ts';
import type { Greeting } from '../../wire/protocol.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Registry } from '../endpoint/registry.ts';
import type { LinkWalk } from '../operate/linkWalk.ts';
import { DeviceTap, type Looking } from './deviceTap.ts';

export interface LinkTracesOptions {
  readonly registry: Registry<Endpoint>;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly acceptor: number;
  readonly walk: LinkWalk;
}

/** False: it could not leave now. */
type NotifyObserver = (kind: string, body: unknown) => boolean;

interface LinkTrace extends Looking {
  readonly id: number;
  readonly device: string;
  /** By the clock's monotonic ms. */
  readonly due: number;
}

export class LinkTraces {
  readonly #options: LinkTracesOptions;
  /** The one that was served longest ago comes first. */
  readonly #traces = new Map<number, LinkTrace>();
  readonly #devices = new Map<string, DeviceTap>();
  /** Of devices of these: links that were there before have not been looked for. */
  readonly #unsearched = new Map<string, DeviceTap>();
  #notify: NotifyObserver = () => false;
  #flusher: NodeJS.Timeout | undefined;

  readonly answers: AnswersByKind = { traces: (body) => this.#arm(body) };

  constructor(options: LinkTracesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#traces.size;
  }

  /** Where entries go. */
  attach(notify: NotifyObserver): void {
    this.#notify = notify;
  }

  /** The observer is gone, and with it all who look. */
  onLost(): void {
    for (const trace of [...this.#traces.values()]) this.#end(trace);
  }

  /** A link says who it is. */
  readonly onGreeting = (endpoint: Endpoint, greeting: Greeting): void => {
    if (this.#devices.size === 0) return;
    this.#devices.get(greeting.deviceId)?.greeted(endpoint, greeting);
  };

  /** A link has come from another process. */
  onTaken(endpoint: Endpoint): void {
    if (this.#devices.size > 0) this.#devices.get(endpoint.deviceId)?.found(endpoint);
  }

  /** Watch these, and no others. Answered once the links that there are have been looked for. */
  async #arm(body: unknown): Promise<ArmedAnswer> {
    const { tracesMax } = this.#options.limits;
    if (!isArmedList(body)) throw new ChannelError('bad', 'traces are id, device, payloads, forMs');
    if (body.length > tracesMax) throw new ChannelError('busy', `${tracesMax} traces at most`);
    const wanted = new Map(body.map((armed) => [armed.id, armed]));
    for (const trace of [...this.#traces.values()]) {
      if (!wanted.has(trace.id)) this.#end(trace);
    }
    const fresh = body.filter(({ id }) => !this.#traces.has(id));
    for (const armed of fresh) this.#begin(armed);
    if (this.#unsearched.size > 0) await this.#search(new Map(this.#unsearched));
    const connected = [...this.#devices].filter(([, { links }]) => links.size > 0);
    return { connected: connected.map(([device]) => device) };
  }

  #begin({ id, device, payloads, forMs }: Armed): void {
    const { limits, clock, acceptor } = this.#options;
    const gapOf = (lost: number) => lostEntry(clock, acceptor, lost);
    const buffer = new TraceBuffer(limits.traceBufferBytes, gapOf);
    const trace = { id, device, payloads, buffer, due: clock.now() + forMs };
    this.#traces.set(id, trace);
    this.#tapOf(device).look(trace);
    this.#flusher ??= setInterval(() => this.flush(), TRACE_FLUSH_MS);
  }

  #tapOf(device: string): DeviceTap {
    const known = this.#devices.get(device);
    if (known !== undefined) return known;
    const { limits, clock, acceptor } = this.#options;
    const payloadBytesMax = limits.tracePayloadBytes;
    const made = new DeviceTap({ acceptor, clock, payloadBytesMax });
    this.#devices.set(device, made);
    this.#unsearched.set(device, made);
    return made;
  }

  async #search(devices: ReadonlyMap<string, DeviceTap>): Promise<void> {
    const { registry, walk } = this.#options;
    await walk.shards(0, (shard) => {
      for (const endpoint of registry.shard(shard)) {
        devices.get(endpoint.deviceId)?.found(endpoint);
      }
      return false;
    });
    for (const [device, tap] of devices) {
      if (this.#unsearched.get(device) === tap) this.#unsearched.delete(device);
    }
  }

  #end(trace: LinkTrace): void {
    this.#traces.delete(trace.id);
    const isWatched = this.#devices.get(trace.device)?.leave(trace);
    if (isWatched === false) {
      this.#devices.delete(trace.device);
      this.#unsearched.delete(trace.device);
    }
    if (this.#traces.size > 0) return;
    clearInterval(this.#flusher);
    this.#flusher = undefined;
  }

  /** A batch of each, as far as the channel takes them. */
  flush(): void {
    const now = this.#options.clock.now();
    for (const trace of [...this.#traces.values()]) {
      if (now > trace.due) this.#end(trace);
      else if (!trace.buffer.isEmpty && !this.#send(trace)) return;
    }
  }

  #send(trace: LinkTrace): boolean {
    const { id, buffer } = trace;
    const entries = buffer.next(TRACE_BATCH_CHARS);
    const batch: AcceptorBatch = { id, entries, lost: buffer.lost };
    if (!this.#notify('trace', batch)) return false;
    buffer.taken(entries.length);
    // The next time it is others' turn first.
    this.#traces.delete(id);
    this.#traces.set(id, trace);
    return true;
  }
}
