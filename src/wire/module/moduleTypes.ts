/**
 * ModuleTypes: what a protocol module is: what its author writes, and what Owsla gives to it.
 * Public: the package exports them as `owsla/protocol`; docs/protocols.md explains them.
 * From: the author's module.  To: moduleProtocol.ts, which makes each link's Protocol of it.
 * Bound: types only. All sizes, numbers and orders are checked by Owsla, whatever a module does.
 */

/// <reference types="node" preserve="true" />

/** Bytes to write. Text is taken as UTF-8. */
export type Bytes = Uint8Array | string;

/** A message's content: bytes as they are, text as UTF-8, anything else as JSON. */
export type Payload = Uint8Array | string | object;

/** What a module exports, besides its samples. */
export type CreateProtocol = (options: ProtocolOptions) => DeviceProtocol | Promise<DeviceProtocol>;

export interface ProtocolModule {
  readonly createProtocol: CreateProtocol;
  /** What devices send, for `owsla protocol check`. */
  readonly samples?: readonly Sample[];
  /** The other end, simulated, for `owsla-loadgen run --protocol`. */
  readonly createDevice?: CreateDevice;
}

export interface ProtocolOptions {
  /** Longest frame that a device may send, in bytes: Owsla's limit `frameBytesMax`. */
  readonly bytesMax: number;
  /** Ready-made ways to tell where a frame ends. */
  readonly framing: Framing;
}

/** Where the frame at the beginning of `bytes` ends: so many bytes; undefined: not there yet. */
export type Framer = (bytes: Buffer) => number | undefined;

export interface Framing {
  /** Up to and with this end, such as ';' or '\r\n'. */
  readonly delimited: (end: Bytes) => Framer;
  /** Up to and with a line feed. */
  readonly lines: () => Framer;
  /** All of the same length. */
  readonly fixed: (bytes: number) => Framer;
  /**
   * With a length in front: an unsigned number of `size` bytes at `at`, most significant first
   * unless `isLittleEndian`. `more`: bytes of the frame that it does not count.
   */
  readonly lengthPrefixed: (where: LengthField) => Framer;
}

export interface LengthField {
  readonly at: number;
  readonly size: 1 | 2 | 3 | 4;
  readonly more: number;
  readonly isLittleEndian?: boolean;
}

/** One for each process: it serves all links of its listener. */
export interface DeviceProtocol {
  /** For people: 1 to 32 of a-z 0-9 -. */
  readonly name: string;
  readonly capabilities: Capabilities;
  /** Longest payload of a reply or command that its devices take; without it: `bytesMax`. */
  readonly payloadBytesMax?: number;
  /** Largest `number` of a command, after which they begin again at 1; without it: 65,535. */
  readonly commandNumberMax?: number;
  /**
   * A link has begun. `saved`: what `save` gave in another process, of a link that goes on here;
   * throw if it means nothing to this version.
   */
  connect(saved?: unknown): DeviceLink;
}

export interface Capabilities {
  /** Devices report of themselves. */
  readonly events: boolean;
  /** They are told when an event is safe. Without it, one that was under way may be lost. */
  readonly acknowledgements: boolean;
  /** They ask, and wait for an answer. */
  readonly requests: boolean;
  /**
   * `none`: they take none. `unanswered`: nobody learns what became of one. `taken`: they say that
   * they have it. `results`: they say what came of it.
   */
  readonly commands: 'none' | 'unanswered' | 'taken' | 'results';
  /**
   * Who shows that a silent link is alive. `device`: it sends something at least each
   * `keepaliveSeconds`. `server`: Owsla sends `ping` after that time, and the device answers.
   * `none`: a link may be silent for as long as `keepaliveMaxMs` allows.
   */
  readonly keepalive: 'device' | 'server' | 'none';
  /** Without it: Owsla's own limit, `keepaliveMs`. */
  readonly keepaliveSeconds?: number | undefined;
}

/** One link: from its connection to its end. What it remembers, Owsla does not know of. */
export interface DeviceLink {
  /**
   * How long the first frame in `bytes` is; undefined while that cannot be said. It may depend on
   * the frames before, and on nothing else. Throw for bytes that begin no frame. Do not write to
   * `bytes`, and do not keep them.
   */
  frame(bytes: Buffer): number | undefined;
  /** What one whole frame says: nothing, one thing, or some. Throw if it is none. It is yours. */
  read(frame: Buffer): DeviceMessage | readonly DeviceMessage[] | undefined;
  /** The device is who it says: what it is answered. */
  welcome?(admitted: Admitted): Bytes | undefined;
  /** As it is sent to the device; undefined: it has no such command. */
  command?(command: DeviceCommand): Bytes | undefined;
  /** To learn whether the device is there. */
  ping?(): Bytes | undefined;
  /** Last words. `reason` as in `owsla closed`; `retryAfterMs`: when it may come again. */
  goodbye?(reason: string, retryAfterMs: number | undefined): Bytes | undefined;
  /**
   * All that `connect` needs for another process to go on with this link, as JSON. Without this
   * function, links end at a reload, and devices connect again.
   */
  save?(): unknown;
}

export interface Admitted {
  /** UUID, as text. */
  readonly connection: string;
  readonly deviceId: string;
  /** Silence of 1.5 times this ends the link. */
  readonly keepaliveMs: number;
  /** ms since 1970. */
  readonly time: number;
}

/** What a device says. */
export type DeviceMessage =
  | Login
  | DeviceEvent
  | DeviceRequest
  | Taken
  | CommandResult
  | Alive
  | Farewell;

