/**
 * PromClient: the parts of prom-client that the page needs. By its front door all others would be
 * loaded with them: default metrics with OpenTelemetry, a push gateway with HTTP clients.
 * From: prom-client's own files.  To: exposition.ts, families.ts.
 * Bound: the version is pinned, so the files are where they are.
 */
import { createRequire } from 'node:module';

type PromClient = typeof import('prom-client');

const load = createRequire(import.meta.url);

export const Counter: PromClient['Counter'] = load('prom-client/lib/counter');
export const Gauge: PromClient['Gauge'] = load('prom-client/lib/gauge');
export const Histogram: PromClient['Histogram'] = load('prom-client/lib/histogram');
export const Registry: PromClient['Registry'] = load('prom-client/lib/registry');
