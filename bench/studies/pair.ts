/**
 * Pair: is this tree cheaper or dearer than another one, such as a worktree of the commit before?
 * CPU-µs of each of the node's processes for a connect, an end, a round trip, an event and a PING;
 * and a round trip's times. Both nodes are up at once, on one broker, and work in short turns, one
 * after the other, so that what else the machine does hits both alike; ratios are of a turn's pair.
 * `node bench/studies/pair.ts --base DIR [--change DIR] [--turns 10] [--warm 12] [--links 1500]
 *   [--idle 0] [--window 64] [--rounds 3000] [--rate 1000] [--ping-rate 400]
 *   [--work connect,round,event] [--env NAME=VALUE] [--reload base|change]`
 * `bare` or `floor` may stand for a DIR; --env is for the change only. --reload: links of that
 * side move to new processes before the first turn, as `owsla reload` does it; with the same DIR on
 * both sides and `--work round` the ratio is what that costs. A place has a bias: measure both.
 * The --warm turns do not count: V8 compiles for some 15,000 links. --idle links stay and say
 * nothing; --window of links are on their way at once: few are a steady coming and going, many a
 * storm. --rate is of round trips a second; 0: as many as go, for as long as --rounds of them take
 * at RATE. `--work ping`, not for the floor: the --idle links PING in turn, --ping-rate a second in
 * all, for so long that there are --rounds of them; what a side takes in a silence is not counted.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { loopbackNet } from '../../test/helpers/loopback.ts';
import { startBroker } from '../../test/helpers/processes/broker.ts';
import { Cli } from '../../test/helpers/processes/cli.ts';
import type { Answer, Ask } from '../lib/client.ts';
import { FIGURES, OPEN_GATE } from '../lib/fleet.ts';
import { cpuUsOf, treeOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';
import { Told } from '../lib/told.ts';
import { serverOf } from '../lib/trees.ts';

const { turns, warm, links, idle, window, rounds, rate, pingRate, ...asked } = options({
  ...{ base: 'bare', change: join(import.meta.dirname, '../..'), turns: 10, warm: 12 },
  ...{ links: 1_500, idle: 0, window: 64, rounds: 3_000, rate: 1_000, pingRate: 400 },
  ...{ work: 'connect,round,event', env: '', reload: '' },
});
const { base, change, work, env, reload } = asked;
const TALKERS = 200;
const RATE = 1_000;
const EVENT_WINDOW = 5;
/** PINGs a second of each warm turn: at the pace of keepalives V8 would not compile for hours. */
const WARM_PINGS = 3_000;
const WARM_SECONDS = 2;
/** A node is at rest when it takes less than this share of a core for so long. */
const REST_SHARE = 0.1;
const REST_LOOK_MS = 200;

type Pids = Readonly<Record<string, readonly number[]>>;
/** CPU-µs of one thing, by process; of round trips also their latencies, which tell their unit. */
type Costs = Readonly<Record<string, number>>;

interface Side {
  pids: Pids;
  readonly idle: Told;
  readonly talkers: Told;
  readonly costs: Record<string, Costs[]>;
  stop(): Promise<void>;
  /** All its processes but one are replaced. */
  reload?(): Promise<Pids>;
}

const broker = await startBroker();

function clients(dialect: string, port: number): Pick<Side, 'idle' | 'talkers'> {
  const client = (name: string) =>
    new Told('client.ts', [dialect, String(port), name, loopbackNet()]);
  return { idle: client('idle'), talkers: client('talk') };
}

async function startBare(name: string, prefix: string): Promise<Side> {
  const file = name === 'bare' ? 'serverBare.ts' : 'serverFloor.ts';
  const told = new Told(file, [broker.url, prefix]);
  const { port } = await told.next<{ port: number }>();
  const pids = { acceptor: [told.pid], broker: [broker.pid] };
  return { pids, ...clients('bare', port), costs: {}, stop: () => told.stop() };
}

async function startNode(dir: string, prefix: string, env: Record<string, string>): Promise<Side> {
  const Server = await serverOf(dir);
  const limits = { ...FIGURES, ...OPEN_GATE };
  const runDir = mkdtempSync(join(tmpdir(), 'ow-'));
  const flags = ['--run-dir', runDir];
  const server = await Server.start({ amqp: broker.url, prefix, acceptors: 1, limits, env, flags });
  const pidsNow = (): Pids => {
    const acceptor = [server.childPid('acceptor 1')];
    const registrar = [server.childPid('registrar')];
    const others = treeOf(server.pid).filter((pid) => ![...acceptor, ...registrar].includes(pid));
    return { acceptor, registrar, others, broker: [broker.pid] };
  };
  const reload = async () => {
    const { code } = await new Cli(['reload', '--run-dir', runDir]).exited;
    if (code !== 0) throw new Error(`owsla reload ended with ${code}`);
    return pidsNow();
  };
  const stop = async () => {
    await server.stop();
    rmSync(runDir, { recursive: true, force: true });
  };
  return { pids: pidsNow(), ...clients('owsla', server.port), costs: {}, stop, reload };
}

