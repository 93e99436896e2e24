/**
 * ReloadCommand: `owsla reload`: a node goes on with what is on disk now, and loses no link.
 * From: commandLine.ts.  To: a node, by askNode.ts: one question, then how far it is.
 * Bound: asks each LOOK_MS until the reload has ended; a shorter step is not seen. The process
 * that answers is replaced, too: nobody answers for up to AWAY_MS.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Argv } from 'yargs';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { hasReloadEnded, type ReloadFacts, reloadStep } from '../node/reloadFacts.ts';
import type { StatusAnswer } from '../node/statusAnswer.ts';
import { askOnce } from './askNode.ts';
import { type Arguments, type NodeCommandOptions, withJson } from './commandParts.ts';
import { reloadText } from './reloadText.ts';

const LOOK_MS = 200;
const AWAY_MS = 60_000;

/** Exit codes of `owsla reload`; beside them those of every command (docs/operations.md). */
const RELOAD_EXIT = { done: 0, refused: 3 } as const;

const EPILOG =
  'Exit code: 0 done; 3 refused, with why: the node goes on; 69 no node answers, or one is under way.';

/** For yargs. */
export function reloadCommand({ nodeOptions, configOf, print, exitWith }: NodeCommandOptions) {
  return {
    command: 'reload',
    describe: 'replace all processes by new ones, with the code and config of now; links stay',
    builder: (y: Argv) => withJson(nodeOptions(y)).epilog(EPILOG),
    handler: async (given: Arguments) => {
      const isJson = given.json === true;
      const end = await reload(configOf(given), (facts) => {
        if (isJson) print(JSON.stringify(facts));
        else print(hasReloadEnded(facts) ? reloadText(facts) : reloadStep(facts));
      });
      exitWith(RELOAD_EXIT[end.phase === 'done' ? 'done' : 'refused']);
    },
  };
}

/** Tells each step that it sees, and the end; resolves with that. */
async function reload(config: Config, tell: (facts: ReloadFacts) => void): Promise<ReloadFacts> {
  let facts = await askOnce<ReloadFacts>(config, 'reload', null);
  tell(facts);
  let heardAt = performance.now();
  while (!hasReloadEnded(facts)) {
    await pause(LOOK_MS);
    const now = await nowOf(config, performance.now() - heardAt);
    if (now === undefined) continue;
    heardAt = performance.now();
    if (now.number !== facts.number) return lost();
    if (reloadStep(now) !== reloadStep(facts)) tell(now);
    facts = now;
  }
  return facts;
}

/** Undefined: nobody answers at this moment, and that has not lasted. */
async function nowOf(config: Config, awayMs: number): Promise<ReloadFacts | undefined> {
  try {
    return (await askOnce<StatusAnswer>(config, 'status', null)).reload;
  } catch (error) {
    if (!(error instanceof StartError) || awayMs > AWAY_MS) throw error;
    return undefined;
  }
}

function lost(): never {
  throw new StartError(
    EXIT.unavailable,
    'another reload has begun: how this one ended is in the log',
  );
}
