/**
 * DrainCommands: `owsla drain` and `resume`: a node takes no links for a while, and stays.
 * From: commandLine.ts.  To: a node, by askNode.ts.
 * Bound: one question.
 */
import type { Argv } from 'yargs';
import type { DrainAnswer } from '../node/linkFacts.ts';
import { askNode } from './askNode.ts';
import { BLOCK_EXIT, type BlockCommandsOptions } from './blockCommand.ts';
import { LINK_EXIT, tellMissing } from './linkCommands.ts';

const EPILOG =
  'Exit code: 0 done; 3 it was so already, or an acceptor did not answer (it is told when it does); 69 no node answers.';

const ABOUT = {
  drain: 'take no new links, and tell those that are there to come back later; the node stays',
  resume: 'take links again after drain',
} as const;

/** For yargs. */
export function drainCommands(options: BlockCommandsOptions) {
  return [drainCommand('drain', options), drainCommand('resume', options)] as const;
}

function drainCommand(
  what: 'drain' | 'resume',
  { nodeOptions, configOf, print, exitWith }: BlockCommandsOptions,
) {
  return {
    command: what,
    describe: ABOUT[what],
    builder: (y: Argv) =>
      nodeOptions(y)
        .option('json', { type: 'boolean', describe: 'one JSON object per line' })
        .epilog(EPILOG),
    handler: async (given: Readonly<Record<string, unknown>>) => {
      const answer = await askNode(
        configOf(given),
        async (ask) => (await ask(what, null)) as DrainAnswer,
      );
      print(given.json === true ? JSON.stringify(answer) : sentenceOf(answer));
      const code = tellMissing(answer.missing);
      exitWith(answer.already ? BLOCK_EXIT.already : (code ?? LINK_EXIT.done));
    },
  };
}

function sentenceOf({ isDrained, already, links }: DrainAnswer): string {
  const was = already ? 'was so already: ' : '';
  if (!isDrained) return `${was}the node takes links; it has ${links}`;
  return `${was}the node takes no links; ${links} are told to come back later; owsla resume ends it`;
}
