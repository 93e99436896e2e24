/**
 * A backend that is not well-behaved: it publishes whatever bytes it likes as properties, and sees
 * those of others as they are, one character for a byte.
 * From: tests of what a neighbour may send.  To: the broker, past amqplib's own encoding.
 * Bound: none; it keeps everything that it hears.
 */
import { randomUUID } from 'node:crypto';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import type { Properties } from '../../../src/broker/content.ts';
import { connectionOf, writeDirectly } from '../../../src/broker/directWriter.ts';
import { writeMessage } from '../../../src/broker/publishFrames.ts';
import { waitFor } from '../waitFor.ts';

/** AMQP's flag for the headers, and where a content header has its flags. */
const HEADERS_FLAG = 1 << 13;
const FLAGS_AT = 7 + 12;

export interface RawMessage {
  readonly exchange?: string;
  readonly routingKey: string;
  readonly properties?: Properties;
  /** The inside of the header table, as it is to be on the wire. */
  readonly table?: Buffer;
  readonly body?: Buffer;
}

export interface Heard {
  readonly properties: Properties;
  readonly body: Buffer;
}

/** Each type that RabbitMQ passes, with a value. (Not NaN: it closes whoever sends that.) */
export const FIELDS: readonly (readonly [string, readonly number[]])[] = [
  ['L', [0, 0, 0, 0, 0, 0, 0, 1]],
  ['l', [0x7f, 255, 255, 255, 255, 255, 255, 255]],
  ['b', [0x80]],
  ['B', [0xff]],
  ['s', [0x80, 0]],
  ['u', [0xff, 0xff]],
  ['I', [0x80, 0, 0, 0]],
  ['i', [0xff, 255, 255, 255]],
  ['f', [0x3f, 0x80, 0, 0]],
  ['d', [0x3f, 0xf0, 0, 0, 0, 0, 0, 0]],
  ['D', [255, 255, 255, 255, 255]],
  ['T', [255, 255, 255, 255, 255, 255, 255, 255]],
  ['t', [1]],
  ['V', []],
  ['S', [0, 0, 0, 2, 0xff, 0xfe]],
  ['x', [0, 0, 0, 2, 0xff, 0xfe]],
  ['F', [0, 0, 0, 0]],
  ['A', [0, 0, 0, 2, 0x56, 0x56]],
];

/** One character for each byte. */
export function text(bytes: Uint8Array | readonly number[]): string {
  return Buffer.from(bytes).toString('latin1');
}

/** A field of a header table: its name, its tag and its value's bytes. */
export function field(name: string, tag: string, value: Uint8Array | readonly number[]): Buffer {
  const key = Buffer.from(name, 'latin1');
  return Buffer.concat([Buffer.from([key.length]), key, Buffer.from(tag), Buffer.from(value)]);
}

export class RawBackend {
  readonly heard: Heard[] = [];
  readonly queue: string;
  readonly #model: ChannelModel;
  readonly #channel: ConfirmChannel;

  private constructor(model: ChannelModel, channel: ConfirmChannel, queue: string) {
    this.#model = model;
    this.#channel = channel;
    this.queue = queue;
  }

  static async connect(amqp: string): Promise<RawBackend> {
    const model = await connect(amqp, { noDelay: true });
    model.on('error', () => {});
    writeDirectly(connectionOf(model));
    const channel = await model.createConfirmChannel();
    channel.on('error', () => {});
    const backend = new RawBackend(model, channel, `backend.${randomUUID()}`);
    await channel.assertQueue(backend.queue, { exclusive: true });
    await channel.consume(backend.queue, (message) => {
      if (message === null) return;
      const properties = message.properties as Properties;
      backend.heard.push({ properties, body: message.content });
      channel.ack(message);
    });
    return backend;
  }

  get channel(): ConfirmChannel {
    return this.#channel;
  }

  /** Resolves when the broker has it. */
  async publish(message: RawMessage): Promise<void> {
    this.send(message);
    await this.#channel.waitForConfirms();
  }

  /** The same, without waiting. */
  send({ exchange = '', routingKey, properties = {}, table, body }: RawMessage): void {
    const connection = connectionOf(this.#model);
    const { ch } = this.#channel as unknown as { ch: number };
    const content = body ?? Buffer.alloc(0);
    const publish = { exchange, routingKey, mandatory: false };
    const { headers, ...others } = properties;
    const given = table === undefined ? properties : others;
    const frames = writeMessage(ch, publish, given, content, connection.frameMax);
    // As amqplib's own publish does, for its count of confirms.
    (this.#channel as unknown as { pushConfirmCallback(): void }).pushConfirmCallback();
    connection.channels[ch]?.buffer.write(table === undefined ? frames : withTable(frames, table));
  }

  /** The message with this correlation id, once it has come. */
  async answer(correlationId: string): Promise<Heard> {
    const find = () =>
      this.heard.find(({ properties }) => properties.correlationId === correlationId);
    await waitFor('an answer', () => find() !== undefined);
    return find() as Heard;
  }

  /** Those with this correlation id, so far. */
  answers(correlationId: string): Heard[] {
    return this.heard.filter(({ properties }) => properties.correlationId === correlationId);
  }

  async close(): Promise<void> {
    await this.#model.close().catch(() => {});
  }
}

/** Put a header table into the content header of these frames, which have none. */
function withTable(frames: Buffer, table: Buffer): Buffer {
  const at = 8 + frames.readUInt32BE(3);
  const size = frames.readUInt32BE(at + 3);
  const flags = frames.readUInt16BE(at + FLAGS_AT);
  const start = at + FLAGS_AT + 2;
  // Only content type and encoding come before the headers.
  let cut = start;
  for (const flag of [1 << 15, 1 << 14]) if (flags & flag) cut += 1 + (frames[cut] ?? 0);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(table.length);
  const whole = Buffer.concat([frames.subarray(0, cut), length, table, frames.subarray(cut)]);
  whole.writeUInt32BE(size + 4 + table.length, at + 3);
  whole.writeUInt16BE(flags | HEADERS_FLAG, at + FLAGS_AT);
  return whole;
}
