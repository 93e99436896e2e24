/**
 * ReportStreams: the processes' reports, read off a Unix socket.
 * From: report.ts of acceptors and the registrar.  To: nodeStatus.ts, one at a time.
 * Bound: REPORT_BYTES_MAX per report; a stream that breaks this or the format is closed.
 */
import type { Socket } from 'node:net';
import { unpack } from 'msgpackr';
import type { Logger } from '../base/log.ts';
import { LocalSocket } from '../node/localSocket.ts';
import type { ReportMessage } from '../node/report.ts';
import { FrameReader } from '../wire/frame.ts';

const REPORT_BYTES_MAX = 256 * 1024;

export class ReportStreams {
  readonly #onReport: (report: ReportMessage) => void;
  readonly #log: Logger;
  readonly #server: LocalSocket;
  readonly #streams = new Set<Socket>();

  constructor(path: string, log: Logger, onReport: (report: ReportMessage) => void) {
    this.#onReport = onReport;
    this.#log = log;
    this.#server = new LocalSocket(path, (stream) => {
      this.#streams.add(stream);
      stream.once('close', () => this.#streams.delete(stream));
      this.#read(stream);
    });
  }

  get size(): number {
    return this.#streams.size;
  }

  listen(): Promise<void> {
    return this.#server.listen();
  }

  #read(stream: Socket): void {
    const reader = new FrameReader(REPORT_BYTES_MAX);
    stream.on('error', () => {});
    stream.on('data', (chunk) => {
      try {
        reader.push(chunk as Buffer);
        for (let payload = reader.next(); payload; payload = reader.next()) {
          this.#onReport(unpack(payload) as ReportMessage);
        }
      } catch (error) {
        this.#log.error(
          { err: error, reason: 'bad report' },
          'closing an acceptor’s report stream',
        );
        stream.destroy();
      }
    });
  }

  async close(): Promise<void> {
    for (const stream of this.#streams) stream.destroy();
    await this.#server.close();
  }
}
