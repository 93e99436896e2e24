/**
 * A device that obeys: reconnects, acts upon each COMMAND once, and answers a known key as before.
 * From: the test.  To: a node's port; every act, with its payload, in order.
 * Bound: it remembers KEYS keys, over its reconnects, as docs/protocol.md asks of devices.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type CommandMessage, type Message, TYPE } from '../../../src/wire/message.ts';
import { END } from './deviceEnd.ts';
import type { Tongue } from './speech.ts';
import { SpokenDevice } from './spokenDevice.ts';

const KEYS = 16;
const RETRY_MS = 50;

export interface ObedientOptions {
  /** Its RESULT's payload; undefined: it ACKs and says no more. */
  readonly result?: (command: CommandMessage) => string | undefined;
  /** ACK before RESULT. */
  readonly acks?: boolean;
  /** What its next link speaks; Owsla's own protocol when absent. */
  readonly tongue?: Tongue;
}

export class Obedient {
  readonly deviceId: string;
  /** Payloads acted upon, in order. */
  readonly acts: string[] = [];
  /** COMMANDs that came, known ones too. */
  received = 0;
  readonly #port: () => number;
  readonly #options: ObedientOptions;
  readonly #keys: string[] = [];
  #device: SpokenDevice | undefined;
  #isAsleep = false;

  /** A node that is started again has another port: then `port` is a function. */
  constructor(port: number | (() => number), deviceId: string, options: ObedientOptions = {}) {
    this.#port = typeof port === 'number' ? () => port : port;
    this.deviceId = deviceId;
    this.#options = options;
  }

  /** Of its newest link. */
  get connection(): string {
    return this.#device?.connection ?? '';
  }

  /** Connect, and come back whenever the link ends, until `sleep`. Resolves when it is open. */
  async wake(): Promise<void> {
    this.#isAsleep = false;
    const device = await this.#connect();
    if (device) void this.#live(device);
  }

  async #connect(): Promise<SpokenDevice | undefined> {
    const { deviceId } = this;
    while (!this.#isAsleep) {
      const { tongue = 'owsla' } = this.#options;
      try {
        const device = await SpokenDevice.open({ port: this.#port(), tongue, deviceId });
        if (device) {
          this.#device = device;
          return device;
        }
      } catch {
        // There is nobody at the moment.
      }
      await pause(RETRY_MS);
    }
    return undefined;
  }

  async #live(device: SpokenDevice): Promise<void> {
    for (let item = await device.next(); item !== END; item = await device.next()) {
      // A box has one link: of an older one, which nobody here closed, it hears nothing.
      if (item.type === TYPE.COMMAND && device === this.#device) this.#obey(device, item);
    }
    if (this.#device !== device || this.#isAsleep) return;
    await this.wake();
  }

  #obey(device: SpokenDevice, command: CommandMessage): void {
    const { acks = true, result = () => 'done' } = this.#options;
    const key = command.key?.toString('hex') ?? '';
    this.received += 1;
    if (!this.#keys.includes(key)) {
      this.#keys.push(key);
      if (this.#keys.length > KEYS) this.#keys.shift();
      this.acts.push(command.payload.toString());
    }
    const { id } = command;
    const text = result(command);
    const answers: Message[] = [];
    if (acks) answers.push({ type: TYPE.ACK, id });
    if (text !== undefined) {
      answers.push({ type: TYPE.RESULT, id, status: 100, payload: Buffer.from(text) });
    }
    if (answers.length > 0) device.send(...answers);
  }

  sleep(): void {
    this.#isAsleep = true;
    this.#device?.close();
  }
}
