/**
 * Start: what does the start of a node cost, and what does it take while nothing happens?
 * A node of two acceptors, from source and compiled, each without what V8 has compiled before
 * (NODE_COMPILE_CACHE) and with it: processor time until it is ready, and its memory `--settle`
 * seconds later, by process; then the time of short commands. PSS counts what processes share by
 * its share: other processes of Node on the machine lower it, so `own` has what is shared with
 * nobody. The figures are medians of `--runs`, the four kinds in turns.
 * `node bench/studies/start.ts [--runs 5] [--settle 5] [--only compiled]`
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findBroker } from '../../test/helpers/processes/broker.ts';
import { NODE } from '../../test/helpers/processes/plain.ts';
import { Server } from '../../test/helpers/processes/server.ts';
import { FIGURES } from '../lib/fleet.ts';
import { cpuUsOf, loadAverages } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { spread, sum } from '../lib/stats.ts';

const { runs, settle, only } = options({ runs: 5, settle: 5, only: '' });
const ROOT = join(import.meta.dirname, '../..');
const COMMANDS = [['status'], ['limits'], ['config', '--amqp', 'amqp://127.0.0.1']];
const COMMAND_RUNS = 10;
const TICKS_PER_SECOND = 100;
const MIB = 1_024;

interface Kind {
  readonly name: string;
  readonly cli: string;
  /** NODE_COMPILE_CACHE; '': none. */
  readonly cache: string;
}

interface Figures {
  readonly startMs: number;
  readonly pss: number;
  readonly own: number;
  readonly rss: number;
}

const folder = mkdtempSync(join(tmpdir(), 'owsla-start-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

/** As the package is built, with the same libraries. */
function compile(): string {
  const config = ['-p', join(ROOT, '.config/tsconfig.build.json')];
  execFileSync('tsc', [...config, '--outDir', join(folder, 'dist')], { stdio: 'inherit' });
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  cpSync(join(ROOT, 'src/observer/page'), join(folder, 'src/observer/page'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return join(folder, 'dist/src/cli/cli.js');
}

/** In MiB. */
function memoryOf(pid: number): Omit<Figures, 'startMs'> {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const of = (name: string) => {
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / MIB;
  };
  return { pss: of('Pss'), own: of('Private_Clean') + of('Private_Dirty'), rss: of('Rss') };
}

const PROCESSES = ['supervisor', 'observer', 'registrar', 'acceptor 1', 'acceptor 2'];

async function startOf({ cli, cache }: Kind, amqp: string): Promise<Map<string, Figures>> {
  const server = await Server.start({
    ...{ amqp, cli, prefix: `start-${process.pid}`, limits: FIGURES },
    env: { NODE_COMPILE_CACHE: cache },
  });
  try {
    const pidOf = (name: string) => (name === 'supervisor' ? server.pid : server.childPid(name));
    const cpu = new Map(PROCESSES.map((name) => [name, cpuUsOf([pidOf(name)]) / 1_000]));
    await pause(settle * 1_000);
    return new Map(
      PROCESSES.map((name) => [name, { startMs: cpu.get(name) ?? 0, ...memoryOf(pidOf(name)) }]),
    );
  } finally {
    // Not by stop(), which kills: a process writes down what it has compiled when it ends.
    process.kill(server.pid, 'SIGTERM');
    await server.ended();
    await server.stop();
  }
}

/** Processor time of one run, in ms, of a shell's children: in ticks of 10 ms, so of many runs. */
function commandMs({ cli, cache }: Kind, words: readonly string[]): number {
  const script = `i=0; while [ $i -lt ${COMMAND_RUNS} ]; do "$@" >/dev/null 2>&1; i=$((i+1)); done
    read -r line </proc/$$/stat; echo "$line"`;
  const env = { ...process.env, NODE_COMPILE_CACHE: cache, TMPDIR: folder, NODE_OPTIONS: '' };
  const args = ['-c', script, 'sh', ...NODE, cli, ...words];
  const fields = execFileSync('/bin/sh', args, { env, encoding: 'utf8' })
    .split(') ')[1]
    ?.split(' ');
  const ticks = Number(fields?.[13]) + Number(fields?.[14]);
  return (ticks * 1_000) / TICKS_PER_SECOND / COMMAND_RUNS;
}

const source = join(ROOT, 'src/cli/cli.ts');
const compiled = compile();
const kinds: readonly Kind[] = [
  { name: 'source', cli: source, cache: '' },
  { name: 'source, cached', cli: source, cache: join(folder, 'cache-source') },
  { name: 'compiled', cli: compiled, cache: '' },
  { name: 'compiled, cached', cli: compiled, cache: join(folder, 'cache-compiled') },
].filter(({ name }) => only === '' || name === only);

const broker = await findBroker();
const seen = new Map(kinds.map(({ name }) => [name, [] as Map<string, Figures>[]]));
console.log(`node ${process.version}, load averages ${loadAverages().join(' ')}`);
try {
  // The first one of each kind fills its cache.
  for (let run = -1; run < runs; run += 1) {
    for (const kind of kinds) {
      if (run < 0 && kind.cache === '') continue;
      const figures = await startOf(kind, broker.url);
      if (run >= 0) seen.get(kind.name)?.push(figures);
    }
  }
} finally {
  await broker.stop();
}

console.log('\n| kind | process | CPU of the start, ms | PSS, MiB | own, MiB | RSS, MiB |');
console.log('| --- | --- | ---: | ---: | ---: | ---: |');
for (const [kind, all] of seen) {
  const median = (name: string, of: keyof Figures) =>
    spread(all.map((run) => run.get(name)?.[of] ?? Number.NaN)).median;
  const cells = (names: readonly string[]) =>
    (['startMs', 'pss', 'own', 'rss'] as const)
      .map((of) => sum(names.map((name) => median(name, of))).toFixed(0))
      .join(' | ');
  for (const name of PROCESSES) console.log(`| ${kind} | ${name} | ${cells([name])} |`);
  console.log(`| ${kind} | all | ${cells(PROCESSES)} |`);
}
console.log(`\n| command | CPU, ms: ${kinds.map(({ name }) => name).join(' | ')} |`);
console.log(`| --- |${kinds.map(() => ' ---: |').join('')}`);
for (const words of COMMANDS) {
  for (const kind of kinds) commandMs(kind, words);
  const figures = kinds.map((kind) => commandMs(kind, words).toFixed(0));
  console.log(`| owsla ${words.join(' ')} | ${figures.join(' | ')} |`);
}