/** Who it is. Anything else before it ends the link, `alive` apart. */
export interface Login {
  readonly type: 'login';
  /** 1 to 64 of A-Z a-z 0-9 _ -. */
  readonly deviceId: string;
  /** What proves it, for a listener whose `auth` asks for one. */
  readonly token?: string | undefined;
  /** Its own wish. */
  readonly keepaliveSeconds?: number | undefined;
}

interface Reported {
  /** Words of A-Z a-z 0-9 _ - with dots between: the end of the routing key. */
  readonly topic: string;
  readonly payload?: Payload | undefined;
  /** Its own number of the message, kept across links. */
  readonly seq?: number | undefined;
  /** Its own time, ms since 1970. */
  readonly at?: number | undefined;
}

export interface DeviceEvent extends Reported {
  readonly type: 'event';
  /** Written once RabbitMQ has it; not before, and not if that never happens. */
  readonly ack?: Bytes | undefined;
}

export interface DeviceRequest extends Reported {
  readonly type: 'request';
  /** Called once, with what came back: its bytes are written. */
  reply(status: number, payload: Buffer): Bytes | undefined;
}

/** A command has arrived. */
export interface Taken {
  readonly type: 'taken';
  /** Its `number`; without it: the one that has waited longest for this. */
  readonly number?: number | undefined;
}

export interface CommandResult {
  readonly type: 'result';
  /** As in Taken. */
  readonly number?: number | undefined;
  /** 0: done; 3: refused; 5: failed; 100 to 65535: your own. Without it: 0. */
  readonly status?: number | undefined;
  readonly payload?: Payload | undefined;
}

/** It is there. */
export interface Alive {
  readonly type: 'alive';
  /** Written at once. */
  readonly answer?: Bytes | undefined;
}

/** It goes. */
export interface Farewell {
  readonly type: 'bye';
}

export interface DeviceCommand {
  /** From 1 on, of this link: for a protocol that can carry it. */
  readonly number: number;
  readonly topic: string;
  readonly payload: Buffer;
  /** 16 bytes, the same whenever this command is sent again. */
  readonly key: Buffer | undefined;
  readonly expiresInMs: number | undefined;
}

export type CreateDevice = (options: ProtocolOptions) => SimulatedDevices;

/** One for each process: devices that speak this protocol. */
export interface SimulatedDevices {
  /** Device ids: `prefix`, then a number with zeros before it, `length` characters in all. */
  readonly ids?: { readonly prefix: string; readonly length: number };
  /** A topic of commands that they obey. */
  readonly commandTopic?: string;
  /**
   * Where a backend finds the bytes that `event` was given, in the payload that it gets. Without
   * it: they are that payload.
   */
  carried?(payload: Buffer): Uint8Array | undefined;
  connect(deviceId: string): SimulatedDevice;
}

/** One link, as its device sees it. */
export interface SimulatedDevice {
  /** As DeviceLink's, of what Owsla sends. */
  frame(bytes: Buffer): number | undefined;
  /** What one frame of Owsla's says; undefined: nothing that matters. */
  read(frame: Buffer): ToldDevice | undefined;
  /** Its first bytes. */
  login(token: string | undefined): Bytes;
  event?(message: DeviceSends): Bytes;
  request?(message: DeviceSends): Bytes;
  /** It has done what it was told. `payload`: that of the command. */
  result?(command: { readonly number: number | undefined; readonly payload: Buffer }): Bytes;
  /** A sign of life. */
  alive?(): Bytes;
}

export interface DeviceSends {
  /** From 1 on, of this link: for a protocol that can carry it. */
  readonly number: number;
  /** Random bytes. A protocol that has no place for them sends what it has. */
  readonly payload: Buffer;
}

/** What Owsla tells a device. Without `number`: of the one that has waited longest. */
export type ToldDevice =
  | { readonly type: 'welcome' }
  | { readonly type: 'ack'; readonly number?: number | undefined }
  | {
      readonly type: 'reply';
      readonly number?: number | undefined;
      readonly status: number;
      readonly payload?: Uint8Array | undefined;
    }
  | {
      readonly type: 'command';
      readonly number?: number | undefined;
      readonly payload?: Uint8Array | undefined;
    }
  /** `answer` is written at once. */
  | { readonly type: 'ping'; readonly answer: Bytes }
  /** It has heard `alive`. */
  | { readonly type: 'alive' };

/** One link's story, for the conformance kit. */
export interface Sample {
  readonly name: string;
  /** What the device sends, in order, from its first byte on. */
  readonly device: readonly Bytes[];
  /** Sent to it after its login. */
  readonly commands?: readonly { readonly topic: string; readonly payload?: Bytes }[];
}

/** What the kit found, in the order of its checks. */
export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'note' | 'failed';
  /** A sentence. */
  readonly what: string;
}

export interface ProtocolReport {
  readonly isGood: boolean;
  readonly findings: readonly Finding[];
}

export interface CheckOptions {
  /** Besides the module's own. */
  readonly samples?: readonly Sample[];
  /** Rounds of noise. */
  readonly rounds?: number;
  /** The same seed makes the same noise. */
  readonly seed?: number;
  /** Longest time that one call may take, in ms. */
  readonly callMs?: number;
  readonly bytesMax?: number;
}

/** Checks the module at this path, in a thread of its own that is ended if it does not return. */
export type CheckProtocol = (path: string, options?: CheckOptions) => Promise<ProtocolReport>;

/** Of `owsla/protocol`, for authors: what the package gives them. */
export declare const checkProtocol: CheckProtocol;
export declare const framing: Framing;
