/**
 * SqliteThread: the entry of the thread in which SQLite runs, so that no sync to disk holds up
 * the registrar's streams.
 * From: sqlite.ts, one call per message, in order.  To: SqliteFile; its answer or its fault back.
 * Bound: one call at a time; sqlite.ts bounds those that wait.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Call, ThreadAnswer, ThreadData } from './sqlite.ts';
import { SqliteFile } from './sqliteFile.ts';
import { StoreError } from './store.ts';

const { folder, limits } = workerData as ThreadData;
let file: SqliteFile | undefined;

function perform({ method, args }: Call): unknown {
  if (method === 'open') {
    const [node, now] = args as [string, number];
    file ??= new SqliteFile(folder, now, { limits });
    return file.begin(node);
  }
  if (method === 'close') {
    file?.close();
    file = undefined;
    return undefined;
  }
  if (file === undefined) throw new StoreError('unusable', 'the presence store is not open');
  const perform = file[method] as (...given: unknown[]) => unknown;
  return perform.apply(file, [...args]);
}

function answer(call: Call): ThreadAnswer {
  try {
    return { id: call.id, result: perform(call), walBytes: file?.walBytes ?? 0 };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const { fault, message: sentence } = error;
    return { id: call.id, fault, sentence, walBytes: file?.walBytes ?? 0 };
  }
}

parentPort?.on('message', (call: Call) => parentPort?.postMessage(answer(call)));
