/**
 * Command: what does the hop over the registrar cost?
 * A command, from its publish to its outcome, beside the reply path, a REQUEST to its REPLY, which
 * passes no registrar. Both cross the broker twice. One node, in short turns of each way, so that
 * what else the machine does hits all alike. `--warm` turns do not count: V8 compiles.
 * `node bench/studies/command.ts [--rate 500] [--turns 10] [--warm 4] [--seconds 3]
 *   [--devices 200]`
 */
import { type Times, type Turn, WAYS } from '../lib/commandWays.ts';
import { startNode } from '../lib/fleet.ts';
import { cpuUsOf, loadAverages } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';
import { Told } from '../lib/told.ts';

const { rate, turns, warm, seconds, devices } = options({
  ...{ rate: 500, turns: 10, warm: 4, seconds: 3, devices: 200 },
});

/** Of one message; the first two in ms, the others in µs of processor time. */
const FIGURES = {
  p50: 'ms, p50',
  p99: 'ms, p99',
  acceptor: 'CPU-µs, acceptor',
  registrar: 'CPU-µs, registrar',
  broker: 'CPU-µs, broker',
} as const;
type Figures = Record<keyof typeof FIGURES, number>;

console.log(`load averages ${loadAverages().join(' ')}`);
const { server, broker, prefix, stop } = await startNode({ acceptors: 1 });
const args = [String(server.port), broker.url, prefix, String(devices)];
const client = new Told('clientCommands.ts', args);
const pids = {
  acceptor: server.childPid('acceptor 1'),
  registrar: server.childPid('registrar'),
  broker: broker.pid,
};
const processes = Object.keys(pids) as (keyof typeof pids)[];

async function measure(way: Turn['way']): Promise<Figures> {
  const before = processes.map((name) => cpuUsOf([pids[name]]));
  const turn: Turn = { way, rate, seconds };
  const { p50, p99, count, failed } = await client.ask<Times>(turn);
  if (failed > 0) console.log(`${failed} of ${count + failed} ${way} failed`);
  const [acceptor = 0, registrar = 0, atBroker = 0] = processes.map(
    (name, at) => (cpuUsOf([pids[name]]) - (before[at] ?? 0)) / count,
  );
  return { p50: p50 / 1_000, p99: p99 / 1_000, acceptor, registrar, broker: atBroker };
}

try {
  await client.next();
  const runs: Record<string, Figures[]> = Object.fromEntries(WAYS.map((way) => [way, []]));
  for (let turn = -warm; turn < turns; turn += 1) {
    for (const way of turn % 2 === 0 ? WAYS : WAYS.toReversed()) {
      const figures = await measure(way);
      if (turn >= 0) runs[way]?.push(figures);
    }
  }
  for (const [figure, unit] of Object.entries(FIGURES) as [keyof Figures, string][]) {
    console.log(heading(`${unit}, ${rate}/s`));
    const of = (way: string) => (runs[way] ?? []).map((run) => run[figure]);
    for (const way of WAYS) console.log(row(way, spread(of(way))));
    if (figure === 'registrar') continue;
    for (const way of ['transient', 'kept']) {
      console.log(row(`  ${way} over request`, ratios(of(way), of('request'))));
    }
  }
} finally {
  await client.stop();
  await stop();
}
console.log(`load averages ${loadAverages().join(' ')}`);
