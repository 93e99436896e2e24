/**
 * PromClient: the parts of prom-client that the page needs. By its front door all others would be
 * loaded with them: default metrics with OpenTelemetry, a push gateway with HTTP clients.
 * From: prom-client's own files.  To: exposition.ts, families.ts.
 * Bound: the version is pinned, so the files are where they are.
 */
import { createRequire } from 'node:module';

type PromClient = Pick<
  typeof import('prom-client'),
  'Counter' | 'Gauge' | 'Histogram' | 'Registry'
>;

const load = createRequire(import.meta.url);

export const PROM: PromClient = {
  Counter: load('prom-client/lib/counter'),
  Gauge: load('prom-client/lib/gauge'),
  Histogram: load('prom-client/lib/histogram'),
  Registry: load('prom-client/lib/registry'),
};
