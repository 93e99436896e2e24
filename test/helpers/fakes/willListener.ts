/**
 * A backend that hears wills: every EVENT of a prefix that has the header `will`.
 * From: the broker.  To: tests, which look at what came, by device.
 * Bound: none; it keeps everything.
 */
import type { ConsumeMessage } from 'amqplib';
import { names } from '../../../src/broker/topology.ts';
import { waitFor } from '../waitFor.ts';
import { Backend } from './backend.ts';

export interface HeardWill {
  readonly device: string;
  readonly connection: string;
  readonly key: string;
  readonly id: string;
  /** Why the link ended. */
  readonly reason: string;
  readonly body: string;
  readonly message: ConsumeMessage;
}

export class WillListener {
  readonly heard: HeardWill[] = [];
  readonly #backend: Backend;

  private constructor(backend: Backend) {
    this.#backend = backend;
  }

  static async start(amqp: string, prefix: string): Promise<WillListener> {
    const listener = new WillListener(await Backend.connect(amqp));
    await listener.#backend.on(names(prefix).events, '#', (message) => listener.#hear(message));
    return listener;
  }

  #hear(message: ConsumeMessage): void {
    const { headers = {}, messageId } = message.properties;
    if (headers.will === undefined) return;
    this.heard.push({
      device: String(headers.device),
      connection: String(headers.connection),
      key: message.fields.routingKey,
      id: String(messageId),
      reason: String(headers.will),
      body: message.content.toString(),
      message,
    });
  }

  of(device: string): HeardWill[] {
    return this.heard.filter((will) => will.device === device);
  }

  /** The will of this device. Waits for it. */
  async until(device: string): Promise<HeardWill> {
    await waitFor(`the will of ${device}`, () => this.of(device).length > 0);
    return this.of(device)[0] as HeardWill;
  }

  close(): Promise<void> {
    return this.#backend.close();
  }
}
