/**
 * A backend that says which devices may connect. What it says of a token stands behind the colon.
 * From: the test.  To: the broker.
 * Bound: none; it keeps every question.
 */
import type { ConsumeMessage } from 'amqplib';
import { AUTH_KEY, names } from '../../../src/broker/topology.ts';
import { Backend } from './backend.ts';

type Said = Record<string, unknown> | string | undefined;

export class AuthBackend {
  readonly asked: ConsumeMessage[] = [];
  /** It takes questions and says nothing. */
  hangs = false;
  readonly #amqp: string;
  readonly #exchange: string;
  readonly #says: Readonly<Record<string, () => Said>>;
  #backend: Backend | undefined;

  constructor(amqp: string, prefix: string, says: Readonly<Record<string, () => Said>>) {
    this.#amqp = amqp;
    this.#exchange = names(prefix).auth;
    this.#says = says;
  }

  async open(): Promise<void> {
    this.#backend = await Backend.connect(this.#amqp);
    await this.#backend.on(this.#exchange, AUTH_KEY, (message, channel) => {
      this.asked.push(message);
      const { token } = JSON.parse(message.content.toString());
      const said = this.hangs ? undefined : this.#says[token.split(':')[1]]?.();
      if (said === undefined) return;
      const body = typeof said === 'string' ? said : JSON.stringify(said);
      const { replyTo, correlationId } = message.properties;
      channel.sendToQueue(String(replyTo), Buffer.from(body), { correlationId });
    });
  }

  async close(): Promise<void> {
    await this.#backend?.close();
  }
}
