/**
 * LinkCommands: `owsla links`, `link`, `closed` and `disconnect`: a node's links, and their ends.
 * From: commandLine.ts.  To: a node, by askNode.ts; a line for each answer.
 * Bound: a page at a time. What others wrote has no control characters on a terminal.
 */
import type { Argv } from 'yargs';
import { EXIT, StartError } from '../base/errors.ts';
import { parseDuration, parseWhole } from '../base/units.ts';
import type {
  ClosedAnswer,
  DisconnectAnswer,
  LinkAnswer,
  LinksAnswer,
  MissingAnswer,
} from '../node/linkFacts.ts';
import { CLOSED_FIELDS, CLOSED_GROUPS, LINK_FIELDS, SORT_FIELDS } from '../node/linkQuery.ts';
import { type Ask, askNode, askOnce } from './askNode.ts';
import {
  type Arguments,
  deviceOf,
  type NodeCommandOptions,
  withDevice,
  withJson,
  word,
} from './commandParts.ts';
import { closedTable, groupsTable, linksTable, linkText } from './linkText.ts';

/** Exit codes besides those of EXIT (docs/operations.md). */
export const LINK_EXIT = { done: 0, partly: 3, none: 4 } as const;
type MissingExit = (typeof LINK_EXIT)['done' | 'partly'];

const ROWS = 100;
const MORE = 'owsla: there are more; --all prints all of them\n';
const exitsOf = (more: string) =>
  `Exit code: 0 done; 3 done, but an acceptor did not answer; ${more}69 no node answers, or it refuses.`;
const EXITS = exitsOf('');
const EXITS_OF_ONE = exitsOf('4 not connected; ');

/** For yargs. `print` takes one line. */
export function linkCommands(options: NodeCommandOptions) {
  return [
    linksCommand(options),
    linkCommand(options),
    closedCommand(options),
    disconnectCommand(options),
  ] as const;
}

function linksCommand({ nodeOptions, configOf, print, exitWith }: NodeCommandOptions) {
  return {
    command: 'links',
    describe: 'print the links of a node: the first by connection id, or by what is most',
    builder: (y: Argv) =>
      withJson(
        withWhere(withLimit(nodeOptions(y)), Object.keys(LINK_FIELDS))
          .option('sort', word(`most first: ${SORT_FIELDS.join(', ')}`))
          .option('all', { type: 'boolean', describe: 'all of them, a page after the other' }),
      ).epilog(EXITS),
    handler: async (given: Arguments) => {
      const { sort, where } = given;
      const limit = limitOf(given);
      if (given.all === true && sort !== undefined) {
        throw new StartError(EXIT.usage, '--all goes by connection id: leave out --sort');
      }
      await askNode(configOf(given), async (ask) => {
        const asked = { limit, ...(where ? { where } : {}), ...(sort ? { sort } : {}) };
        let code: MissingExit = LINK_EXIT.done;
        for (let after: string | undefined = ''; after !== undefined; ) {
          const page = (await ask('links', { ...asked, after })) as LinksAnswer;
          printRows(given, page.rows, linksTable, after === '', print);
          code = tellMissing(page.missing) || code;
          after = given.all === true || isShort(page.rows, page.next) ? page.next : undefined;
          if (after === undefined && page.next !== undefined) process.stderr.write(MORE);
        }
        exitWith(code);
      });
    },
  };
}

/** A page that ended early has nothing in it: the next one is meant. */
function isShort(rows: readonly unknown[], next: string | undefined): boolean {
  return rows.length === 0 && next !== undefined;
}

function linkCommand({ nodeOptions, configOf, print, exitWith }: NodeCommandOptions) {
  return {
    command: 'link <device>',
    describe: 'print all that a node knows of the link of a device, and its last ends',
    builder: (y: Argv) => withJson(withDevice(nodeOptions(y))).epilog(EXITS_OF_ONE),
    handler: async (given: Arguments) => {
      const device = deviceOf(given);
      const answer = await askOnce<LinkAnswer>(configOf(given), 'link', { device });
      print(given.json === true ? JSON.stringify(answer) : linkText(answer).trimEnd());
      const code = tellMissing(answer.missing);
      exitWith(answer.links.length > 0 ? code : code || LINK_EXIT.none);
    },
  };
}

