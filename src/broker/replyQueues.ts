/**
 * ReplyQueues: messages to queues that backends name, each queue in its turn. Pure.
 * From: outcomes of commands, answers to presence queries.  To: one publisher, for all of them.
 * Bound: `publishWindowMax` answers and `publishWindowBytes` in all; at either `isFull` holds. Of
 * these a queue has UNDER_WAY_MAX in flight. One that refuses its messages (it is full) has
 * REFUSING_MAX in all until it accepts one: more are dropped, at no cost to other queues.
 */
import type { Limits } from '../base/limits.ts';
import type { DropReason } from '../base/metrics.ts';
import type { PublishOptions } from './amqp.ts';
import type { Publisher, Publishing } from './publisher.ts';

const UNDER_WAY_MAX = 64;
const REFUSING_MAX = 64;

/** A message to a queue that a backend named. */
export interface Answer {
  readonly kind: string;
  readonly queue: string;
  readonly body: Buffer;
  /** If its queue refuses it, it is retried; else it is dropped then. */
  readonly isRepeated: boolean;
  properties(isResend: boolean): PublishOptions;
  /** The broker has it. */
  onConfirm(): void;
  onDrop(reason: DropReason): void;
}

interface ReplyQueue {
  readonly name: string;
  waiting: Answer[];
  underWay: number;
  /** Its last answer was a nack. */
  isRefusing: boolean;
}

export interface ReplyQueuesOptions {
  readonly publisher: Pick<Publisher, 'publish' | 'isFull'>;
  readonly limits: Limits;
  /** `isFull` no longer holds. */
  readonly onRoom: () => void;
}

export class ReplyQueues {
  readonly #options: ReplyQueuesOptions;
  readonly #queues = new Map<string, ReplyQueue>();
  /** Those with something to send and room for it, the longest waiting first. */
  readonly #ready = new Set<ReplyQueue>();
  #size = 0;
  #bytes = 0;

  constructor(options: ReplyQueuesOptions) {
    this.#options = options;
  }

  /** Answers not yet confirmed. */
  get size(): number {
    return this.#size;
  }

  isFull(): boolean {
    const { publishWindowMax, publishWindowBytes } = this.#options.limits;
    return this.#size >= publishWindowMax || this.#bytes >= publishWindowBytes;
  }

  /** Take over `answer`. Callers ask `isFull` first. */
  publish(answer: Answer): void {
    const queue = this.#queueOf(answer.queue);
    if (queue.isRefusing && heldBy(queue) >= REFUSING_MAX) {
      answer.onDrop('crowded');
      return;
    }
    this.#size += 1;
    this.#bytes += answer.body.length;
    queue.waiting.push(answer);
    this.#getReady(queue);
    this.makeRoom();
  }

  #queueOf(name: string): ReplyQueue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { name, waiting: [], underWay: 0, isRefusing: false };
      this.#queues.set(name, queue);
    }
    return queue;
  }

  #getReady(queue: ReplyQueue): void {
    if (queue.waiting.length > 0 && queue.underWay < UNDER_WAY_MAX) this.#ready.add(queue);
  }

  /** The publisher has room: one answer of each queue by turns. */
  makeRoom(): void {
    const { publisher } = this.#options;
    for (const queue of this.#ready) {
      if (publisher.isFull()) return;
      this.#ready.delete(queue);
      const answer = queue.waiting.shift();
      if (answer === undefined) continue;
      queue.underWay += 1;
      this.#getReady(queue);
      publisher.publish(this.#publishing(queue, answer));
    }
  }

  #publishing(queue: ReplyQueue, answer: Answer): Publishing {
    return {
      kind: answer.kind,
      // The default exchange.
      exchange: '',
      routingKey: queue.name,
      body: answer.body,
      isWanted: () => true,
      properties: (isResend) => answer.properties(isResend),
      onConfirm: () => {
        queue.isRefusing = false;
        this.#settled(queue, answer);
        answer.onConfirm();
      },
      onNack: () => {
        this.#refuse(queue);
        return answer.isRepeated && heldBy(queue) <= REFUSING_MAX ? 'again' : 'drop';
      },
      onDrop: (reason) => {
        this.#settled(queue, answer);
        answer.onDrop(reason);
      },
    };
  }

  /** What waits beyond its share now is dropped, the latest first. */
  #refuse(queue: ReplyQueue): void {
    queue.isRefusing = true;
    while (heldBy(queue) > REFUSING_MAX && queue.waiting.length > 0) {
      const answer = queue.waiting.pop() as Answer;
      this.#gone(answer);
      answer.onDrop('crowded');
    }
  }

  #gone({ body }: Answer): void {
    this.#size -= 1;
    this.#bytes -= body.length;
  }

  #settled(queue: ReplyQueue, answer: Answer): void {
    queue.underWay -= 1;
    this.#gone(answer);
    if (heldBy(queue) === 0) this.#queues.delete(queue.name);
    else this.#getReady(queue);
    if (!this.isFull()) this.#options.onRoom();
  }
}

function heldBy({ waiting, underWay }: ReplyQueue): number {
  return waiting.length + underWay;
}
