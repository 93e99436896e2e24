/** Waiting for a condition that has no event to wait for, such as another process's figure. */
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_MS = 25;
/** Generous: it only tells a hang from a wait. */
const DEADLINE_MS = 60_000;

/** Resolves when `isSo` gives true; rejects after a generous deadline with what was awaited. */
export async function waitFor(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  deadlineMs = DEADLINE_MS,
  lookMs = LOOK_MS,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for: ${what}`);
    await delay(lookMs);
  }
}
