/**
 * Operate: what a person may do to the node: drain it, resume, and see who is blocked.
 * From: buttons; /api/v1/blocked.  To: the node, after a question.
 * Bound: a page of blocked devices.
 */
import { ask, notSaid } from './ask.js';
import { byId, make, makeTable, setText } from './dom.js';
import { question } from './question.js';
import { countOf, missingOf, momentOf } from './words.js';

const COLUMNS = [
  ...[{ name: 'Device', isDevice: true }, { name: 'Since', isFigure: true }, { name: 'Why' }],
];

let fill;
let next = '';

export function readyOperate() {
  byId('drain').addEventListener('click', () => void drain());
  byId('resume').addEventListener('click', () => void resume());
  byId('blocked').addEventListener('click', () => void showBlocked());
}

async function drain() {
  const answer = await question({
    ...{ title: 'Drain this node?', yes: 'Drain', isGrave: true },
    text: 'It takes no new links, and tells each device to connect again later. Resume ends that.',
    run: () => ask('node/drain', { method: 'POST', body: {} }),
  });
  say(answer, 'is being drained');
}

async function resume() {
  const answer = await question({
    ...{ title: 'Take links again?', yes: 'Resume' },
    text: 'Devices can connect to this node again.',
    run: () => ask('node/resume', { method: 'POST', body: {} }),
  });
  say(answer, 'takes links again');
}

function say(answer, what) {
  if (answer === undefined) return;
  const words = [`The node ${what}; it has ${countOf(answer.links)} links.`];
  setText(byId('drained'), [...words, ...missingOf(answer.missing)].join(' '));
}

async function showBlocked() {
  const list = byId('blocked-list');
  const button = byId('blocked');
  try {
    const { rows, isMore } = await ask(`blocked?${new URLSearchParams({ after: next })}`);
    fill ??= makeTable(list, COLUMNS, 'Blocked devices');
    fill(
      rows.map(({ device, since, note }) => [device, momentOf(since), note]),
      'No device is blocked.',
    );
    next = isMore ? rows.at(-1).device : '';
    setText(button, isMore ? 'Show the next' : 'Show them again');
  } catch (error) {
    fill = undefined;
    list.replaceChildren(make('p', { class: 'quiet', role: 'status' }, notSaid(error)));
  }
}
