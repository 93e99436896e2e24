/**
 * Wake: what happens when all who slept through their durable commands wake within seconds?
 * Are all commands acted upon once and in order, what memory and time does the registrar take, and
 * what do devices feel that are awake? These exchange requests all the while; their quiet time is
 * of the same run. As in storm.ts what wakes yields to what measures. loadgen's ledger judges.
 * `node bench/studies/wake.ts [--commands 100000] [--devices 18000] [--publish 2500] [--wake 10]
 *   [--settle 20] [--talkers 500] [--rate 500] [--acceptors 2] [--yield 9]`: --publish commands a
 * second; --wake seconds until all are awake, --settle for the store before; --yield is the
 * sleepers' nice over ours: what they do in a hurry must not be what is measured.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Report } from '../../loadgen/report/report.ts';
import { waitFor } from '../../test/helpers/waitFor.ts';
import { acceptorPids, Fleet, type Node, type Span, sourcesFor, startNode } from '../lib/fleet.ts';
import { cpuUsOf, loadAverages, rssBytesOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';

const { commands, devices, publish, wake, settle, talkers, rate, acceptors, ...more } = options({
  ...{ commands: 100_000, devices: 18_000, publish: 2_500, wake: 10, settle: 20 },
  ...{ talkers: 500, rate: 500, acceptors: 2, yield: 9 },
});
const publishS = commands / publish;
const wakeAtS = publishS + settle;
/** Beyond the wake: whoever is slow is to be seen, not cut off. */
const AFTER_S = 60;
/** Round trips before anything happens. */
const QUIET_S = 20;
const LOOK_MS = 200;
const ACT_DEADLINE_S = Math.ceil(wakeAtS + wake + AFTER_S);
/** All but those that loadgen wants to have awake. */
const ASLEEP = '99%';
const MiB = 1_048_576;

/** One look at the node. */
interface Look {
  readonly at: number;
  readonly kept: number;
  readonly rss: number;
  readonly registrarUs: number;
  readonly acceptorsUs: number;
}

class Looks {
  readonly all: Look[] = [];
  readonly #node: Node;
  #isOver = false;
  readonly #done: Promise<void>;

