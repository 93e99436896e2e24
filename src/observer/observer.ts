/**
 * Observer: the process for health and metrics, so that no browser or scraper holds up a device.
 * From: acceptors' reports over a Unix socket; the supervisor's word over IPC.
 * To: nodeStatus.ts, which admin.ts and exposition.ts read.
 * Bound: REPORT_BYTES_MAX per report; a stream that breaks this or the format is closed.
 */
import type { Socket } from 'node:net';
import { unpack } from 'msgpackr';
import { unbound } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { observerSocket, type RunningChild, type StartMessage } from '../node/ipc.ts';
import { LocalSocket } from '../node/localSocket.ts';
import type { ReportMessage } from '../node/report.ts';
import { FrameReader } from '../wire/frame.ts';
import { makeAdmin } from './admin.ts';
import { Exposition } from './exposition.ts';
import { Guests } from './guests.ts';
import { Ledger } from './nodeStatus.ts';

const REPORT_BYTES_MAX = 256 * 1024;

/**
 * Start the observer in this process; resolves when it takes reports and HTTP requests.
 * Rejects with a StartError when the admin port cannot be had.
 */
export async function startObserver(start: StartMessage, log: Logger): Promise<RunningChild> {
  const { adminHost, adminPort, acceptors, limits } = start.config;
  const ledger = new Ledger(acceptors, limits.reportMs);
  const streams = new Set<Socket>();
  const server = new LocalSocket(observerSocket(start.folder), (stream) => {
    streams.add(stream);
    stream.once('close', () => streams.delete(stream));
    readReports(stream, ledger, log);
  });
  await server.listen();
  const guests = new Guests(limits);
  const exposition = new Exposition(ledger, limits.scrapeMs, guests.ends);
  const admin = makeAdmin(ledger, exposition, guests, limits);
  try {
    await admin.listen({ host: adminHost, port: adminPort });
  } catch (error) {
    throw unbound(`admin port ${adminPort}`, adminHost, error);
  }
  return {
    title: () => `owsla observer :${adminPort}`,
    figures: () => ({ streams: streams.size }),
    onNode: (node) => ledger.onNode(node, performance.now()),
    drain: async () => {
      await admin.close();
      for (const stream of streams) stream.destroy();
      await server.close();
    },
  };
}

function readReports(stream: Socket, ledger: Ledger, log: Logger): void {
  const reader = new FrameReader(REPORT_BYTES_MAX);
  stream.on('error', () => {});
  stream.on('data', (chunk) => {
    try {
      reader.push(chunk as Buffer);
      for (let payload = reader.next(); payload; payload = reader.next()) {
        ledger.onReport(unpack(payload) as ReportMessage, performance.now());
      }
    } catch (error) {
      log.error({ err: error, reason: 'bad report' }, 'closing an acceptor’s report stream');
      stream.destroy();
    }
  });
}
