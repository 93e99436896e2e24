/**
 * Run: all tests, or the files named, over one RabbitMQ.
 * From: `make test`, `npm test -- FILES`.  To: tap, then a plain report for people and scripts.
 * A start costs seconds, so a run shares one broker: what is there already, or a private one.
 * The last line is `N passed, N failed` (`, N skipped`), in assertions, as tap counts them.
 * Bound: tap's timeout per file (.taprc). Exit 1 when anything failed or nothing ran.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FinalResults, Parser, type Result } from 'tap-parser';
import { stringify } from 'yaml';
import { type Broker, findBroker, shareBroker } from './helpers/processes/broker.ts';

/** A run starts a thousand processes of the same few files: each is parsed once. */
const NODE_COMPILE_CACHE = join(import.meta.dirname, '../node_modules/.cache/owsla-tests');

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
    tally.failed.push(`${result.fullname}\n${indent(stringify(result.diag ?? {}))}`);
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

function report(tally: Tally, results: FinalResults, exitCode: number): number {
  const { passed, failed, skipped } = tally;
  if (failed.length === 0 && !results.ok) {
    failed.push(`the run as a whole\n${indent(stringify(results.failures))}`);
  }
  if (failed.length === 0 && exitCode !== 0) failed.push(`tap ended with exit code ${exitCode}`);
  if (failed.length === 0 && passed === 0) failed.push('no test ran');
  for (const skip of skipped) console.log(`skipped  ${skip}`);
  for (const failure of failed) console.log(`\nFAILED  ${failure}`);
  const tail = skipped.length === 0 ? '' : `, ${skipped.length} skipped`;
  console.log(`\n${passed} passed, ${failed.length} failed${tail}`);
  return failed.length === 0 ? 0 : 1;
}

function indent(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, '    ');
}

/** tap takes files; a folder means every test in it. */
function filesOf(arg: string): string[] {
  return arg.startsWith('-') || arg.endsWith('.ts') ? [arg] : globSync(`${arg}/**/*.test.ts`);
}

async function runTap(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const stdio = ['inherit', 'pipe', 'inherit'] as const;
  const tap = spawn('tap', ['--reporter=tap', ...args], { stdio: [...stdio], env });
  const tally: Tally = { passed: 0, skipped: [], failed: [] };
  const parser = new Parser();
  const finished = follow(parser, tally);
  const ended = once(tap, 'close');
  tap.stdout?.pipe(parser);
  // Ctrl-C reaches tap by itself; we stay to stop the broker. A lone SIGTERM is passed on.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => tap.kill('SIGTERM'));
  const [code] = await ended;
  return report(tally, await finished, code ?? 1);
}

/** Files that start no broker need not wait for one; those that do find one by themselves. */
function isBrokerWanted(args: readonly string[]): boolean {
  if ((process.env.OWSLA_TEST_AMQP ?? '') !== '') return false;
  const files = args.filter((arg) => !arg.startsWith('-'));
  return files.length === 0 || files.some((file) => readFileSync(file, 'utf8').includes('roker'));
}

const given = process.argv.slice(2);
const args = given.flatMap(filesOf);
let broker: Broker | undefined;
try {
  // With no file at all tap would run everything.
  if (args.length === 0 && given.length > 0) throw new Error(`no test in ${given.join(' ')}`);
  if (isBrokerWanted(args)) broker = await findBroker();
  const shared = broker === undefined ? {} : shareBroker(broker);
  process.exitCode = await runTap(args, { NODE_COMPILE_CACHE, ...process.env, ...shared });
} catch (error) {
  console.error(`tests: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await broker?.stop();
}
