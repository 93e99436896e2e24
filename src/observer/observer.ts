/**
 * Observer: the process for health, metrics and questions, so that no browser, scraper or person
 * delays a device.
 * From: reports and answers, by childChannels.ts; the supervisor's messages over IPC.
 * To: nodeStatus.ts, which admin.ts, exposition.ts and nodeQuestions.ts read; control.sock.
 * Bound: none of its own: each part has one.
 */
import { unbound } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { within } from '../node/drain.ts';
import {
  controlSocket,
  observerSocket,
  type RunningChild,
  type StartMessage,
} from '../node/ipc.ts';
import { makeAdmin } from './admin.ts';
import { AdminGuard } from './adminGuard.ts';
import { AlarmWatch } from './alarmWatch.ts';
import { addApi } from './api.ts';
import { ChildChannels } from './childChannels.ts';
import { Control } from './control.ts';
import { Exposition } from './exposition.ts';
import { Guests } from './guests.ts';
import { Live } from './live.ts';
import { NodeDrain } from './nodeDrain.ts';
import { askedBy, nodeQuestions, statusOf } from './nodeQuestions.ts';
import { NodeStatus } from './nodeStatus.ts';
import { NodeTraces } from './nodeTraces.ts';
import { addStreams } from './streams.ts';
import { watchQuestions } from './watchQuestions.ts';

/** Node does not say which process is at the other end; its user or root, by the file's mode. */
const WHO = 'control.sock';
/** How long a stop waits until streams have been read to their end. */
const END_MS = 500;

/**
 * Start the observer in this process; resolves when it takes reports and HTTP requests.
 * Rejects with a StartError when the admin port cannot be opened.
 */
export async function startObserver(start: StartMessage, log: Logger): Promise<RunningChild> {
  const { adminHost, adminPort, acceptors, limits, runDir } = start.config;
  const status = new NodeStatus(acceptors, limits.reportMs);
  const children = new ChildChannels({
    path: observerSocket(start.folder),
    limits,
    log,
    onReport: (report) => {
      status.onReport(report, performance.now());
      drain.onReport(report);
    },
    onUp: (incarnation) => traces.onChildUp(incarnation),
    onTrace: (body, incarnation) => traces.onBatch(body, incarnation),
  });
  const traces = new NodeTraces({ limits, log, node: () => status.node, children });
  const drain = new NodeDrain(children);
  await children.listen();
  const asked = { start, status, children, drain, log };
  const answers = nodeQuestions(asked);
  const live = new Live({ status, children, statusOf: () => statusOf(asked) });
  const watches = { traces, live };
  const path = controlSocket(runDir || start.folder);
  const all = { ...askedBy(WHO, answers), ...watchQuestions(watches, WHO) };
  const control = new Control({ path, limits, log, answers: all });
  const guests = new Guests(limits);
  const exposition = new Exposition(status, limits.scrapeMs, guests.ends);
  const alarms = new AlarmWatch({ status, limits, log });
  const guard = new AdminGuard(start.config);
  const admin = makeAdmin(status, exposition, guests, guard, limits);
  addApi(admin, answers);
  const streams = addStreams(admin, watches, guests);
  try {
    await admin.listen({ host: adminHost, port: adminPort });
  } catch (error) {
    throw unbound(`admin port ${adminPort}`, adminHost, error);
  }
  await control.listen();
  alarms.start();
  return {
    title: () => `owsla observer :${adminPort}`,
    figures: () => ({ streams: children.size }),
    onNode: (node) => status.onNode(node, performance.now()),
    onRenew: () => guard.renew(log),
    drain: async () => {
      alarms.stop();
      traces.close();
      await within(END_MS, streams.close());
      await admin.close();
      await control.close();
      await children.close();
    },
  };
}
