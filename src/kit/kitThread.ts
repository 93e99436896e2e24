/**
 * KitThread: tries a protocol module, check by check, and tells each finding at once.
 * From: kit.ts, which looks at what runs, and ends this thread if it does not return.
 * To: the same: findings, then `undefined`.
 * Bound: kit.ts's.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { firstLine, loadModule, ModuleError } from '../wire/module/loadModule.ts';
import type { DeviceProtocol, Finding } from '../wire/module/moduleTypes.ts';
import { Chance } from './chance.ts';
import {
  type Bench,
  bearsNoise,
  boundsFrames,
  type Check,
  type CheckOutcome,
  failed,
  keepsLinksApart,
  ok,
  readsAnyCut,
  readsSamples,
  savesLinks,
} from './checks.ts';
import type { KitOrder } from './kit.ts';
import { keepsNothing, slowestCall, writesAnything } from './moreChecks.ts';
import { knownSamples } from './samples.ts';
import { Watch } from './watch.ts';

/** In this order; a module that fails its samples is not asked for more. */
const CHECKS: readonly (readonly [string, Check])[] = [
  ['samples', readsSamples],
  ['cuts', readsAnyCut],
  ['noise', bearsNoise],
  ['sizes', boundsFrames],
  ['writing', writesAnything],
  ['links', keepsLinksApart],
  ['moves', savesLinks],
  ['memory', keepsNothing],
];

const order = workerData as KitOrder;

function say(check: string, outcome: CheckOutcome | readonly CheckOutcome[]): boolean {
  const outcomes = [outcome].flat() as CheckOutcome[];
  for (const one of outcomes) {
    const finding: Finding = { check, ...one };
    parentPort?.postMessage(finding);
  }
  return outcomes.every(({ state }) => state !== 'failed');
}

async function run(): Promise<void> {
  const { path, bytesMax, memory, seed, rounds } = order;
  const loaded = await loadModule(path, bytesMax);
  say('module', ok(described(loaded.protocol)));
  const samples = knownSamples([...loaded.samples, ...order.samples]);
  const watch = new Watch(memory);
  const bench: Bench = {
    ...{ module: watch.over(loaded), samples, rounds, chance: new Chance(seed) },
    limits: order.limits,
  };
  for (const [name, check] of CHECKS) {
    const isGood = say(name, check(bench));
    if (!isGood && name === 'samples') return;
    // What the module has begun by itself may fail now.
    await turn();
  }
  say('time', slowestCall(watch.longestMs, watch.longestFn));
}

function described({ name, capabilities }: DeviceProtocol): string {
  const { events, acknowledgements, requests, commands, keepalive } = capabilities;
  const can = [
    events && (acknowledgements ? 'events with acknowledgements' : 'events'),
    requests && 'requests',
    commands !== 'none' && `commands (${commands})`,
  ].filter(Boolean);
  return `${name} is loaded: ${can.join(', ') || 'nothing'}; keepalive: ${keepalive}`;
}

try {
  await run();
} catch (error) {
  say('module', failed(error instanceof ModuleError ? error.message : firstLine(error)));
}
parentPort?.postMessage(undefined);
