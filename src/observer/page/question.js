/**
 * Question: a person is asked before anything is changed, and for the token where there is none.
 * From: the parts of the page.  To: what is done, once the person has said so.
 * Bound: one at a time. It stays open until it is done, or left.
 */
import { hasToken, needsToken, setToken, whyOf } from './ask.js';
import { byId, setText } from './dom.js';

let current;

/**
 * `run` is called when the person says yes, and may throw: its sentence is shown, and the person
 * can try again or leave. Resolves with what it gave; undefined: left.
 */
export function question({ title, text, yes, fields = [], isGrave = false, run }) {
  const dialog = byId('question');
  setText(byId('question-title'), title);
  setText(byId('question-text'), text);
  setText(byId('question-yes'), yes);
  setText(byId('question-error'), '');
  byId('question-yes').classList.toggle('grave', isGrave);
  byId('question-fields').replaceChildren(...fields);
  byId('question-secret').value = '';
  byId('question-token').hidden = hasToken();
  dialog.showModal();
  return new Promise((resolve) => {
    current = { resolve, run, given: undefined, isBusy: false };
  });
}

async function onYes(event) {
  event.preventDefault();
  const asked = current;
  if (asked === undefined || asked.isBusy) return;
  const secret = byId('question-secret').value.trim();
  if (!byId('question-token').hidden) {
    if (secret === '') {
      setText(byId('question-error'), 'Enter the token first.');
      byId('question-secret').focus();
      return;
    }
    setToken(secret);
  }
  asked.isBusy = true;
  try {
    asked.given = (await asked.run()) ?? true;
    // It may have been left meanwhile, and another one asked.
    if (current === asked) leave();
  } catch (error) {
    if (current === asked) sayRefusal(error);
  } finally {
    asked.isBusy = false;
  }
}

function sayRefusal(error) {
  if (!needsToken(error)) {
    setText(byId('question-error'), `It was not done: ${whyOf(error)}.`);
    return;
  }
  setToken('');
  byId('question-token').hidden = false;
  byId('question-secret').value = '';
  setText(byId('question-error'), 'The node does not accept this token.');
  byId('question-secret').focus();
}

/** At once, not when the browser says that it is closed: by then another one may be asked. */
function leave() {
  const { resolve, given } = current;
  current = undefined;
  byId('question-secret').value = '';
  byId('question').close();
  resolve(given);
}

/** Once, at the start. */
export function readyQuestions() {
  byId('question-form').addEventListener('submit', (event) => void onYes(event));
  byId('question-no').addEventListener('click', leave);
  byId('question').addEventListener('cancel', (event) => {
    event.preventDefault();
    leave();
  });
}
