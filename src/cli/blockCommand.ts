/**
 * BlockCommand: `owsla block`, `unblock` and `blocked`: which devices a node keeps out.
 * From: commandLine.ts.  To: a node, by askNode.ts; a line for each answer.
 * Bound: a page of the list at a time.
 */
import type { Argv } from 'yargs';
import { EXIT, StartError } from '../base/errors.ts';
import { NOTE_MAX } from '../base/names.ts';
import { unmarked } from '../base/operands.ts';
import type { BlockAnswer, BlockedAnswer, UnblockAnswer } from '../registrar/blockedDevices.ts';
import type { BlockedDevice } from '../registrar/store/blockRows.ts';
import { askNode, askOnce } from './askNode.ts';
import {
  type Arguments,
  deviceOf,
  type NodeCommandOptions,
  withDevice,
  withJson,
  word,
} from './commandParts.ts';

/** Exit codes besides those of EXIT (docs/operations.md). */
export const BLOCK_EXIT = { done: 0, already: 3 } as const;

const EPILOG =
  'Write -- before a device id that begins with -. Exit code: 0 done, 3 it was so already, 69 no node answers, or it refuses.';

/** For yargs. */
export function blockCommands(options: NodeCommandOptions) {
  return [blockCommand(options), unblockCommand(options), blockedCommand(options)] as const;
}

function blockCommand({ nodeOptions, configOf, print, exitWith }: NodeCommandOptions) {
  return {
    command: 'block <device>',
    describe: 'end the link of a device, and keep it out until it is unblocked',
    builder: (y: Argv) =>
      withDevice(nodeOptions(y)).option('note', word('TEXT: why, for people')).epilog(EPILOG),
    handler: async (given: Arguments) => {
      const device = deviceOf(given);
      const note = noteOf(given);
      const answer = await askOnce<BlockAnswer>(configOf(given), 'block', { device, note });
      if (answer.outcome === 'full') {
        const sentence = `the block list is full: it has blockedMax (${answer.blockedMax}) devices`;
        throw new StartError(EXIT.unavailable, sentence);
      }
      const isNew = answer.outcome === 'blocked';
      print(isNew ? `${device} is blocked` : `already blocked: ${lineOf(answer.row)}`);
      const { late } = answer;
      const which =
        late.length === 1 ? 'which hears of it once it can' : 'which hear of it once they can';
      if (late.length > 0) print(`not yet known to ${late.join(', ')}, ${which}`);
      exitWith(isNew ? BLOCK_EXIT.done : BLOCK_EXIT.already);
    },
  };
}

function unblockCommand({ nodeOptions, configOf, print, exitWith }: NodeCommandOptions) {
  return {
    command: 'unblock <device>',
    describe: 'let a device in again',
    builder: (y: Argv) => withDevice(nodeOptions(y)).epilog(EPILOG),
    handler: async (given: Arguments) => {
      const device = deviceOf(given);
      const { outcome } = await askOnce<UnblockAnswer>(configOf(given), 'unblock', { device });
      const wasBlocked = outcome === 'unblocked';
      print(wasBlocked ? `${device} is unblocked` : `${device} was not blocked`);
      exitWith(wasBlocked ? BLOCK_EXIT.done : BLOCK_EXIT.already);
    },
  };
}

function blockedCommand({ nodeOptions, configOf, print }: NodeCommandOptions) {
  return {
    command: 'blocked',
    describe: 'print which devices are blocked, since when and why',
    builder: (y: Argv) => withJson(nodeOptions(y)),
    handler: async (given: Arguments) => {
      const write = given.json === true ? JSON.stringify : lineOf;
      await askNode(configOf(given), async (ask) => {
        for (let after: string | undefined = ''; after !== undefined; ) {
          const page = (await ask('blocked', { after })) as BlockedAnswer;
          for (const row of page.rows) print(write(row));
          after = page.isMore ? page.rows.at(-1)?.device : undefined;
        }
      });
    },
  };
}

function noteOf({ note = '' }: Arguments): string {
  if (typeof note !== 'string') throw new StartError(EXIT.usage, '--note is given more than once');
  const text = unmarked(note);
  if (text.length <= NOTE_MAX) return text;
  throw new StartError(EXIT.usage, `--note takes at most ${NOTE_MAX} characters`);
}

/** For a terminal: a note has no control characters then. */
function lineOf({ device, since, note }: BlockedDevice): string {
  const text = `${device.padEnd(24)}  ${new Date(since).toISOString()}  ${note}`;
  return text.replaceAll(/\p{Cc}/gu, '?').trimEnd();
}
