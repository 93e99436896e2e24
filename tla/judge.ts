/**
 * Judge: is this trace a behaviour of Presence.tla, of Commands.tla, and of Will.tla?
 * From: `make tla-trace`, folders or .ndjson files that processes wrote; or a test.
 * To: yes, or the first line that nothing explains. Exit 1 when a trace is rejected.
 * Bound: JUDGE_SECONDS.
 */
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandedDevices, commandModule } from './commandTrace.ts';
import { check, fetched } from './tlc.ts';
import { NotModelled, parseTrace, type TraceLine, type TraceModule, traceModule } from './trace.ts';
import { willedDevices, willModule } from './willTrace.ts';

const JUDGE_SECONDS = 1_800;
const NAME = 'TraceOfNow';
/** What PresenceTrace.tla and the others print whenever it has come further. */
const EXPLAINED = /<<"explained", \d+>>/g;

export interface Verdict {
  readonly isAccepted: boolean;
  /** Of which specification. */
  readonly spec: 'Presence' | 'Commands' | 'Will';
  /** How many steps were explained, of how many. */
  readonly explained: number;
  readonly steps: number;
  /** The first step that was not. */
  readonly unexplained: string | undefined;
  readonly seconds: number;
  /** Why nobody can say: then it counts as accepted. */
  readonly unjudged?: string;
}

/**
 * Is this a behaviour of Presence.tla? `whyNot` (tlc.ts) has to be asked before. Rejects when TLC
 * itself fails.
 */
export function judge(lines: readonly TraceLine[]): Promise<Verdict> {
  return judgeModule('Presence', traceModule(NAME, lines));
}

/** The same for Commands.tla and the commands of one device. */
export function judgeCommands(lines: readonly TraceLine[], device: string): Promise<Verdict> {
  return judgeModule('Commands', commandModule(NAME, lines, device));
}

/** The same for Will.tla and the wills of one device. */
export function judgeWills(lines: readonly TraceLine[], device: string): Promise<Verdict> {
  return judgeModule('Will', willModule(NAME, lines, device));
}

/** Presence's verdict, and one for each device that was sent a command, or has left a will. */
export async function* judgeAll(lines: readonly TraceLine[]): AsyncIterable<Verdict> {
  yield await judge(lines);
  yield* judgeEach('Will', willedDevices(lines), (device) => judgeWills(lines, device));
  yield* judgeEach('Commands', commandedDevices(lines), (device) => judgeCommands(lines, device));
}

/** What cannot be judged is said once. */
async function* judgeEach(
  spec: Verdict['spec'],
  devices: readonly string[],
  judgeOne: (device: string) => Promise<Verdict>,
): AsyncIterable<Verdict> {
  const why = new Set<string>();
  for (const device of devices) {
    try {
      yield await judgeOne(device);
    } catch (error) {
      if (!(error instanceof NotModelled)) throw error;
      why.add(error.message);
    }
  }
  const none = { explained: 0, steps: 0, unexplained: undefined, seconds: 0 };
  for (const unjudged of why) yield { isAccepted: true, spec, ...none, unjudged };
}

async function judgeModule(
  spec: Verdict['spec'],
  { module, config, steps }: TraceModule,
): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-trace-'));
  try {
    writeFileSync(join(folder, `${NAME}.tla`), module);
    const found = await check({ spec: NAME, config, folder, threads: 1 }, JUDGE_SECONDS);
    if (!found.isOk) throw new Error(`TLC could not judge:\n${found.output.split('State 1:')[0]}`);
    const explained = Number(found.output.match(EXPLAINED)?.at(-1)?.match(/\d+/)?.[0] ?? 0);
    const next = steps[explained];
    return {
      isAccepted: explained === steps.length,
      spec,
      explained,
      steps: steps.length,
      unexplained: next && JSON.stringify(next),
      seconds: found.seconds,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The lines of one file, or of all .ndjson files of a folder: one trace. */
export function readTrace(path: string): TraceLine[] {
  const isFolder = statSync(path).isDirectory();
  const files = isFolder
    ? globSync('*.ndjson', { cwd: path }).map((name) => join(path, name))
    : [path];
  return files.flatMap((file) => parseTrace(readFileSync(file, 'utf8')));
}

/** A verdict for people. */
export function verdictLine(name: string, verdict: Verdict): string {
  const { isAccepted, spec, explained, steps, unexplained, seconds, unjudged } = verdict;
  if (unjudged !== undefined) return `${name}: ${spec} not judged: ${unjudged}`;
  const outcome = isAccepted ? `a behaviour of ${spec}` : `${spec} REJECTED at ${unexplained}`;
  return `${name}: ${explained} of ${steps} steps, ${seconds.toFixed(0)} s: ${outcome}`;
}

async function main(paths: readonly string[]): Promise<number> {
  const why = await fetched();
  if (why !== undefined) {
    console.error(`tla: ${why}`);
    return 1;
  }
  let rejected = 0;
  for (const path of paths) {
    for await (const verdict of judgeAll(readTrace(path))) {
      console.log(verdictLine(path, verdict));
      if (!verdict.isAccepted) rejected += 1;
    }
  }
  return rejected === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
