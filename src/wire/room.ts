/**
 * Room: memory for bytes that may have to wait, so that what waits holds about itself.
 * From: v1.ts, for frames and for payloads that outlive their chunk.  To: buffers of the caller's.
 * Bound: SLAB_BYTES are what the smallest waiting frame can hold. Node's own pool has slabs of
 * 64 KiB, msgpackr's buffer is four times the largest message that it ever held: a small frame in
 * one of these holds all of it for as long as a device does not read.
 */

/** Small frames of all links share slabs of this size; larger ones have memory of their own. */
export const SLAB_BYTES = 8 * 1024;
const SHARED_BYTES_MAX = SLAB_BYTES / 8;
/** Holding so little more than is needed costs less than a copy does. */
const SLACK_BYTES = 1024;

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let used = 0;

/** `bytes` bytes to write to, of any content. The buffer is the caller's. */
export function room(bytes: number): Buffer {
  if (bytes > SHARED_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
  if (used + bytes > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    used = 0;
  }
  const start = used;
  used += bytes;
  return slab.subarray(start, used);
}

/**
 * `view` itself, or a copy where the memory behind it is more than twice as much: for bytes that
 * are kept. The copy holds its own bytes only, so that no others are kept with it.
 */
export function kept(view: Buffer): Buffer {
  const held = view.buffer.byteLength;
  if (held <= SLACK_BYTES || held <= 2 * view.length) return view;
  const copy = Buffer.allocUnsafeSlow(view.length);
  view.copy(copy);
  return copy;
}
