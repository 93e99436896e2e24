/**
 * Bad devices: mute ones, flooders, non-readers, and those whose REQUESTs a poisoner answers.
 * From: neighbours.ts, which starts and ends them.  To: the node under test; figures of what they
 * did.
 * Bound: a flooder writes what the kernel takes, and no more before that has gone; the numbers of
 * devices below. One whose link was closed comes back after BACK_MS.
 */
import { connect, type Socket } from 'node:net';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';

export const MUTES = 130;
export const FLOODERS = 20;
/** Modest: what they may cost an acceptor's memory is tried elsewhere. */
export const NON_READERS = 50;
export const POISONED = 4;
/** Topics; who gets them, bad backends decide. */
export const FLOOD = 'flood.now';
export const NOBODY = 'nobody.now';
export const LARGE = 'large.ask';
export const POISON = 'poison.ask';

const BACK_MS = 1_000;
const TICK_MS = 100;
/** At the rate limit of a link, 1,000 a second. */
const PER_TICK = 100;
const POISONED_PER_TICK = 5;
/** Messages of one write of a flooder. */
const BATCH = 64;

/** Who is at work: a kind of bad neighbour, its devices and its backend. */
export const WHO = ['poisoner', 'full queue', 'mute', 'flooder', 'non-reader'] as const;
export type Who = (typeof WHO)[number];

/** What the neighbours did, by words for people. */
export type Deeds = Map<string, number>;

export function add(deeds: Deeds, deed: string, count = 1): void {
  deeds.set(deed, (deeds.get(deed) ?? 0) + count);
}

/** One link after the other, of a device that says HELLO, and then what it likes. */
class BadDevice {
  readonly #port: number;
  readonly #name: string;
  readonly #deeds: Deeds;
  readonly #begin: (socket: Socket) => void;
  #socket: Socket | undefined;
  #isOver = false;

  constructor(port: number, name: string, deeds: Deeds, begin: (socket: Socket) => void) {
    this.#port = port;
    this.#name = name;
    this.#deeds = deeds;
    this.#begin = begin;
    this.#connect();
  }

  #connect(): void {
    if (this.#isOver) return;
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => this.#onClose());
    socket.on('connect', () => {
      const optional = { token: undefined, keepalive: undefined, frameBytesMax: undefined };
      socket.write(encode({ type: TYPE.HELLO, version: 1, deviceId: this.#name, ...optional }));
      this.#begin(socket);
    });
  }

  #onClose(): void {
    if (this.#isOver) return;
    add(this.#deeds, `links of ${this.#name.replace(/-\d+$/, '')} devices that were closed`);
    setTimeout(() => this.#connect(), BACK_MS);
  }

  end(): void {
    this.#isOver = true;
    // By a reset: behind a FIN the node would go on for minutes with what it has not read yet.
    this.#socket?.resetAndDestroy();
  }
}

function message(type: 'EVENT' | 'REQUEST', id: number, topic: string): Buffer {
  return encode({ type: TYPE[type], id, topic, payload: Buffer.from('bad'), meta: {} });
}

/** Each kind of flooder: its next message. */
const FLOODS: readonly ((id: number) => Buffer)[] = [
  () => message('EVENT', 0, FLOOD),
  (id) => message('EVENT', id, FLOOD),
  (id) => message('EVENT', id % 2 === 0 ? id : 0, NOBODY),
  (id) => message('REQUEST', id, NOBODY),
];

/** Write as fast as it is read; what comes back is read, and nothing else. */
function flood(socket: Socket, next: (id: number) => Buffer, deeds: Deeds): void {
  let id = 0;
  const write = () => {
    if (socket.destroyed) return;
    const frames = Array.from({ length: BATCH }, () => {
      id += 1;
      return next(id);
    });
    add(deeds, 'messages of flooders written', BATCH);
    socket.write(Buffer.concat(frames), () => setImmediate(write));
  };
  socket.on('data', () => {});
  write();
}

/** Write at the rate limit, and never read. */
function ask(socket: Socket, next: (id: number) => Buffer, deeds: Deeds): void {
  socket.pause();
  steadily(socket, PER_TICK, next, () => add(deeds, 'messages of non-readers written', PER_TICK));
}

/** So many in each tick, while the kernel takes them. */
function steadily(
  socket: Socket,
  perTick: number,
  next: (id: number) => Buffer,
  onTick: () => void,
): void {
  let id = 0;
  const timer = setInterval(() => {
    if (socket.writableNeedDrain) return;
    const frames = Array.from({ length: perTick }, () => {
      id += 1;
      return next(id);
    });
    onTick();
    socket.write(Buffer.concat(frames));
  }, TICK_MS);
  socket.on('close', () => clearInterval(timer));
}

/** Whatever is answered is read, and answers no question here. */
function askPoison(socket: Socket): void {
  socket.on('data', () => {});
  const next = (id: number) => message('REQUEST', id, POISON);
  steadily(socket, POISONED_PER_TICK, next, () => {});
}

const PING = encode({ type: TYPE.PING });
const ASKS: readonly ((id: number) => Buffer)[] = [
  () => PING,
  (id) => message('REQUEST', id, LARGE),
];

function many(count: number, of: (index: number) => BadDevice): BadDevice[] {
  return Array.from({ length: count }, (_, index) => of(index));
}

export function muteName(index: number): string {
  return `mute-${index}`;
}

/** Those of `who`, at work until `end` is called. */
export function badDevices(port: number, deeds: Deeds, who: readonly Who[]): { end(): void } {
  const of = <T>(list: readonly T[], index: number) => list[index % list.length] as T;
  const begin = (name: string, talk: (socket: Socket) => void) =>
    new BadDevice(port, name, deeds, talk);
  const cast: Readonly<Record<Who, () => BadDevice[]>> = {
    poisoner: () => many(POISONED, (index) => begin(`poisoned-${index}`, askPoison)),
    'full queue': () => [],
    mute: () =>
      many(MUTES, (index) => begin(muteName(index), (socket) => socket.on('data', () => {}))),
    flooder: () =>
      many(FLOODERS, (index) =>
        begin(`flood-${index}`, (socket) => flood(socket, of(FLOODS, index), deeds)),
      ),
    'non-reader': () =>
      many(NON_READERS, (index) =>
        begin(`deaf-${index}`, (socket) => ask(socket, of(ASKS, index), deeds)),
      ),
  };
  const devices = who.flatMap((name) => cast[name]());
  return {
    end: () => {
      for (const device of devices) device.end();
    },
  };
}
