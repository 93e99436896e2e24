/**
 * Mutants: each rule left out in turn, and the shortest behaviour in which that does harm.
 * From: `make tla-mutants`, or names of rules: `outbox`, of any specification, or `Will.outbox`.
 * To: stdout, a line each; `--table` prints the table of docs/presence-spec.md. Exit 1 when a rule
 * turns out not to be needed.
 * Bound: MUTANT_SECONDS each; the budgets below are the smallest that show the harm.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Constants, check, type Found, fetched, withConstants } from './tlc.ts';

const MUTANT_SECONDS = 900;

export interface Mutant {
  readonly spec: 'Presence' | 'Routing' | 'Lease' | 'Commands' | 'Will';
  /** The name that `Without` gives it. */
  readonly rule: string;
  /** What the rule says. */
  readonly says: string;
  readonly constants?: Constants;
  /** A promise besides those of PROMISES. */
  readonly also?: string;
}

const kinds = (...names: string[]) => ({
  Kinds: `{${names.map((name) => `"${name}"`).join(', ')}}`,
});
const ROWS = { Events: 'FALSE', Early: '{}', Accepts: '2' };
const EVENTS = { Events: 'TRUE', Early: '{"s"}', Acceptors: '1', Accepts: '1' };
const LATE = { ...EVENTS, Early: '{}', Late: '{"s"}' };
/** One acceptor gets a successor, to which its links move. */
const MOVES = { Events: 'FALSE', Early: '{}', Acceptors: '1', Accepts: '1', Reloads: '1' };
const KEPT = { Kept: '{"k"}', Transient: '{}', Faults: '1' };
const TRANSIENT = { Kept: '{}', Transient: '{"t"}', Faults: '1' };
/** A link moves, and nothing is ever due. */
const MOVED = { Links: '1', Moves: '1', Horizon: '0', ...kinds() };
/** One link, which leaves a will without a delay. */
const WILLS = { Accepts: '1', Delays: '{FALSE}' };
/** A device that remembers only one key: two commands are enough to make it forget. */
const FORGETS = { Kept: '{"k"}', Keys: '1', Links: '2' };

