/**
 * Run: the chaos suite at full size: `make chaos`.
 * From: DURATION (as 600s, or plain seconds) and SEED.  To: stdout; exit code 1 when a promise
 * was broken.
 * Bound: DURATION, of which the cluster has a fifth, plus starts and ends.
 */
import { parseDuration } from '../../src/units.ts';
import { type ChaosPlan, chaos } from './chaos.ts';
import { CLUSTER_FAULTS, FAULTS } from './faults.ts';
import { writeTable } from './table.ts';

const CLUSTER_SHARE = 0.2;

function durationOf(text: string): number {
  const ms = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
  if (ms === undefined) throw new Error(`DURATION must be as in 600s or 10m, not ${text}`);
  return ms;
}

const { DURATION = '', SEED = '' } = process.env;
const durationMs = durationOf(DURATION || '10m');
const seed = SEED === '' ? Math.floor(Math.random() * 2 ** 31) : Number(SEED);
const tell = (line: string) => console.log(line);

const one: ChaosPlan = {
  seed,
  durationMs: durationMs * (1 - CLUSTER_SHARE),
  devices: 2_000,
  visitors: 1_000,
  perSecond: 500,
  commandsPerSecond: 200,
  keepMs: 60_000,
  acceptors: 2,
  nodes: 1,
  limits: {},
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

for (const [name, plan] of [
  ['one broker', one],
  ['a cluster of three', cluster],
] as const) {
  tell(
    `Chaos with ${name}: ${plan.devices} devices, ${plan.perSecond} messages/s, ` +
      `${plan.commandsPerSecond} commands/s, SEED=${seed}`,
  );
  const outcome = await chaos(plan, tell);
  tell(writeTable(outcome));
  if (outcome.failures.length > 0) process.exitCode = 1;
}
