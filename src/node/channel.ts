/**
 * Channel: questions and answers on one stream, both ways at once. A frame (wire/frame.ts) is one
 * MessagePack array of three:
 *
 *   [id, kind, body]      a question, from 1 up: each side has a count of its own
 *   [0, kind, body]       a notice: nobody answers
 *   [-id, '', body]       the answer
 *   [-id, why, sentence]  a refusal, by name; a kind that is not known gets one, so that an older
 *                         process and a newer one get along
 *
 * From: whoever asks, notifies or has `answers`.  To: the process at the other end, likewise.
 * Bound: `questionsMax` open each way, `questionMs` each, `questionBytesMax` a frame,
 * `answersUnreadBytes` not yet read. A peer that breaks one, or the form, costs this stream only.
 */
import type { Duplex } from 'node:stream';
import { pack, Unpackr } from 'msgpackr';
import type { Limits } from '../base/limits.ts';
import { FrameReader, frameOf } from '../wire/frame.ts';

/** Why a question has no answer. A peer of another version may know further ones. */
export const NO_ANSWERS = [
  'unknown',
  'bad',
  'busy',
  'too-long',
  'late',
  'failed',
  'closed',
] as const;
export type NoAnswer = (typeof NO_ANSWERS)[number];

/** A refusal's sentence is for people: no page. */
const SENTENCE_MAX = 400;

/** This question has no answer; or, thrown while a frame is read, the stream is nonsense. */
export class ChannelError extends Error {
  readonly why: string;

  constructor(why: NoAnswer, sentence: string) {
    super(sentence);
    this.name = 'ChannelError';
    this.why = why;
  }

  /** As the other end said it. */
  static refused(why: string, sentence: unknown): ChannelError {
    const text = typeof sentence === 'string' ? sentence : why;
    return new ChannelError(why as NoAnswer, text.slice(0, SENTENCE_MAX));
  }
}

/** Who asks: an answer may be followed by notices, for as long as the stream is there. */
export type Asker = Pick<Channel, 'notify' | 'say' | 'whenClosed'>;

/** Gives what `kind` is answered with. It checks `body`: that is whatever the asker sent. */
export type AnswerTo = (body: unknown, asker: Asker) => unknown;
export type AnswersByKind = Readonly<Record<string, AnswerTo>>;
export type NoticesByKind = Readonly<Record<string, (body: unknown) => void>>;

export interface ChannelOptions {
  readonly limits: Limits;
  readonly answers?: AnswersByKind;
  /** One that throws ends the stream. A kind that is not here is ignored. */
  readonly notices?: NoticesByKind;
  /** How long `answers` may take; `questionMs` if not given. */
  readonly answerMs?: number;
  /** The stream is closed for what the other end sent, or did not read. */
  readonly onBad?: (error: unknown) => void;
  readonly onClose?: () => void;
}

const unpackr = new Unpackr({ useRecords: false });

export class Channel {
  readonly #stream: Duplex;
  readonly #options: ChannelOptions;
  readonly #reader: FrameReader;
  /** Our questions, by id. */
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;
  /** Questions of the other end that are being answered. */
  #answering = 0;
  /** Kinds of `keepTelling` of which one has not left. */
  readonly #leaving = new Set<string>();
  /** Are told of the end of the stream. */
  readonly #waiting = new Set<() => void>();

