/**
 * StatusWords: ages, times of day, processes and brokers in few words, for people. Pure.
 * From: askStatus.ts, linkText.ts, topScreen.ts, traceText.ts.  To: a terminal.
 * Bound: a few words each.
 */
import type { ProcessStatus, StatusAnswer } from '../node/statusAnswer.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `4s`, `12m 4s`, `3h 12m`, `9d 3h`: two units are enough. */
export function ageOf(ageMs: number): string {
  const [days, hours] = [Math.floor(ageMs / DAY), Math.floor((ageMs % DAY) / HOUR)];
  const minutes = Math.floor((ageMs % HOUR) / MINUTE);
  const seconds = Math.floor((ageMs % MINUTE) / SECOND);
  if (days > 0) return `${days}d ${hours}h`;
  if (hours > 0) return `${hours}h ${minutes}m`;
  return minutes > 0 ? `${minutes}m ${seconds}s` : `${seconds}s`;
}

/** The time of day here: `09:03:17`. */
export function clockOf(at: number): string {
  return new Date(at).toTimeString().slice(0, 8);
}

export function nameOfProcess({ role, index }: Pick<ProcessStatus, 'role' | 'index'>): string {
  return role === 'acceptor' ? `${role} ${index}` : role;
}

/** The worst that a process says; of one that does not answer it is not known. */
export function brokerState({ processes }: StatusAnswer): string {
  const said = new Set(processes.flatMap(({ broker }) => broker ?? []));
  return (['down', 'blocked', 'up'] as const).find((state) => said.has(state)) ?? 'not known';
}
