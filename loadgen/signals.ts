/**
 * Signals: which of them end a run or a backend, and which they ignore.
 * From: run.ts and backendCli.ts.  To: their way to end; a line on stderr for what is ignored.
 * Bound: one line a signal and second.
 */
import {
  IGNORED_SIGNALS,
  ignoreSignals,
  notifyIgnored,
  STOP_SIGNALS,
} from '../src/base/signals.ts';

/**
 * Call `onSignal` for each signal that ends; gives the end of that. SIGHUP is one of them where a
 * terminal shows this process: it is gone then. Under nohup none does, and SIGHUP is ignored.
 */
export function onStopSignals(onSignal: () => void): () => void {
  const isShown = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  const stops: readonly NodeJS.Signals[] = isShown ? [...STOP_SIGNALS, 'SIGHUP'] : STOP_SIGNALS;
  for (const signal of stops) process.on(signal, onSignal);
  const ignored: readonly NodeJS.Signals[] = ['SIGHUP', ...IGNORED_SIGNALS];
  ignoreSignals(ignored.filter((signal) => !stops.includes(signal)));
  notifyIgnored((signal) => process.stderr.write(`owsla-loadgen: ${signal} ignored\n`));
  return () => {
    for (const signal of stops) process.off(signal, onSignal);
  };
}
