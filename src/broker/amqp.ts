/**
 * Amqp: what we use of amqplib, in types of our own; nothing else in src/ imports it.
 * From: whoever connects to a broker, publishes or consumes.  To: amqplib.
 * Bound: none of its own: amqplib's connections and channels are what it gives.
 *
 * A stand-in in a test has to have what its user asks for here, and no more.
 */
import { connect, IllegalOperationError } from 'amqplib';
import type { Properties } from './content.ts';

/** A message that came; its properties as content.ts reads them. */
export interface AmqpMessage {
  readonly content: Buffer;
  readonly fields: {
    readonly deliveryTag: number;
    readonly redelivered: boolean;
    readonly exchange: string;
    readonly routingKey: string;
  };
  readonly properties: { readonly [Name in keyof Properties]: Properties[Name] | undefined };
}

/** What a message is published with. */
export interface PublishOptions {
  appId?: string;
  type?: string;
  contentType?: string;
  correlationId?: string;
  replyTo?: string;
  messageId?: string;
  /** In s since 1970. */
  timestamp?: number;
  /** In ms. */
  expiration?: string | number;
  deliveryMode?: number;
  persistent?: boolean;
  mandatory?: boolean;
  headers?: Readonly<Record<string, unknown>>;
}

/** The broker's yes or no to what was published on a confirm channel. */
export interface AmqpAnswer {
  readonly deliveryTag: number;
  readonly multiple: boolean;
}

export interface QueueOptions {
  readonly durable?: boolean;
  readonly exclusive?: boolean;
  readonly expires?: number;
  readonly messageTtl?: number;
  readonly maxLength?: number;
  readonly arguments?: Readonly<Record<string, string>>;
}

/** Each rejects with the broker's no. */
interface Declaring {
  assertExchange(
    name: string,
    type: 'direct' | 'fanout' | 'topic',
    options: { readonly durable: boolean; readonly alternateExchange?: string },
  ): Promise<unknown>;
  checkExchange(name: string): Promise<unknown>;
  assertQueue(name: string, options: QueueOptions): Promise<unknown>;
  checkQueue(name: string): Promise<{ readonly messageCount: number }>;
  bindQueue(name: string, exchange: string, pattern: string): Promise<unknown>;
  deleteQueue(name: string): Promise<unknown>;
}

export interface AmqpChannel extends Declaring {
  on(event: 'close' | 'drain', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** 'asked': only of a ProvenChannel. */
  on(event: 'ack' | 'nack' | 'asked', listener: (answer: AmqpAnswer) => void): unknown;
  on(event: 'return', listener: (message: AmqpMessage) => void): unknown;
  once(event: 'error', listener: (error: Error) => void): unknown;
  /** False: its buffer is full, and 'drain' will follow. On one that closes, see `isClosing`. */
  publish(exchange: string, key: string, body: Buffer, options?: PublishOptions): boolean;
  prefetch(count: number): Promise<unknown>;
  /** Null: the broker has ended it. */
  consume(
    queue: string,
    onMessage: (message: AmqpMessage | null) => void,
    options?: {
      readonly noAck?: boolean;
      readonly exclusive?: boolean;
      readonly priority?: number;
    },
  ): Promise<{ readonly consumerTag: string }>;
  cancel(consumerTag: string): Promise<unknown>;
  ack(message: AmqpMessage, isAllUpTo?: boolean): void;
  close(): Promise<void>;
}

/** As much of one as a publisher needs, and a consumer. */
export interface PublishChannel extends Pick<AmqpChannel, 'on' | 'publish'> {
  /** Only where nothing confirms by itself: ask the broker now, as somebody waits for it. */
  prove?(): void;
}
export type ConsumeChannel = Pick<
  AmqpChannel,
  'on' | 'prefetch' | 'consume' | 'cancel' | 'checkQueue' | 'ack'
>;

/** Each of its publishes is answered: 'ack' or 'nack', and `onAnswer`, with an error for a nack. */
export interface AmqpConfirmChannel extends AmqpChannel {
  publish(
    exchange: string,
    key: string,
    body: Buffer,
    options?: PublishOptions,
    onAnswer?: (error: Error | null) => void,
  ): boolean;
}

/** One connection. */
export interface AmqpModel {
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'blocked', listener: (reason: string) => void): unknown;
  on(event: 'unblocked', listener: () => void): unknown;
  once(event: 'close', listener: (error?: Error) => void): unknown;
  createChannel(): Promise<AmqpChannel>;
  createConfirmChannel(): Promise<AmqpConfirmChannel>;
  close(): Promise<void>;
  /** amqplib's own: directWriter.ts has what we rely on of it. */
  readonly connection: object;
}

/** The parts of a broker's URL. */
export interface ConnectOptions {
  readonly protocol?: string;
  readonly hostname?: string;
  readonly port?: number;
  readonly username?: string;
  readonly password?: string;
  readonly vhost?: string;
  readonly heartbeat?: number;
}

/** Its first argument says where, the other how: `timeout` ms, and options of the socket. */
export function connectTo(
  at: ConnectOptions,
  how: { readonly timeout: number } & Readonly<Record<string, unknown>>,
): Promise<AmqpModel> {
  return connect(at, how);
}

/** Why a call threw: the channel is closing, or closed, which its event may not have said yet. */
export function isClosing(error: unknown): boolean {
  return error instanceof IllegalOperationError;
}
