/**
 * ChildSlot: a slot of the node, filled by one process after another; its log fields and messages.
 * From: children.ts, restarts.ts, replace.ts and supervisor.ts, which change it.
 * To: fork(), the child's channel, the log.
 * Bound: one process at a time.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { EXIT, type StartError } from '../base/errors.ts';
import { FOREIGN_VARIABLES } from '../base/options.ts';
import { NO_DEBUGGER } from '../base/runtime.ts';
import type {
  ChildFacts,
  ChildFigures,
  ChildRole,
  ChildState,
  CrashedMessage,
  MovedMessage,
  ToChild,
} from '../node/ipc.ts';
import type { Edition } from './edition.ts';
import { type ChildKind, type HelperState, NO_ENDS } from './restart.ts';

/**
 * A storm makes V8's new space grow to its limit, 16 MiB by default, and it gives little of that
 * back: a fleet that connects at once would cost a quarter more memory than a slow one. In
 * MiB. child.ts holds the old space, too.
 *
 * And V8's helper threads would collect garbage on processors that other acceptors need: a
 * collection waits for the slowest of them, and the links that are open with it. Only sweeping,
 * for which nothing waits, is left to them.
 *
 * The flags that the supervisor was started with come after these, and so take precedence.
 *
 * None of them may change what V8 compiles or when: V8 would refuse all code that was compiled
 * without it, that of Node's own modules too, and each process would compile them anew.
 */
export const CHILD_FLAGS: readonly string[] = [
  NO_DEBUGGER,
  '--max-semi-space-size=4',
  '--no-parallel-scavenge',
  '--no-parallel-marking',
  '--no-parallel-compaction',
  '--no-concurrent-marking',
];

export interface ChildSlot {
  readonly role: ChildRole;
  readonly index: number;
  readonly kind: ChildKind;
  /** It takes another one's place in a node that runs: its failure is no wrong start. */
  readonly isSuccessor: boolean;
  /** What its process runs, and the next one. */
  edition: Edition;
  state: ChildState;
  /** Set in every state but `pausing` and `ended`. */
  process: ChildProcess | undefined;
  incarnation: string | undefined;
  startedAt: number;
  /** The same in ms since 1970, for people: no deadline goes by it. */
  forkedAt: number;
  /** Last heartbeat. */
  seenAt: number;
  /** `stopping`: when it is killed. */
  stopBy: number;
  figures: ChildFigures;
  fatal: StartError | undefined;
  /** What an error that ends it made it say. */
  lastWords: CrashedMessage | undefined;
  /** Why the supervisor has killed it. */
  killedFor: string | undefined;
  /** The reason of a process that could not continue, until another is ready. */
  why: string | undefined;
  pause: NodeJS.Timeout | undefined;
  /** What it has done of a reload. */
  deed: 'none' | 'loaded' | 'given' | MovedMessage;
  restarts: number;
  /** Of registrar and observer. */
  helper: HelperState;
  /** Until what a reload has put here has proved itself: what ran here before. */
  before: Before | undefined;
}

export interface Before {
  readonly edition: Edition;
  /** Ends of the new one until this time are its own fault, by performance.now(). */
  readonly until: number;
  /** So many ends are left to it. */
  readonly endsLeft: number;
}

export function makeSlot(
  role: ChildRole,
  index: number,
  edition: Edition,
  { isSuccessor = false, restarts = 0 } = {},
): ChildSlot {
  return {
    role,
    index,
    isSuccessor,
    kind: 'permanent',
    edition,
    state: 'ended',
    process: undefined,
    incarnation: undefined,
    startedAt: 0,
    forkedAt: 0,
    seenAt: 0,
    stopBy: 0,
    figures: {},
    fatal: undefined,
    lastWords: undefined,
    killedFor: undefined,
    why: undefined,
    pause: undefined,
    deed: 'none',
    restarts,
    helper: NO_ENDS,
    before: undefined,
  };
}

