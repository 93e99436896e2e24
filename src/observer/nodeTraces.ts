/**
 * NodeTraces: the traces of devices that people look at, over all acceptors of the node.
 * From: watchQuestions.ts and streams.ts, which begin one; entries, by childChannels.ts.
 * To: a TraceSink for each; acceptors, by the question `traces`: all that they are to watch.
 * Bound: `tracesMax` at once, each for at most `traceMs` and `traceEntriesMax` entries. Of one that
 * is not read `traceBufferBytes` wait here; more is dropped and said. What an acceptor does not
 * answer is asked again each ARM_MS.
 *
 *   begun -> armed in acceptors --entries--> read --time, count, reader gone--> disarmed
 */

import { systemClock } from '../base/clock.ts';
import type { Limits } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { DEVICE_ID, DEVICE_ID_RULE } from '../base/names.ts';
import { writeDuration } from '../base/units.ts';
import { ChannelError } from '../node/channel.ts';
import { type LiveChild, liveChildren, type NodeMessage } from '../node/ipc.ts';
import { TRACE_BATCH_CHARS, TRACE_FLUSH_MS, TraceBuffer } from '../node/traceBuffer.ts';
import {
  type Armed,
  type ArmedAnswer,
  isAcceptorBatch,
  lostEntry,
  type TraceAnswer,
  type TraceEnd,
  type TraceEndWhy,
  type TraceQuestion,
} from '../node/traceEntry.ts';
import type { ChildChannels } from './childChannels.ts';

const ARM_MS = 500;

/** Who reads a trace. */
export interface TraceSink {
  /** False: it has not read what it was given before; these are given again. */
  take(entries: readonly string[]): boolean;
  /** Nothing follows. */
  end(end: TraceEnd): void;
}

export interface NodeTracesOptions {
  readonly limits: Limits;
  readonly log: Pick<Logger, 'info'>;
  readonly node: () => NodeMessage | undefined;
  readonly children: Pick<ChildChannels, 'ask'>;
}

interface NodeTrace extends TraceQuestion {
  readonly id: number;
  readonly sink: TraceSink;
  readonly buffer: TraceBuffer;
  /** By acceptor: entries lost there. */
  readonly lostIn: Map<string, number>;
  readonly timer: NodeJS.Timeout;
  /** By performance.now(). */
  readonly due: number;
  entries: number;
}

/** An acceptor, and what it was last told. */
interface Told {
  version: number;
  connected: ReadonlySet<string>;
  why: string | undefined;
  /** While it is being told. */
  asking: Promise<void> | undefined;
}

export class NodeTraces {
  readonly #options: NodeTracesOptions;
  readonly #traces = new Map<number, NodeTrace>();
  /** By incarnation. */
  readonly #told = new Map<string, Told>();
  #lastId = 0;
  /** Rises with each change of what is to be watched. */
  #version = 0;
  #ticker: NodeJS.Timeout | undefined;
  #armer: NodeJS.Timeout | undefined;

  constructor(options: NodeTracesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#traces.size;
  }

  /**
   * Begin one. Throws a ChannelError that says what is wrong with `body`. `who`: for the log.
   * Resolves when every acceptor has been told, or did not answer; entries may come before.
   */
  async begin(body: unknown, sink: TraceSink, who: string): Promise<[TraceAnswer, () => void]> {
    const { limits, log } = this.#options;
    const question = traceQuestionOf(body, limits);
    if (this.#traces.size >= limits.tracesMax) {
      const sentence = `${limits.tracesMax} traces are on (tracesMax); end one first`;
      throw new ChannelError('busy', sentence);
    }
    const trace = this.#begin(question, sink);
    const { device, payloads, forMs } = question;
    log.info({ who, what: 'trace', device, payloads, forMs }, 'audit');
    await this.#arm();
    return [this.#answer(device), () => this.#forget(trace)];
  }

  #begin(question: TraceQuestion, sink: TraceSink): NodeTrace {
    const { limits } = this.#options;
    this.#lastId += 1;
    const trace: NodeTrace = {
      ...question,
      id: this.#lastId,
      sink,
      buffer: new TraceBuffer(limits.traceBufferBytes, (lost) => lostEntry(systemClock, 0, lost)),
      lostIn: new Map(),
      timer: setTimeout(() => this.#end(trace, 'time'), question.forMs),
      due: performance.now() + question.forMs,
      entries: 0,
    };
    this.#traces.set(trace.id, trace);
    this.#version += 1;
    this.#ticker ??= setInterval(() => this.#tick(), TRACE_FLUSH_MS);
    this.#armer ??= setInterval(() => void this.#arm(), ARM_MS);
    return trace;
  }

  #answer(device: string): TraceAnswer {
    const live = this.#live();
    const isArmed = ({ incarnation }: LiveChild) =>
      this.#told.get(incarnation)?.version === this.#version;
    const whyNot = ({ index, incarnation }: LiveChild) => {
      const why = this.#told.get(incarnation)?.why ?? 'it has not answered yet';
      return { acceptor: index, why };
    };
    return {
      armed: live.filter(isArmed).map(({ index }) => index),
      unarmed: live.filter((one) => !isArmed(one)).map(whyNot),
      connected: live
        .filter(({ incarnation }) => this.#told.get(incarnation)?.connected.has(device))
        .map(({ index }) => index),
    };
  }

  #live(): LiveChild[] {
    return liveChildren(this.#options.node(), 'acceptor');
  }

  /** Tell those that do not know yet what is to be watched, each at most once at a time. */
  async #arm(): Promise<void> {
    const live = new Set(this.#live().map(({ incarnation }) => incarnation));
    for (const incarnation of this.#told.keys()) {
      if (!live.has(incarnation)) this.#told.delete(incarnation);
    }
    await Promise.all([...live].map((incarnation) => this.#armOne(incarnation)));
  }

  async #armOne(incarnation: string): Promise<void> {
    const none: Told = { version: 0, connected: new Set(), why: undefined, asking: undefined };
    const told = this.#told.get(incarnation) ?? none;
    this.#told.set(incarnation, told);
    // Of a trace that begins while another is being told, who began it waits for both.
    await told.asking;
    if (told.version === this.#version) return;
    told.asking ??= this.#tell(incarnation, told);
    await told.asking;
  }

  async #tell(incarnation: string, told: Told): Promise<void> {
    const version = this.#version;
    try {
      const answer = await this.#options.children.ask(incarnation, 'traces', this.#armed());
      told.version = version;
      told.connected = new Set((answer as ArmedAnswer).connected);
      told.why = undefined;
    } catch (error) {
      told.why = (error as Error).message;
    } finally {
      told.asking = undefined;
    }
  }

  #armed(): Armed[] {
    const now = performance.now();
    return [...this.#traces.values()].map(({ id, device, payloads, due }) => {
      return { id, device, payloads, forMs: Math.max(0, Math.ceil(due - now)) };
    });
  }

