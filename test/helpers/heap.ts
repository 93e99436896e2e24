/**
 * Heap: what a test's process holds, after everything that nobody holds is collected.
 * From: V8 and process.memoryUsage.  To: assertions about growth, per thing held.
 * Bound: the whole process counts, so let both ends be few and the things many.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { collect } from '../../src/base/v8.ts';

/** Bytes of objects and of buffers. */
export async function heldBytes(): Promise<number> {
  // Buffers' memory goes a turn after the objects that own it.
  for (let rounds = 0; rounds < 3; rounds += 1) {
    collect();
    await turn();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
