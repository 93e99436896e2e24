/**
 * ReloadFacts: how far the node's last reload is, or how it ended.
 * From: the supervisor's reload.ts, in its message about the node.  To: observer and command line.
 * Bound: one reload.
 */

/** `acceptors`: one after another. `done` and `refused` are ends. */
export type ReloadPhase = 'proving' | 'registrar' | 'acceptors' | 'observer' | 'done' | 'refused';

export interface ReloadFacts {
  /** Which one since the node's start: 1, 2, ... */
  readonly number: number;
  /** How many of them were refused. */
  readonly refusals: number;
  readonly phase: ReloadPhase;
  /** Who asked for it. */
  readonly by: string;
  /**
   * `acceptors`: which one, of how many, and what it does. Beyond that number: one too many, whose
   * links move to those that stay.
   */
  readonly acceptor?: number;
  readonly acceptors?: number;
  readonly step?: 'starting' | 'moving' | 'ending';
  /** Links that their successors have; that ended by themselves; that got BYE `draining`. */
  readonly moved: number;
  readonly left: number;
  readonly drained: number;
  /** In ms since 1970, for people. */
  readonly startedAt: number;
  /** So long it took, or has taken. */
  readonly ms: number;
  /** Why it was refused: one sentence. */
  readonly why?: string;
}

export function hasReloadEnded({ phase }: ReloadFacts): boolean {
  return phase === 'done' || phase === 'refused';
}

/** For people, such as `acceptor 2 moving`. */
export function reloadStep({ phase, acceptor, step }: ReloadFacts): string {
  return phase === 'acceptors' && acceptor !== undefined ? `acceptor ${acceptor} ${step}` : phase;
}
