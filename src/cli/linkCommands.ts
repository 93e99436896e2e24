/**
 * LinkCommands: `owsla links`, `link`, `closed` and `disconnect`: a node's links, and their ends.
 * From: commandLine.ts.  To: a node, by askNode.ts; a line for each answer.
 * Bound: a page at a time. What others wrote has no control characters on a terminal.
 */
import type { Argv } from 'yargs';
import { EXIT, StartError } from '../base/errors.ts';
import { DEVICE_ID } from '../base/names.ts';
import { unmarked } from '../base/operands.ts';
import { parseDuration, parseWhole } from '../base/units.ts';
import type {
  ClosedAnswer,
  DisconnectAnswer,
  LinkAnswer,
  LinksAnswer,
  MissingAnswer,
} from '../node/linkFacts.ts';
import { CLOSED_FIELDS, CLOSED_GROUPS, LINK_FIELDS, SORT_FIELDS } from '../node/linkQuery.ts';
import { type Ask, askNode } from './askNode.ts';
import type { BlockCommandsOptions } from './blockCommand.ts';
import { closedTable, groupsTable, linksTable, linkText } from './linkText.ts';

/** Exit codes besides those of EXIT (docs/operations.md). */
export const LINK_EXIT = { done: 0, partly: 3, none: 4 } as const;

type Given = Readonly<Record<string, unknown>>;

const ROWS = 100;
const MORE = 'owsla: there are more; --all prints all of them\n';
const exitsOf = (more: string) =>
  `Exit code: 0 done; 3 done, but an acceptor did not answer; ${more}69 no node answers, or it refuses.`;
const EXITS = exitsOf('');
const EXITS_OF_ONE = exitsOf('4 not connected; ');

/** For yargs. `print` takes one line. */
export function linkCommands(options: BlockCommandsOptions) {
  return [
    linksCommand(options),
    linkCommand(options),
    closedCommand(options),
    disconnectCommand(options),
  ] as const;
}

function linksCommand({ nodeOptions, configOf, print, exitWith }: BlockCommandsOptions) {
  return {
    command: 'links',
    describe: 'print the links of a node: the first by connection id, or by what is most',
    builder: (y: Argv) =>
      withWhere(withLimit(nodeOptions(y)), Object.keys(LINK_FIELDS))
        .option('sort', word(`most first: ${SORT_FIELDS.join(', ')}`))
        .option('all', { type: 'boolean', describe: 'all of them, a page after the other' })
        .option('json', JSON_OPTION)
        .epilog(EXITS),
    handler: async (given: Given) => {
      const { sort, where } = given;
      const limit = limitOf(given);
      if (given.all === true && sort !== undefined) {
        throw new StartError(EXIT.usage, '--all goes by connection id: leave out --sort');
      }
      await askNode(configOf(given), async (ask) => {
        const asked = { limit, ...(where ? { where } : {}), ...(sort ? { sort } : {}) };
        for (let after: string | undefined = ''; after !== undefined; ) {
          const page = (await ask('links', { ...asked, after })) as LinksAnswer;
          printRows(given, page.rows, linksTable, after === '', print);
          exitWith(tellMissing(page.missing));
          after = given.all === true || isShort(page.rows, page.next) ? page.next : undefined;
          if (after === undefined && page.next !== undefined) process.stderr.write(MORE);
        }
      });
    },
  };
}

/** A page that ended early has nothing in it: the next one is meant. */
function isShort(rows: readonly unknown[], next: string | undefined): boolean {
  return rows.length === 0 && next !== undefined;
}

function linkCommand({ nodeOptions, configOf, print, exitWith }: BlockCommandsOptions) {
  return {
    command: 'link <device>',
    describe: 'print all that a node knows of the link of a device, and its last ends',
    builder: (y: Argv) =>
      withDevice(nodeOptions(y)).option('json', JSON_OPTION).epilog(EXITS_OF_ONE),
    handler: async (given: Given) => {
      const answer = await askNode(
        configOf(given),
        async (ask) => (await ask('link', { device: deviceOf(given) })) as LinkAnswer,
      );
      print(given.json === true ? JSON.stringify(answer) : linkText(answer).trimEnd());
      const code = tellMissing(answer.missing);
      exitWith(answer.links.length > 0 ? code : code || LINK_EXIT.none);
    },
  };
}

