/**
 * A device for tests whose messages are the same, whatever protocol its link speaks (speech.ts).
 * From: tests; a node's port for that protocol.  To: what comes back, one by one, END behind it.
 * Bound: none, as of deviceEnd.ts.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Message, Will } from '../../../src/wire/message.ts';
import { DeviceEnd, END } from './deviceEnd.ts';
import { type Heard, makeSpeech, type Speech, type Tongue } from './speech.ts';

export interface Spoken {
  readonly port: number;
  readonly tongue: Tongue;
  readonly deviceId: string;
  readonly will?: Will | undefined;
}

export class SpokenDevice extends DeviceEnd<Heard> {
  /** '' until its link is open, and where its protocol has no word for it. */
  connection = '';
  readonly spoken: Spoken;
  readonly #speech: Speech;

  private constructor(socket: Socket, spoken: Spoken, speech: Speech) {
    super(socket);
    this.spoken = spoken;
    this.#speech = speech;
    socket.on('data', (chunk: Buffer) => {
      for (const heard of speech.hear(chunk)) {
        if (heard.type === 'opened') this.connection = heard.connection;
        this.put(heard);
      }
    });
  }

  /** Its link is open; undefined: it ended before, as its process did. */
  static async open(spoken: Spoken): Promise<SpokenDevice | undefined> {
    const { port, tongue, deviceId, will } = spoken;
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const speech = makeSpeech(tongue);
    const device = new SpokenDevice(socket, spoken, speech);
    // What the kernel had accepted for a process that died is a link, and has ended.
    await once(socket, 'connect').catch((error) => {
      if (error.code !== 'ECONNRESET') throw error;
    });
    socket.write(speech.hello(deviceId, will));
    const first = await device.next();
    if (first === END) return undefined;
    if (first.type !== 'opened') throw new Error(`the node said ${JSON.stringify(first)}`);
    return device;
  }

  send(...messages: Message[]): void {
    this.socket.write(Buffer.concat(messages.map((message) => this.#speech.say(message))));
  }
}
