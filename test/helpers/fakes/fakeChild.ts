/**
 * Fake child: speaks the supervisor's IPC and does whatever FAKE_CHILD says, and nothing else.
 * From: FAKE_CHILD, a JSON map of a child's role or index to what it does; '*' for all others.
 * To: the supervisor under test, in place of src/supervisor/child.ts; and a line that it has begun.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FromChild, StartMessage, ToChild } from '../../../src/node/ipc.ts';

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
] as const;
export type Deed = (typeof DEEDS)[number];

const BEAT_MS = 100;
const plan = JSON.parse(process.env.FAKE_CHILD ?? '{}') as Record<string, Deed>;

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

function onStart(start: StartMessage): void {
  const { role, index } = start;
  const deed = plan[role] ?? plan[index] ?? plan['*'] ?? 'good';
  process.stdout.write(`${JSON.stringify({ msg: 'fake begun', role, index })}\n`);
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
  if (deed === 'fatal-serving-later' && isLater) send(fatal);
  if (deed === 'silent') return;
  const alive = () => send({ type: 'alive', figures: { links: index } });
  alive();
  setInterval(alive, BEAT_MS);
  if (deed === 'stubborn') process.off('message', onMessage);
}

function onMessage(message: ToChild): void {
  if (message.type === 'start') onStart(message);
  if (message.type === 'drain') process.exit(0);
}

process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('message', onMessage);
process.on('disconnect', () => process.exit(0));
