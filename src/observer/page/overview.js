/**
 * Overview: the node as a whole: what is wrong, its figures, processes, listeners, broker, store.
 * From: page.js, each answer of the stream.  To: the document.
 * Bound: a row for each process and listener; TROUBLES_MAX troubles, and how many more there are.
 */
import { byId, fillFacts, make, makeTable, setText } from './dom.js';
import {
  countOf,
  methodOf,
  missingOf,
  momentOf,
  msOf,
  processName,
  rateOf,
  sizeOf,
  spanOf,
} from './words.js';

const TROUBLES_MAX = 20;
const STATES = {
  ready: ['Ready', 'good'],
  degraded: ['Works, but not all of it', 'warn'],
  'not-ready': ['Not ready', 'bad'],
};
const BROKERS = {
  up: ['connected', 'good'],
  blocked: ['takes no messages', 'warn'],
  down: ['away', 'bad'],
};

const PROCESS_COLUMNS = [
  ...[{ name: 'Process' }, { name: 'State' }, { name: 'Broker' }],
  ...['Links', 'CPU', 'Memory', 'Delay', 'From devices', 'To devices', 'Up for'].map((name) => ({
    name,
    isFigure: true,
  })),
];
const LISTENER_COLUMNS = ['Name', 'Address', 'Encrypted', 'Who a device is'].map((name) => ({
  name,
}));

let fillProcesses;
let fillListeners;

export function showOverview(answer) {
  fillProcesses ??= makeTable(byId('processes'), PROCESS_COLUMNS, 'Processes of the node');
  fillListeners ??= makeTable(byId('listeners'), LISTENER_COLUMNS, 'Listeners');
  const { status } = answer;
  const [word, kind] = STATES[status.state] ?? [status.state, ''];
  const badge = byId('state');
  setText(badge, word);
  badge.dataset.kind = kind;
  setText(byId('about'), `version ${status.version}, up for ${spanOf(status.uptimeMs)}`);
  document.title = `${kind === 'good' ? '' : '! '}Owsla: ${word.toLowerCase()}`;
  showTroubles(troublesOf(answer));
  fillFacts(byId('tiles'), tilesOf(answer));
  fillProcesses(status.processes.map((one) => processRow(one, answer.processes)));
  fillListeners(status.listeners.map(listenerRow));
  fillFacts(byId('broker'), brokerFacts(answer));
}

/** A sentence each, the worst first. */
function troublesOf({ status, missing }) {
  const { alarms = [], reasons, degraded, processes } = status;
  const named = (acceptor, reason) =>
    acceptor === undefined ? reason : `acceptor ${acceptor}: ${reason}`;
  const silent = processes.filter(({ why }) => why !== undefined);
  const worse = [
    ...alarms.map((one) => `${one.reason} (${one.alarm}, since ${momentOf(one.raisedAt)})`),
    ...reasons.map(({ acceptor, reason }) => `Takes no links: ${named(acceptor, reason)}`),
    ...silent.map((one) => `${processName(one)} ${one.why}`),
  ];
  const others = [
    ...degraded.map((one) => `Does not work: ${one.part}: ${named(one.acceptor, one.reason)}`),
    ...missingOf(missing).map((text) => `Its links are shown as they were before: ${text}`),
  ];
  return [
    ...worse.map((text) => ({ kind: 'bad', text })),
    ...others.map((text) => ({ kind: 'warn', text })),
  ];
}

/** The list is changed only when something else is wrong: it is read aloud. */
function showTroubles(troubles) {
  const list = byId('troubles');
  const shown = troubles.slice(0, TROUBLES_MAX);
  if (troubles.length > shown.length) {
    shown.push({ kind: 'warn', text: `and ${troubles.length - shown.length} more` });
  }
  if (shown.length === 0) shown.push({ kind: 'good', text: 'Nothing.' });
  const texts = shown.map(({ text }) => text).join('\n');
  if (list.dataset.texts === texts) return;
  list.dataset.texts = texts;
  list.replaceChildren(...shown.map(({ kind, text }) => make('li', { 'data-kind': kind }, text)));
}

