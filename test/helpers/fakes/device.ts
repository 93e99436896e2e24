/** A device for tests: sends messages or raw bytes, and hands out what comes back, one by one. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { stringify } from 'uuid';
import type { Message } from '../../../src/wire/message.ts';
import { TYPE } from '../../../src/wire/message.ts';
import { encode, V1Reader } from '../../../src/wire/v1.ts';
import { END, ItemQueue } from './itemQueue.ts';

export { END };

/** A message without the fields that have a default. */
export function event(id: number, topic = 'room.temperature', text = '21.5'): Message {
  return { type: TYPE.EVENT, id, topic, payload: Buffer.from(text), meta: {} };
}
export function request(id: number, topic = 'door.badge', text = 'badge'): Message {
  return { type: TYPE.REQUEST, id, topic, payload: Buffer.from(text), meta: {} };
}
export function hello(deviceId: string, options: Partial<Message> = {}): Message {
  return {
    type: TYPE.HELLO,
    version: 1,
    deviceId,
    token: undefined,
    keepalive: undefined,
    frameBytesMax: undefined,
    ...options,
  } as Message;
}

export class Device extends ItemQueue<Message> {
  /** From its WELCOME, as a UUID; '' until then. */
  connection = '';

  constructor(socket: Duplex) {
    super(socket);
    const reader = new V1Reader(16 * 1024 * 1024);
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      for (let next = reader.next(); next; next = reader.next()) {
        if (next.type === TYPE.WELCOME) this.connection = stringify(next.connectionId);
        this.put(next);
      }
    });
  }

  /**
   * A connected device that has not said HELLO. What the kernel had accepted for a process that
   * died before it took it is a link, and has ended.
   */
  static async connect(port: number, localAddress?: string): Promise<Device> {
    const socket: Socket = connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    const device = new Device(socket);
    await once(socket, 'connect').catch((error) => {
      if (error.code !== 'ECONNRESET') throw error;
    });
    return device;
  }

  /** A connected device that has been WELCOMEd. */
  static async open(port: number, deviceId: string): Promise<Device> {
    const device = await Device.connect(port);
    device.send(hello(deviceId));
    await device.expect(TYPE.WELCOME);
    return device;
  }

  send(...messages: Message[]): void {
    this.socket.write(Buffer.concat(messages.map(encode)));
  }

  /** The next message, which must be of this type. */
  async expect<T extends Message['type']>(type: T): Promise<Extract<Message, { type: T }>> {
    const item = await this.next();
    if (item === END || item.type !== type) {
      throw new Error(`expected type ${type}, got ${JSON.stringify(item)}`);
    }
    return item as Extract<Message, { type: T }>;
  }
}
