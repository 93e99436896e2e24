/**
 * Run: the chaos suite at full size: `make chaos`.
 * From: DURATION (as 600s, or plain seconds) and SEED; PART (broker, cluster, neighbours, reload or
 * alone), for one of its parts only.  To: stdout; exit code 1 when a promise was broken.
 * Bound: DURATION, of which the cluster has a fifth, and bad neighbours another, plus starts and
 * ends; and 200 kills in reloads, which take some minutes, DURATION at most.
 */
import { Random } from '../../loadgen/plan/random.ts';
import { parseDuration } from '../../src/base/units.ts';
import { WHO } from './badDevices.ts';
import { type BesidePlan, beside } from './beside.ts';
import { type ChaosPlan, chaos } from './chaos.ts';
import { CLUSTER_FAULTS, FAULTS } from './faults.ts';
import { reloadKillsAlone } from './reloadRun.ts';
import { writeBeside, writeTable } from './table.ts';

const CLUSTER_SHARE = 0.2;
const NEIGHBOURS_SHARE = 0.2;
/** p99 of the innocents with bad neighbours, as a multiple of the quiet one. */
const RATIO_MAX = 3;

function durationOf(text: string): number {
  const ms = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
  if (ms === undefined) throw new Error(`DURATION must be as in 600s or 10m, not ${text}`);
  return ms;
}

const { DURATION = '', SEED = '', PART = '' } = process.env;
const durationMs = durationOf(DURATION || '10m');
const seed = SEED === '' ? Math.floor(Math.random() * 2 ** 31) : Number(SEED);
const tell = (line: string) => console.log(line);

const one: ChaosPlan = {
  seed,
  durationMs: durationMs * (1 - CLUSTER_SHARE - NEIGHBOURS_SHARE),
  devices: 2_000,
  visitors: 1_000,
  perSecond: 500,
  commandsPerSecond: 200,
  keepMs: 60_000,
  isPrompt: false,
  acceptors: 2,
  nodes: 1,
  // Visitors come and go all the time, and that is no fault.
  limits: { deviceFlapsMax: 1_000_000 },
  lateMs: 60_000,
  warmMs: Math.min(60_000, durationMs / 10),
  calmMs: 5_000,
  faults: FAULTS,
  times: { stoppedMs: 20_000, alarmMs: 10_000, cutMs: 30_000, awayMs: 3_000, mannerMs: 8_000 },
  promptMs: 1_000,
  backMs: 10_000,
  graceMs: 5_000,
  memoryMax: 1.2,
};
const cluster: ChaosPlan = {
  ...one,
  durationMs: durationMs * CLUSTER_SHARE,
  nodes: 3,
  faults: CLUSTER_FAULTS,
  memoryMax: 0,
};

const neighbours: BesidePlan = {
  ...one,
  durationMs: durationMs * NEIGHBOURS_SHARE,
  isPrompt: true,
  stretchMs: 40_000,
  // So that a mute device's last command has ended before the next quiet stretch is judged.
  settleMs: 12_000,
  isLowest: true,
  deedsMin: 1,
  grownMin: [],
  casts: [WHO],
  ratioMax: RATIO_MAX,
};

const alone: BesidePlan = {
  ...neighbours,
  stretchMs: 8_000,
  casts: WHO.map((who) => [who]),
  ratioMax: 0,
};

function announce(name: string, plan: ChaosPlan | BesidePlan): void {
  tell(
    `Chaos with ${name}: ${plan.devices} devices, ${plan.perSecond} messages/s, ` +
      `${plan.commandsPerSecond} commands/s, SEED=${seed}`,
  );
}

async function runFaults(name: string, plan: ChaosPlan): Promise<readonly string[]> {
  announce(name, plan);
  const outcome = await chaos(plan, tell);
  tell(writeTable(outcome));
  return outcome.failures;
}

async function runBeside(name: string, plan: BesidePlan): Promise<readonly string[]> {
  announce(name, plan);
  const outcome = await beside(plan, tell);
  tell(writeBeside(outcome));
  tell(writeTable(outcome));
  return outcome.failures;
}

/** A link that goes on later, or not at all, is a finding. */
const GO_ON_MS = 2_000;
const HANG_MS = 60_000;

async function runReloads(): Promise<readonly string[]> {
  const some = { kills: 200, forMs: durationMs, links: 100, busy: 20 };
  const plan = { ...some, goOnMs: GO_ON_MS, hangMs: HANG_MS };
  tell(`Reloads with kills: ${plan.kills} kills, ${plan.links} links, SEED=${seed}`);
  const { failures } = await reloadKillsAlone(plan, new Random(seed), tell);
  for (const failure of failures) tell(`BROKEN  ${failure}`);
  return failures;
}

const PARTS = {
  broker: () => runFaults('one broker', one),
  cluster: () => runFaults('a cluster of three', cluster),
  neighbours: () => runBeside('bad neighbours', neighbours),
  alone: () => runBeside('one kind of bad neighbour at a time', alone),
  reload: runReloads,
} as const;

/** Only when asked for: which of the kinds it is that costs the innocents time. */
const ON_DEMAND: readonly string[] = ['alone'];

for (const [name, run] of Object.entries(PARTS)) {
  if (PART === '' ? ON_DEMAND.includes(name) : PART !== name) continue;
  if ((await run()).length > 0) process.exitCode = 1;
}
