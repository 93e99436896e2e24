/**
 * Hdr log: the run's histograms, second by second, in the standard HDR histogram log format 1.3.
 * From: totals.ts, each closed interval.  To: a file that HdrHistogram's own tools plot.
 * Bound: one line per kind of time and second, written as it comes; values are microseconds,
 * the line's maximum is in milliseconds.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { type Histogram, HistogramLogWriter } from 'hdr-histogram-js';
import { INTERVAL_MS } from './interval.ts';
import { TIMES, type TimeName } from './measures.ts';
import type { Point } from './totals.ts';

const US_PER_MS = 1_000;

export class HdrLog {
  readonly #stream: WriteStream;
  readonly #writer: HistogramLogWriter;
  #error: Error | undefined;

  constructor(file: string, startedAt: Date) {
    this.#stream = createWriteStream(file);
    this.#stream.on('error', (error) => {
      this.#error = error;
    });
    this.#writer = new HistogramLogWriter((line) => this.#stream.write(line));
    this.#writer.outputComment('[Logged with owsla-loadgen]');
    this.#writer.outputLogFormatVersion();
    const seconds = (startedAt.getTime() / 1_000).toFixed(3);
    const text = `[StartTime: ${seconds} (seconds since epoch), ${startedAt.toISOString()}]`;
    this.#writer.outputComment(text);
    this.#writer.outputLegend();
  }

  write(point: Point, histograms: Partial<Record<TimeName, Histogram>>): void {
    for (const name of TIMES) {
      const histogram = histograms[name];
      if (histogram === undefined) continue;
      histogram.tag = name;
      const fromS = point.t - INTERVAL_MS / 1_000;
      this.#writer.outputIntervalHistogram(histogram, fromS, point.t, US_PER_MS);
    }
  }

  /** Rejects when the file could not be written. */
  async close(): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    this.#stream.end();
    await finished(this.#stream);
  }
}