  constructor(node: Node) {
    this.#node = node;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    const { server } = this.#node;
    const registrar = server.childPid('registrar');
    const pids = acceptorPids(server, acceptors);
    while (!this.#isOver) {
      const kept = await server.metric('owsla_command_kept');
      this.all.push({
        at: Date.now() / 1_000,
        kept,
        rss: rssBytesOf([registrar]),
        registrarUs: cpuUsOf([registrar]),
        acceptorsUs: cpuUsOf(pids),
      });
      await pause(LOOK_MS);
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  /** The first look from `from` on at which it is so. */
  first(isSo: (look: Look) => boolean, from = 0): Look {
    const look = this.all.find((look) => look.at >= from && isSo(look));
    if (look === undefined) throw new Error('that did not come about');
    return look;
  }

  rssMax(from: Look, to: Look): number {
    return Math.max(...this.all.filter(({ at }) => at >= from.at && at <= to.at).map((l) => l.rss));
  }
}

function sleepersOf({ broker, server, prefix }: Node): Fleet {
  const sizes = ['--devices', String(devices), '--workers', '2', '--source', sourcesFor(devices)];
  const asleep = `${ASLEEP}@${wakeAtS}s-${wakeAtS + wake}s`;
  const orders = [
    ...['--amqp', broker.url, '--prefix', prefix, '--command-rate', String(publish)],
    ...['--command-time', `${publishS}s`, '--command-kept', '100%', '--command-to', 'asleep'],
    ...['--command-deadline', `${ACT_DEADLINE_S + AFTER_S}s`, '--asleep', asleep],
  ];
  const flags = [...sizes, ...orders, '--rate', '0', '--duration', `${ACT_DEADLINE_S}s`];
  return new Fleet(
    server,
    [...flags, '--connect-timeout', '60s'],
    ['nice', '-n', String(more.yield)],
  );
}

const share = (us: number, from: Look, to: Look) =>
  `${((us / 1e6 / (to.at - from.at)) * 100).toFixed(0)} %`;
const mib = (bytes: number) => `${(bytes / MiB).toFixed(0)} MiB`;

function tell(name: string, from: Look, to: Look, talkers: Fleet, looks: Looks): void {
  const span: Span = [from.at, to.at];
  const trips = talkers.roundTrips([span]);
  const ms = (q: number) => (trips.getValueAtPercentile(q) / 1_000).toFixed(1);
  console.log(
    [
      name.padEnd(12),
      `${(to.at - from.at).toFixed(1)} s`.padStart(8),
      `${ms(50)} ms`.padStart(10),
      `${ms(99)} ms`.padStart(10),
      String(trips.totalCount).padStart(8),
      share(to.registrarUs - from.registrarUs, from, to).padStart(8),
      share(to.acceptorsUs - from.acceptorsUs, from, to).padStart(8),
      mib(looks.rssMax(from, to)).padStart(10),
    ].join(' '),
  );
}

/** Of one command, over what goes on anyway. */
function perCommand(from: Look, to: Look, quiet: readonly [Look, Look]): string {
  const of = (name: 'registrarUs' | 'acceptorsUs') => {
    const [begin, end] = quiet;
    const perSecond = (end[name] - begin[name]) / (end.at - begin.at);
    return ((to[name] - from[name] - perSecond * (to.at - from.at)) / commands).toFixed(0);
  };
  return `registrar ${of('registrarUs')} µs, acceptors ${of('acceptorsUs')} µs`;
}

function judge({ counts, ended, violations, labelled, failures }: Report): void {
  const { commandsPublished, commandsActed, commandsAgain, commandsSkipped, wakes } = counts;
  console.log(
    `${commandsPublished} published (${commandsSkipped} skipped), ${wakes} devices woke, ` +
      `${commandsActed} acted upon, ${commandsAgain} came again`,
  );
  console.log(`loadgen: ${ended.how} ${ended.why} ${failures.join('; ')}`);
  console.log(`outcomes ${JSON.stringify(labelled.outcomes)}`);
  console.log(`violations ${JSON.stringify(violations)}`);
}

console.log(`load averages ${loadAverages().join(' ')}`);
const node = await startNode({ acceptors });
try {
  const talk = ['--devices', String(talkers), '--rate', String(rate), '--duration', '1h'];
  const awake = new Fleet(node.server, [...talk, '--device-prefix', 'talker-']);
  const sent = () => node.server.metric('owsla_deliveries_total', 'fate="sent"');
  await waitFor('the talkers to have warmed up', async () => (await sent()) > 5_000, 120_000);
  const looks = new Looks(node);
  await pause(QUIET_S * 1_000);
  const quietEnd = Date.now() / 1_000;
  const sleepers = sleepersOf(node);
  judge(await sleepers.report);
  await looks.stop();
  await awake.end();

  const quiet = [looks.first(() => true), looks.first(() => true, quietEnd - 1)] as const;
  const begin = looks.first(({ kept }) => kept > 0);
  const most = Math.max(...looks.all.map(({ kept }) => kept));
  const stored = looks.first(({ kept }) => kept === most);
  const woken = looks.first(({ kept }) => kept < most, stored.at);
  const done = looks.first(({ kept }) => kept === 0, woken.at);
  const last = looks.all.at(-1) as Look;
  console.log(`${commands} kept commands for ${devices} devices; ${most} waited at most`);
  console.log(
    '                 time  trip p50   trip p99    trips  registrar acceptors  registrar',
  );
  tell('quiet', ...quiet, awake, looks);
  tell('storing', begin, stored, awake, looks);
  tell('asleep', stored, woken, awake, looks);
  tell('waking', woken, done, awake, looks);
  tell('after', done, last, awake, looks);
  console.log(`to store one: ${perCommand(begin, stored, quiet)}`);
  console.log(`to deliver one, links included: ${perCommand(woken, done, quiet)}`);
  console.log(`registrar at the end: ${mib(last.rss)}`);
} finally {
  await node.stop();
}
console.log(`load averages ${loadAverages().join(' ')}`);
