/**
 * Page: one node in a browser, live: puts the parts of the page together.
 * From: feed.js: answers, about one a second.  To: each part; what stands on top of the page.
 * Bound: each part's own. Nothing is asked of any other host, and nothing is stored.
 */
import { checkToken, hasToken, setToken } from './ask.js';
import { readyDevice } from './device.js';
import { byId, setText } from './dom.js';
import { showEnds } from './ends.js';
import { Feed } from './feed.js';
import { readyLinks, showLinks } from './links.js';
import { readyOperate } from './operate.js';
import { showOverview } from './overview.js';
import { showPlots } from './plots.js';
import { question, readyQuestions } from './question.js';
import { showReload } from './reload.js';
import { readyShards, showShards } from './shards.js';
import { clockTimeOf, momentOf } from './words.js';

const MS_PER_SECOND = 1_000;

let lastAt;

const feed = new Feed({
  onAnswer: (answer) => {
    // All who look within a second are given the same one: it may come twice.
    if (answer.at === lastAt) return;
    lastAt = answer.at;
    byId('content').hidden = false;
    setText(byId('line'), `as of ${clockTimeOf(answer.at)}`);
    showOverview(answer);
    showReload(answer);
    showEnds(answer);
    showShards(answer);
    showLinks(answer);
    showPlots(answer);
  },
  onLine: (state, why, pauseMs) => {
    document.body.dataset.line = state;
    byId('locked').hidden = state !== 'locked';
    if (state === 'locked') byId('content').hidden = true;
    byId('lost').hidden = state !== 'lost';
    if (state === 'live') return;
    setText(byId('line'), state === 'lost' ? 'not connected' : 'locked');
    if (state === 'lost') setText(byId('lost'), lostWords(why, pauseMs));
  },
});

function lostWords(why, pauseMs) {
  const old = lastAt === undefined ? '' : ` What you see is of ${momentOf(lastAt)}.`;
  const again = ` The page tries again in ${Math.round(pauseMs / MS_PER_SECOND)} s.`;
  return `The page has lost the node: ${why}.${old}${again}`;
}

async function enterToken() {
  await question({
    ...{ title: 'Enter the token', yes: 'Use it', run: checkToken },
    text: 'With it you can change things, and read what devices say.',
  });
}

function showToken() {
  setText(byId('token'), hasToken() ? 'Forget token' : 'Enter token');
  feed.again();
}

byId('token').addEventListener('click', () => {
  if (!hasToken()) {
    void enterToken();
    return;
  }
  setToken('');
  feed.restart();
});
byId('unlock').addEventListener('click', () => void enterToken());
document.addEventListener('token', showToken);
window.addEventListener('online', () => feed.again());
readyQuestions();
readyDevice();
readyLinks();
readyOperate();
readyShards();
void feed.run();
