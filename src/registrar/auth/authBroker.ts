/**
 * AuthBroker: questions to the backend that knows devices, and its answers.
 * From: authenticator.ts.  To: the exchange `auth`; back from a queue of this process.
 * Bound: a connection of its own, as presence and commands must not wait for this backend.
 * `authAskMs` for an answer; while there is no connection, or the broker does not read, none is
 * sent.
 * What is under way when the connection is lost is over: its queue is not used again.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { StartError } from '../../base/errors.ts';
import type { Limits } from '../../base/limits.ts';
import { OpenQuestions } from '../../base/openQuestions.ts';
import {
  type AmqpChannel,
  type AmqpMessage,
  type AmqpModel,
  isClosing,
} from '../../broker/amqp.ts';
import { BrokerConnection } from '../../broker/connection.ts';
import {
  AUTH_KEY,
  declareApart,
  declareAuth,
  declareAuthAnswers,
  type Names,
} from '../../broker/topology.ts';
import type { AuthQuestion } from '../../node/verdicts.ts';
import { readAnswer } from './answer.ts';
import type { Asked } from './authenticator.ts';

/** Nobody can guess one, so nobody can answer what he was not asked. */
const ID_BYTES = 16;
/** At most one line about answers that are none in so many ms. */
const MALFORMED_LOG_MS = 10_000;

export interface AuthBrokerOptions {
  /** In the order in which they are tried. */
  readonly urls: readonly string[];
  readonly names: Names;
  readonly incarnation: string;
  readonly limits: Limits;
  readonly log: Logger;
  /** An answer to no question that is open. */
  readonly onStray: () => void;
  readonly onFatal: (error: StartError) => void;
}

export class AuthBroker {
  readonly #options: AuthBrokerOptions;
  readonly #connection: BrokerConnection;
  readonly #open = new OpenQuestions<string, Asked>();
  #channel: AmqpChannel | undefined;
  #queue = '';
  #connects = 0;
  #isBlocked = false;
  /** The broker does not read. */
  #isFull = false;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: AuthBrokerOptions) {
    this.#options = options;
    const { urls, names, limits, log, onFatal } = options;
    this.#connection = new BrokerConnection({
      ...{ name: 'auth', urls, limits, log, onFatal },
      declare: async (model) => {
        await declareApart(model, (channel) => declareAuth(channel, names));
      },
      open: (model) => this.#openOn(model),
      onUp: () => {},
      onDown: () => this.#down(this.#channel),
      onBlocked: (isBlocked) => {
        this.#isBlocked = isBlocked;
      },
    });
  }

  start(): void {
    this.#connection.start();
  }

  async #openOn(model: AmqpModel): Promise<void> {
    const { names, incarnation, limits, log } = this.#options;
    const channel = await model.createChannel();
    channel.on('error', (error: Error) => {
      log.warn({ link: 'auth', why: error.message }, 'channel failed');
      this.#connection.reset();
    });
    channel.on('close', () => this.#down(channel));
    channel.on('drain', () => {
      this.#isFull = false;
    });
    channel.on('return', ({ properties }) => {
      this.#open.settle(String(properties.correlationId), 'unroutable');
    });
    // A new one each time: where the last one was, its node may be down.
    const queue = `${names.authAnswers(incarnation)}.${this.#connects}`;
    this.#connects += 1;
    await declareAuthAnswers(channel, queue, limits);
    await channel.consume(queue, (message) => this.#onMessage(message), { noAck: true });
    this.#queue = queue;
    this.#channel = channel;
    this.#isFull = false;
  }

  #onMessage(message: AmqpMessage | null): void {
    if (message === null) {
      this.#options.log.warn({ queue: this.#queue }, 'queue for answers about devices was deleted');
      this.#connection.reset();
      return;
    }
    const id = String(message.properties.correlationId);
    if (!this.#open.has(id)) {
      this.#options.onStray();
      return;
    }
    const answer = readAnswer(message.content);
    if (typeof answer !== 'string') this.#open.settle(id, answer);
    else this.#malformed(id, answer);
  }

  #malformed(id: string, reason: string): void {
    this.#open.settle(id, 'malformed');
    const now = performance.now();
    if (now - this.#loggedAt < MALFORMED_LOG_MS) return;
    this.#loggedAt = now;
    this.#options.log.warn({ reason }, 'malformed answer about a device');
  }

  /** As Authenticator wants it. */
  ask(question: AuthQuestion): Promise<Asked> {
    const { limits } = this.#options;
    const channel = this.#channel;
    if (channel === undefined || this.#isBlocked || this.#isFull) return Promise.resolve('unsent');
    const id = randomBytes(ID_BYTES).toString('hex');
    const answer = this.#open.ask(id, limits.authAskMs, 'unanswered');
    this.#publish(channel, id, question);
    return answer;
  }

  #publish(channel: AmqpChannel, id: string, question: AuthQuestion): void {
    const { names, limits } = this.#options;
    const { device, token, peer, listener } = question;
    const body = Buffer.from(JSON.stringify({ device, token, peer, listener }));
    const properties = {
      appId: 'owsla',
      type: 'auth',
      contentType: 'application/json',
      correlationId: id,
      replyTo: this.#queue,
      expiration: String(limits.authAskMs),
      timestamp: Math.floor(Date.now() / 1_000),
      persistent: false,
      mandatory: true,
    };
    try {
      this.#isFull = !channel.publish(names.auth, AUTH_KEY, body, properties);
    } catch (error) {
      // It is closing, which its event has not said yet.
      if (!isClosing(error)) throw error;
      this.#open.settle(id, 'unsent');
    }
  }

  /** One that closes late is not the one in use. */
  #down(channel: AmqpChannel | undefined): void {
    if (channel !== this.#channel) return;
    this.#channel = undefined;
    this.#open.settleAll('unsent');
  }

  async close(): Promise<void> {
    await this.#connection.close();
    this.#down(this.#channel);
  }
}
