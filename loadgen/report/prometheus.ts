/**
 * Prometheus: the running load's figures for a scraper.
 * From: totals.ts, when asked.  To: http://127.0.0.1:PORT/metrics.
 * Bound: loopback only; a fixed list of series, labels only from short lists; never a device.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, Gauge, Registry } from 'prom-client';
import { COUNTERS, LABELLED, TIMES } from '../measure/measures.ts';
import { selfCheckOf } from '../measure/selfCheck.ts';
import { percentilesOf, type Totals } from '../measure/totals.ts';
import { VIOLATION_NAMES } from '../measure/violations.ts';
import type { Plan } from '../plan/plan.ts';
import { UsageError } from '../plan/units.ts';

const PERCENTILES = ['p50', 'p90', 'p99', 'p999', 'max'] as const;

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The page for these totals of a plan. */
export async function renderMetrics(plan: Plan, totals: Totals): Promise<string> {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[] = []): Gauge =>
    new Gauge({ name: `owsla_loadgen_${name}`, help, labelNames, registers });
  gauge('links', 'Open links.').set(totals.openNow);
  gauge('pending', 'Messages without an answer.').set(totals.pendingNow);
  const ownFigures = '1 when the tool, not the server, has made the figures so far.';
  gauge('bottleneck', ownFigures).set(selfCheckOf(plan, totals).wasBottleneck ? 1 : 0);
  const counter = (name: string, help: string, labelNames: string[]): Counter =>
    new Counter({ name: `owsla_loadgen_${name}_total`, help, labelNames, registers });
  const counts = counter('counts', 'Counters since the start, by name.', ['name']);
  for (const name of COUNTERS) counts.inc({ name: snake(name) }, totals.counts[name]);
  const violations = counter('violations', 'Wrong or remarkable answers, by violation.', [
    'violation',
  ]);
  for (const violation of VIOLATION_NAMES)
    violations.inc({ violation }, totals.violations[violation]);
  for (const name of LABELLED) {
    const labelled = counter(snake(`${name}ByLabel`), `Count of ${name}, by label.`, ['label']);
    for (const [label, count] of Object.entries(totals.labelled[name])) {
      labelled.inc({ label }, count);
    }
  }
  const help = 'Time at this percentile since the start; raw ones count from the real send.';
  const times = gauge('time_seconds', help, ['time', 'percentile']);
  for (const time of TIMES) {
    const percentiles = percentilesOf(totals.times[time]);
    if (percentiles.count === 0) continue;
    for (const percentile of PERCENTILES) {
      times.set({ time: snake(time), percentile }, percentiles[percentile] / 1_000);
    }
  }
  return await registry.metrics();
}

/** Serve until closed. Rejects with a UsageError when the port is taken. */
export async function servePrometheus(port: number, plan: Plan, totals: Totals): Promise<Server> {
  const server = createServer(async (request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end('see /metrics\n');
      return;
    }
    const page = await renderMetrics(plan, totals);
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(page);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new UsageError(`--prometheus-port: ${error.message}`)));
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  process.stderr.write(`metrics at http://127.0.0.1:${bound}/metrics\n`);
  return server;
}
