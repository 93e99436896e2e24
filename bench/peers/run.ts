/**
 * Peers side by side: the same work on each, in turns, on one machine. `make bench-peers`
 * Each round starts every contender afresh: idle links in stages, and what it costs to connect and
 * to hold them; then others talk: round trips at every rate and as many as go, events, and round
 * trips again with fewer and fewer idle links. Memory comes first, since messages leave garbage.
 * A line of JSON for each run; report.ts makes the page of them. Bound: the deadlines of client.ts.
 * `node bench/peers/run.ts [--rounds 3] [--links 15000] [--only owsla,floor] [--seconds 3]
 *   [--hold 3] [--rates 1000,2000] [--talkers 200] [--window 10] [--subscribe] [--out FILE]`
 * --hold: seconds that links are held before memory is read; --rates of round trips a second, the
 * first one is also measured at each stage; --window: events un-ACKed on each link; --subscribe:
 * every idle MQTT link subscribes to a topic of its own, as a device that is to be reached.
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { loopbackNet } from '../../test/helpers/loopback.ts';
import { type Broker, startBroker } from '../../test/helpers/processes/broker.ts';
import type { Taken } from '../lib/backend.ts';
import type { Answer, Ask } from '../lib/client.ts';
import { cpuUsOf, describeMachine, loadAverages, rssBytesOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { Told } from '../lib/told.ts';
import { CONTENDERS, type Contender, type Groups, type Peer } from './peers.ts';
import type {
  Connects,
  Costs,
  Events,
  Header,
  Rounds,
  Run,
  Settings,
  Stage,
  Talk,
} from './results.ts';

const values = options({
  ...{ rounds: 3, links: 15_000, only: CONTENDERS.map(({ name }) => name).join() },
  ...{ seconds: 3, hold: 3, rates: '1000,2000', talkers: 200, window: 10, subscribe: false },
  out: join(import.meta.dirname, 'results.ndjson'),
});

const full = values.links;
const { rounds, talkers, seconds, hold, window } = values;
const settings: Settings = {
  ...{ rounds, talkers, seconds, hold, window },
  stages: [...[1_000, 5_000].filter((links) => links < full), full],
  rates: values.rates.split(',').map(Number),
  isSubscribed: values.subscribe,
};
const [mainRate = 1_000] = settings.rates;
/** Links on their way at once: within the shortest accept queue here, Mosquitto's 100. */
const CONNECT_WINDOW = 64;
/** Opened and ended before anything counts, this often: V8 still compiles after 10,000 links. */
const WARM_LINKS = 500;
const WARM_TIMES = 30;
const WARM_SECONDS = 2;
/** A server is at rest when it takes less than this share of a core for so long. */
const REST_SHARE = 0.1;
const REST_LOOK_MS = 250;
const REST_DEADLINE_MS = 60_000;

/** What a group of processes spent on each of `count` things while `work` was done. */
async function costsOf<T>(
  groups: Groups,
  work: () => Promise<T>,
  countOf: (result: T) => number,
): Promise<[T, Costs]> {
  const now = () => ({
    server: cpuUsOf(groups.server),
    aside: cpuUsOf(groups.aside),
    broker: cpuUsOf(groups.broker),
  });
  const before = now();
  const result = await work();
  const after = now();
  const count = countOf(result);
  const per = (name: keyof Costs) => (after[name] - before[name]) / count;
  return [result, { server: per('server'), aside: per('aside'), broker: per('broker') }];
}

const rssOf = ({ server, aside }: Groups) => ({
  server: rssBytesOf(server),
  aside: rssBytesOf(aside),
});

/** One contender, started, with its backend and clients; measured and ended. */
class Bench {
  readonly #contender: Contender;
  readonly #peer: Peer;
  readonly #backend: Told | undefined;
  readonly #talkers: Told;
  readonly #idle: Told;

  private constructor(contender: Contender, peer: Peer, backend: Told | undefined) {
    this.#contender = contender;
    this.#peer = peer;
    this.#backend = backend;
    this.#talkers = this.#client('talk');
    this.#idle = this.#client('idle');
  }

  static async start(contender: Contender, shared: Broker): Promise<Bench> {
    const peer = await contender.start(shared);
    const backend = peer.backend && new Told('backend.ts', peer.backend);
    const bench = new Bench(contender, peer, backend);
    try {
      await backend?.next();
      return bench;
    } catch (error) {
      await bench.stop();
      throw error;
    }
  }

