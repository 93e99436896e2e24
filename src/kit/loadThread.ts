/**
 * LoadThread: loads a protocol module, and says whether that went well.
 * From: proveModule.ts, which ends this thread.  To: the same: '' or a sentence.
 * Bound: none of its own: a module may do here what it likes.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { firstLine, loadModule, ModuleError } from '../wire/module/loadModule.ts';
import type { LoadOrder } from './proveModule.ts';

const { path, bytesMax } = workerData as LoadOrder;
try {
  await loadModule(path, bytesMax);
  parentPort?.postMessage('');
} catch (error) {
  const sentence = error instanceof ModuleError ? error.message : firstLine(error);
  parentPort?.postMessage(sentence);
}
