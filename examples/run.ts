/**
 * Run: the main job on this machine, all parts real. Broker, node, backend, and a fleet.
 * From: `make run [DURATION=15]`.  To: child processes that cannot outlive this one, even when it
 * is killed; they get none of the user's own OWSLA_ variables.
 * The fleet is 800 thermostats that report (EVENT) and 200 door controllers at which badges are
 * shown (REQUEST); the backend is the Ruby one, or the TypeScript one where Ruby cannot be had.
 * Exit 0 only if every message was answered, correctly and on its own link; 130 or 143 after a
 * signal before the fleet runs. Then a signal ends the fleet, whose report and code are ours.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { findBroker } from '../test/helpers/processes/broker.ts';
import { cleanEnvironment } from '../test/helpers/processes/environment.ts';
import { leash } from '../test/helpers/processes/leash.ts';

const HERE = import.meta.dirname;
const ROOT = join(HERE, '..');
const DEVICES = 1_000;
const ACCEPTORS = 2;
/** The fleet lives this much faster than a real one, so that there is something to see. */
const SPEED = 25;
/** Its exchanges stay at a broker that was found, so they are the same each time. */
const PREFIX = 'owsla-run';
const UNTIL_CTRL_C = '8760h';

const { values } = parseArgs({ options: { duration: { type: 'string' } } });
const duration = values.duration === undefined ? UNTIL_CTRL_C : inSeconds(values.duration);

const children: ChildProcess[] = [];
let fleet: ChildProcess | undefined;
/** The exit code of a signal that came while the fleet runs, if it has none of its own. */
let codeOfSignal: number | undefined;

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => {
    // Nothing to report before the fleet runs, nor after it: the leashes end what there is.
    if (fleet === undefined || hasEnded(fleet)) process.exit(code);
    codeOfSignal = code;
    fleet.kill('SIGINT');
  });
}

function inSeconds(text: string): string {
  return /^\d+$/.test(text) ? `${text}s` : text;
}

/** A child in a session of its own: Ctrl-C reaches us, and we end things in order. */
function start(command: string, args: readonly string[], env: Record<string, string> = {}) {
  // A short path: the node's Unix sockets lie in it.
  const folder = mkdtempSync(join(tmpdir(), 'or-'));
  const child = spawn(command, args, {
    cwd: ROOT,
    env: { ...cleanEnvironment(), TMPDIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  leash(child, folder);
  children.push(child);
  return child;
}

/** Resolves with the first line for which `find` gives something. Rejects if the child ends. */
function lineOf<T>(child: ChildProcess, name: string, find: (line: string) => T | undefined) {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  child.once('exit', (code) => reject(new Error(`${name} ended with ${code} before it was ready`)));
  if (child.stdout === null) throw new Error(`${name} has no output to read`);
  createInterface({ input: child.stdout }).on('line', (line) => {
    const found = find(line);
    if (found !== undefined) resolve(found);
  });
  return promise;
}

interface Ready {
  readonly port: number;
  readonly adminPort: number;
}

function readyNode(line: string): Ready | undefined {
  const entry = JSON.parse(line) as Ready & { msg: string; role: string; level: string };
  if (entry.level !== 'info' && entry.level !== 'debug') console.log(line);
  return entry.role === 'supervisor' && entry.msg === 'ready' ? entry : undefined;
}

function hasRuby(): boolean {
  try {
    execFileSync('ruby', ['-e', 'require "bunny"'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function startBackend(env: Record<string, string>): Promise<string> {
  const isRuby = hasRuby();
  const backend = isRuby
    ? start('ruby', [join(HERE, 'backend.rb')], env)
    : start(process.execPath, [join(HERE, 'backend.ts')], env);
  await lineOf(backend, 'the backend', (line) => (line.includes('ready') ? true : undefined));
  return isRuby ? 'Ruby (bunny)' : 'TypeScript, as Ruby with bunny is not installed';
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (hasEnded(child)) return;
  child.kill(signal);
  await once(child, 'exit');
}

async function main(): Promise<number> {
  console.log('broker   looking for one, or starting a private RabbitMQ');
  const broker = await findBroker();
  const env = { OWSLA_AMQP: broker.url, OWSLA_PREFIX: PREFIX };
  try {
    console.log(
      `broker   ${broker.isPrivate ? 'private RabbitMQ' : 'found'} on port ${broker.port}`,
    );
    const flags = ['--port', '0', '--admin-port', '0', '--acceptors', String(ACCEPTORS)];
    const node = start(process.execPath, [join(ROOT, 'src/cli/cli.ts'), 'serve', ...flags], env);
    const { port, adminPort } = await lineOf(node, 'the node', readyNode);
    console.log(`node     devices 127.0.0.1:${port}, ${ACCEPTORS} acceptors`);
    console.log(`admin    http://127.0.0.1:${adminPort}/metrics`);
    console.log(`backend  ${await startBackend(env)}`);
    console.log(`fleet    ${DEVICES} devices, ${SPEED} times as busy as real ones\n`);
    fleet = start(process.execPath, [
      join(ROOT, 'loadgen/cli.ts'),
      'run',
      ...['--target', `127.0.0.1:${port}`, '--devices', String(DEVICES)],
      ...['--mix', 'thermostat=80,door=20', '--stage', `${duration}@x${SPEED}`],
      // Everything here shares one machine, and nothing is measured.
      '--allow-bottleneck',
    ]);
    fleet.stdout?.pipe(process.stdout);
    const [code, signal] = (await once(fleet, 'exit')) as [number | null, string | null];
    if (signal !== null) console.log(`fleet    ended by ${signal}`);
    await end(node, 'SIGTERM');
    return code ?? codeOfSignal ?? 1;
  } finally {
    await Promise.all(children.map((child) => end(child, 'SIGKILL')));
    await broker.stop();
  }
}

process.exitCode = await main();
