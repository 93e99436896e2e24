/**
 * Run: one `owsla-loadgen run` from checked settings to report and exit code.
 * From: cli.ts.  To: manager.ts, then every output that was asked for.
 * Bound: SIGINT or SIGTERM ends it within a second with a full report; a second one at once.
 */
import { lookup } from 'node:dns/promises';
import { writeFile } from 'node:fs/promises';
import { Live } from './live.ts';
import { Manager } from './manager.ts';
import type { Plan } from './plan.ts';
import { makeReport, type Report } from './report.ts';
import type { Output } from './settings.ts';
import { writeTable } from './table.ts';
import { UsageError } from './units.ts';

/** Names are looked up once, not by every device. */
async function resolved(plan: Plan): Promise<Plan> {
  try {
    const { address } = await lookup(plan.host);
    return { ...plan, host: address };
  } catch {
    throw new UsageError(`--target: the name '${plan.host}' has no address`);
  }
}

function onSignals(manager: Manager): () => void {
  let seen = 0;
  const onSignal = (): void => {
    seen += 1;
    if (seen > 1) process.exit(130);
    manager.interrupt();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return () => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  };
}

/** Carry out a plan, print and write what `output` asks for. Throws UsageError before the start. */
export async function run(wanted: Plan, output: Output): Promise<Report> {
  const plan = await resolved(wanted);
  const manager = new Manager(plan);
  const live = output.isQuiet ? undefined : new Live(process.stderr);
  manager.totals.onPoint = (point) => live?.show(point, manager.totals);
  const offSignals = onSignals(manager);
  const startedAt = new Date();

  const ended = await manager.run();

  const gone = manager.leave();
  const report = makeReport(plan, output, manager.totals, ended, startedAt);
  live?.end();
  process.stdout.write(writeTable(report));
  if (output.jsonFile !== undefined) {
    await writeFile(output.jsonFile, `${JSON.stringify(report, undefined, 1)}\n`);
  }
  await gone;
  offSignals();
  return report;
}
