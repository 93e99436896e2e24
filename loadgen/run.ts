/**
 * Run: one `owsla-loadgen run` from checked settings to report and exit code.
 * From: cli.ts.  To: manager.ts, then every output that was asked for.
 * Bound: a signal to stop ends it within a second with a full report; a second one at once.
 */
import { lookup } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CommandBroker, checkCommands } from './commands/commandPublisher.ts';
import { Deploy, type DeployReport } from './deploy/deploy.ts';
import { Dialer } from './fleet/dialer.ts';
import { Manager } from './manager.ts';
import { HdrLog } from './measure/hdrLog.ts';
import { Watch, type Watched } from './measure/watch.ts';
import { deviceId, type Plan } from './plan/plan.ts';
import { preflight, thisMachine } from './plan/preflight.ts';
import type { Output } from './plan/settings.ts';
import { Tokens } from './plan/tokens.ts';
import { UsageError } from './plan/units.ts';
import { isFolderAt } from './plan/wayPlan.ts';
import { writeHtml } from './report/html.ts';
import { Live } from './report/live.ts';
import { servePrometheus } from './report/prometheus.ts';
import { type Ended, makeReport, type Report } from './report/report.ts';
import { writeTable } from './report/table.ts';
import { onStopSignals } from './signals.ts';

/** An interrupted run waits this long for events that are still on their way. */
const INTERRUPTED_WAIT_MS = 200;

/** Names are looked up once, not by every device. */
async function resolved(plan: Plan): Promise<Plan> {
  if (plan.unix !== undefined) return plan;
  try {
    const { address } = await lookup(plan.host);
    return { ...plan, host: address };
  } catch {
    throw new UsageError(`--target: the name '${plan.host}' has no address`);
  }
}

/** Read once here, so that a mistake is told once and not by each worker. Throws UsageError. */
function checkFiles(plan: Plan): void {
  new Dialer(plan, plan.tokens && new Tokens(plan.tokens), 0);
  const { certPath, keyPath } = plan.tls ?? {};
  if (certPath === undefined || keyPath === undefined || !isFolderAt(certPath)) return;
  for (let index = 0; index < plan.devices; index += 1) {
    const id = deviceId(plan, index);
    for (const file of [join(certPath, `${id}.pem`), join(keyPath, `${id}.key`)]) {
      if (!existsSync(file)) throw new UsageError(`--tls-cert: there is no file ${file}`);
    }
  }
}

function onSignals(manager: Manager): () => void {
  let seen = 0;
  const onSignal = (): void => {
    seen += 1;
    if (seen > 1) process.exit(130);
    manager.interrupt();
  };
  return onStopSignals(onSignal);
}

/** Refuse what cannot work; the warnings. Throws PreflightError. */
function checked(plan: Plan, more: readonly string[]): readonly string[] {
  const { faults, warnings: ofMachine } = preflight(plan, thisMachine());
  const warnings = [...ofMachine, ...more];
  if (faults.length > 0) throw new PreflightError(faults.join('; '));
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  return warnings;
}

/** This machine cannot carry the plan: exit code 71. */
export class PreflightError extends Error {
  constructor(sentence: string) {
    super(sentence);
    this.name = 'PreflightError';
  }
}

/** All that protocol modules need: most runs have none, and need not wait for it. */
async function simulationOf({ moduleFile }: Plan) {
  return moduleFile === undefined ? undefined : await import('./fleet/simulation.ts');
}

/** Undefined: what arrives is not compared. Throws UsageError when it cannot be. */
async function watchOf(
  plan: Plan,
  { amqp, prefix }: Output,
  simulation: Awaited<ReturnType<typeof simulationOf>>,
): Promise<Watch | undefined> {
  const { module, willShare } = plan;
  if (amqp === undefined && willShare > 0) {
    throw new UsageError('--will: --amqp is needed to see them');
  }
  if (amqp === undefined || module?.carriesEvents === false) return undefined;
  const watch = new Watch(plan, module && (await simulation?.contentOf(module)));
  await watch.start(amqp, prefix);
  return watch;
}

/** Add wills that are missing, and those that should be. Undefined: no device left one. */
async function finishWills({ wills }: Watch, manager: Manager, gone: Promise<void>) {
  const { plan, totals, willEnds } = manager;
  if (plan.willShare === 0) return undefined;
  await gone;
  const { published, owed, unwilled, unwarranted, examples } = await wills.judge(willEnds);
  totals.violations.unwilled += unwilled;
  totals.violations.unwarranted += unwarranted;
  for (const { device, ...example } of examples) {
    totals.addExample({ ...example, device: deviceId(plan, device) });
  }
  return { published, owed };
}