async function start(what: string, name: string, env: Record<string, string>): Promise<Side> {
  const prefix = `pair-${process.pid}-${name}`;
  const isBare = what === 'bare' || what === 'floor';
  const side = isBare ? await startBare(what, prefix) : await startNode(what, prefix, env);
  await side.idle.ask({ do: 'open', links: idle, window } satisfies Ask);
  if (what === 'bare') return side;
  const backend = new Told('backend.ts', ['amqp', 'owsla', broker.url, prefix]);
  await backend.next();
  await side.talkers.ask({ do: 'open', links: TALKERS, window } satisfies Ask);
  const stop = () => Promise.all([side.stop(), backend.stop()]).then(() => {});
  return { ...side, stop };
}

const usage = (pids: Pids): Costs =>
  Object.fromEntries(Object.entries(pids).map(([name, of]) => [name, cpuUsOf(of)]));

async function rest({ pids: { broker: _, ...own } }: Side): Promise<void> {
  for (let share = 1; share > REST_SHARE; ) {
    const before = cpuUsOf(Object.values(own).flat());
    await pause(REST_LOOK_MS);
    share = (cpuUsOf(Object.values(own).flat()) - before) / REST_LOOK_MS / 1_000;
  }
}

/** CPU-µs a second of so long a time in which its devices say nothing. */
async function silence({ pids }: Side, seconds: number): Promise<Costs> {
  const [before, from] = [usage(pids), performance.now()];
  await pause(seconds * 1_000);
  const [after, passed] = [Object.entries(usage(pids)), secondsSince(from)];
  return Object.fromEntries(after.map(([of, us]) => [of, (us - (before[of] ?? 0)) / passed]));
}

const secondsSince = (from: number) => (performance.now() - from) / 1_000;

/** What `ask` costs, until the node is at rest again, less what that time costs `without` it. */
async function measure(
  side: Side,
  name: string,
  told: Told,
  ask: Ask,
  without: Costs = {},
): Promise<void> {
  const [before, from] = [usage(side.pids), performance.now()];
  const { sent, times } = await told.ask<Answer>(ask);
  await rest(side);
  const [after, passed] = [Object.entries(usage(side.pids)), secondsSince(from)];
  const costs = after.map(([of, us]) => {
    return [of, (us - (before[of] ?? 0) - (without[of] ?? 0) * passed) / sent];
  });
  side.costs[name] ??= [];
  const latencies = times && { 'p50 in ms': times[0], 'p99 in ms': times[1] };
  side.costs[name].push({ ...Object.fromEntries(costs), ...latencies });
}

/** `isWarm`: V8 has compiled what it will. */
type Work = (side: Side, isWarm: boolean) => Promise<void>;

const WORK: Readonly<Record<string, Work>> = {
  connect: async (side) => {
    await measure(side, 'connect', side.idle, { do: 'open', links, window });
    await measure(side, 'end', side.idle, { do: 'close', keep: idle });
  },
  round: async (side) => {
    const seconds = rounds / (rate || RATE);
    await measure(side, 'round', side.talkers, { do: 'rounds', rate, seconds });
  },
  ping: async (side, isWarm) => {
    if (!isWarm) {
      await side.idle.ask({ do: 'pings', rate: WARM_PINGS, seconds: WARM_SECONDS } satisfies Ask);
      return;
    }
    const seconds = rounds / pingRate;
    const quiet = await silence(side, seconds);
    await measure(side, 'ping', side.idle, { do: 'pings', rate: pingRate, seconds }, quiet);
  },
  event: (side) =>
    measure(side, 'event', side.talkers, { do: 'events', window: EVENT_WINDOW, seconds: 1 }),
};

const sides: Side[] = [];
try {
  const ofChange = Object.fromEntries(env === '' ? [] : [env.split(/=(.*)/s)]);
  sides.push(await start(base, 'base', {}), await start(change, 'change', ofChange));
  const moved = sides[['base', 'change'].indexOf(reload)];
  if (moved?.reload) moved.pids = await moved.reload();
  for (let turn = -warm; turn < turns; turn += 1) {
    for (const name of work.split(',')) {
      for (const side of turn % 2 === 0 ? sides : sides.toReversed()) {
        await WORK[name]?.(side, turn >= 0);
      }
    }
    if (turn >= 0) continue;
    for (const side of sides) for (const of of Object.values(side.costs)) of.pop();
  }
  const [before, after] = sides as [Side, Side];
  for (const [name, costs] of Object.entries(after.costs)) {
    console.log(heading(`CPU-µs of one ${name}, ${turns} turns`));
    for (const what of Object.keys(costs[0] ?? {})) {
      const of = (all: readonly Costs[]) => all.map((one) => one[what] ?? Number.NaN);
      const [ours, theirs] = [of(costs), of(before.costs[name] ?? [])];
      console.log(row(`${what}, change`, spread(ours)));
      // The floor has no registrar.
      if (theirs.every(Number.isNaN)) continue;
      console.log(row(`${what}, base`, spread(theirs)));
      console.log(row('  ratio', ratios(ours, theirs)));
    }
  }
} finally {
  for (const side of sides) {
    await side.stop();
    await Promise.all([side.idle.stop(), side.talkers.stop()]);
  }
  await broker.kill();
}
