/**
 * Flappers: devices whose links come and go all the time, in every way a link can.
 * From: a test, with a seed.  To: a node's port; and what is true of each device afterwards.
 * Bound: two links per device at a time; the newest is its link.
 */
import { connect, type Socket } from 'node:net';
import { stringify } from 'uuid';
import { TYPE } from '../../../src/wire/message.ts';
import { encode, V1Reader } from '../../../src/wire/v1.ts';
import { hello } from './device.ts';

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const FRAME_BYTES_MAX = 64 * 1024;

/** One link, as the device sees it. */
class FlapperLink {
  /** From WELCOME. */
  connection: string | undefined;
  isOver = false;
  isTakenOver = false;
  readonly socket: Socket;

  constructor(port: number, deviceId: string, localAddress: string) {
    const socket = connect({ host: '127.0.0.1', port, localAddress, noDelay: true });
    this.socket = socket;
    const reader = new V1Reader(FRAME_BYTES_MAX);
    socket.on('connect', () => socket.write(encode(hello(deviceId))));
    socket.on('data', (chunk) => {
      reader.push(chunk as Buffer);
      for (let next = reader.next(); next; next = reader.next()) {
        if (next.type === TYPE.WELCOME) this.connection = stringify(next.connectionId);
        if (next.type === TYPE.BYE) this.isOver = true;
        if (next.type === TYPE.BYE && next.reason === 'taken-over') this.isTakenOver = true;
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isOver = true;
    });
  }

  get isOpen(): boolean {
    return this.connection !== undefined && !this.isOver;
  }

  get isSettled(): boolean {
    return this.connection !== undefined || this.isOver;
  }
}

export class Flapper {
  readonly id: string;
  links: FlapperLink[] = [];
  readonly #port: () => number;
  readonly #localAddress: string;

  /** `localAddress`: for fleets that need more ports than one address has. */
  constructor(id: string, port: () => number, localAddress = '127.0.0.1') {
    this.id = id;
    this.#port = port;
    this.#localAddress = localAddress;
  }

  /** The link that is the device's now, if it has one. */
  get connection(): string | undefined {
    return this.links.findLast(({ isOpen }) => isOpen)?.connection;
  }

  get isSettled(): boolean {
    return this.links.every(({ isSettled }) => isSettled);
  }

  get openLinks(): number {
    return this.links.filter(({ isOpen }) => isOpen).length;
  }

  /** Some change of the device's links: it leaves politely or not, comes, or comes once more. */
  flap(random: () => number): void {
    this.links = this.links.filter(({ isOver }) => !isOver);
    const [link] = this.links;
    if (!link || (this.links.length === 1 && random() < 0.2)) this.connect();
    else this.leave(random() < 0.5 ? 'fin' : 'reset');
  }

  connect(): void {
    this.links.push(new FlapperLink(this.#port(), this.id, this.#localAddress));
  }

  /** All its links end: by a FIN, or by a reset, which leaves no port behind for a minute. */
  leave(how: 'fin' | 'reset' = 'reset'): void {
    for (const { socket } of this.links) {
      if (how === 'fin') socket.destroy();
      else socket.resetAndDestroy();
    }
    this.links = [];
  }
}
