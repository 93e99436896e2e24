/** Reloads: `owsla reload` of a node of a test, from its first step to how it ended. */
import type { ReloadFacts } from '../../../src/node/reloadFacts.ts';
import { Cli } from './cli.ts';

export interface Reloaded {
  readonly code: number | null;
  readonly steps: readonly ReloadFacts[];
  readonly end: ReloadFacts | undefined;
  readonly stderr: string;
}

export async function reloadNode(runDir: string): Promise<Reloaded> {
  const cli = new Cli(['reload', '--json', '--run-dir', runDir]);
  const { code } = await cli.exited;
  const steps = cli.lines as unknown as readonly ReloadFacts[];
  return { code, steps, end: steps.at(-1), stderr: cli.stderr };
}
