/**
 * SqliteThread: the entry of the thread in which SQLite runs, so that no sync to disk holds up
 * the registrar's streams.
 * From: sqlite.ts, one call per message, in order.  To: SqliteFile; its answer or its fault back.
 * Bound: one call at a time; sqlite.ts bounds those that wait.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Answer, Call } from './sqlite.ts';
import { SqliteFile } from './sqliteFile.ts';
import { StoreError } from './store.ts';

const { folder } = workerData as { folder: string };
let file: SqliteFile | undefined;

function perform({ method, args }: Call): unknown {
  if (method === 'open') {
    const [node, now] = args as [string, number];
    file ??= new SqliteFile(folder, now);
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

function answer(call: Call): Answer {
  try {
    return { id: call.id, result: perform(call) };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { id: call.id, fault: error.fault, sentence: error.message };
  }
}

parentPort?.on('message', (call: Call) => parentPort?.postMessage(answer(call)));
