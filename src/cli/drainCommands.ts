/**
 * DrainCommands: `owsla drain` and `resume`: a node takes no links for a while, and stays.
 * From: commandLine.ts.  To: a node, by askNode.ts.
 * Bound: one question.
 */
import type { Argv } from 'yargs';
import type { DrainAnswer } from '../node/linkFacts.ts';
import { askOnce } from './askNode.ts';
import { type Arguments, type NodeCommandOptions, withJson } from './commandParts.ts';
import { tellMissing } from './linkCommands.ts';

/** Exit codes besides those of EXIT (docs/operations.md); `partly` is that of LINK_EXIT. */
export const DRAIN_EXIT = { done: 0, already: 3, partly: 3 } as const;

const EPILOG =
  'Exit code: 0 done; 3 it was so already, or an acceptor did not answer (it is told when it does); 69 no node answers.';

const ABOUT = {
  drain: 'take no new links, and tell those that are there to come back later; the node stays',
  resume: 'take links again after drain',
} as const;

/** For yargs. */
export function drainCommands(options: NodeCommandOptions) {
  return [drainCommand('drain', options), drainCommand('resume', options)] as const;
}

function drainCommand(
  what: 'drain' | 'resume',
  { nodeOptions, configOf, print, exitWith }: NodeCommandOptions,
) {
  return {
    command: what,
    describe: ABOUT[what],
    builder: (y: Argv) => withJson(nodeOptions(y)).epilog(EPILOG),
    handler: async (given: Arguments) => {
      const answer = await askOnce<DrainAnswer>(configOf(given), what, null);
      print(given.json === true ? JSON.stringify(answer) : sentenceOf(answer));
      const code = tellMissing(answer.missing);
      exitWith(answer.already ? DRAIN_EXIT.already : code);
    },
  };
}

function sentenceOf({ isDrained, already, links }: DrainAnswer): string {
  const was = already ? 'was so already: ' : '';
  if (!isDrained) return `${was}the node takes links; it has ${links}`;
  return `${was}the node takes no links; ${links} are told to come back later; owsla resume ends it`;
}
