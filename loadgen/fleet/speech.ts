/**
 * Speech: what the bytes of a simulated device's link mean, one object for all devices of a worker.
 * From: device.ts, which owns the link.  To: the same: bytes to send, and what was heard.
 * Bound: it remembers nothing of a link: what an answer needs, such as the last id, is handed in.
 * Only that of a protocol module has an object for each link (`linkOf`).
 */
import type { Bytes, Kind } from '../plan/payload.ts';

/** What a server said, whatever format carried it. Ids are those of the ledger. */
export type Heard =
  | { readonly is: 'welcome'; readonly keepaliveS: number }
  | {
      readonly is: 'reply';
      /** Undefined: of what has waited longest. */
      readonly id: number | undefined;
      readonly status: number;
      readonly payload: Buffer;
    }
  | { readonly is: 'ack'; readonly id: number | undefined }
  | Commanded
  | { readonly is: 'ping'; readonly answer?: Buffer }
  | { readonly is: 'pong' }
  | { readonly is: 'bye'; readonly reason: string; readonly retryAfterMs: number | undefined }
  | { readonly is: 'error'; readonly code: string }
  /** It is in its place, and nobody waits for it. */
  | { readonly is: 'aside' }
  /** A server does not say such a thing. */
  | { readonly is: 'nonsense'; readonly what: string };

export interface Commanded {
  readonly is: 'command';
  /** As the format has it: the answer needs it. */
  readonly id: number;
  readonly key: Buffer | undefined;
  readonly payload: Buffer;
}

/** Cuts a link's bytes into whole frames. Throws ProtocolError. */
export interface Cutter {
  push(chunk: Buffer): void;
  next(): Buffer | undefined;
  readonly pendingBytes: number;
}

/** What to send: kind, topic and sizes, with a frame's constant bytes worked out once. */
export interface Template {
  readonly kind: Kind;
  readonly bytes: Bytes;
  /** Where a payload of this length begins in its frame. */
  payloadAt(length: number): number;
  /** A frame with everything but the payload's `length` bytes. The caller's buffer. */
  make(id: number, seq: number, length: number): Buffer;
  /** In place of both, where no hole can be left for the payload: the whole frame, of this link. */
  wrap?(link: Speech, id: number, payload: Buffer): Buffer;
}

/** Topic of the wills. */
export const WILL_TOPIC = 'loadgen.will';

export interface Speech {
  /** Of one link, where it matters what was said on it before; without it one serves all. */
  linkOf?(deviceId: string): Speech;
  /** Nothing is answered to `hello`: the link is open with it, and this is its keepalive. */
  readonly unansweredKeepaliveS?: number | undefined;
  /** Events get no ACK. */
  readonly isSilentOnEvents?: boolean;
  /** `will`: what the device leaves behind. */
  hello(deviceId: string, token: string | undefined, will?: Buffer): Buffer;
  readonly ping: Buffer;
  readonly pong: Buffer;
  readonly bye: Buffer;
  /** The command was taken, and acted upon with this outcome: status 0. */
  answer(command: Commanded, payload: Buffer): Buffer;
  template(kind: Kind, topic: string, bytes: Bytes): Template;
  cutter(): Cutter;
  /** A whole frame. `lastId`: of the ledger's last message. Throws ProtocolError. */
  read(frame: Buffer, lastId: number): Heard;
}