export const MUTANTS: readonly Mutant[] = [
  {
    spec: 'Presence',
    rule: 'handOver',
    says: '1: on each connect an acceptor hands over all links that it holds',
    constants: { ...ROWS, ...kinds('registrar') },
  },
  {
    spec: 'Presence',
    rule: 'missed',
    says: '1: links of an acceptor that its hand-over did not show are over',
    constants: { ...ROWS, ...kinds('registrar') },
  },
  {
    spec: 'Presence',
    rule: 'newestStream',
    says: '1: what is left of an older stream is not read after a newer one began',
    constants: { ...ROWS, ...kinds('stream') },
  },
  {
    spec: 'Presence',
    rule: 'latestWins',
    says: '2: up takes the row only if its link was accepted later',
    constants: { ...ROWS, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'startNumber',
    says: '2: links of a later start of the node are later, whatever the clock says',
    constants: { ...ROWS, ...kinds('node') },
  },
  {
    spec: 'Presence',
    rule: 'downNamed',
    says: '2: down applies only while the row names its link',
    constants: { ...ROWS, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'countAll',
    says: '2: every change adds 1 to seq, a takeover too',
    constants: { ...EVENTS, Accepts: '2', ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'outbox',
    says: '3: the event is recorded with the row, and survives the registrar',
    constants: { ...EVENTS, ...kinds('registrar') },
  },
  {
    spec: 'Presence',
    rule: 'commitFirst',
    says: '3: an event is published after its transaction, not before',
    constants: { ...EVENTS, ...kinds('registrar') },
  },
  {
    spec: 'Presence',
    rule: 'confirm',
    says: "3: an event leaves the presence outbox only after the broker's confirm",
    constants: { ...EVENTS, ...kinds('broker') },
  },
  {
    spec: 'Presence',
    rule: 'keepNewest',
    says: '3: above its bound the presence outbox keeps the newest event of a device',
    constants: { ...EVENTS, OutboxMax: '1', ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'takeOver',
    says: '4: the acceptor of a displaced link is told to close it',
    constants: { ...ROWS, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'closeLoser',
    says: '4: a link that comes too late for the row is closed',
    constants: { ...ROWS, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'exitRows',
    says: '5: the rows of an ended acceptor go offline',
    constants: { ...ROWS, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'exitNamed',
    says: '5: each of them only while it names that incarnation',
    constants: { ...ROWS, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'exitSeen',
    says: '5: an end is seen; a broken stream is none',
    constants: { ...ROWS, ...kinds('stream') },
  },
  {
    spec: 'Presence',
    rule: 'ignoreRest',
    says: '5: what the stream of an ended acceptor still holds is ignored',
    constants: { ...ROWS, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'floor',
    says: 'a device that was forgotten starts above the highest seq ever forgotten',
    constants: { ...EVENTS, Accepts: '2', ...kinds('forget') },
  },
  {
    spec: 'Presence',
    rule: 'highestWins',
    says: 'a subscriber keeps the word with the highest seq',
    constants: { ...EVENTS, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'bindFirst',
    says: 'a subscriber binds its queue first, then queries',
    constants: { ...LATE, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'stopFirst',
    says: '6: the predecessor stops reading a link before it offers it',
    constants: { ...MOVES, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'goFirst',
    says: '6: the successor reads at go, not at ready',
    constants: { ...MOVES, ...kinds('cancel') },
  },
  {
    spec: 'Presence',
    rule: 'noWayBack',
    says: '6: after go the predecessor neither reads nor cancels',
    constants: { ...MOVES, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'dropFirst',
    says: '6: after cancel it reads when the successor has dropped its copy, not before',
    constants: { ...MOVES, ...kinds('cancel') },
  },
  {
    spec: 'Presence',
    rule: 'goneSeen',
    says: '6: the successor reads without go only when the end of its predecessor was seen',
    constants: { ...MOVES, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'goneReads',
    says: '6: and then it does read what it has adopted',
    constants: { ...MOVES, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'goneLast',
    says: '6: the supervisor tells of an end after all that came from the ended one',
    constants: { ...MOVES, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'backAtGone',
    says: '6: when the successor has ended, the predecessor reads what it had offered',
    constants: { ...MOVES, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'noticeKept',
    says: '6: a link that has to close while it is offered comes back first',
    constants: { ...MOVES, Accepts: '2', ...kinds('cancel') },
  },
  {
    spec: 'Presence',
    rule: 'tellMoved',
    says: '6: the successor tells of a link that has moved as of one that begins',
    constants: { ...MOVES, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'upMoves',
    says: '6: the row names the acceptor that told of its link',
    constants: { ...MOVES, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'laterHolder',
    says: '6: of two, the one that started later: what the other wrote is older',
    constants: { ...MOVES, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'heirLater',
    says: '6: of acceptors that run, links move only to one that started later',
    constants: { ...MOVES, Acceptors: '2', Reloads: '0', Fewer: '1', ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'ownWord',
    says: '6: but not because the predecessor says so',
    constants: { ...MOVES, ...kinds('registrar') },
  },
  {
    spec: 'Presence',
    rule: 'movedListed',
    says: '6: a hand-over lists the links that have moved',
    constants: { ...MOVES, ...kinds('stream') },
  },
  {
    spec: 'Presence',
    rule: 'endTold',
    says: '6: begin and end of a link that has moved are both told, whatever was told before',
    constants: { ...MOVES, ...kinds() },
  },
  {
    spec: 'Presence',
    rule: 'movedOver',
    says: '6: the predecessor of one that ended tells the end of what it had given it',
    constants: { ...MOVES, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'waitHeir',
    says: '6: the rows of a predecessor go offline when its successor has told all it has of it',
    constants: { ...MOVES, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'heirLast',
    says: '6: it says that this was all after all of them',
    constants: { ...MOVES, ...kinds('acceptor') },
  },
  {
    spec: 'Presence',
    rule: 'heirKeeps',
    says: '6: not while a link that it gave on itself is not on record',
    constants: { ...MOVES, Reloads: '2', ...kinds() },
  },
  {
    spec: 'Routing',
    rule: 'byConnection',
    says: 'a reply goes to the connection id that it names, not to the device',
  },
  { spec: 'Routing', rule: 'onlyOpen', says: 'a reply is for a REQUEST that is still unanswered' },
  { spec: 'Routing', rule: 'idsRise', says: 'ids rise on a link' },
  { spec: 'Routing', rule: 'forget', says: 'the REQUESTs of a link end with it' },
  {
    spec: 'Routing',
    rule: 'onlyWanted',
    says: 'what is answered or expired is never published again',
  },
  {
    spec: 'Lease',
    rule: 'fence',
    says: "5: a node's transaction commits only while it has its lease",
    constants: { Faults: '2' },
  },
  {
    spec: 'Lease',
    rule: 'storeNotice',
    says: '5: between nodes the notice is stored in the same transaction',
  },
  {
    spec: 'Lease',
    rule: 'onlyNamed',
    says: '5: a link is asserted again only if its row still names it',
  },
  {
    spec: 'Commands',
    rule: 'holdBack',
    says: 'an end whose settling is in doubt is told when its delivery has come again',
    constants: { ...TRANSIENT, Links: '0', Faults: '2', ...kinds('channel', 'registrar') },
  },
  {
    spec: 'Commands',
    rule: 'settleFirst',
    says: 'a transient command is settled, and seen to be, before its end is told',
    constants: { ...TRANSIENT, Links: '0', ...kinds('registrar') },
  },
  {
    spec: 'Commands',
    rule: 'neverAgain',
    says: 'a transient command that comes again, and is not known, is not sent',
    constants: { ...TRANSIENT, Links: '1', ...kinds('registrar') },
  },
  {
    spec: 'Commands',
    rule: 'storeFirst',
    says: 'a durable command is stored before it is settled',
    constants: { ...KEPT, Links: '0', ...kinds('registrar') },
  },
  {
    spec: 'Commands',
    rule: 'knownOnce',
    says: 'a durable command that is known is not judged again',
    constants: { ...KEPT, Links: '0', ...kinds('channel') },
  },
  {
    spec: 'Commands',
    rule: 'outcomeStored',
    says: 'an end is recorded with its row, and survives the registrar',
    constants: { ...KEPT, Links: '0', ...kinds('registrar') },
  },
  {
    spec: 'Commands',
    rule: 'commitFirst',
    says: 'an end is told after its transaction, not before',
    constants: { ...KEPT, Links: '1', ...kinds() },
  },
  {
    spec: 'Commands',
    rule: 'confirm',
    says: "an end leaves the store only after the broker's confirm",
    constants: { ...KEPT, Links: '0', ...kinds('registrar') },
  },
  {
    spec: 'Commands',
    rule: 'endStays',
    says: 'a row that ended stays as it ended',
    constants: { ...KEPT, Links: '1', ...kinds() },
  },
  {
    spec: 'Commands',
    rule: 'takenStays',
    says: 'what was ACKed is never sent again',
    constants: { ...FORGETS, ...kinds() },
  },
  {
    spec: 'Commands',
    rule: 'window',
    says: 'one window at a time: the next is sent when all of it is answered',
    constants: { ...FORGETS, Kept: '{"k", "l"}', Transient: '{}', ...kinds() },
  },
  {
    spec: 'Commands',
    rule: 'between',
    says: 'between its commands go only so many transient ones as the keys allow',
    constants: { ...FORGETS, ...kinds() },
  },
  {
    spec: 'Commands',
    rule: 'suspects',
    says: 'what may have been sent before goes first, one at a time, and alone',
    constants: { ...FORGETS, ...kinds() },
  },
  {
    spec: 'Commands',
    rule: 'sameKey',
    says: 'a command has the same key whenever it is sent',
    constants: { ...KEPT, Links: '2', ...kinds() },
  },
  {
    spec: 'Commands',
    rule: 'rememberFirst',
    says: 'the device remembers a key before it acts',
    constants: { ...KEPT, Links: '2', ...kinds('device') },
  },
  {
    spec: 'Commands',
    rule: 'expiresIn',
    says: 'the device does not act when `expiresIn` is over',
    constants: { ...KEPT, Links: '1', ...kinds() },
  },
  {
    spec: 'Commands',
    rule: 'movedFirst',
    says: 'a transient command follows a link that moved only if the predecessor did not send it',
    constants: { ...TRANSIENT, ...MOVED },
    also: 'NothingStuck',
  },
  {
    spec: 'Commands',
    rule: 'saysMoved',
    says: 'the predecessor says of each command that comes after go that it was not sent',
    constants: { ...TRANSIENT, ...MOVED },
    also: 'NothingStuck',
  },
  {
    spec: 'Commands',
    rule: 'stays',
    says: 'the predecessor ends when the registrar knows of the move, and not before',
    constants: { ...TRANSIENT, ...MOVED },
    also: 'NothingStuck',
  },
  {
    spec: 'Commands',
    rule: 'sendAgain',
    says: 'the kept commands on their way are sent again when the successor tells of the link',
    constants: { ...KEPT, ...MOVED },
    also: 'NothingStuck',
  },
  {
    spec: 'Will',
    rule: 'remember',
    says: 'ends of links with a will are told by each hand-over until they are on record',
    constants: { ...WILLS, ...kinds('registrar') },
  },
  {
    spec: 'Will',
    rule: 'ask',
    says: 'a hand-over names wills, and the registrar asks for one that it lacks',
    constants: { ...WILLS, ...kinds('registrar') },
  },
  {
    spec: 'Will',
    rule: 'endBrings',
    says: 'the end of a link brings its will along',
    constants: { ...WILLS, ...kinds('registrar') },
  },
  {
    spec: 'Will',
    rule: 'cancel',
    says: 'a newer link on record cancels what older ones have left',
    constants: { ...WILLS, Accepts: '2', ...kinds() },
  },
  {
    spec: 'Will',
    rule: 'tellAll',
    says: 'a will that has waited goes out when every acceptor has told all that it had',
    constants: { ...WILLS, Accepts: '2', Delays: '{TRUE}', ...kinds() },
  },
  {
    spec: 'Will',
    rule: 'toldLast',
    says: 'an acceptor says so behind all that it has to tell',
    constants: { ...WILLS, Accepts: '2', Delays: '{TRUE}', ...kinds() },
  },
  {
    spec: 'Will',
    rule: 'waitForWord',
    says: "by MQTT's rules the will of a displaced link waits for what its acceptor tells of it",
    constants: { ...WILLS, Accepts: '2', Rules: '{"mqtt"}', ...kinds() },
  },
  {
    spec: 'Will',
    rule: 'outbox',
    says: 'a will goes out by the transaction of the end, into an outbox that survives',
    constants: { ...WILLS, ...kinds('registrar') },
  },
];

/** The promises that a mutant may break. Those that merely restate a rule would catch too much. */
const PROMISES: Readonly<Record<Mutant['spec'], string>> = {
  Presence:
    'SPECIFICATION Spec\nINVARIANTS RightAtRest NewestKept OneReader NothingSkipped NeverHangs\n',
  Routing: 'SPECIFICATION Spec\nINVARIANTS RightLink RightRequest OpenLink ExactlyOne NeverStale\n',
  Lease: 'SPECIFICATION Spec\nINVARIANTS RightAtRest NewestKept\n',
  Commands:
    'SPECIFICATION Spec\nINVARIANTS Once TransientOnce OneEnd NotSentIsSure InTime NeverLost\n',
  Will: 'SPECIFICATION Spec\nINVARIANTS NoneWrong NoneLost NoneForgotten\n',
};

function test({ spec, rule, constants, also }: Mutant): Promise<Found> {
  const quick = readFileSync(join(import.meta.dirname, `${spec}.cfg`), 'utf8');
  const whole = withConstants(quick, { ...constants, Without: `"${rule}"` });
  const budgets = whole.slice(0, whole.indexOf('SPECIFICATION'));
  const more = also === undefined ? '' : `INVARIANT ${also}\n`;
  const config = `${budgets}${PROMISES[spec]}${more}CHECK_DEADLOCK FALSE\n`;
  // With one thread the first counterexample found is a shortest one.
  return check({ spec, config, threads: 1 }, MUTANT_SECONDS);
}

const TABLE_HEAD = '| spec | the rule | left out | breaks | steps |\n| --- | --- | --- | --- | --- |';

const isCaught = (found: Found) => !found.isOk && found.isCounterexample;

function print(mutant: Mutant, found: Found, isTable: boolean): void {
  const { spec, rule, says } = mutant;
  const { verdict, steps } = found;
  if (isTable) {
    console.log(`| ${spec} | ${says} | \`${rule}\` | ${verdict} | ${steps.length} |`);
    return;
  }
  const outcome = isCaught(found)
    ? `${verdict} after ${steps.length} steps`
    : `NOT CAUGHT: ${verdict}`;
  console.log(`${spec.padEnd(9)} without ${rule.padEnd(13)} ${outcome}`);
  console.log(isCaught(found) ? `  ${steps.join(' ')}` : found.output);
}

async function main(args: readonly string[]): Promise<number> {
  const why = await fetched();
  if (why !== undefined) {
    console.error(`tla: ${why}`);
    return 1;
  }
  const isTable = args.includes('--table');
  if (isTable) console.log(TABLE_HEAD);
  const named = args.filter((arg) => !arg.startsWith('-'));
  const isNamed = ({ spec, rule }: Mutant) =>
    named.includes(rule) || named.includes(`${spec}.${rule}`);
  const chosen = named.length === 0 ? MUTANTS : MUTANTS.filter(isNamed);
  let caught = 0;
  for (const mutant of chosen) {
    const found = await test(mutant);
    if (isCaught(found)) caught += 1;
    print(mutant, found, isTable);
  }
  if (!isTable) console.log(`${caught} of ${chosen.length} caught`);
  return caught === chosen.length && caught > 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