  #client(name: string): Told {
    const args = [this.#contender.dialect, String(this.#peer.port), name, loopbackNet()];
    return new Told('client.ts', args);
  }

  async measure(round: number): Promise<Run> {
    const { version, groups } = this.#peer;
    const load = loadAverages();
    await this.#rest();
    const emptyRss = rssOf(groups);
    await this.#warmLinks();
    const stages: Stage[] = [];
    for (const links of this.#stages) {
      stages.push(await this.#stage(links, links - (stages.at(-1)?.links ?? 0), emptyRss));
    }
    const talk = this.#backend && (await this.#talk());
    return {
      kind: 'run',
      round,
      peer: this.#contender.name,
      version,
      load,
      emptyRss,
      stages,
      talk,
    };
  }

  get #stages(): readonly number[] {
    return this.#contender.isFullOnly ? [full] : settings.stages;
  }

  /** The code of connects is compiled, their pools are filled. */
  async #warmLinks(): Promise<void> {
    const warm = this.#client('warm');
    const times = this.#contender.endsSlowly ? 1 : WARM_TIMES;
    try {
      for (let time = 0; time < times; time += 1) {
        await warm.ask({ do: 'open', links: WARM_LINKS, window: CONNECT_WINDOW } satisfies Ask);
        await warm.ask({ do: 'close', keep: 0 } satisfies Ask);
      }
    } finally {
      await warm.stop();
    }
    await this.#rest();
  }

  async #stage(links: number, more: number, empty: Stage['rss']): Promise<Stage> {
    const { groups } = this.#peer;
    const connects = await this.#connects(more);
    if (settings.isSubscribed) {
      await this.#idle.ask({ do: 'subscribe' } satisfies Ask);
      await this.#rest();
    }
    const holdMs = settings.hold * 1_000;
    const [, idle] = await costsOf(
      groups,
      () => pause(holdMs),
      () => holdMs * 1_000,
    );
    const rss = rssOf(groups);
    return {
      links,
      connects,
      rss: { server: rss.server - empty.server, aside: rss.aside - empty.aside },
      idleShare: idle.server + idle.aside,
    };
  }

  /** Until what was begun has been done, a storm's ends for one. */
  async #rest(): Promise<void> {
    const { server, aside } = this.#peer.groups;
    const giveUpAt = performance.now() + REST_DEADLINE_MS;
    for (let share = 1; share > REST_SHARE && performance.now() < giveUpAt; ) {
      const before = cpuUsOf([...server, ...aside]);
      await pause(REST_LOOK_MS);
      share = (cpuUsOf([...server, ...aside]) - before) / REST_LOOK_MS / 1_000;
    }
  }

  async #talk(): Promise<Talk> {
    const open = { do: 'open', links: settings.talkers, window: CONNECT_WINDOW } satisfies Ask;
    await this.#talkers.ask(open);
    await this.#talkers.ask({ do: 'subscribe' } satisfies Ask);
    const seconds = WARM_SECONDS;
    await this.#talkers.ask({ do: 'rounds', rate: mainRate, seconds } satisfies Ask);
    await this.#talkers.ask({ do: 'events', window: 1, seconds } satisfies Ask);
    await this.#rest();

    const rounds: Rounds[] = [];
    for (const rate of settings.rates) rounds.push(await this.#rounds(rate));
    const saturation = await this.#rounds(0);
    const events = await this.#events();
    const byLinks: { links: number; rounds: Rounds }[] = [];
    // What the first of these comes after must be what the others come after.
    await this.#talkers.ask({ do: 'rounds', rate: mainRate, seconds } satisfies Ask);
    await this.#rest();
    const fewer = this.#contender.endsSlowly ? [full] : this.#stages.toReversed();
    for (const links of fewer) {
      await this.#idle.ask({ do: 'close', keep: links } satisfies Ask);
      await this.#rest();
      byLinks.unshift({ links, rounds: await this.#rounds(mainRate) });
    }
    return { rounds, saturation, events, byLinks };
  }

  async #connects(links: number): Promise<Connects> {
    const ask: Ask = { do: 'open', links, window: CONNECT_WINDOW };
    const work = async () => {
      const answer = await this.#idle.ask<Answer>(ask);
      await this.#rest();
      return answer;
    };
    const [{ seconds, cpuUs: clientUs }, cpuUs] = await costsOf(
      this.#peer.groups,
      work,
      () => links,
    );
    return { perSecond: links / seconds, cpuUs, clientShare: clientUs / seconds / 1e6 };
  }

  async #rounds(rate: number): Promise<Rounds> {
    const { seconds } = settings;
    const [answer, cpuUs] = await costsOf(
      this.#peer.groups,
      () => this.#talkers.ask<Answer>({ do: 'rounds', rate, seconds } satisfies Ask),
      ({ sent, lost }) => sent - lost,
    );
    await this.#rest();
    const { done, lost, times: [p50, p99, p999] = [], lateMs = 0 } = answer;
    const perSecond = done / seconds;
    const nan = Number.NaN;
    return {
      rate,
      perSecond,
      cpuUs,
      p50: p50 ?? nan,
      p99: p99 ?? nan,
      p999: p999 ?? nan,
      lost,
      lateMs,
    };
  }

  async #events(): Promise<Events> {
    const { seconds, window } = settings;
    const taken = async () => (await this.#backend?.ask<Taken>({}))?.events ?? 0;
    const before = await taken();
    const ask: Ask = { do: 'events', window, seconds };
    // A broker may ACK before it delivers: what the backend has in the same time counts too.
    const work = () =>
      Promise.all([this.#talkers.ask<Answer>(ask), pause(seconds * 1_000).then(taken)]);
    const [[{ done, lost }, after], cpuUs] = await costsOf(
      this.#peer.groups,
      work,
      ([{ sent, lost }]) => sent - lost,
    );
    await this.#rest();
    return { perSecond: Math.min(done, after - before) / seconds, cpuUs, lost };
  }

  async stop(): Promise<void> {
    await this.#backend?.stop();
    // The server before the clients: it must not spend its time on so many ends.
    await this.#peer.stop();
    await Promise.all([this.#talkers, this.#idle].map((told) => told.stop()));
  }
}

const wanted = values.only.split(',');
const contenders = CONTENDERS.filter(({ name }) => wanted.includes(name));
const unknown = wanted.filter((name) => !CONTENDERS.some((contender) => contender.name === name));
if (unknown.length > 0) throw new Error(`no such peer: ${unknown.join(', ')}`);

const write = (line: object) => appendFileSync(values.out, `${JSON.stringify(line)}\n`);
const figure = (value: number, digits = 0) => value.toFixed(digits);

/** One line for those who watch; the page has the rest. */
function say({ peer, stages, talk }: Run): void {
  const last = stages.at(-1) as Stage;
  const bytes = (last.rss.server + last.rss.aside) / last.links;
  const line = [
    `${figure(last.connects.cpuUs.server)} CPU-µs a connect, ${figure(bytes)} bytes a link`,
  ];
  for (const { rate, cpuUs, p50, p99 } of talk?.rounds ?? []) {
    line.push(
      `at ${rate}/s ${figure(cpuUs.server)} CPU-µs, p50 ${figure(p50, 2)}, p99 ${figure(p99, 2)} ms`,
    );
  }
  if (talk) {
    line.push(`at most ${figure(talk.saturation.perSecond)} round trips a second`);
    line.push(`${figure(talk.events.perSecond)} events a second`);
  }
  console.log(`${peer.padEnd(10)} ${line.join('; ')}`);
}

const header: Header = {
  kind: 'header',
  at: new Date().toISOString(),
  machine: describeMachine(),
  settings,
};
writeFileSync(values.out, '');
write(header);
const shared = await startBroker();
try {
  for (let round = 1; round <= settings.rounds; round += 1) {
    console.log(`round ${round} of ${settings.rounds}, load averages ${loadAverages().join(' ')}`);
    // There and back: whom a ratio sets side by side are neighbours in time too, for a machine may
    // be twice as fast a minute later; and by turns each of the two comes first.
    for (const contender of round % 2 === 1 ? contenders : contenders.toReversed()) {
      let bench: Bench | undefined;
      try {
        bench = await Bench.start(contender, shared);
        const run = await bench.measure(round);
        write(run);
        say(run);
      } catch (error) {
        write({ kind: 'failure', round, peer: contender.name, why: String(error) });
        console.log(`${contender.name.padEnd(10)} failed: ${error}`);
      } finally {
        await bench?.stop();
      }
    }
  }
} finally {
  await shared.kill();
}
