/**
 * Speech: what the bytes of a simulated device's link mean, one object for all devices of a worker.
 * From: device.ts, which owns the link.  To: the same: bytes to send, and what was heard.
 * Bound: it remembers nothing of a link: what an answer needs, such as the last id, is handed in.
 */
import type { Bytes, Kind } from '../plan/payload.ts';

/** What a server said, whatever format carried it. Ids are those of the ledger. */
export type Heard =
  | { readonly is: 'welcome'; readonly keepaliveS: number }
  | {
      readonly is: 'reply';
      readonly id: number;
      readonly status: number;
      readonly payload: Buffer;
    }
  | { readonly is: 'ack'; readonly id: number }
  | Commanded
  | { readonly is: 'ping' }
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
}

export interface Speech {
  hello(deviceId: string, token: string | undefined): Buffer;
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
