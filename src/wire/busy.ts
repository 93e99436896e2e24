/**
 * Busy: the messages of the busy path as frames, written straight into memory of the right size.
 * From: v1.ts and v1Protocol.ts.
 * To: frames that hold about their own bytes for as long as they wait (room.ts).
 * Bound: none of its own; docs/protocol.md has the shapes, and test/property/wire.test.ts compares
 * with what a general encoder makes of them.
 */
import { HEADER_BYTES } from './frame.ts';
import { room } from './room.ts';
import { CODE } from './v1Types.ts';

/** Bytes of a whole number from 0 to 2^32 - 1, in its shortest form. */
function uintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x1_00) return 2;
  return value < 0x1_0000 ? 3 : 5;
}

/** Write it, and return where it ends. */
function putUint(frame: Buffer, at: number, value: number): number {
  if (value < 0x80) return frame.writeUInt8(value, at);
  if (value < 0x1_00) return frame.writeUInt8(value, frame.writeUInt8(0xcc, at));
  if (value < 0x1_0000) return frame.writeUInt16BE(value, frame.writeUInt8(0xcd, at));
  return frame.writeUInt32BE(value, frame.writeUInt8(0xce, at));
}

/** Bytes of the header of a bin; its length follows as many bytes as this less one. */
function binBytes(length: number): number {
  if (length < 0x1_00) return 2;
  return length < 0x1_0000 ? 3 : 5;
}

function putBin(frame: Buffer, at: number, bin: Buffer): void {
  const { length } = bin;
  let end: number;
  if (length < 0x1_00) end = frame.writeUInt8(length, frame.writeUInt8(0xc4, at));
  else if (length < 0x1_0000) end = frame.writeUInt16BE(length, frame.writeUInt8(0xc5, at));
  else end = frame.writeUInt32BE(length, frame.writeUInt8(0xc6, at));
  bin.copy(frame, end);
}

/** A frame of `bytes` behind its length, with the array's header and the type in it. */
function begin(bytes: number, elements: number, code: number): Buffer {
  const frame = room(HEADER_BYTES + bytes);
  frame.writeUInt32BE(bytes, 0);
  frame.writeUInt16BE(((0x90 | elements) << 8) | code, HEADER_BYTES);
  return frame;
}

const FIRST = HEADER_BYTES + 2;

/** An ACK as a whole frame. */
export function encodeAck(id: number): Buffer {
  const frame = begin(2 + uintBytes(id), 2, CODE.ack);
  putUint(frame, FIRST, id);
  return frame;
}

/** A REPLY or a RESULT as a whole frame, its payload copied. */
export function encodeAnswer(
  code: typeof CODE.reply | typeof CODE.result,
  id: number,
  status: number,
  payload: Buffer,
): Buffer {
  const head = 2 + uintBytes(id) + uintBytes(status);
  const frame = begin(head + binBytes(payload.length) + payload.length, 4, code);
  putBin(frame, putUint(frame, putUint(frame, FIRST, id), status), payload);
  return frame;
}

// Always the same: a flood of them is one buffer.
export const PING = begin(2, 1, CODE.ping);
export const PONG = begin(2, 1, CODE.pong);
