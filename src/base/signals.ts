/**
 * Signals: which of them a node obeys, and which it ignores and logs.
 * From: the system, as the first thing in each process.  To: supervisor.ts, and the log.
 * Bound: one line a signal and LOG_MS, with how often it came; nothing else is kept.
 *
 * Left to the system: SIGKILL and SIGSTOP, which cannot be caught; SIGABRT, SIGSEGV and others that
 * a bug raises, because they leave a core; SIGTSTP and SIGCONT, which pause and continue; SIGPROF,
 * used for V8's profiles; SIGCHLD, SIGURG and SIGWINCH, which end nothing. Node itself ignores
 * SIGPIPE, an error of a write. Real-time signals, from 34 up, have no name in Node: a program
 * cannot handle them, and they end it.
 */

/** A graceful stop; and the exit code of a second one, which ends at once. */
export const SIGNAL_EXIT = { SIGINT: 130, SIGQUIT: 131, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof SIGNAL_EXIT;
export const STOP_SIGNALS = Object.keys(SIGNAL_EXIT) as readonly StopSignal[];

/** Certificates, revocation lists and keys are read again; in other processes it does nothing. */
export const RENEW_SIGNAL = 'SIGHUP';

/**
 * They would end a process by default. SIGUSR1 does not arrive where NO_DEBUGGER is set; SIGXFSZ is
 * ignored by Node until a loaded package listens for it: some packages then end the process.
 */
export const IGNORED_SIGNALS: readonly NodeJS.Signals[] = [
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGVTALRM',
  'SIGIO',
  'SIGPWR',
  'SIGSTKFLT',
  'SIGXCPU',
  'SIGXFSZ',
];

const LOG_MS = 1_000;

type Notify = (signal: NodeJS.Signals, times: number) => void;

const pending = new Map<NodeJS.Signals, number>();
let notify: Notify | undefined;
let pause: NodeJS.Timeout | undefined;

/** From now on they end nothing. A name that this system does not know does no harm. */
export function ignoreSignals(signals: readonly NodeJS.Signals[] = IGNORED_SIGNALS): void {
  for (const signal of signals) process.on(signal, onIgnored);
}

/** Hand on what was ignored, what came before this call too. */
export function notifyIgnored(to: Notify): void {
  notify = to;
  notifyPending();
}

/** They reach a whole process group; the supervisor logs them, and children do not. */
export function ignoreSilently(signals: readonly NodeJS.Signals[]): void {
  for (const signal of signals) process.on(signal, () => {});
}

function onIgnored(signal: NodeJS.Signals): void {
  pending.set(signal, (pending.get(signal) ?? 0) + 1);
  notifyPending();
}

function notifyPending(): void {
  if (notify === undefined || pause !== undefined || pending.size === 0) return;
  for (const [signal, times] of pending) notify(signal, times);
  pending.clear();
  pause = setTimeout(() => {
    pause = undefined;
    notifyPending();
  }, LOG_MS).unref();
}
