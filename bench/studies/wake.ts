/**
 * Kept commands for sleeping devices, which then all wake within seconds: are all acted upon once
 * and in order, what memory and time does the registrar take, and what do devices feel that are
 * awake? These exchange requests all the while; their quiet time is of the same run.
 * As in storm.ts what wakes yields to what measures. loadgen's ledger judges the commands.
 * `node bench/studies/wake.ts [--commands 100000] [--devices 18000] [--wake 10]`
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Report } from '../../loadgen/report/report.ts';
import { waitFor } from '../../test/helpers/waitFor.ts';
import {
  acceptorPids,
  Fleet,
  type Node,
  type Span,
  sourcesFor,
  startNode,
  sum,
} from '../lib/fleet.ts';
import { cpuUsOf, loadAverages, rssBytesOf } from '../lib/proc.ts';

const { values } = parseArgs({
  options: {
    commands: { type: 'string', default: '100000' },
    devices: { type: 'string', default: '18000' },
    /** Commands a second, published; and seconds until all sleepers are awake. */
    publish: { type: 'string', default: '2500' },
    wake: { type: 'string', default: '10' },
    /** Seconds for the store to catch up with the publishing. */
    settle: { type: 'string', default: '20' },
    talkers: { type: 'string', default: '500' },
    rate: { type: 'string', default: '500' },
    acceptors: { type: 'string', default: '2' },
    /** The sleepers' nice over ours: what they do in a hurry must not be what is measured. */
    yield: { type: 'string', default: '9' },
  },
});
const commands = Number(values.commands);
const devices = Number(values.devices);
const publishS = commands / Number(values.publish);
const wakeAtS = publishS + Number(values.settle);
/** Beyond the wake: whoever is slow is to be seen, not cut off. */
const AFTER_S = 60;
/** Round trips before anything happens. */
const QUIET_S = 20;
const LOOK_MS = 200;
const ACT_DEADLINE_S = Math.ceil(wakeAtS + Number(values.wake) + AFTER_S);
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
    const acceptors = acceptorPids(server, Number(values.acceptors));
    while (!this.#isOver) {
      const kept = await server.metric('owsla_command_kept');
      this.all.push({
        at: Date.now() / 1_000,
        kept,
        rss: rssBytesOf(registrar),
        registrarUs: cpuUsOf(registrar),
        acceptorsUs: sum(acceptors.map(cpuUsOf)),
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
  const wake = `${ASLEEP}@${wakeAtS}s-${wakeAtS + Number(values.wake)}s`;
  const orders = [
    ...['--amqp', broker.url, '--prefix', prefix, '--command-rate', values.publish],
    ...['--command-time', `${publishS}s`, '--command-kept', '100%', '--command-to', 'asleep'],
    ...['--command-deadline', `${ACT_DEADLINE_S + AFTER_S}s`, '--asleep', wake],
  ];
  const flags = [...sizes, ...orders, '--rate', '0', '--duration', `${ACT_DEADLINE_S}s`];
  return new Fleet(server, [...flags, '--connect-timeout', '60s'], ['nice', '-n', values.yield]);
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
const node = await startNode({ acceptors: Number(values.acceptors) });
try {
  const talk = ['--devices', values.talkers, '--rate', values.rate, '--duration', '1h'];
  const talkers = new Fleet(node.server, [...talk, '--device-prefix', 'talker-']);
  const sent = () => node.server.metric('owsla_deliveries_total', 'fate="sent"');
  await waitFor('the talkers to have warmed up', async () => (await sent()) > 5_000, 120_000);
  const looks = new Looks(node);
  await pause(QUIET_S * 1_000);
  const quietEnd = Date.now() / 1_000;
  const sleepers = sleepersOf(node);
  judge(await sleepers.report);
  await looks.stop();
  talkers.interrupt();
  await talkers.report;

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
  tell('quiet', ...quiet, talkers, looks);
  tell('storing', begin, stored, talkers, looks);
  tell('asleep', stored, woken, talkers, looks);
  tell('waking', woken, done, talkers, looks);
  tell('after', done, last, talkers, looks);
  console.log(`to store one: ${perCommand(begin, stored, quiet)}`);
  console.log(`to deliver one, links included: ${perCommand(woken, done, quiet)}`);
  console.log(`registrar at the end: ${mib(last.rss)}`);
} finally {
  await node.stop();
}
console.log(`load averages ${loadAverages().join(' ')}`);
