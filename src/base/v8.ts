/**
 * V8: what is set of it, or asked of it, while a process runs.
 * From: heapGrowth.ts and childHeap.ts; moreChecks.ts of the kit.  To: V8's flags, and its `gc`.
 * Bound: none: a flag is the whole process's.
 */
import { flushCompileCache } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let isWrittenDown = false;

/**
 * Set while the process runs, and not by a flag of the fork: V8 refuses compiled code that was made
 * without it, that of Node's own modules too. For the same reason what was compiled so far is
 * written down before the first one, where NODE_COMPILE_CACHE asks for that.
 */
export function setV8Flag(flag: string): void {
  if (!isWrittenDown) flushCompileCache();
  isWrittenDown = true;
  setFlagsFromString(flag);
}

/** Whoever started the process has said what it is: that stays. */
export function isGiven(flag: string, flags: readonly string[]): boolean {
  return flags.some((one) => one.startsWith(flag));
}

/** Of the young space; or of everything: what is left is moved together, the rest given back. */
type Collection =
  | { readonly type: 'minor' }
  | { readonly type: 'major'; readonly flavor: 'last-resort' };

let gc: ((how?: Collection) => void) | undefined;

/** By V8's `gc`, which only contexts have that are made while this flag is set: there is one. */
export function collect(how?: Collection): void {
  gc ??= makeGc();
  // An argument that is undefined is another request to V8 than none, and collects less.
  if (how === undefined) gc();
  else gc(how);
}

function makeGc(): (how?: Collection) => void {
  setFlagsFromString('--expose-gc');
  const made = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  return made;
}
