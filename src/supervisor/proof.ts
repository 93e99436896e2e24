/**
 * Proof: whether a node that runs can be replaced, child by child, by this code with this config.
 * From: `owsla prove`, which a supervisor of any version has started: prover.ts.
 * To: that supervisor: where this code is, and the config with real ports; or one sentence.
 * Bound: preflight.ts's steps, but for what the running node holds.
 */
import { readFileSync } from 'node:fs';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { CHILD_ENTRY } from './edition.ts';
import { preflight } from './preflight.ts';

/** To the process that proves: what to read, and what runs. */
export interface ProveMessage {
  readonly type: 'prove';
  /** Of `serve`. */
  readonly args: readonly string[];
  readonly running: Config;
}

export interface Proved {
  readonly entry: string;
  readonly config: Config;
}

export type ProofMessage =
  | ({ readonly type: 'proved' } & Proved)
  | { readonly type: 'refused'; readonly sentence: string };

/** Devices, rows and brokers know a node by these. */
const FIXED = { prefix: 'prefix', dataDir: 'data-dir', runDir: 'run-dir', traceDir: 'trace-dir' };

/** Rejects with a StartError. */
export async function proveReload(running: Config, next: Config, log: Logger): Promise<Proved> {
  for (const [key, name] of Object.entries(FIXED) as [keyof typeof FIXED, string][]) {
    if (running[key] === next[key]) continue;
    const sentence = `${name} cannot be changed by a reload: it is ${named(running[key])}, and ${named(next[key])} would be another node; stop this one and start it again`;
    throw new StartError(EXIT.usage, sentence);
  }
  const config = await preflight(next, log, running);
  return { entry: await loadCode(config), config };
}

function named(value: string): string {
  return value === '' ? 'not set' : JSON.stringify(value);
}

/** All of it: what cannot be loaded now could not be later. */
async function loadCode({ listeners }: Config): Promise<string> {
  try {
    await import('./child.ts');
    await import('../acceptor/acceptor.ts');
    const { ownOf } = await import('../acceptor/ownProtocols.ts');
    await ownOf(listeners);
    await import('../registrar/registrar.ts');
    await import('../observer/observer.ts');
    readFileSync(CHILD_ENTRY);
    return CHILD_ENTRY;
  } catch (error) {
    const [first] = String((error as Error).message).split('\n');
    throw new StartError(
      EXIT.config,
      `the code in ${import.meta.dirname} cannot be loaded: ${first}`,
    );
  }
}
