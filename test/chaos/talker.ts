/**
 * Talker: a device whose link must survive reloads: it says one thing after the other, and checks
 * that each is answered once, in order, with its own payload.
 * From: a port.  To: what was wrong; what was ACKed, for the ledger; how its link ended.
 * Bound: one message under way.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { STATUS } from '../../src/base/errors.ts';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { Device, END, event, request } from '../helpers/fakes/device.ts';

const RETRY_MS = 100;

/** What is under way. */
interface Said {
  readonly id: number;
  readonly payload: string;
  readonly settle: () => void;
  readonly answered: Promise<void>;
}

export class Talker {
  readonly name: string;
  readonly device: Device;
  readonly wrong: string[] = [];
  /** Payloads of EVENTs that were ACKed. */
  readonly acked: string[] = [];
  /** Its link is over: by BYE with this reason, or without a word. */
  ended: string | undefined;
  #id = 0;
  #said: Said | undefined;

  private constructor(device: Device, name: string) {
    this.device = device;
    this.name = name;
  }

  /** `isBusy`: it always has something under way. */
  static async open(port: number, name: string, isBusy: boolean): Promise<Talker> {
    const talker = new Talker(await welcomed(port, name), name);
    void talker.#listen();
    if (isBusy) void talker.#talk();
    return talker;
  }

  async #listen(): Promise<void> {
    for (;;) {
      const item = await this.device.next();
      if (item === END) break;
      if (item.type === TYPE.BYE) this.ended = item.reason;
      else this.#onAnswer(item);
    }
    this.ended ??= 'reset';
    this.#said?.settle();
  }

  async #talk(): Promise<void> {
    while (this.ended === undefined) await this.say();
  }

  /**
   * The next thing, or what is under way; resolves when that is answered, or the link has ended.
   */
  say(): Promise<void> {
    if (this.ended !== undefined) return Promise.resolve();
    return this.#said?.answered ?? this.#sayNext();
  }

  #sayNext(): Promise<void> {
    this.#id += 1;
    const id = this.#id;
    const payload = `${this.name}:${this.device.connection}:${id}`;
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    const settle = () => {
      this.#said = undefined;
      resolve();
    };
    this.#said = { id, payload, settle, answered };
    this.device.send(isEvent(id) ? event(id, 'room', payload) : request(id, 'door', payload));
    return answered;
  }

  #onAnswer(item: Message): void {
    const said = this.#said;
    if (said === undefined || !isAnswer(item, said)) this.#isWrong(item);
    else if (isEvent(said.id)) this.acked.push(said.payload);
    said?.settle();
  }

  #isWrong(item: Message): void {
    this.wrong.push(`${this.name} ${this.#id}: ${JSON.stringify(item)}`);
  }
}

function isAnswer(item: Message, { id, payload }: Said): boolean {
  if (isEvent(id)) return item.type === TYPE.ACK && item.id === id;
  const isReply = item.type === TYPE.REPLY && item.id === id && item.status === STATUS.ok;
  return isReply && textOf(item.payload) === payload;
}

function isEvent(id: number): boolean {
  return id % 2 === 0;
}

function textOf(payload: Uint8Array): string {
  return Buffer.from(payload).toString();
}

/** It tries again, as devices do: an acceptor may die under it. */
async function welcomed(port: number, name: string): Promise<Device> {
  for (;;) {
    try {
      return await Device.open(port, name);
    } catch {
      await pause(RETRY_MS);
    }
  }
}