/** systemd's words to the supervisor alone. */
const SERVICE_VARIABLES = /^(?:NOTIFY_SOCKET|WATCHDOG_USEC|WATCHDOG_PID)$/;
/** By it the parser of MQTT would write to stderr all that it reads, passwords too. */
const TELLTALE = 'DEBUG';

/**
 * glibc would have a heap for each thread of V8 that compiles now and then: 2 MiB for each child.
 * Two: what the event loop's thread takes comes from the first, and never waits for the others.
 */
const ARENAS = { MALLOC_ARENA_MAX: '2' };

/** A child has its config from us: the variables, a broker's password among them, stay here. */
export function childEnvironment(): NodeJS.ProcessEnv {
  const isForeign = (name: string) => !name.startsWith('OWSLA_') || FOREIGN_VARIABLES.test(name);
  const isOurs = (name: string) => SERVICE_VARIABLES.test(name) || name === TELLTALE;
  const isOther = (name: string) => isForeign(name) && !isOurs(name);
  const others = Object.entries(process.env).filter(([name]) => isOther(name));
  return { ...ARENAS, ...Object.fromEntries(others) };
}

/** Begin a process in `slot`; the caller listens to it, and tells it to start. */
export function forkInto(slot: ChildSlot, entry: string, incarnation: string): ChildProcess {
  const child = fork(entry, [], {
    stdio: 'inherit',
    env: childEnvironment(),
    execArgv: [...CHILD_FLAGS, ...process.execArgv],
  });
  Object.assign(slot, {
    state: 'starting',
    process: child,
    incarnation,
    startedAt: performance.now(),
    forkedAt: Date.now(),
    figures: {},
    fatal: undefined,
    lastWords: undefined,
    killedFor: undefined,
    pause: undefined,
    deed: 'none',
  } satisfies Partial<ChildSlot>);
  return child;
}

/** Devices are not served without it, unlike registrar and observer. */
export function servesDevices({ role }: ChildSlot): boolean {
  return role === 'acceptor';
}

/**
 * Does a child that cannot continue end the node? An acceptor does, unless it crashed. A
 * helper only in its first life, because then the start was wrong. Later the links matter more,
 * and the cause (a store or a prefix that another node has, a port in use, a queue that was
 * created again) may be gone at the next attempt. Nor does what a reload has just put there: what
 * ran before it comes back.
 */
export function endsNode(slot: ChildSlot): boolean {
  const { fatal, restarts, isSuccessor, before } = slot;
  if (fatal === undefined || fatal.exitCode === EXIT.crashed || before) return false;
  return servesDevices(slot) || (restarts === 0 && !isSuccessor);
}

export function hasEnded({ state }: ChildSlot): boolean {
  return state === 'ended';
}

export function nameOf({ role, index }: ChildSlot): string {
  return role === 'acceptor' ? `acceptor ${index}` : role;
}

/** For the other children. */
export function factsOf(slot: ChildSlot): ChildFacts {
  const { role, index, state, incarnation, why, restarts, forkedAt: startedAt } = slot;
  const pid = slot.process?.pid;
  return {
    role,
    index,
    state,
    restarts,
    ...(incarnation === undefined ? {} : { incarnation }),
    ...(pid === undefined ? {} : { pid, startedAt }),
    ...(why === undefined ? {} : { why }),
  };
}

/** Devices are served by it at this moment. */
export function servesNow({ state }: ChildSlot): boolean {
  return state === 'ready';
}

/** A child in the log: `role` there is the supervisor's own. */
export function logFieldsOf(slot: ChildSlot) {
  const { state, incarnation } = slot;
  return { child: nameOf(slot), state, ...(incarnation === undefined ? {} : { incarnation }) };
}

/** Nothing is sent to a child that is gone; its exit is seen separately. */
export function notify(slot: ChildSlot, message: ToChild): void {
  if (slot.process?.connected) slot.process.send(message, () => {});
}

/** The supervisor itself did not run for so long: no child was silent for it. */
export function forgive(slots: readonly ChildSlot[], lateMs: number): void {
  for (const slot of slots) {
    slot.startedAt += lateMs;
    slot.seenAt += lateMs;
    slot.stopBy += lateMs;
  }
}
