/**
 * Storm: what does a storm of connects cost those who are already there?
 * 1,000 devices exchange requests while 20,000 others connect at once. The round trips' p99 in the
 * storms beside the quiet one of the same run. loadgen is pinned to one processor; what storms
 * there yields to what measures, or the figures would be of loadgen's own haste.
 * With --tls all of them come by TLS, each with a full handshake; a device pays as much for it as
 * the node, so 5,000 of them are a storm.
 * `node bench/studies/storm.ts [--runs 5] [--devices 20000] [--rate 1000] [--samples 30000]
 *   [--acceptors 2] [--tls] [--set LIMIT=VALUE]...`: --samples on each side, at least.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Histogram } from 'hdr-histogram-js';
import type { Server } from '../../test/helpers/processes/server.ts';
import { waitFor } from '../../test/helpers/waitFor.ts';
import {
  Fleet,
  LEFTOVER,
  type Node,
  type Span,
  sourcesFor,
  startNode,
  tlsPortOf,
} from '../lib/fleet.ts';
import { cpuUsOf, US_PER_CORE_PERCENT } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, row, spread } from '../lib/stats.ts';
import { makeTlsFiles, serverFlags } from '../lib/tlsKinds.ts';

const { runs, devices, rate, samples, acceptors, tls, set } = options({
  ...{ runs: 5, devices: 20_000, rate: 1_000, samples: 30_000, acceptors: 2, tls: false, set: [] },
});
const TALKERS = 1_000;
/** Replies after which the figures are those of compiled code. */
const WARM = 5_000;
const ON_CPU = ['taskset', '-c', '1'];
const STORM_DEADLINE_MS = 120_000;
const STORMS_MAX = 8;
/** Between two looks at /metrics: a page costs processor time, which the storm would pay. */
const LOOK_MS = 1_000;
/** The interval of loadgen's log. */
const INTERVAL_S = 1;

const files = tls ? makeTlsFiles() : undefined;
const SERVES_TLS = files === undefined ? [] : serverFlags('tls13', files.folder);
const BY_TLS =
  files === undefined ? [] : ['--tls', '--tls-ca', files.caFile, '--tls-servername', 'localhost'];
/** Where the fleets connect. */
const placeOf = (server: Server) => (tls ? { port: tlsPortOf(server) } : server);

const nowS = () => Date.now() / 1_000;
const lengthOf = (spans: readonly Span[]) => spans.reduce((all, [from, to]) => all + to - from, 0);

/** Connect everybody at once; resolves when the last is WELCOMEd. */
async function storm({ server }: Node, number: number): Promise<{ fleet: Fleet; span: Span }> {
  const hellos = () => server.metric('owsla_messages_in_total', 'type="hello"');
  const before = await hellos();
  const flags = ['--devices', String(devices), '--storm', '--source', sourcesFor(devices)];
  const fleet = new Fleet(
    placeOf(server),
    [
      ...[...flags, '--workers', '2', '--device-prefix', `storm-${number}-`, '--rate', '0'],
      ...['--duration', '10m', '--connect-timeout', '120s', '--reconnect', '1s-2s'],
      ...BY_TLS,
    ],
    [...ON_CPU, ...LEFTOVER],
  );
  await waitFor('the first of the storm', async () => (await hellos()) > before);
  const from = nowS();
  const isIn = async () => (await hellos()) >= before + devices;
  await waitFor('the last of the storm', isIn, STORM_DEADLINE_MS, LOOK_MS);
  return { fleet, span: [from, nowS()] };
}

async function measure(): Promise<Record<string, number>> {
  const limits = Object.fromEntries(set.map((text) => text.split('=')));
  const node = await startNode({ acceptors, limits, flags: SERVES_TLS });
  try {
    const flags = ['--devices', String(TALKERS), '--rate', String(rate), '--duration', '1h'];
    const talkers = new Fleet(placeOf(node.server), [...flags, ...BY_TLS], ON_CPU);
    const sent = () => node.server.metric('owsla_deliveries_total', 'fate="sent"');
    await waitFor('a warm fleet', async () => (await sent()) > WARM, STORM_DEADLINE_MS);
    const quiet: Span = [nowS(), nowS() + samples / rate + INTERVAL_S];
    await pause((quiet[1] - quiet[0]) * 1_000);

    const storms: Span[] = [];
    const registrar = () => cpuUsOf([node.server.childPid('registrar')]);
    let registrarUs = 0;
    while (lengthOf(storms) < samples / rate && storms.length < STORMS_MAX) {
      const before = registrar();
      const { fleet, span } = await storm(node, storms.length);
      registrarUs += registrar() - before;
      storms.push(span);
      // The log's last interval of the storm must not hold what its end costs.
      await pause(2 * INTERVAL_S * 1_000);
      await fleet.end();
    }
    await talkers.end();
    const [calm, rough] = [talkers.roundTrips([quiet]), talkers.roundTrips(storms)];
    const msOf = (histogram: Histogram, q: number) => histogram.getValueAtPercentile(q) / 1_000;
    return {
      quiet50: msOf(calm, 50),
      storm50: msOf(rough, 50),
      quiet99: msOf(calm, 99),
      storm99: msOf(rough, 99),
      ratio: msOf(rough, 99) / msOf(calm, 99),
      registrar: registrarUs / lengthOf(storms) / US_PER_CORE_PERCENT,
      seconds: Math.max(...storms.map(([from, to]) => to - from)),
      quietSamples: calm.totalCount,
      stormSamples: rough.totalCount,
    };
  } finally {
    await node.stop();
  }
}

process.once('exit', () => files?.remove());
const measured: Record<string, number>[] = [];
for (let run = 0; run < runs; run += 1) {
  measured.push(await measure());
  console.log(JSON.stringify(measured.at(-1)));
}
console.log(heading(`${devices} devices connect${tls ? ' by TLS' : ''} while ${TALKERS} talk`));
for (const [name, about, unit] of [
  ['quiet50', 'round trip, quiet', 'ms, p50'],
  ['storm50', 'round trip, in the storm', 'ms, p50'],
  ['quiet99', 'round trip, quiet', 'ms, p99'],
  ['storm99', 'round trip, in the storm', 'ms, p99'],
  ['ratio', 'p99 in the storm over quiet (goal: 2)', 'times'],
  ['registrar', 'registrar, in the storm', '% of a core'],
  ['seconds', 'until all are WELCOMEd (goal: 20)', 's, slowest storm'],
  ['quietSamples', 'round trips, quiet', ''],
  ['stormSamples', 'round trips, in the storm', ''],
] as const) {
  const figures = measured.map((run) => run[name] ?? Number.NaN);
  console.log(row(about, spread(figures), unit));
}