function closedCommand({ nodeOptions, configOf, print, exitWith }: BlockCommandsOptions) {
  return {
    command: 'closed [device]',
    describe: 'print the links that have ended, and why: the newest first',
    builder: (y: Argv) =>
      withWhere(withLimit(withDevice(nodeOptions(y))), Object.keys(CLOSED_FIELDS))
        .option('by', word(`count them: ${CLOSED_GROUPS.join(', ')}`))
        .option('all', { type: 'boolean', describe: 'all that are remembered' })
        .option('json', JSON_OPTION)
        .epilog(EXITS),
    handler: async (given: Given) => {
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

type Out = Pick<BlockCommandsOptions, 'print' | 'exitWith'>;

async function closedPages(ask: Ask, asked: object, given: Given, out: Out): Promise<void> {
  const { print, exitWith } = out;
  let before: { readonly before?: number } | undefined = {};
  for (let isFirst = true; before !== undefined; isFirst = false) {
    const page = (await ask('closed', { ...asked, ...before })) as ClosedAnswer;
    printRows(given, page.rows, closedTable, isFirst, print);
    exitWith(tellMissing(page.missing));
    const isMore: boolean = given.all === true && page.next !== undefined;
    before = isMore ? { before: Number(page.next) } : undefined;
  }
}

async function closedGroups(ask: Ask, asked: object, given: Given, out: Out): Promise<void> {
  const { groups = [], missing } = (await ask('closed', asked)) as ClosedAnswer;
  printRows(given, groups, groupsTable, true, out.print);
  out.exitWith(tellMissing(missing));
}

function disconnectCommand({ nodeOptions, configOf, print, exitWith }: BlockCommandsOptions) {
  return {
    command: 'disconnect <device>',
    describe: 'end the link of a device, which may come back; block keeps it out',
    builder: (y: Argv) =>
      withDevice(nodeOptions(y))
        .option('retry-after', word('TIME such as 1m: when it may come back; else it decides'))
        .option('json', JSON_OPTION)
        .epilog(EXITS_OF_ONE),
    handler: async (given: Given) => {
      const device = deviceOf(given);
      const asked = { device, ...retryAfterOf(given) };
      const answer = await askNode(
        configOf(given),
        async (ask) => (await ask('disconnect', asked)) as DisconnectAnswer,
      );
      const { disconnected } = answer;
      const sentence = disconnected > 0 ? 'is disconnected' : 'is not connected';
      print(given.json === true ? JSON.stringify(answer) : `${device} ${sentence}`);
      const code = tellMissing(answer.missing);
      exitWith(disconnected > 0 ? code : code || LINK_EXIT.none);
    },
  };
}

const JSON_OPTION = { type: 'boolean', describe: 'one JSON object per line' } as const;

function word(describe: string) {
  return { type: 'string', requiresArg: true, describe } as const;
}

function withDevice(y: Argv): Argv {
  return y.positional('device', { type: 'string', describe: 'a device id' });
}

function withLimit(y: Argv): Argv {
  return y.option('limit', word(`at most so many; ${ROWS} if not given`));
}

function withWhere(y: Argv, fields: readonly string[]): Argv {
  const describe = `such as 'outbox>64KiB' or 'device=door-*'; may be repeated: ${fields.join(' ')}`;
  return y.option('where', { type: 'string', array: true, requiresArg: true, describe });
}

function deviceOf(given: Given): string {
  const device = unmarked(String(given.device));
  if (DEVICE_ID.test(device)) return device;
  throw new StartError(EXIT.usage, 'a device id is 1 to 64 of A-Z a-z 0-9 _ -');
}

function limitOf({ limit }: Given): number {
  if (limit === undefined) return ROWS;
  const rows = typeof limit === 'string' ? parseWhole(limit) : undefined;
  if (rows !== undefined && rows > 0) return rows;
  throw new StartError(EXIT.usage, '--limit takes a whole number from 1 up');
}

function retryAfterOf(given: Given): { readonly retryAfterMs?: number } {
  const text = given['retry-after'];
  if (text === undefined) return {};
  const retryAfterMs = typeof text === 'string' ? parseDuration(text) : undefined;
  if (retryAfterMs !== undefined) return { retryAfterMs };
  throw new StartError(EXIT.usage, '--retry-after takes a time such as 1m');
}

function printRows<T>(
  { json }: Given,
  rows: readonly T[],
  tableFor: (rows: readonly T[], hasHead: boolean) => string,
  hasHead: boolean,
  print: (line: string) => void,
): void {
  if (json === true) for (const row of rows) print(JSON.stringify(row));
  else if (rows.length > 0 || hasHead) print(tableFor(rows, hasHead).trimEnd());
}

/** On stderr: what is on stdout is rows. */
export function tellMissing(missing: readonly MissingAnswer[]): 0 | 3 {
  for (const { acceptor, why } of missing) {
    process.stderr.write(`owsla: acceptor ${acceptor} does not answer: ${why}\n`);
  }
  return missing.length > 0 ? LINK_EXIT.partly : LINK_EXIT.done;
}
