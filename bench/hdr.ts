/** Reads loadgen's HDR log (`--hdr`): round trips of stretches of a run. */
import { readFileSync } from 'node:fs';
import { build, type Histogram, HistogramLogReader } from 'hdr-histogram-js';

/** From and to, in seconds since 1970. */
export type Span = readonly [number, number];

/** The REQUESTs answered within these spans, in microseconds, to the log's whole intervals. */
export function requestsWithin(file: string, spans: readonly Span[]): Histogram {
  const sum = build({ numberOfSignificantValueDigits: 3 });
  const reader = new HistogramLogReader(readFileSync(file, 'utf8'));
  for (let line = reader.nextIntervalHistogram(); line; line = reader.nextIntervalHistogram()) {
    const histogram = line as Histogram;
    if (histogram.tag !== 'request') continue;
    const [from, to] = [histogram.startTimeStampMsec / 1_000, histogram.endTimeStampMsec / 1_000];
    if (spans.some(([begin, end]) => from < end && to > begin)) sum.add(histogram);
  }
  return sum;
}
