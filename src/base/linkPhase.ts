/**
 * LinkPhase: the states of a link, from its accept to its end.
 * From: acceptor/endpoint/linkState.ts, which says what a link of its own is in.  To: the same;
 * node/linkFacts.ts, in which a node tells people.
 * Bound: a closed list.
 */

/**
 * Where a link is. `moving`: nobody reads it, nothing is written, and another process may go on
 * with it. `adopted`: another process has it, and may give it to this one.
 */
export type LinkPhase =
  | 'greeting'
  | 'authenticating'
  | 'open'
  | 'moving'
  | 'adopted'
  | 'draining'
  | 'closed';
