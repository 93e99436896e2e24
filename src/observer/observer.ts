/**
 * Observer: the process for health and metrics, so that no browser or scraper delays a device.
 * From: reports, by reportStreams.ts; the supervisor's messages over IPC.
 * To: nodeStatus.ts, which admin.ts and exposition.ts read.
 * Bound: none of its own: each part has one.
 */
import { unbound } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { observerSocket, type RunningChild, type StartMessage } from '../node/ipc.ts';
import { makeAdmin } from './admin.ts';
import { Exposition } from './exposition.ts';
import { Guests } from './guests.ts';
import { NodeStatus } from './nodeStatus.ts';
import { ReportStreams } from './reportStreams.ts';

/**
 * Start the observer in this process; resolves when it takes reports and HTTP requests.
 * Rejects with a StartError when the admin port cannot be opened.
 */
export async function startObserver(start: StartMessage, log: Logger): Promise<RunningChild> {
  const { adminHost, adminPort, acceptors, limits } = start.config;
  const status = new NodeStatus(acceptors, limits.reportMs);
  const streams = new ReportStreams(observerSocket(start.folder), log, (report) =>
    status.onReport(report, performance.now()),
  );
  await streams.listen();
  const guests = new Guests(limits);
  const exposition = new Exposition(status, limits.scrapeMs, guests.ends);
  const admin = makeAdmin(status, exposition, guests, limits);
  try {
    await admin.listen({ host: adminHost, port: adminPort });
  } catch (error) {
    throw unbound(`admin port ${adminPort}`, adminHost, error);
  }
  return {
    title: () => `owsla observer :${adminPort}`,
    figures: () => ({ streams: streams.size }),
    onNode: (node) => status.onNode(node, performance.now()),
    drain: async () => {
      await admin.close();
      await streams.close();
    },
  };
}
