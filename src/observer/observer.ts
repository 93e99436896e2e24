/**
 * Observer: the process for health, metrics and questions, so that no browser, scraper or person
 * delays a device.
 * From: reports and answers, by childChannels.ts; the supervisor's messages over IPC.
 * To: nodeStatus.ts, which admin.ts, exposition.ts and nodeQuestions.ts read; control.sock.
 * Bound: none of its own: each part has one.
 */
import type { Logger } from '../base/log.ts';
import { within } from '../node/drain.ts';
import {
  controlSocket,
  type NodeMessage,
  observerSocket,
  type RunningChild,
  type StartMessage,
} from '../node/ipc.ts';
import { makeAdmin } from './admin.ts';
import { AdminGuard } from './adminGuard.ts';
import { AdminSocket } from './adminSocket.ts';
import { AlarmWatch } from './alarmWatch.ts';
import { addApi } from './api.ts';
import { leaveTotals, withTotals } from './carriedTotals.ts';
import { ChildChannels } from './childChannels.ts';
import { Control } from './control.ts';
import { Exposition } from './exposition.ts';
import { Guests } from './guests.ts';
import { Heard } from './heard.ts';
import { Live } from './live.ts';
import { NodeDrain } from './nodeDrain.ts';
import { askedBy, nodeQuestions, statusOf } from './nodeQuestions.ts';
import { NodeReload } from './nodeReload.ts';
import { NodeStatus } from './nodeStatus.ts';
import { NodeTraces } from './nodeTraces.ts';
import { addStreams, type Streams } from './streams.ts';
import { watchQuestions } from './watchQuestions.ts';

/** Node does not say which process is at the other end; its user or root, by the file's mode. */
const WHO = 'control.sock';
/** How long a stop waits until streams have been read to their end. */
const END_MS = 500;

interface ObserverStart {
  /** Somebody asks for a reload. */
  readonly ask: (by: string) => void;
  /** The supervisor's word until now. */
  readonly node: () => NodeMessage | undefined;
  /** The listening socket of the observer before this one. */
  readonly socket?: unknown;
}

/**
 * Start the observer in this process; resolves when it takes reports and HTTP requests.
 * Rejects with a StartError when the admin port cannot be opened.
 */
export async function startObserver(
  start: StartMessage,
  log: Logger,
  { ask, node, socket }: ObserverStart,
): Promise<RunningChild> {
  const { adminHost, adminPort, acceptors, limits, runDir } = start.config;
  const status = withTotals(new NodeStatus(acceptors, limits.reportMs), start.folder);
  const children = new ChildChannels({
    path: observerSocket(start.folder),
    limits,
    log,
    onReport: (report) => {
      status.onReport(report, performance.now());
      drain.onReport(report);
      heard.onReport();
    },
    onUp: (incarnation) => traces.onChildUp(incarnation),
    onTrace: (body, incarnation) => traces.onBatch(body, incarnation),
  });
  const traces = new NodeTraces({ limits, log, node: () => status.node, children });
  const drain = new NodeDrain(children);
  const heard = new Heard(status, node());
  await children.listen();
  const asked = { start, status, children, drain, reload: new NodeReload({ status, ask }), log };
  const answers = nodeQuestions(asked);
  const watches = { traces, live: new Live({ status, children, statusOf: () => statusOf(asked) }) };
  const all = { ...askedBy(WHO, answers), ...watchQuestions(watches, WHO) };
  const path = controlSocket(runDir || start.folder);
  const control = new Control({ path, limits, log, answers: all });
  const guests = new Guests(limits);
  const exposition = new Exposition(status, limits.scrapeMs, guests.ends);
  const alarms = new AlarmWatch({ status, limits, log });
  const guard = new AdminGuard(start.config);
  const admin = makeAdmin(status, exposition, guests, guard, limits);
  addApi(admin, answers);
  const streams = addStreams(admin, watches, guests);
  const adminSocket = new AdminSocket(admin);
  await adminSocket.listen({ host: adminHost, port: adminPort }, { socket, heard });
  await control.listen();
  alarms.start();
  let isOrphan = false;
  return {
    title: () => `owsla observer :${adminPort}`,
    figures: () => ({ streams: children.size }),
    onNode: (now) => {
      status.onNode(now, performance.now());
      asked.reload.onNode();
    },
    listeningHandle: () => adminSocket.handle,
    onRenew: () => guard.renew(log),
    onOrphaned: () => (isOrphan = true),
    drain: async () => {
      alarms.stop();
      const parts = { adminSocket, traces, streams, control, children };
      const isLast = isOrphan || status.node?.isStopping === true;
      await end(parts, isLast);
      if (!isLast) leaveTotals(start.folder, status);
    },
  };
}

interface Ending {
  readonly adminSocket: AdminSocket;
  readonly traces: NodeTraces;
  readonly streams: Streams;
  readonly control: Control;
  readonly children: ChildChannels;
}

/** `isLast`: no observer comes after this one. */
async function end(
  { adminSocket, traces, streams, control, children }: Ending,
  isLast: boolean,
): Promise<void> {
  if (!isLast) await adminSocket.linger();
  traces.close();
  await within(END_MS, streams.close());
  await adminSocket.close();
  await control.close({ isFileLeft: !isLast });
  await children.close();
}
