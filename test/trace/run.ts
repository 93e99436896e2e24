/**
 * Run: fault scenarios on real processes, each trace judged by TLC: `make tla-trace`.
 * From: names of scenarios, or none for all.  To: stdout, a line for each and each specification;
 * exit 1 when a trace is no behaviour of Presence.tla, Will.tla or Commands.tla, or TLC cannot run.
 * `--keep FOLDER` keeps the traces, as one file each, for `make tla-trace TRACES=...`.
 * Bound: JUDGE_SECONDS (judge.ts) for each trace.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { judgeAll, verdictLine } from '../../tla/judge.ts';
import { fetched } from '../../tla/tlc.ts';
import type { TraceLine } from '../../tla/trace.ts';
import { type Broker, findBroker } from '../helpers/processes/broker.ts';
import { NAMES, traceOf } from './scenarios.ts';

function keep(folder: string, name: string, lines: readonly TraceLine[]): void {
  mkdirSync(folder, { recursive: true });
  const text = lines.toSorted((a, b) => a.us - b.us).map((line) => `${JSON.stringify(line)}\n`);
  writeFileSync(join(folder, `${name}.ndjson`), text.join(''));
}

const { values, positionals } = parseArgs({
  options: { keep: { type: 'string' } },
  allowPositionals: true,
});
const names = positionals.length > 0 ? positionals : NAMES;
const why = await fetched();
if (why !== undefined) {
  console.error(`tla: ${why}`);
  process.exit(1);
}
let broker: Broker | undefined;
try {
  broker = await findBroker();
  for (const name of names) {
    const lines = await traceOf(broker, name);
    if (values.keep !== undefined) keep(values.keep, name, lines);
    for await (const verdict of judgeAll(lines)) {
      console.log(verdictLine(name, verdict));
      // Scenarios of commands are made so that they can be judged.
      const isOwed = verdict.spec === 'Commands' && verdict.unjudged !== undefined;
      if (!verdict.isAccepted || isOwed) process.exitCode = 1;
    }
  }
} catch (error) {
  console.error(`tla-trace: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await broker?.stop();
}