  /** A process has connected anew: it knows of no trace. */
  onChildUp(incarnation: string): void {
    this.#told.delete(incarnation);
    if (this.#traces.size > 0) void this.#armOne(incarnation);
  }

  /** An acceptor's notice. Throws a ChannelError for one that is none. */
  onBatch(body: unknown, from = ''): void {
    if (!isAcceptorBatch(body)) throw new ChannelError('bad', 'a trace that is none');
    const trace = this.#traces.get(body.id);
    if (trace === undefined) return;
    trace.lostIn.set(from, body.lost);
    for (const entry of body.entries) trace.buffer.push(entry);
    this.#read(trace);
  }

  #tick(): void {
    for (const trace of [...this.#traces.values()]) this.#read(trace);
  }

  /** Hand on what its reader takes. */
  #read(trace: NodeTrace): void {
    while (!trace.buffer.isEmpty && this.#traces.has(trace.id)) {
      const entries = trace.buffer.next(TRACE_BATCH_CHARS, trace.max - trace.entries);
      if (!trace.sink.take(entries)) return;
      trace.buffer.taken(entries.length);
      trace.entries += entries.length;
      if (trace.entries >= trace.max) this.#end(trace, 'count');
    }
  }

  #end(trace: NodeTrace, why: TraceEndWhy): void {
    if (!this.#traces.has(trace.id)) return;
    const { entries, forMs, buffer, lostIn, sink } = trace;
    const lost = [...lostIn.values()].reduce((sum, count) => sum + count, buffer.lost);
    const sentence = {
      count: `it has shown ${entries} entries, as many as were asked for`,
      time: `its time is over: ${writeDuration(forMs)}`,
      node: 'the node stops or reloads',
    }[why];
    this.#forget(trace);
    sink.end({ why, sentence, entries, lost });
  }

  /** Its reader is gone, or has been told. */
  #forget(trace: NodeTrace): void {
    clearTimeout(trace.timer);
    if (!this.#traces.delete(trace.id)) return;
    this.#version += 1;
    void this.#arm();
    if (this.#traces.size > 0) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    clearInterval(this.#armer);
    this.#armer = undefined;
  }

  /** The node stops. */
  close(): void {
    for (const trace of [...this.#traces.values()]) this.#end(trace, 'node');
  }
}

function traceQuestionOf(body: unknown, limits: Limits): TraceQuestion {
  const { device, payloads = false, forMs, max } = Object(body) as Partial<TraceQuestion>;
  const fail = (sentence: string) => new ChannelError('bad', sentence);
  if (typeof device !== 'string' || !DEVICE_ID.test(device)) {
    throw fail(DEVICE_ID_RULE);
  }
  if (typeof payloads !== 'boolean') throw fail('payloads is true or false');
  if (!isWithin(forMs, limits.traceMs)) {
    throw fail(`a trace is for 1ms to ${writeDuration(limits.traceMs)} (traceMs)`);
  }
  if (!isWithin(max, limits.traceEntriesMax)) {
    throw fail(`a trace has 1 to ${limits.traceEntriesMax} entries (traceEntriesMax)`);
  }
  return { device, payloads, forMs, max };
}

function isWithin(value: unknown, most: number): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= most;
}
