/**
 * Plots: the pictures of docs/performance.md, as SVG.
 * From: figures.ts.  To: report.ts, by the file's name.
 */
import type { Spread } from '../lib/stats.ts';
import {
  atRate,
  connectCpu,
  type Figures,
  linkBytes,
  type Of,
  pick,
  RABBITMQ_312_BYTES,
  roundsWith,
  whole,
} from './figures.ts';
import type { Contender } from './peers.ts';
import { bars, figure, lines } from './svg.ts';

const NONE: Spread = { min: 0, median: 0, max: 0 };
const same = (value: number): Spread => ({ min: value, median: value, max: value });

export function makePlots(figures: Figures): Readonly<Record<string, string>> {
  const { peers, full, mainRate, settings } = figures;
  const main = atRate(mainRate);
  const rows = (of: readonly Contender[], ...values: readonly Of<number>[]) =>
    of.map(({ name, short }) => ({
      label: short,
      values: values.map((each) => figures.over(name, each) ?? NONE),
    }));
  const talkers = peers.filter(({ name }) => name !== 'bare');
  const staged = talkers.filter(({ isFullOnly, endsSlowly }) => !isFullOnly && !endsSlowly);
  const published = { label: 'RabbitMQ 3.12 (publ.)', values: [same(RABBITMQ_312_BYTES)] };
  return {
    connect: bars({
      title: 'What a connect costs the server',
      about: `CPU-µs with the greeting, towards ${figure(full)} links; logarithmic, less is better`,
      names: [''],
      rows: rows(peers, connectCpu),
      isLog: true,
    }),
    memory: bars({
      title: 'What an idle link holds in the server',
      about: `bytes of RSS a link, all processes, ${figure(full)} links; logarithmic, less is better`,
      names: [''],
      rows: [...rows(peers, linkBytes), published],
      isLog: true,
    }),
    latency: bars({
      title: 'Round trip device - backend - device',
      about: `ms at ${figure(mainRate)} a second, ${figure(full)} links idle; logarithmic, less is better`,
      names: ['p50', 'p99', 'p99.9'],
      rows: rows(
        talkers,
        pick(main, ({ p50 }) => p50),
        pick(main, ({ p99 }) => p99),
        pick(main, ({ p999 }) => p999),
      ),
      isLog: true,
    }),
    links: lines({
      title: 'What a round trip costs the server, the more links it holds',
      about: `CPU-µs at ${figure(mainRate)} a second, by idle links; less is better`,
      points: settings.stages.map(figure),
      series: staged.map(({ name, short }) => ({
        label: short,
        values: settings.stages.map((links) => {
          const cpuUs = pick(roundsWith(links), ({ cpuUs }) => whole(cpuUs));
          return figures.over(name, cpuUs) ?? NONE;
        }),
      })),
    }),
    events: bars({
      title: 'Events that go through',
      about: 'a second, each ACKed once it is safe; Mosquitto and aedes only keep them in memory',
      names: [''],
      rows: rows(talkers, (run) => run.talk?.events.perSecond),
      isLog: false,
    }),
  };
}
