/**
 * ProveModule: whether a protocol module can be loaded, tried in a thread of its own.
 * From: preflight.ts, at a start, at `owsla check` and at a reload.  To: one sentence, or none.
 * Bound: LOAD_MS; then the thread is ended, and with it whatever the module began.
 */
import { dirname, extname, join } from 'node:path';
import { Worker as Thread } from 'node:worker_threads';

/** loadThread.ts beside this file, or loadThread.js where this is compiled. */
const ENTRY = join(dirname(import.meta.filename), `loadThread${extname(import.meta.filename)}`);
export const LOAD_MS = 20_000;

/** To the thread. */
export interface LoadOrder {
  readonly path: string;
  readonly bytesMax: number;
}

/** Why it cannot be used; undefined: it can. */
export function proveModule(order: LoadOrder, ms = LOAD_MS): Promise<string | undefined> {
  const { path } = order;
  return new Promise((resolve) => {
    const thread = new Thread(ENTRY, { workerData: order, stdout: true, stderr: true });
    const end = (sentence: string | undefined) => {
      clearTimeout(timer);
      void thread.terminate();
      resolve(sentence);
    };
    const timer = setTimeout(() => {
      end(`the protocol module ${path} is not loaded after ${ms / 1_000} s`);
    }, ms);
    thread.once('message', (sentence: string) => end(sentence === '' ? undefined : sentence));
    thread.once('error', ({ message }: Error) => {
      end(`the protocol module ${path} fails beside its own functions: ${message}`);
    });
    thread.once('exit', () => end(`the protocol module ${path} ends its process`));
  });
}