/** Add what the broker delivered to the violations. */
async function finishWatch(
  watch: Watch,
  manager: Manager,
  ended: Ended,
  gone: Promise<void>,
): Promise<Watched> {
  const waitMs = ended.how === 'interrupted' ? INTERRUPTED_WAIT_MS : Number.POSITIVE_INFINITY;
  const watched = await watch.finish(manager.eventsSent, manager.unacked, waitMs);
  // A worker that died does not tell how its links ended.
  const isWhole = ended.how === 'complete' || ended.how === 'interrupted';
  const wills = isWhole ? await finishWills(watch, manager, gone) : undefined;
  // Not awaited: a broker that is slow to say goodbye may not hold us up.
  void watch.stop();
  const { violations } = manager.totals;
  violations.vanished += watched.vanished;
  violations.redelivered += watched.redelivered;
  for (const example of watched.examples) manager.totals.addExample(example);
  return wills === undefined ? watched : { ...watched, wills };
}

/** Undefined when nothing is reloaded. Throws UsageError when presence cannot be watched. */
async function deployOf(plan: Plan, { amqp, prefix }: Output): Promise<Deploy | undefined> {
  if (plan.deploy === undefined) return undefined;
  const deploy = new Deploy(plan, plan.deploy);
  if (amqp !== undefined) await deploy.watchPresence(amqp, prefix);
  return deploy;
}

/** Add devices whose presence changed to the violations. */
async function finishDeploy(deploy: Deploy, { totals }: Manager): Promise<DeployReport> {
  deploy.stop();
  const report = await deploy.finish();
  const { rows = 0, events = 0, examples = [] } = report.presence ?? {};
  totals.violations.flickered += Math.max(rows, events);
  for (const example of examples) totals.addExample({ violation: 'flickered', ...example });
  return report;
}

async function writeFiles(report: Report, output: Output): Promise<void> {
  const { jsonFile, htmlFile } = output;
  if (jsonFile !== undefined) {
    await writeFile(jsonFile, `${JSON.stringify(report, undefined, 1)}\n`);
  }
  if (htmlFile !== undefined) await writeFile(htmlFile, writeHtml(report));
}

/** Where to publish commands, proved; `undefined` when there are none. Throws UsageError. */
async function commandBrokerOf(
  { commands }: Plan,
  { amqp, prefix }: Output,
): Promise<CommandBroker | undefined> {
  if (!commands.isOn) return undefined;
  if (amqp === undefined) throw new UsageError('--command-rate: --amqp is needed to publish them');
  await checkCommands({ url: amqp, prefix });
  return { url: amqp, prefix };
}

/** Show, log and serve each point as it comes. */
function observe(manager: Manager, live: Live | undefined, hdr: HdrLog | undefined): void {
  manager.totals.onPoint = (point, histograms) => {
    live?.show(point, manager.totals);
    hdr?.write(point, histograms);
  };
}

/**
 * Carry out a plan, print and write what `output` asks for.
 * Throws UsageError or PreflightError before anything is started.
 */
export async function run(wanted: Plan, output: Output): Promise<Report> {
  const simulation = await simulationOf(wanted);
  const plan = await resolved((await simulation?.withModule(wanted)) ?? wanted);
  checkFiles(plan);
  const blindSpots = simulation?.blindSpots(plan, output.amqp !== undefined);
  const warnings = checked(plan, blindSpots ?? []);
  const watch = await watchOf(plan, output, simulation);
  const commandBroker = await commandBrokerOf(plan, output);
  const deploy = await deployOf(plan, output);
  const manager = new Manager(plan, commandBroker);
  if (deploy !== undefined) manager.onMiddle = () => deploy.run(manager);
  const { totals } = manager;
  const { prometheusPort: port, hdrFile } = output;
  const scraped = port === undefined ? undefined : await servePrometheus(port, plan, totals);
  const startedAt = new Date();
  const live = output.isQuiet ? undefined : new Live(process.stderr);
  const hdr = hdrFile === undefined ? undefined : new HdrLog(hdrFile, startedAt);
  observe(manager, live, hdr);
  const offSignals = onSignals(manager);

  const ended = await manager.run();

  // Before the links end: their presence is compared.
  const deployed = deploy === undefined ? undefined : await finishDeploy(deploy, manager);
  const gone = manager.leave();
  const watched = watch === undefined ? undefined : await finishWatch(watch, manager, ended, gone);
  const facts = { ended, startedAt, warnings, watched, deployed };
  const report = makeReport(plan, output, totals, facts);
  live?.end();
  process.stdout.write(writeTable(report));
  await writeFiles(report, output);
  // A worker that was given up may still speak.
  totals.onPoint = () => {};
  await hdr?.close();
  scraped?.close();
  scraped?.closeAllConnections();
  await gone;
  offSignals();
  return report;
}
