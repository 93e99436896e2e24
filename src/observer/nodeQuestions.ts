/**
 * NodeQuestions: answers to questions about the whole node, and what the registrar does of it.
 * From: control.ts, api.ts.  To: nodeStatus.ts, the supervisor's word, and each live
 * process, all at once.
 * Bound: `questionMs` for a process; one that does not answer is named, and holds up nobody.
 */
import { addressOf, type ListenerConfig } from '../base/listeners.ts';
import type { Logger } from '../base/log.ts';
import type { Counters } from '../base/metrics.ts';
import { brokerAddress } from '../broker/brokerErrors.ts';
import { type AnswersByKind, type AnswerTo, ChannelError } from '../node/channel.ts';
import { type ChildFacts, liveChildren, type NodeMessage, type StartMessage } from '../node/ipc.ts';
import type { ProcessAnswer } from '../node/report.ts';
import type {
  BrokerState,
  ListenerFacts,
  ProcessStatus,
  StatusAnswer,
} from '../node/statusAnswer.ts';
import { OWSLA_VERSION } from '../node/version.ts';
import type { ChildChannels } from './childChannels.ts';
import type { NodeDrain } from './nodeDrain.ts';
import { type NodeAnswer, nodeLinks } from './nodeLinks.ts';
import type { NodeReload } from './nodeReload.ts';
import type { NodeStatus } from './nodeStatus.ts';

export interface NodeQuestionsOptions {
  readonly start: Pick<StartMessage, 'config' | 'node'>;
  readonly status: NodeStatus;
  readonly children: Pick<ChildChannels, 'ask'>;
  readonly drain: NodeDrain;
  readonly log: Pick<Logger, 'info'>;
  readonly reload: NodeReload;
  readonly clock?: () => number;
}

/** The questions, by kind. */
export type NodeAnswers = Readonly<Record<string, NodeAnswer>>;

export function nodeQuestions(options: NodeQuestionsOptions): NodeAnswers {
  return {
    ...nodeLinks(options),
    status: () => statusOf(options),
    block: async (body, who) => named(options, await toRegistrar(options, 'block')(body, who)),
    unblock: toRegistrar(options, 'unblock'),
    blocked: toRegistrar(options, 'blocked'),
    reload: (_, who) => options.reload.ask(who),
  };
}

/** All asked by the same one. */
export function askedBy(who: string, answers: NodeAnswers): AnswersByKind {
  const asked = Object.entries(answers).map(([kind, answer]): [string, AnswerTo] => [
    kind,
    (body) => answer(body, who),
  ]);
  return Object.fromEntries(asked);
}

function toRegistrar({ status, children }: NodeQuestionsOptions, kind: string): NodeAnswer {
  return async (body, who) => {
    const [registrar] = liveChildren(status.node, 'registrar');
    if (registrar === undefined) {
      throw new ChannelError('failed', 'the registrar is not running; try again in a moment');
    }
    try {
      return await children.ask(registrar.incarnation, kind, { ...Object(body), who });
    } catch (error) {
      const { why, message } = error as ChannelError;
      if (why !== 'late' && why !== 'closed') throw error;
      // The node answers: it is the registrar that does not.
      throw new ChannelError('failed', `the registrar does not answer: ${message}`);
    }
  };
}

/** Acceptors, of which the registrar knows incarnations, by the names that people know. */
function named({ status }: NodeQuestionsOptions, answer: unknown): unknown {
  const { late = [], ...others } = Object(answer) as { readonly late?: readonly string[] };
  const nameOf = (acceptor: string) => {
    const child = status.node?.children.find(({ incarnation }) => incarnation === acceptor);
    return child === undefined ? acceptor : `acceptor ${child.index}`;
  };
  return { ...others, late: late.map(nameOf) };
}

