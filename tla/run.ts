/**
 * Run: the models, one line each.
 * From: `make tla` (quick ones), `make tla-deep` (`--deep`), or names of .cfg files.
 * To: stdout; exit 1 when one has an error or does not finish.
 * Bound: QUICK_SECONDS or DEEP_SECONDS each, on a machine that may be busy with other work.
 */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { check, type Found, fetched } from './tlc.ts';

export const QUICK = [
  'Presence',
  'PresenceMoves',
  'PresenceMovesLive',
  'PresenceFewer',
  'PresenceLive',
  'PresenceEvents',
  'Routing',
  'Lease',
  'Commands',
  'CommandsLive',
  'CommandsMoves',
  'CommandsMovesLive',
  'Will',
  'WillMqtt',
];
export const DEEP = [
  'PresenceDeep',
  'PresenceFaultsDeep',
  'PresenceLiveDeep',
  'PresenceEventsDeep',
  'PresenceFleetDeep',
  'PresenceMovesDeep',
  'PresenceMovesTwiceDeep',
  'PresenceFewerDeep',
  'PresenceMovesFaultsDeep',
  'RoutingDeep',
  'LeaseDeep',
  'CommandsDeep',
  'CommandsMovesDeep',
  'WillDeep',
  'WillMqttDeep',
];
const QUICK_SECONDS = 600;
const DEEP_SECONDS = 4 * 3_600;

/** The module that a .cfg is for: the longest of these names that it begins with. */
const specOf = (name: string) =>
  ['Presence', 'Routing', 'Lease', 'Commands', 'Will'].find((spec) => name.startsWith(spec)) ?? name;

function line(name: string, { verdict, states, distinct, depth, seconds }: Found): string {
  const [all, different] = [states, distinct].map((count) => count.toLocaleString('en'));
  const size = `${different} states (${all} generated), depth ${depth}`;
  return `${name.padEnd(20)} ${size.padEnd(52)} ${seconds.toFixed(0).padStart(5)} s  ${verdict}`;
}

async function main(args: readonly string[]): Promise<number> {
  const why = await fetched();
  if (why !== undefined) {
    console.error(`tla: ${why}`);
    return 1;
  }
  const isDeep = args.includes('--deep');
  const named = args.filter((arg) => !arg.startsWith('-')).map((arg) => basename(arg, '.cfg'));
  const names = named.length > 0 ? named : isDeep ? DEEP : QUICK;
  let failures = 0;
  for (const name of names) {
    const config = readFileSync(join(import.meta.dirname, `${name}.cfg`), 'utf8');
    const seconds = QUICK.includes(name) ? QUICK_SECONDS : DEEP_SECONDS;
    const found = await check({ spec: specOf(name), config }, seconds);
    console.log(line(name, found));
    if (found.isOk) continue;
    failures += 1;
    console.log(found.isCounterexample ? `  ${found.steps.join(' -> ')}` : found.output);
  }
  return failures === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