function tilesOf({ status, rates, now, latency }) {
  const trip = latency.request;
  return [
    ['Links', countOf(status.links), '', `of ${countOf(status.linksMax)}`],
    ['New links', rateOf(rates.accepts), '', `${countOf(now.connectsWaiting)} wait to connect`],
    ['Ended links', rateOf(rates.ends)],
    ['From devices', rateOf(rates.messagesIn), '', `${sizeOf(rates.bytesIn)}/s`],
    ['To devices', rateOf(rates.messagesOut), '', `${sizeOf(rates.bytesOut)}/s`],
    [
      ...['Round trip', trip === undefined ? '–' : msOf(trip.p50), ''],
      trip === undefined ? 'no requests now' : `99 of 100 within ${msOf(trip.p99)}`,
    ],
    ['Broker', ...brokerWords(status)],
    ['Links not read', countOf(now.paused), now.paused > 0 ? 'warn' : ''],
  ];
}

function processRow(one, figures) {
  const { role, index, state, why, links, uptimeMs, broker, isBeside } = one;
  // Of an acceptor that hands its links over they are its successor's.
  const hasFigures = isBeside !== true;
  const found = figures.find((it) => it.role === role && it.index === index && hasFigures);
  const isFine = state === 'ready' && why === undefined;
  const [word, kind] = BROKERS[broker] ?? ['', ''];
  const up = uptimeMs === undefined ? '' : spanOf(uptimeMs);
  return [
    processName(one),
    {
      text: why === undefined ? stateOf(one) : `${state}, does not answer`,
      kind: isFine ? 'good' : 'bad',
    },
    { text: word, kind },
    links === undefined ? '' : countOf(links),
    ...(isFine ? figuresOf(found) : ['', '', '', '', '']),
    up,
  ];
}

/** In a reload an acceptor is there twice. */
function stateOf({ role, state, isBeside }) {
  const handsOver = isBeside === true && role === 'acceptor' && state === 'ready';
  return handsOver ? 'hands its links over' : state;
}

function figuresOf(found) {
  if (found === undefined) return ['', '', '', '', ''];
  const { role, cpuShare, rssBytes, lagMs, inPerSecond, outPerSecond } = found;
  const own = [
    { text: `${Math.round(100 * cpuShare)} %`, kind: cpuShare > 0.9 ? 'warn' : '' },
    sizeOf(rssBytes),
    msOf(lagMs),
  ];
  return role === 'acceptor'
    ? [...own, rateOf(inPerSecond), rateOf(outPerSecond)]
    : [...own, '', ''];
}

function listenerRow({ name, address, isTls, auth }) {
  const methods = auth.map(methodOf).join(', ');
  return [name, address, isTls ? 'yes' : 'no', methods];
}

function brokerFacts({ status, rates, now }) {
  const store = status.degraded.filter(({ part }) => part === 'presence' || part === 'commands');
  const registrar = status.processes.find(({ role }) => role === 'registrar');
  const isWell = store.length === 0 && registrar?.state === 'ready' && registrar.why === undefined;
  return [
    ['Broker', ...brokerWords(status)],
    ['Address', status.brokers.join(', ')],
    ['Names begin with', status.prefix],
    ['Messages confirmed', rateOf(rates.confirms)],
    ['Waiting for a confirm', countOf(now.confirmsWaiting)],
    ['Requests not answered yet', countOf(now.requestsOpen)],
    ['Store', isWell ? 'works' : 'does not work now', isWell ? 'good' : 'bad'],
    ['Presence not yet published', countOf(now.presenceOutbox)],
    ['Commands kept for devices', countOf(now.commandsKept)],
  ];
}

/** The worst that a process says; of one that does not answer it is not known. */
function brokerWords({ processes }) {
  const said = new Set(processes.flatMap(({ broker }) => broker ?? []));
  const worst = ['down', 'blocked', 'up'].find((word) => said.has(word));
  return BROKERS[worst] ?? ['not known', 'warn'];
}
