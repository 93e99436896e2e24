/**
 * Figures: what the runs of one benchmark say, by peer: medians with min and max, and ratios.
 * From: results.ts.  To: the tables and plots of report.ts. Bound: none; some hundred runs.
 */
import { type Spread, spread } from '../lib/stats.ts';
import { CONTENDERS, type Contender } from './peers.ts';
import type { Costs, Results, Rounds, Run, Settings, Stage } from './results.ts';

/** RabbitMQ of its 3.12: 18.7 GiB, 1,000,000 links; rabbitmq.com/blog/2023/03/21/native-mqtt */
export const RABBITMQ_312_BYTES = Math.round((18.7 * 2 ** 30) / 1e6);

/** A part of a run; undefined where that was not measured. */
export type Of<T> = (run: Run) => T | undefined;

export const lastStage = (run: Run) => run.stages.at(-1) as Stage;

/** The server itself: all its processes, without the broker behind it. */
export const whole = ({ server, aside }: Costs) => server + aside;

export const connectCpu = (run: Run) => whole(lastStage(run).connects.cpuUs);

export const linkBytes = (run: Run) => {
  const { rss, links } = lastStage(run);
  return (rss.server + rss.aside) / links;
};

export const acceptorLinkBytes = (run: Run) => lastStage(run).rss.server / lastStage(run).links;

export const atRate =
  (rate: number): Of<Rounds> =>
  (run) =>
    run.talk?.rounds.find((rounds) => rounds.rate === rate);

export const stageOf =
  (links: number): Of<Stage> =>
  (run) =>
    run.stages.find((stage) => stage.links === links);

/** The round trips with so many idle links. */
export const roundsWith =
  (links: number): Of<Rounds> =>
  (run) =>
    run.talk?.byLinks.find((at) => at.links === links)?.rounds;

/** A figure of a part. */
export const pick =
  <T>(of: Of<T>, value: (from: T) => number): Of<number> =>
  (run) => {
    const from = of(run);
    return from === undefined ? undefined : value(from);
  };

export class Figures {
  readonly results: Results;
  readonly settings: Settings;
  /** Who was measured at least once, in the order of peers.ts. */
  readonly peers: readonly Contender[];
  /** The most idle links. */
  readonly full: number;
  /** Round trips a second. */
  readonly mainRate: number;

  constructor(results: Results) {
    this.results = results;
    this.settings = results.header.settings;
    this.peers = CONTENDERS.filter(({ name }) => results.runs.some(({ peer }) => peer === name));
    this.full = this.settings.stages.at(-1) ?? 0;
    this.mainRate = this.settings.rates[0] ?? 0;
  }

  /** Of the rates that were measured, the one nearest to a third of the most that `name` does. */
  thirdRate(name: string): number {
    const most = this.over(name, ({ talk }) => talk?.saturation.perSecond);
    const third = (most?.median ?? 0) / 3;
    const near = (rate: number) => Math.abs(rate - third);
    return this.settings.rates.toSorted((a, b) => near(a) - near(b))[0] ?? this.mainRate;
  }

  runsOf(name: string): readonly Run[] {
    return this.results.runs.filter(({ peer }) => peer === name);
  }

  /** Those of whom this was measured. */
  peersWith(of: Of<unknown>): readonly Contender[] {
    return this.peers.filter(({ name }) => this.runsOf(name).some((run) => of(run) !== undefined));
  }

  /** Of all rounds of a peer; undefined where it was never measured. */
  over(name: string, of: Of<number>): Spread | undefined {
    const figures = this.runsOf(name).flatMap((run) => of(run) ?? []);
    return figures.length === 0 ? undefined : spread(figures);
  }

  /** One over the other, in the rounds that have both. */
  ratio(above: string, below: string, of: Of<number>, ofBelow = of): Spread | undefined {
    const figures = this.runsOf(above).flatMap((run) => {
      const beside = this.runsOf(below).find(({ round }) => round === run.round);
      const [a, b] = [of(run), beside && ofBelow(beside)];
      return a === undefined || b === undefined ? [] : [a / b];
    });
    return figures.length === 0 ? undefined : spread(figures);
  }
}
