/**
 * Tables: the generated blocks of docs/performance.md, as Markdown.
 * From: figures.ts.  To: report.ts, by the block’s name. Bound: a row per peer, or per its stages.
 */
import { type Spread, spread } from '../lib/stats.ts';
import {
  acceptorLinkBytes,
  atRate,
  connectCpu,
  type Figures,
  lastStage,
  linkBytes,
  type Of,
  pick,
  RABBITMQ_312_BYTES,
  roundsWith,
  stageOf,
  whole,
} from './figures.ts';
import type { Contender } from './peers.ts';
import type { Connects, Events, Rounds, Stage } from './results.ts';
import { figure } from './svg.ts';

/** A heading, and the text below it for the peer of that name. */
type Column = readonly [head: string, of: (name: string) => string];

const MIB = 2 ** 20;
const OURS = 'owsla';

/** A load average per core that these runs alone do not make. */
const BUSY_LOAD = 2.5;
const BUSY =
  '**the machine was busy with other work**: throughput and latencies are a trial, no more; memory' +
  ' holds, and CPU-µs roughly';

/** `median (min to max)`; the median alone when all are the same. */
function cell(of: Spread | undefined): string {
  if (of === undefined) return '-';
  const { min, median, max } = of;
  return min === max ? figure(median) : `${figure(median)} (${figure(min)} to ${figure(max)})`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, at) => (at === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function tableOf(peers: readonly Contender[], columns: readonly Column[]): string {
  const rows = peers.map(({ name, short }) => [short, ...columns.map(([, of]) => of(name))]);
  return table(['', ...columns.map(([head]) => head)], rows);
}

/** Makers of columns for figures of one part of a run. */
function columnsOf<T>(figures: Figures, part: Of<T>) {
  return {
    over: (head: string, value: (from: T) => number): Column => {
      const of = pick(part, value);
      return [head, (name) => cell(figures.over(name, of))];
    },
    ratio: (head: string, value: (from: T) => number): Column => {
      const of = pick(part, value);
      return [head, (name) => cell(figures.ratio(name, OURS, of))];
    },
    percent: (head: string, value: (from: T) => number): Column => {
      const of = pick(part, value);
      return [head, (name) => `${figure(100 * (figures.over(name, of)?.median ?? 0))} %`];
    },
  };
}

function machineBlock(figures: Figures): string {
  const { results, settings, peers, full } = figures;
  const { header, runs, failures } = results;
  const { processor, cores, memoryGiB, kernel, node, commit } = header.machine;
  const { rounds, seconds, hold, talkers, window, isSubscribed } = settings;
  const loads = runs.map(({ load }) => load[0] ?? 0);
  const isBusy = spread(loads).median > BUSY_LOAD * cores;
  const subscribed = isSubscribed ? '; each idle MQTT link has a subscription' : '';
  const list = [
    `${header.at.slice(0, 10)}, commit ${commit}`,
    `${processor}, ${cores} cores, ${memoryGiB} GiB, Linux ${kernel}; Node ${node}`,
    `load average of a minute at the start of each run: ${cell(spread(loads))}`,
    ...(isBusy ? [BUSY] : []),
    `${rounds} rounds; ${seconds} s for each measurement; ${figure(full)} idle links, held ${hold} s;` +
      ` ${talkers} links talk, ${window} events un-ACKed on each${subscribed}`,
    ...peers.map(({ name, title }) => `\`${name}\`: ${title}; ${figures.runsOf(name)[0]?.version}`),
    ...failures.map(({ peer, round, why }) => `FAILED: ${peer} in round ${round}: ${why}`),
  ];
  return list.map((line) => `- ${line}`).join('\n');
}

interface Goal {
  readonly about: string;
  readonly of: Spread | undefined;
  /** Neither: no number was set. */
  readonly most?: number;
  readonly least?: number;
}

function goals(figures: Figures): Goal[] {
  const { full, settings } = figures;
  const third = figures.thirdRate(OURS);
  const tripAt = (rate: number) => `round trip at ${figure(rate)}/s`;
  const connect: Of<number> = (run) => lastStage(run).connects.cpuUs.server;
  const events: Of<number> = ({ talk }) => talk?.events.perSecond;
  const cpuWith = (links: number) => pick(roundsWith(links), ({ cpuUs }) => cpuUs.server);
  const few = settings.stages[0] ?? full;
  const of = (above: string, below: string, value: Of<number>, under = value) =>
    figures.ratio(above, below, value, under);
  const overFloor = (rate: number, whose: string, value: (rounds: Rounds) => number) => ({
    about: `${tripAt(rate)}, ${whose} over floor`,
    of: of(OURS, 'floor', pick(atRate(rate), value)),
  });
  const cpuAt = (rate: number) => ({
    ...overFloor(rate, 'CPU-µs: acceptor', ({ cpuUs }) => cpuUs.server),
    most: 1.25,
  });
  const latencyAt = (rate: number, name: 'p50' | 'p99') =>
    overFloor(rate, `${name}: Owsla`, (rounds) => rounds[name]);
  const others = settings.rates.filter((rate) => rate !== third);
  return [
    cpuAt(third),
    ...others.map(cpuAt),
    { ...latencyAt(third, 'p50'), most: 1.15 },
    { ...latencyAt(third, 'p99'), most: 1.25 },
    ...others.flatMap((rate) => [latencyAt(rate, 'p50'), latencyAt(rate, 'p99')]),
    { about: 'connect, CPU-µs: acceptor over bare net', of: of(OURS, 'bare', connect), most: 1.6 },
    {
      about: 'connect, CPU-µs: RabbitMQ over acceptor',
      of: of('rabbitmq', OURS, connect),
      least: 20,
    },
    { about: 'connect, CPU-µs: aedes over acceptor', of: of('aedes', OURS, connect), least: 5 },
    { about: 'idle link, bytes', of: figures.over(OURS, acceptorLinkBytes), most: 6_000 },
    { about: 'idle link: aedes over acceptor', of: of('aedes', OURS, acceptorLinkBytes), least: 4 },
    {
      about: 'idle link: RabbitMQ over acceptor',
      of: of('rabbitmq', OURS, acceptorLinkBytes),
      least: 30,
    },
    {
      about: `${tripAt(figures.mainRate)}, CPU-µs: with ${figure(full)} idle links over ${figure(few)}`,
      of: of(OURS, OURS, cpuWith(full), cpuWith(few)),
      most: 1.05,
    },
    { about: 'events a second: 2 acceptors over 1', of: of('owsla-2', OURS, events) },
  ];
}

function goalsBlock(figures: Figures): string {
  const rows = goals(figures).map(({ about, of, most, least }) => {
    if (most === undefined && least === undefined) return [about, '-', cell(of), '-'];
    const goal = most === undefined ? `at least ${figure(least ?? 0)}` : `at most ${figure(most)}`;
    if (of === undefined) return [about, goal, '-', '-'];
    const isMet = of.median <= (most ?? Number.POSITIVE_INFINITY) && of.median >= (least ?? 0);
    return [about, goal, cell(of), isMet ? 'met' : 'MISSED'];
  });
  return table(['', 'goal', 'here', ''], rows);
}

function connectBlock(figures: Figures): string {
  const { over, ratio, percent } = columnsOf(figures, lastStage);
  const cpuUs = ({ connects }: Stage) => whole(connects.cpuUs);
  return tableOf(figures.peers, [
    over('links a second', ({ connects }) => connects.perSecond),
    over('CPU-µs a connect: server', ({ connects }) => connects.cpuUs.server),
    over('aside', ({ connects }) => connects.cpuUs.aside),
    over('broker behind', ({ connects }) => connects.cpuUs.broker),
    ratio('server and aside, times Owsla’s', cpuUs),
    percent('the client’s core', ({ connects }) => connects.clientShare),
  ]);
}

function memoryBlock(figures: Figures): string {
  const run = columnsOf(figures, (run) => run);
  const stage = columnsOf(figures, lastStage);
  const alone = ({ rss, links }: Stage) => rss.server / links;
  const made = tableOf(figures.peers, [
    run.over('server empty, MiB', ({ emptyRss }) => emptyRss.server / MIB),
    run.over('aside, MiB', ({ emptyRss }) => emptyRss.aside / MIB),
    stage.over('bytes a link, all processes', ({ rss, links }) => (rss.server + rss.aside) / links),
    stage.over('the server alone', alone),
    stage.ratio('times Owsla’s', alone),
    stage.percent('CPU while silent', ({ idleShare }) => idleShare),
  ]);
  const ours = figures.over(OURS, acceptorLinkBytes)?.median;
  const times = ours === undefined ? '-' : figure(RABBITMQ_312_BYTES / ours);
  const published = figure(RABBITMQ_312_BYTES);
  return `${made}\n| RabbitMQ 3.12, published | - | - | ${published} | - | ${times} | - |`;
}

function roundsTable(figures: Figures, of: Of<Rounds>): string {
  const { over } = columnsOf(figures, of);
  return tableOf(figures.peersWith(of), [
    over('a second', ({ perSecond }) => perSecond),
    over('p50, ms', ({ p50 }) => p50),
    over('p99, ms', ({ p99 }) => p99),
    over('p99.9, ms', ({ p999 }) => p999),
    over('CPU-µs: server', ({ cpuUs }) => cpuUs.server),
    over('aside', ({ cpuUs }) => cpuUs.aside),
    over('broker behind', ({ cpuUs }) => cpuUs.broker),
  ]);
}

function roundsBlock(figures: Figures): string {
  const { settings, results } = figures;
  const talks = results.runs.flatMap(({ talk }) => talk ?? []);
  const lost = talks
    .flatMap(({ rounds, saturation, events }) => [...rounds, saturation, events])
    .reduce((sum, { lost }) => sum + lost, 0);
  const lates = talks.flatMap(({ rounds }) => rounds.map(({ lateMs }) => lateMs));
  return [
    ...settings.rates.map(
      (rate) => `At ${figure(rate)} a second:\n\n${roundsTable(figures, atRate(rate))}`,
    ),
    `As many as possible, one in flight on each of ${settings.talkers} links:`,
    roundsTable(figures, ({ talk }) => talk?.saturation),
    `Messages that never came back, in all runs: ${figure(lost)}. How late the client's own schedule` +
      ` was, its p99: ${cell(spread(lates))} ms.`,
  ].join('\n\n');
}

function eventsBlock(figures: Figures): string {
  const of: Of<Events> = ({ talk }) => talk?.events;
  const { over, ratio } = columnsOf(figures, of);
  return tableOf(figures.peersWith(of), [
    over('events a second', ({ perSecond }) => perSecond),
    ratio('times Owsla’s', ({ perSecond }) => perSecond),
    over('server CPU-µs each', ({ cpuUs }) => whole(cpuUs)),
    over('broker behind, CPU-µs each', ({ cpuUs }) => cpuUs.broker),
  ]);
}

function linksBlock(figures: Figures): string {
  const staged = figures.peers.filter(({ isFullOnly }) => !isFullOnly);
  const columns = (links: number): Column[] => {
    const connects = columnsOf<Connects>(figures, (run) => stageOf(links)(run)?.connects);
    const stage = columnsOf(figures, stageOf(links));
    const rounds = columnsOf(figures, roundsWith(links));
    return [
      ['idle links', () => figure(links)],
      connects.over('links a second', ({ perSecond }) => perSecond),
      connects.over('CPU-µs a connect', ({ cpuUs }) => whole(cpuUs)),
      stage.over('RSS added, MiB', ({ rss }) => (rss.server + rss.aside) / MIB),
      rounds.over('CPU-µs a round trip', ({ cpuUs }) => whole(cpuUs)),
      rounds.over('p50, ms', ({ p50 }) => p50),
      rounds.over('p99, ms', ({ p99 }) => p99),
    ];
  };
  const rows = staged.flatMap(({ name, short }) =>
    figures.settings.stages.map((links) => [short, ...columns(links).map(([, of]) => of(name))]),
  );
  return table(['', ...columns(figures.full).map(([head]) => head)], rows);
}

function acceptorsBlock(figures: Figures): string {
  const ours = figures.peers.filter(({ name }) => name.startsWith(OURS));
  const { over } = columnsOf(figures, ({ talk }) => talk);
  const rounds = columnsOf(figures, atRate(figures.mainRate));
  const all = columnsOf(figures, (run) => run);
  return tableOf(ours, [
    all.over('CPU-µs a connect', connectCpu),
    all.over('bytes a link', linkBytes),
    over('round trips a second at most', ({ saturation }) => saturation.perSecond),
    over('events a second', ({ events }) => events.perSecond),
    rounds.over('CPU-µs a round trip', ({ cpuUs }) => whole(cpuUs)),
    rounds.over('p99, ms', ({ p99 }) => p99),
  ]);
}

export function makeBlocks(figures: Figures): Readonly<Record<string, string>> {
  return {
    machine: machineBlock(figures),
    goals: goalsBlock(figures),
    connect: connectBlock(figures),
    memory: memoryBlock(figures),
    rounds: roundsBlock(figures),
    events: eventsBlock(figures),
    links: linksBlock(figures),
    acceptors: acceptorsBlock(figures),
  };
}
