/**
 * Run: all tests, or the files and folders named, over one RabbitMQ.
 * From: `make test`, `npm test -- FILES`.  To: a process per file, by tap; then a plain report for
 * people and scripts.
 * A start costs seconds, so a run shares one broker: what is there already, or a private one.
 * The last line is `N passed, N failed` (`, N skipped`), in assertions, as tap counts them.
 * Bound: --timeout seconds per file, --jobs files at once. Exit 1 when anything failed or nothing
 * ran.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { t as root } from 'tap';
import { type FinalResults, Parser, type Result } from 'tap-parser';
import { stringify } from 'yaml';
import { type Broker, findBroker, shareBroker } from './helpers/processes/broker.ts';

/** A run starts a thousand processes of the same few files: each is parsed once. */
const NODE_COMPILE_CACHE = join(import.meta.dirname, '../node_modules/.cache/owsla-tests');

/** More than processors: most files wait for something most of the time. */
const JOBS = 6;
const TIMEOUT_S = 200;
/** Of one failure, in characters: a long one must not hide the others. */
const FAILURE_MAX = 3_000;

interface Tally {
  passed: number;
  skipped: string[];
  failed: string[];
}

/** Prints a line as each file ends, and gathers what the end of the report needs. */
function follow(parser: Parser, tally: Tally): Promise<FinalResults> {
  let passedBefore = 0;
  let failedBefore = 0;
  parser.on('pass', () => {
    tally.passed += 1;
  });
  parser.on('skip', (result: Result) => {
    tally.skipped.push(`${result.fullname}: ${result.skip}`);
  });
  parser.on('todo', (result: Result) => {
    tally.skipped.push(`${result.fullname}: to do, ${result.todo}`);
  });
  parser.on('fail', (result: Result) => {
    tally.failed.push(`${result.fullname}\n${indent(shortened(stringify(result.diag ?? {})))}`);
  });
  // Only the outermost stream: one result for each file.
  parser.on('assert', ({ ok, name, time }: Result) => {
    const seconds = ((time ?? 0) / 1000).toFixed(1);
    console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}  ${tally.passed - passedBefore} in ${seconds} s`);
    // Where it happened too: who is shown a part of a long report still sees why.
    for (const failure of tally.failed.slice(failedBefore)) console.log(indent(failure));
    passedBefore = tally.passed;
    failedBefore = tally.failed.length;
  });
  return new Promise((resolve) => parser.once('complete', resolve));
}

function report(tally: Tally, results: FinalResults): number {
  const { passed, failed, skipped } = tally;
  if (failed.length === 0 && !results.ok) {
    failed.push(`the run as a whole\n${indent(stringify(results.failures))}`);
  }
  if (failed.length === 0 && passed === 0) failed.push('no test ran');
  for (const skip of skipped) console.log(`skipped  ${skip}`);
  for (const failure of failed) console.log(`\nFAILED  ${failure}`);
  const tail = skipped.length === 0 ? '' : `, ${skipped.length} skipped`;
  console.log(`\n${passed} passed, ${failed.length} failed${tail}`);
  return failed.length === 0 ? 0 : 1;
}

/** Its middle left out, where it is longer than FAILURE_MAX. */
function shortened(text: string): string {
  if (text.length <= FAILURE_MAX) return text;
  const half = FAILURE_MAX / 2;
  const out = text.length - FAILURE_MAX;
  return `${text.slice(0, half)}\n[${out} characters left out]\n${text.slice(-half)}`;
}

function indent(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, '    ');
}

/** A folder means every test in it; nothing means all there are. */
function filesOf(given: readonly string[]): string[] {
  const wanted = given.length === 0 ? ['test'] : given;
  const files = wanted.flatMap((one) =>
    one.endsWith('.ts') ? one : globSync(`${one}/**/*.test.ts`).sort(),
  );
  if (files.length === 0) throw new Error(`no test in ${given.join(' ')}`);
  return files;
}

/**
 * Each in a process of its own, with its own bound. By env(1): tap adds options of its own to those
 * of Node in the environment of what it spawns, and each process below would take them, too.
 */
async function runFiles(files: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const tally: Tally = { passed: 0, skipped: [], failed: [] };
  const parser = new Parser();
  const finished = follow(parser, tally);
  root.pipe(parser);
  root.jobs = jobs;
  root.setTimeout(0);
  for (const name of files) {
    const args = [`NODE_OPTIONS=${process.env.NODE_OPTIONS ?? ''}`, process.execPath, name];
    const timeout = timeoutS * 1_000;
    root.spawn('env', args, { name, env, timeout, buffered: jobs > 1, at: null, stack: '' });
  }
  root.end();
  // Ctrl-C reaches the files by itself; we stay to stop the broker. A lone SIGTERM ends them.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => root.endAll());
  return report(tally, await finished);
}

/** Files that start no broker need not wait for one; those that do find one by themselves. */
function isBrokerWanted(files: readonly string[]): boolean {
  if ((process.env.OWSLA_TEST_AMQP ?? '') !== '') return false;
  return files.some((file) => readFileSync(file, 'utf8').includes('roker'));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { jobs: { type: 'string' }, timeout: { type: 'string' } },
});
const jobs = Number(values.jobs ?? JOBS);
const timeoutS = Number(values.timeout ?? TIMEOUT_S);
let broker: Broker | undefined;
try {
  const files = filesOf(positionals);
  if (isBrokerWanted(files)) broker = await findBroker();
  const shared = broker === undefined ? {} : shareBroker(broker);
  const TAP_TIMEOUT = String(timeoutS);
  const env = { NODE_COMPILE_CACHE, ...process.env, ...shared, TAP_TIMEOUT };
  process.exitCode = await runFiles(files, env);
} catch (error) {
  console.error(`tests: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await broker?.stop();
}
