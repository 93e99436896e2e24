/**
 * Judge: is this trace a behaviour of Presence.tla?
 * From: `make tla-trace`, folders or .ndjson files that processes wrote; or a test.
 * To: yes, or the first line that nothing explains. Exit 1 when a trace is rejected.
 * Bound: JUDGE_SECONDS.
 */
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, fetched } from './tlc.ts';
import { parseTrace, type TraceLine, traceModule } from './trace.ts';

const JUDGE_SECONDS = 1_800;
const NAME = 'TraceOfNow';
/** What PresenceTrace.tla prints whenever it has come further. */
const EXPLAINED = /<<"explained", \d+>>/g;

export interface Verdict {
  readonly isAccepted: boolean;
  /** How many steps were explained, of how many. */
  readonly explained: number;
  readonly steps: number;
  /** The first step that was not. */
  readonly unexplained: string | undefined;
  readonly seconds: number;
}

/** `whyNot` (tlc.ts) has to be asked before. Rejects when TLC itself fails. */
export async function judge(lines: readonly TraceLine[]): Promise<Verdict> {
  const { module, config, steps } = traceModule(NAME, lines);
  const folder = mkdtempSync(join(tmpdir(), 'owsla-trace-'));
  try {
    writeFileSync(join(folder, `${NAME}.tla`), module);
    const found = await check({ spec: NAME, config, folder, threads: 1 }, JUDGE_SECONDS);
    if (!found.isOk) throw new Error(`TLC could not judge:\n${found.output.split('State 1:')[0]}`);
    const explained = Number(found.output.match(EXPLAINED)?.at(-1)?.match(/\d+/)?.[0] ?? 0);
    const next = steps[explained];
    return {
      isAccepted: explained === steps.length,
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
  const { isAccepted, explained, steps, unexplained, seconds } = verdict;
  const outcome = isAccepted ? 'a behaviour of Presence' : `REJECTED at ${unexplained}`;
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
    const verdict = await judge(readTrace(path));
    console.log(verdictLine(path, verdict));
    if (!verdict.isAccepted) rejected += 1;
  }
  return rejected === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
