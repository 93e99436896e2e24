/**
 * Reload: how far the node's reload is, or how the last one ended.
 * From: page.js, each answer of the stream.  To: the document.
 * Bound: one reload; nothing is shown of a node that had none.
 */
import { byId, fillFacts, setText } from './dom.js';
import { countOf, momentOf, spanOf } from './words.js';

const PHASES = {
  proving: 'proving what is on disk',
  registrar: 'replacing the registrar',
  observer: 'replacing the observer, which is this page’s',
  done: 'done',
  refused: 'refused',
};
const STEPS = { starting: 'starts', moving: 'takes the links', ending: 'has the links' };
/** Of one that is too many. */
const LEAVING = { moving: 'gives its links to the others', ending: 'has given its links away' };
const KINDS = { done: 'good', refused: 'bad' };

export function showReload({ status: { reload } }) {
  byId('reload-card').hidden = reload === undefined;
  if (reload === undefined) return;
  const { phase, by, startedAt, ms, moved, left, drained, why } = reload;
  const isOver = phase === 'done' || phase === 'refused';
  setText(byId('reload-title'), isOver ? 'The last reload' : 'A reload is under way');
  fillFacts(byId('reload'), [
    ['State', stepOf(reload), KINDS[phase] ?? 'warn'],
    ...(why === undefined ? [] : [['Why', why]]),
    ['Asked for', `at ${momentOf(startedAt)}, by ${by}`],
    [isOver ? 'Took' : 'Since', spanOf(ms)],
    ['Links moved', countOf(moved), '', 'to the new processes'],
    ['Links left', countOf(left), '', 'ended by themselves meanwhile'],
    [
      'Links drained',
      countOf(drained),
      drained > 0 ? 'warn' : '',
      'could not move, were asked to come back',
    ],
  ]);
}

/** Of an acceptor it is said which one, of how many. */
function stepOf({ phase, acceptor, acceptors, step }) {
  if (phase !== 'acceptors') return PHASES[phase] ?? phase;
  if (acceptor > acceptors) return `acceptor ${acceptor}, one too many, ${LEAVING[step] ?? step}`;
  return `new acceptor ${acceptor} of ${acceptors} ${STEPS[step] ?? step}`;
}