function closedCommand({ nodeOptions, configOf, print, exitWith }: NodeCommandOptions) {
  return {
    command: 'closed [device]',
    describe: 'print the links that have ended, and why: the newest first',
    builder: (y: Argv) =>
      withJson(
        withWhere(withLimit(withDevice(nodeOptions(y))), Object.keys(CLOSED_FIELDS))
          .option('by', word(`count them: ${CLOSED_GROUPS.join(', ')}`))
          .option('all', { type: 'boolean', describe: 'all that are remembered' }),
      ).epilog(EXITS),
    handler: async (given: Arguments) => {
      const { by, where } = given;
      const device = given.device === undefined ? {} : { device: deviceOf(given) };
      const asked = { limit: limitOf(given), ...device, ...(where ? { where } : {}) };
      await askNode(configOf(given), (ask) =>
        by === undefined
          ? closedPages(ask, asked, given, { print, exitWith })
          : closedGroups(ask, { ...asked, by }, given, { print, exitWith }),
      );
    },
  };
}

type Out = Pick<NodeCommandOptions, 'print' | 'exitWith'>;

async function closedPages(ask: Ask, asked: object, given: Arguments, out: Out): Promise<void> {
  const { print, exitWith } = out;
  let code: MissingExit = LINK_EXIT.done;
  let before: { readonly before?: number } | undefined = {};
  for (let isFirst = true; before !== undefined; isFirst = false) {
    const page = (await ask('closed', { ...asked, ...before })) as ClosedAnswer;
    printRows(given, page.rows, closedTable, isFirst, print);
    code = tellMissing(page.missing) || code;
    const isMore: boolean = given.all === true && page.next !== undefined;
    before = isMore ? { before: Number(page.next) } : undefined;
  }
  exitWith(code);
}

async function closedGroups(ask: Ask, asked: object, given: Arguments, out: Out): Promise<void> {
  const { groups = [], missing } = (await ask('closed', asked)) as ClosedAnswer;
  printRows(given, groups, groupsTable, true, out.print);
  out.exitWith(tellMissing(missing));
}

function disconnectCommand({ nodeOptions, configOf, print, exitWith }: NodeCommandOptions) {
  return {
    command: 'disconnect <device>',
    describe: 'end the link of a device, which may come back; block keeps it out',
    builder: (y: Argv) =>
      withJson(
        withDevice(nodeOptions(y)).option(
          'retry-after',
          word('TIME such as 1m: when it may come back; else it decides'),
        ),
      ).epilog(EXITS_OF_ONE),
    handler: async (given: Arguments) => {
      const device = deviceOf(given);
      const asked = { device, ...retryAfterOf(given) };
      const answer = await askOnce<DisconnectAnswer>(configOf(given), 'disconnect', asked);
      const { disconnected } = answer;
      const sentence = disconnected > 0 ? 'is disconnected' : 'is not connected';
      print(given.json === true ? JSON.stringify(answer) : `${device} ${sentence}`);
      const code = tellMissing(answer.missing);
      exitWith(disconnected > 0 ? code : code || LINK_EXIT.none);
    },
  };
}

function withLimit(y: Argv): Argv {
  return y.option('limit', word(`at most so many; ${ROWS} if not given`));
}

function withWhere(y: Argv, fields: readonly string[]): Argv {
  const describe = `such as 'outbox>64KiB' or 'device=door-*'; may be repeated: ${fields.join(' ')}`;
  return y.option('where', { type: 'string', array: true, requiresArg: true, describe });
}

function limitOf({ limit }: Arguments): number {
  if (limit === undefined) return ROWS;
  const rows = typeof limit === 'string' ? parseWhole(limit) : undefined;
  if (rows !== undefined && rows > 0) return rows;
  throw new StartError(EXIT.usage, '--limit takes a whole number from 1 up');
}

function retryAfterOf(given: Arguments): { readonly retryAfterMs?: number } {
  const text = given['retry-after'];
  if (text === undefined) return {};
  const retryAfterMs = typeof text === 'string' ? parseDuration(text) : undefined;
  if (retryAfterMs !== undefined) return { retryAfterMs };
  throw new StartError(EXIT.usage, '--retry-after takes a time such as 1m');
}

function printRows<T>(
  { json }: Arguments,
  rows: readonly T[],
  tableFor: (rows: readonly T[], hasHead: boolean) => string,
  hasHead: boolean,
  print: (line: string) => void,
): void {
  if (json === true) for (const row of rows) print(JSON.stringify(row));
  else if (rows.length > 0 || hasHead) print(tableFor(rows, hasHead).trimEnd());
}

/** On stderr: what is on stdout is rows. */
export function tellMissing(missing: readonly MissingAnswer[]): MissingExit {
  for (const { acceptor, why } of missing) {
    process.stderr.write(`owsla: acceptor ${acceptor} does not answer: ${why}\n`);
  }
  return missing.length > 0 ? LINK_EXIT.partly : LINK_EXIT.done;
}
