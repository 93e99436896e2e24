/**
 * Fake child: speaks the supervisor's IPC and does whatever FAKE_CHILD says, and nothing else.
 * From: FAKE_CHILD, a JSON map of a child's role or index to what it does; '*' for all others.
 * FAKE_NEXT: the same for those that a reload starts (superviseFake.ts).
 * To: the supervisor under test, in place of src/supervisor/child.ts; and a line that it has begun.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type {
  FromChild,
  NodeMessage,
  PassMessage,
  StartMessage,
  ToChild,
} from '../../../src/node/ipc.ts';

export const DEEDS = [
  'good',
  'crash',
  'end',
  'fatal',
  /** Good in its first life; each later one says, as it starts, that it cannot go on. */
  'fatal-later',
  /** The same, and says so when it serves. */
  'fatal-serving-later',
  'silent',
  'late',
  /** Has heartbeats, and is not ready. */
  'waits',
  'stubborn',
  /** A successor that ends as soon as links come. */
  'crash-moving',
  /** One that stays, and ends as soon as those of another one come to it. */
  'crash-following',
  /** A successor that ends as soon as it has all links; and soon, when it is started again. */
  'crash-moved',
  /** Ends soon after it has begun. */
  'crash-soon',
  /** A predecessor that ends as soon as links go. */
  'crash-leaving',
] as const;
export type Deed = (typeof DEEDS)[number];

const BEAT_MS = 100;
const plans = [process.env.FAKE_CHILD, process.env.FAKE_NEXT].map(
  (plan) => JSON.parse(plan ?? '{}') as Record<string, Deed>,
);
/** Marks what a reload starts. */
export const NEXT = 'next';
let start: StartMessage | undefined;
let deed: Deed = 'good';
let isReady = false;
/** The phase of a reload, at last. */
let heard = 'none';

function send(message: FromChild): void {
  process.send?.(message);
}

/** The node's folder remembers it. */
function isLaterLife({ role, index, folder }: StartMessage): boolean {
  const mark = join(folder, `${role}-${index}.lived`);
  if (existsSync(mark)) return true;
  writeFileSync(mark, '');
  return false;
}

function tell(fields: object): void {
  process.stdout.write(`${JSON.stringify(fields)}\n`);
}

function onStart(told: StartMessage): void {
  start = told;
  const { role, index, config } = start;
  const isNext = config.adminTokenFile === NEXT;
  const plan = plans[isNext ? 1 : 0] ?? {};
  deed = plan[role] ?? plan[index] ?? plan['*'] ?? 'good';
  tell({ msg: 'fake begun', role, index, isNext, successorOf: start.successorOf });
  if (start.isWaiting) send({ type: 'loaded' });
  else serve(start);
}

function serve(start: StartMessage): void {
  const { role, index } = start;
  if (deed === 'crash') process.exit(3);
  if (deed === 'end') process.exit(0);
  const isLater = deed.endsWith('-later') && isLaterLife(start);
  const who = role === 'acceptor' ? `acceptor ${index}` : role;
  const fatal = { type: 'fatal', exitCode: 78, sentence: `${who} cannot go on` } as const;
  if (deed === 'fatal' || (deed === 'fatal-later' && isLater)) {
    send(fatal);
    process.exit(78);
  }
  if (deed === 'late') return;
  if (deed !== 'waits') send({ type: 'ready' });
  isReady = true;
  if (deed === 'fatal-serving-later' && isLater) send(fatal);
  if (deed === 'silent') return;
  const isAgain = deed === 'crash-moved' && start.successorOf === undefined;
  if (deed === 'crash-soon' || isAgain) setTimeout(() => process.exit(3), BEAT_MS);
  const alive = () => send({ type: 'alive', figures: { links: index } });
  alive();
  setInterval(alive, BEAT_MS);
  if (deed === 'stubborn') process.off('message', onMessage);
}

function onMessage(message: ToChild): void {
  if (message.type === 'start') onStart(message);
  if (message.type === 'begin' && start) serve(start);
  if (message.type === 'give') send({ type: 'given' });
  if (message.type === 'gone') onGone(message.acceptor);
  if (message.type === 'node') onNode(message);
  if (message.type === 'follow') onFollow(message.of);
  if (message.type === 'move') onMove(message.to);
  if (message.type === 'pass') onPass(message);
  if (message.type === 'drain') process.exit(0);
}

/** An acceptor tells what it hears of a reload. */
function onNode({ reload }: NodeMessage): void {
  const phase = reload?.phase ?? 'none';
  if (start?.role !== 'acceptor' || !isReady || phase === heard) return;
  heard = phase;
  tell({ msg: 'fake heard', index: start.index, phase });
}

function onFollow(of: string): void {
  tell({ msg: 'fake follows', index: start?.index, of });
  if (deed === 'crash-following') deed = 'crash-moving';
}

function onGone(of: string): void {
  tell({ msg: 'fake gone', index: start?.index, of });
  if (deed === 'crash-moved') process.exit(3);
}

/** The handles and links of a real one take their way through the supervisor, as this does. */
function onMove(successors: readonly string[]): void {
  if (deed === 'crash-leaving') process.exit(3);
  const from = start?.incarnation ?? '';
  for (const to of successors) {
    send({ type: 'pass', from, to, word: { what: 'listeners-end' } });
  }
}

function onPass({ from, to, word }: PassMessage): void {
  if (deed === 'crash-moving') process.exit(3);
  if (word.what === 'listeners-end') {
    send({ type: 'pass', from: to, to: from, word: { what: 'listening' } });
  } else {
    send({ type: 'moved', figures: { moved: 5, left: 1, drained: 2, ms: 3 } });
  }
}

process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('message', onMessage);
process.on('disconnect', () => process.exit(0));
