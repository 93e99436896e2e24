/**
 * Kit: proves that a protocol module can be trusted with links, before it is.
 * From: `owsla protocol check`; a test of the module's author (`checkProtocol` of owsla/protocol).
 * To: a report, finding by finding.
 * Bound: a call that takes `callMs` ends the thread in which the module runs, and so does all of it
 * after TOTAL_MS, or with more memory than HEAP_MB.
 */
import { dirname, extname, join, resolve } from 'node:path';
import { Worker as Thread } from 'node:worker_threads';
import { LIMIT_SPECS } from '../base/limits.ts';
import type { CheckOptions, Finding, ProtocolReport, Sample } from '../wire/module/moduleTypes.ts';
import type { ProtocolLimits } from '../wire/protocol.ts';
import { shown } from './checks.ts';
import { LOAD_MS } from './proveModule.ts';
import { makeWatchMemory, runningIn } from './watch.ts';

/** kitThread.ts beside this file, or kitThread.js where this is compiled. */
const ENTRY = join(dirname(import.meta.filename), `kitThread${extname(import.meta.filename)}`);
const TOTAL_MS = 5 * 60_000;
const CALL_MS = 2_000;
const LOOKS_PER_CALL = 4;
const WAITS = 10;
const US_PER_MS = 1_000;
const ROUNDS = 2_000;
const SEED = 1;
const HEAP_MB = 512;

/** To the thread. */
export interface KitOrder {
  readonly path: string;
  readonly bytesMax: number;
  readonly samples: readonly Sample[];
  readonly rounds: number;
  readonly seed: number;
  readonly limits: ProtocolLimits;
  readonly memory: SharedArrayBuffer;
}

/** `onFinding` hears of each at once. */
export async function checkModule(
  path: string,
  options: CheckOptions = {},
  onFinding: (finding: Finding) => void = () => {},
): Promise<ProtocolReport> {
  const findings: Finding[] = [];
  const order = orderOf(path, options);
  const add = (finding: Finding) => {
    findings.push(finding);
    onFinding(finding);
  };
  const end = await runThread(order, options.callMs ?? CALL_MS, add);
  if (end !== undefined) add(end);
  return { isGood: findings.every(({ state }) => state !== 'failed'), findings };
}

function orderOf(path: string, options: CheckOptions): KitOrder {
  const { samples = [], rounds = ROUNDS, seed = SEED } = options;
  const { frameBytesMax, helloBytesMax, inFlightMax, keepaliveMaxMs } = LIMIT_SPECS;
  const bytesMax = options.bytesMax ?? frameBytesMax.value;
  const limits = {
    frameBytesMax: bytesMax,
    helloBytesMax: helloBytesMax.value,
    inFlightMax: inFlightMax.value,
    keepaliveMaxMs: keepaliveMaxMs.value,
  };
  const memory = makeWatchMemory();
  return { path: resolve(path), bytesMax, samples, rounds, seed, limits, memory };
}

/** What ended it before it was through; undefined: nothing. */
function runThread(
  order: KitOrder,
  callMs: number,
  onFinding: (finding: Finding) => void,
): Promise<Finding | undefined> {
  const thread = new Thread(ENTRY, {
    workerData: order,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  return new Promise((resolve) => {
    const timers: NodeJS.Timeout[] = [];
    const end = (check: string, what?: string) => {
      for (const timer of timers) clearTimeout(timer);
      void thread.terminate();
      resolve(what === undefined ? undefined : { check, state: 'failed', what });
    };
    const look = lookAt(order.memory, thread, callMs, (what) => end('time', what));
    // A thread that has ended cannot be asked, and says so itself.
    timers.push(setInterval(() => void look().catch(() => {}), callMs / LOOKS_PER_CALL));
    timers.push(setTimeout(() => end('time', `not through after ${TOTAL_MS} ms`), TOTAL_MS));
    const loading = setTimeout(() => end('module', `not loaded after ${LOAD_MS} ms`), LOAD_MS);
    timers.push(loading);
    thread.on('message', (finding: Finding | undefined) => {
      clearTimeout(loading);
      if (finding === undefined) end('');
      else onFinding(finding);
    });
    thread.once('error', (error: Error & { code?: string }) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
        end('memory', `it takes more than ${HEAP_MB} MB`);
      } else end('module', `something beside its functions fails: ${error.message}`);
    });
    thread.once('exit', () => end('module', 'it ends its own process'));
  });
}

/**
 * Is it still the call that ran at the last look, and has it had so much time since? That is time
 * of its thread: a machine that is busy with others does not count. A call that waits has none,
 * and is given WAITS times as long.
 */
function lookAt(
  memory: SharedArrayBuffer,
  thread: Thread,
  callMs: number,
  onSlow: (what: string) => void,
) {
  let first: { call: number; ranMs: number; at: number } | undefined;
  return async () => {
    const running = runningIn(memory);
    const { user, system } = await thread.cpuUsage();
    const [ranMs, at] = [(user + system) / US_PER_MS, performance.now()];
    if (running === undefined || running.call !== first?.call) {
      first = running === undefined ? undefined : { call: running.call, ranMs, at };
      return;
    }
    if (ranMs - first.ranMs < callMs && at - first.at < callMs * WAITS) return;
    const given = running.length > 0 ? `, given ${shown(running.input)}` : '';
    onSlow(`${running.fn} does not return within ${callMs} ms${given}: it would stop all links`);
  };
}
