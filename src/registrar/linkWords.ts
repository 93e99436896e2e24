/**
 * LinkWords: what acceptors say of links, as the recorder takes it. Pure.
 * From: streamServer.ts, message by message.  To: recorder.ts.
 * Bound: none of its own.
 */
import type { ToRegistrar } from '../node/messages.ts';
import { type WillWord, willHash } from '../node/willWord.ts';
import type { Down, Up } from './store/presenceRules.ts';
import type { SaidWill } from './store/willRows.ts';

type Word<Kind extends string> = Extract<ToRegistrar, readonly [Kind, ...unknown[]]>;

export function willOf(word: WillWord): SaidWill {
  const [topic, payload, delayMs, rules] = word;
  return { topic, payload, delayMs, rules, hash: willHash(word) };
}

export function upOf(message: Word<'up'>): Omit<Up, 'kind' | 'start' | 'acceptor'> {
  const [, device, connection, acceptedUs, at, will = '', isCleanStart = false] = message;
  const up = { device, connection, acceptedUs, at, ...(isCleanStart && { isCleanStart }) };
  if (will === '') return up;
  return { ...up, will: typeof will === 'string' ? will : willOf(will) };
}

export function downOf(message: Word<'down'>): Omit<Down, 'kind' | 'acceptor'> {
  const [, device, connection, at, reason, will] = message;
  const down = { device, connection, at, reason };
  if (will === undefined) return down;
  return { ...down, will: will === true ? will : willOf(will) };
}