  /** From now on the stream is the channel's. */
  constructor(stream: Duplex, options: ChannelOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#reader = new FrameReader(options.limits.questionBytesMax);
    // 'close' always follows.
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('close', () => this.#onClose());
  }

  /** Questions of ours that are open. */
  get open(): number {
    return this.#asked.size;
  }

  /** Questions of the other end that have no answer yet. */
  get answering(): number {
    return this.#answering;
  }

  /** Ask the other end. Rejects with a ChannelError within `ms`. */
  async ask(kind: string, body: unknown, ms = this.#options.limits.questionMs): Promise<unknown> {
    const { questionsMax } = this.#options.limits;
    const id = this.#lastId + 1;
    if (!this.#stream.writable) throw new ChannelError('closed', 'the channel is closed');
    if (this.#asked.size >= questionsMax) {
      throw new ChannelError('busy', `${questionsMax} questions are open`);
    }
    const frame = this.#encode(id, kind, body);
    if (this.#isFullWith(frame)) {
      throw new ChannelError('busy', 'the other end does not read');
    }
    const asked = Promise.withResolvers<unknown>();
    this.#lastId = id;
    this.#asked.set(id, asked);
    this.#stream.write(frame);
    try {
      return await inTime(ms, asked.promise);
    } finally {
      this.#asked.delete(id);
    }
  }

  /**
   * Tell the other end; false, and skipped, while what was written before has not left. Throws a
   * ChannelError when it is too long.
   */
  notify(kind: string, body: unknown): boolean {
    if (!this.#stream.writable || this.#unread > 0) return false;
    this.#stream.write(this.#encode(0, kind, body));
    return true;
  }

  /** The same behind what has not left, up to `answersUnreadBytes`; false, and skipped, beyond. */
  say(kind: string, body: unknown): boolean {
    const frame = this.#encode(0, kind, body);
    if (!this.#stream.writable || this.#isFullWith(frame)) return false;
    this.#stream.write(frame);
    return true;
  }

  /**
   * The same, whatever has not left, but one of a kind at a time: false, and skipped, while the one
   * before has not left. Answers that somebody reads slowly do not keep it back.
   */
  keepTelling(kind: string, body: unknown): boolean {
    if (!this.#stream.writable || this.#leaving.has(kind)) return false;
    const frame = this.#encode(0, kind, body);
    this.#leaving.add(kind);
    this.#stream.write(frame, () => this.#leaving.delete(kind));
    return true;
  }

  /** Write what is left and this last notice, then end. */
  endWith(kind: string, body: unknown): void {
    if (this.#stream.writable) this.#stream.end(this.#encode(0, kind, body));
  }

  close(): void {
    this.#stream.destroy();
  }

  /**
   * `done` is called at the end of the stream: soon, if that was before. What is given back takes
   * this back.
   */
  whenClosed(done: () => void): () => void {
    if (this.#stream.destroyed) queueMicrotask(done);
    else this.#waiting.add(done);
    return () => this.#waiting.delete(done);
  }

  get #unread(): number {
    return this.#stream.writableLength;
  }

  #isFullWith(frame: Buffer): boolean {
    return this.#unread + frame.length > this.#options.limits.answersUnreadBytes;
  }

  /** Throws a ChannelError when it is too long. */
  #encode(id: number, kind: string, body: unknown): Buffer {
    const payload = pack([id, kind, body]);
    const { questionBytesMax } = this.#options.limits;
    if (payload.length <= questionBytesMax) return frameOf(payload);
    const sentence = `'${kind}' has ${payload.length} bytes; the limit is ${questionBytesMax}`;
    throw new ChannelError('too-long', sentence);
  }

  #onData(chunk: Buffer): void {
    const reader = this.#reader;
    try {
      reader.push(chunk);
      for (let payload = reader.next(); payload; payload = reader.next()) {
        if (this.#stream.destroyed) return;
        this.#onFrame(unpackr.unpack(payload));
      }
    } catch (error) {
      this.#cut(error);
    }
  }

  #cut(error: unknown): void {
    this.#stream.destroy();
    this.#options.onBad?.(error);
  }

  #onFrame(frame: unknown): void {
    const [id, kind, body] = Array.isArray(frame) ? frame : [];
    if (!Number.isSafeInteger(id) || typeof kind !== 'string') {
      throw new ChannelError('bad', 'a frame that is no [id, kind, body]');
    }
    if (id > 0) void this.#onQuestion(id, kind, body);
    else if (id < 0) this.#onAnswer(-id, kind, body);
    else ownOf(this.#options.notices, kind)?.(body);
  }

  /** One that nobody waits for any more is late. */
  #onAnswer(id: number, why: string, body: unknown): void {
    if (why === '') this.#asked.get(id)?.resolve(body);
    else this.#asked.get(id)?.reject(ChannelError.refused(why, body));
  }

  /** Never rejects: whatever happens is an answer, or the end of the stream. */
  async #onQuestion(id: number, kind: string, body: unknown): Promise<void> {
    const { answers, limits, answerMs = limits.questionMs } = this.#options;
    const answer = ownOf(answers, kind);
    if (answer === undefined) {
      this.#refuse(id, new ChannelError('unknown', 'there is no such question'));
      return;
    }
    if (this.#answering >= limits.questionsMax) {
      this.#refuse(id, new ChannelError('busy', `${limits.questionsMax} questions are open`));
      return;
    }
    this.#answering += 1;
    try {
      this.#reply(id, await inTime(answerMs, (async () => answer(body, this))()));
    } catch (error) {
      this.#refuse(id, error);
    } finally {
      this.#answering -= 1;
    }
  }

  #reply(id: number, body: unknown): void {
    const frame = this.#encode(-id, '', body);
    if (this.#isFullWith(frame)) throw new ChannelError('busy', 'too much is not read yet');
    if (this.#stream.writable) this.#stream.write(frame);
  }

  /** A peer that does not even read refusals goes. */
  #refuse(id: number, error: unknown): void {
    if (!this.#stream.writable) return;
    const { message = String(error) } = error as Error;
    const why = error instanceof ChannelError ? error.why : 'failed';
    const frame = frameOf(pack([-id, why, message.slice(0, SENTENCE_MAX)]));
    if (this.#isFullWith(frame)) {
      this.#cut(new ChannelError('busy', 'it asks, and does not read'));
    } else {
      this.#stream.write(frame);
    }
  }

  #onClose(): void {
    const closed = new ChannelError('closed', 'the channel closed before the answer came');
    for (const asked of this.#asked.values()) asked.reject(closed);
    for (const done of this.#waiting) done();
    this.#waiting.clear();
    this.#options.onClose?.();
  }
}

/** No kind is found that only the prototype has. */
function ownOf<T>(byKind: Readonly<Record<string, T>> = {}, kind: string): T | undefined {
  return Object.hasOwn(byKind, kind) ? byKind[kind] : undefined;
}

/** Rejects when `work` takes longer: it goes on, and nobody waits for it. */
async function inTime<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new ChannelError('late', `no answer within ${ms} ms`));
  }, ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
