/**
 * AskStatus: what `owsla status` does: asks a node of this machine how it is.
 * From: the command line.  To: a node, by askNode.ts; the answer as text.
 * Bound: one question.
 */
import type { Config } from '../base/config.ts';
import type { RaisedAlarm } from '../node/alarmNames.ts';
import type { ListenerFacts, ProcessStatus, StatusAnswer } from '../node/statusAnswer.ts';
import { askOnce } from './askNode.ts';
import { lastReloadText } from './reloadText.ts';
import { ageOf, brokerState, nameOfProcess } from './statusWords.ts';
import { tableOf } from './table.ts';

/** Exit codes of `owsla status` (docs/operations.md), by the node's state. */
export const STATUS_EXIT = { ready: 0, degraded: 3, 'not-ready': 4 } as const;

/** Rejects with a StartError when no node answers, or it is not clear which one is meant. */
export function askStatus(config: Config): Promise<StatusAnswer> {
  return askOnce(config, 'status', null);
}

/** For a terminal. */
export function statusText(answer: StatusAnswer): string {
  const { node, state, version, runtime, adminHost, adminPort, prefix } = answer;
  const facts = [
    ['node', node],
    ['state', state.replace('-', ' ')],
    ...answer.reasons.map(({ acceptor, reason }) => ['', sentence([], acceptor, reason)]),
    ...answer.degraded.map(({ acceptor, part, reason }) => [
      '',
      sentence([part], acceptor, reason),
    ]),
    ...answer.alarms.map((one, at) => [at === 0 ? 'alarms' : '', alarmOf(one)]),
    ['version', `${version}, Node.js ${runtime}, up ${ageOf(answer.uptimeMs)}`],
    ['links', `${answer.links} of ${answer.linksMax}`],
    ...answer.listeners.map((one, at) => [at === 0 ? 'listeners' : '', listenerOf(one)]),
    ['admin', `${adminHost}:${adminPort}`],
    ['broker', `${answer.brokers.join(', ')}, prefix ${prefix}: ${brokerState(answer)}`],
    ['restarts', restartsOf(answer)],
    ...(answer.reload === undefined ? [] : [['reload', lastReloadText(answer.reload)]]),
  ];
  const head = ['process', 'pid', 'state', 'up', 'links', 'broker', 'incarnation', ''];
  const rows = answer.processes.map((one) => rowOf(one, answer.version));
  return `${tableOf(facts)}\n${tableOf([head, ...rows])}`;
}

function sentence(words: string[], acceptor: number | undefined, reason: string): string {
  return [...words, ...(acceptor === undefined ? [] : [`acceptor ${acceptor}`]), reason].join(': ');
}

function alarmOf({ alarm, raisedAt, reason }: RaisedAlarm): string {
  return `${alarm}, for ${ageOf(Math.max(0, Date.now() - raisedAt))}: ${reason}`;
}

function listenerOf({ name, address, isTls, auth }: ListenerFacts): string {
  return `${name} ${address}${isTls ? ' TLS' : ''}, auth ${auth.join()}`;
}

function restartsOf({ restarts }: StatusAnswer): string {
  return Object.entries(restarts)
    .map(([role, times]) => `${role} ${times}`)
    .join(', ');
}

function rowOf(one: ProcessStatus, ofNode: string): string[] {
  const { state, pid = '', uptimeMs, links = '', broker = '', version } = one;
  const age = uptimeMs === undefined ? '' : ageOf(uptimeMs);
  const another = version === undefined || version === ofNode ? [] : [`version ${version}`];
  const more = [...(one.why === undefined ? [] : [one.why]), ...another].join('; ');
  return [
    nameOfProcess(one),
    `${pid}`,
    state,
    age,
    `${links}`,
    broker,
    one.incarnation ?? '',
    more,
  ];
}
