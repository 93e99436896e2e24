/**
 * What a storm costs those who are already there: 1,000 devices exchange requests while 20,000
 * others connect at once. The round trips' p99 in the storm beside the quiet one of the same run.
 * loadgen is pinned to one processor. `node bench/storm.ts [--runs 5] [--devices 20000]`
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Report } from '../loadgen/report.ts';
import { waitFor } from '../test/helpers/waitFor.ts';
import { Fleet, type Node, sourcesFor, startNode } from './fleet.ts';
import { heading, row, spread } from './stats.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    devices: { type: 'string', default: '20000' },
    rate: { type: 'string', default: '2000' },
    'quiet-seconds': { type: 'string', default: '30' },
    acceptors: { type: 'string', default: '2' },
  },
});
const devices = Number(values.devices);
const TALKERS = 1_000;
const LOADGEN_CPU = 1;
const STORM_DEADLINE_MS = 120_000;

interface Run {
  /** Milliseconds. */
  readonly quiet: number;
  readonly storm: number;
  readonly ratio: number;
  /** From the first connect to the last WELCOME, in seconds. */
  readonly seconds: number;
  readonly samples: number;
}

/** A fleet that talks; resolves when all of it is connected. */
async function talk(node: Node, name: string): Promise<Fleet> {
  const before = await node.server.metric('owsla_deliveries_total', 'fate="sent"');
  const flags = ['--devices', String(TALKERS), '--rate', values.rate, '--duration', '10m'];
  const fleet = new Fleet(node.server, [...flags, '--device-prefix', name], LOADGEN_CPU);
  const replies = async () => await node.server.metric('owsla_deliveries_total', 'fate="sent"');
  await waitFor('the first replies', async () => (await replies()) > before);
  return fleet;
}

async function endOf(fleet: Fleet): Promise<Report> {
  fleet.interrupt();
  return fleet.report;
}

/** Connect everybody at once; resolves with the seconds until the last WELCOME. */
async function storm({ server }: Node): Promise<{ fleet: Fleet; seconds: number }> {
  const hellos = () => server.metric('owsla_messages_in_total', 'type="hello"');
  const before = await hellos();
  const flags = ['--devices', String(devices), '--storm', '--source', sourcesFor(devices)];
  const fleet = new Fleet(
    server,
    [
      ...[...flags, '--workers', '2', '--device-prefix', 'storm-', '--rate', '0'],
      ...['--duration', '10m', '--connect-timeout', '120s', '--reconnect', '1s-2s'],
    ],
    LOADGEN_CPU,
  );
  await waitFor('the first of the storm', async () => (await hellos()) > before);
  const begin = performance.now();
  const isIn = async () => (await hellos()) >= before + devices;
  await waitFor('the last of the storm', isIn, STORM_DEADLINE_MS);
  return { fleet, seconds: (performance.now() - begin) / 1_000 };
}

async function measure(): Promise<Run> {
  const node = await startNode({ acceptors: Number(values.acceptors) });
  try {
    const quiet = await talk(node, 'quiet-');
    await pause(Number(values['quiet-seconds']) * 1_000);
    const before = await endOf(quiet);
    const stormy = await talk(node, 'stormy-');
    const { fleet, seconds } = await storm(node);
    const during = await endOf(stormy);
    await endOf(fleet);
    const [calm, rough] = [before.times.request, during.times.request];
    return {
      quiet: calm.p99,
      storm: rough.p99,
      ratio: rough.p99 / calm.p99,
      seconds,
      samples: rough.count,
    };
  } finally {
    await node.stop();
  }
}

const runs: Run[] = [];
for (let run = 0; run < Number(values.runs); run += 1) runs.push(await measure());
console.log(heading(`${devices} devices connect while ${TALKERS} talk`));
for (const [name, unit] of [
  ['quiet', 'ms, p99 of the round trips'],
  ['storm', 'ms, the same in the storm'],
  ['ratio', 'times'],
  ['seconds', 's until all are WELCOMEd'],
  ['samples', 'round trips in the storm'],
] as const) {
  console.log(row(name, spread(runs.map((run) => run[name])), unit));
}
