/**
 * Fake child: speaks the supervisor's IPC and does whatever FAKE_CHILD says, and nothing else.
 * From: FAKE_CHILD, a JSON map of a child's role or index to what it does; '*' for all others.
 * To: the supervisor under test, in place of src/process/child.ts; and a line that it has begun.
 */
import type { FromChild, StartMessage, ToChild } from '../../src/process/ipc.ts';

export const DEEDS = ['good', 'crash', 'end', 'fatal', 'silent', 'late', 'stubborn'] as const;
export type Deed = (typeof DEEDS)[number];

const BEAT_MS = 100;
const plan = JSON.parse(process.env.FAKE_CHILD ?? '{}') as Record<string, Deed>;

function send(message: FromChild): void {
  process.send?.(message);
}

function onStart({ role, index }: StartMessage): void {
  const deed = plan[role] ?? plan[index] ?? plan['*'] ?? 'good';
  process.stdout.write(`${JSON.stringify({ msg: 'fake begun', role, index })}\n`);
  if (deed === 'crash') process.exit(3);
  if (deed === 'end') process.exit(0);
  if (deed === 'fatal') {
    send({
      type: 'fatal',
      exitCode: 78,
      sentence: `acceptor ${index} cannot go on`,
    });
    process.exit(78);
  }
  if (deed === 'late') return;
  send({ type: 'ready' });
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
