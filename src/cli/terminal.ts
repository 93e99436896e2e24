/**
 * Terminal: where a person sits: lines, a screen, keys, Ctrl-C.
 * From: traceCommand.ts and topCommand.ts, by commandLine.ts.  To: this process's own streams.
 * Bound: what is printed waits as little as it can: a pipe that is full holds this process up.
 */
import { emitKeypressEvents } from 'node:readline';
import type { Terminal } from './topCommand.ts';

export const terminal: Terminal = {
  isScreen: process.stdout.isTTY === true,
  size: () => ({ columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }),
  write: (text) => void process.stdout.write(text),
  onKey: (handle) => {
    const { stdin } = process;
    const onInterrupt = () => handle('\x03');
    process.on('SIGINT', onInterrupt);
    process.on('SIGTERM', onInterrupt);
    if (stdin.isTTY !== true) return () => {};
    // An arrow has no text: the letters of its escape sequence were not typed.
    const onKeypress = (key: string | undefined) => {
      if (key !== undefined) handle(key);
    };
    emitKeypressEvents(stdin);
    stdin.setRawMode(true).on('keypress', onKeypress);
    return () => {
      stdin.off('keypress', onKeypress).setRawMode(false);
      // Else this process would wait for more.
      stdin.pause();
    };
  },
  onResize: (handle) => {
    process.stdout.on('resize', handle);
    return () => process.stdout.off('resize', handle);
  },
};

/** A line of output; and one for people, beside it. */
export const print = (line: string): void => terminal.write(`${line}\n`);
export const tell = (line: string): void => void process.stderr.write(`${line}\n`);

/** Resolves when the person has enough: Ctrl-C. */
export function enough(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}