export async function statusOf(options: NodeQuestionsOptions): Promise<StatusAnswer> {
  const { start, status, children, clock = () => performance.now() } = options;
  const { adminHost, adminPort, prefix, amqp, limits } = start.config;
  const { node } = status;
  const asked = (node?.children ?? []).map((child) => processOf(child, children));
  const processes = await Promise.all(asked);
  const now = clock();
  const isLive = status.isLive(now, limits.childSilenceMs);
  const silent = isLive || node === undefined ? [] : [{ reason: 'the supervisor is silent' }];
  const reasons = [...silent, ...status.unready(now)];
  const degraded = status.degraded(now);
  const isWhole = degraded.length === 0 && processes.every(({ why }) => why === undefined);
  return {
    node: start.node,
    state: reasons.length > 0 ? 'not-ready' : isWhole ? 'ready' : 'degraded',
    reasons,
    degraded,
    alarms: status.alarms,
    version: OWSLA_VERSION,
    runtime: process.versions.node,
    uptimeMs: sinceMs(node?.startedAt),
    listeners: start.config.listeners.map(listenerOf),
    ...{ adminHost, adminPort, prefix },
    brokers: amqp.map(brokerAddress),
    ...linksOf(status, processes),
    restarts: status.restarts(),
    ...(node?.reload === undefined ? {} : { reload: node.reload }),
    processes: node ? [supervisorOf(node, isLive), ...processes] : processes,
  };
}

function listenerOf(listener: ListenerConfig): ListenerFacts {
  const { name, tls, auth } = listener;
  return { name, address: addressOf(listener), isTls: tls !== undefined, auth };
}

function supervisorOf({ pid, startedAt }: NodeMessage, isLive: boolean): ProcessStatus {
  const state = isLive ? 'ready' : 'silent';
  return { role: 'supervisor', index: 0, state, pid, uptimeMs: sinceMs(startedAt) };
}

async function processOf(
  { startedAt, ...facts }: ChildFacts,
  children: Pick<ChildChannels, 'ask'>,
): Promise<ProcessStatus> {
  const known = startedAt === undefined ? facts : { ...facts, uptimeMs: sinceMs(startedAt) };
  const { role, state, incarnation } = facts;
  if (role === 'observer')
    return { ...known, version: OWSLA_VERSION, runtime: process.versions.node };
  if (incarnation === undefined || state === 'starting') return known;
  try {
    const answer = (await children.ask(incarnation, 'status', null)) as ProcessAnswer;
    const { version, runtime, uptimeMs, snapshot } = answer;
    const broker = brokerOf(snapshot);
    const told = { ...known, version, runtime, uptimeMs, broker };
    if (!('links' in snapshot)) return told;
    return { ...told, links: snapshot.links, linksMax: snapshot.linksMax };
  } catch (error) {
    // It may be about to end, and nobody needs it.
    if (facts.isBeside) return known;
    return { ...known, why: `does not answer: ${(error as Error).message}` };
  }
}

function brokerOf(snapshot: ProcessAnswer['snapshot']): BrokerState {
  const { brokerUp, brokerBlocked } = snapshot as Partial<Pick<Counters, 'brokerBlocked'>> &
    Pick<ProcessAnswer['snapshot'], 'brokerUp'>;
  const isUp = typeof brokerUp === 'number' ? brokerUp === 1 : isAll(brokerUp);
  if (!isUp) return 'down';
  return brokerBlocked === 1 ? 'blocked' : 'up';
}

function isAll(flags: Readonly<Record<string, number>>): boolean {
  return Object.values(flags).every((flag) => flag === 1);
}

/** Acceptors' own words; of one that says nothing, its last report. */
function linksOf(
  status: NodeStatus,
  processes: readonly ProcessStatus[],
): Pick<StatusAnswer, 'links' | 'linksMax'> {
  const sum = { links: 0, linksMax: 0 };
  for (const [index, reported] of status.acceptors()) {
    const told = processes.filter((one) => one.role === 'acceptor' && one.index === index);
    const isTold =
      told.length > 0 && told.every(({ links, isBeside }) => isBeside || links !== undefined);
    const links = told.reduce((some, one) => some + (one.links ?? 0), 0);
    sum.links += isTold ? links : reported.links;
    sum.linksMax += told[0]?.linksMax ?? reported.linksMax;
  }
  return sum;
}

/** Since a time of the wall clock, which may have been set meanwhile. */
function sinceMs(at = Date.now()): number {
  return Math.max(0, Date.now() - at);
}
