/** A real node for tests: `owsla serve` as its own process tree, its log and its metrics. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { waitFor } from '../waitFor.ts';
import { cleanEnvironment } from './environment.ts';
import { leash, signalTo } from './leash.ts';
import { after, NODE } from './plain.ts';

const CLI = join(import.meta.dirname, '../../../src/cli/cli.ts');

/** Limits that make figures appear soon. */
const QUICK = { reportMs: 100, scrapeMs: 100 };

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

/** Where a listener is, by its name, as a node says it when it is ready; '': it has none. */
export function placeOf(log: readonly LogLine[], listener: string): string {
  const ready = log.find(({ msg, role }) => msg === 'ready' && role === 'supervisor');
  const places = (ready?.listeners ?? []) as readonly string[];
  const [, place = ''] = places.find((one) => one.startsWith(`${listener} `))?.split(' ') ?? [];
  return place;
}

export function portIn(place: string): number {
  return Number(place.split(':').at(-1));
}

export interface ServerOptions {
  /** '': what its config file says. */
  readonly amqp: string;
  readonly prefix: string;
  /** 0: what its config file says. */
  readonly acceptors?: number;
  /** Any free one when not given. */
  readonly port?: number;
  readonly limits?: Readonly<Record<string, number>>;
  readonly flags?: readonly string[];
  /** The limit of open files that the whole node starts with; ours when not given. */
  readonly openFiles?: number;
  /** Of an installation of its own; ours when not given. */
  readonly cli?: string;
  /** Further variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export class Server {
  readonly port: number;
  readonly adminPort: number;
  /** What the node logged so far. */
  readonly log: readonly LogLine[];
  /** What it wrote to stderr: the last sentence of one that gave up. */
  readonly errors: readonly string[];
  /** Its TMPDIR, gone after `stop`: a supervisor that is killed leaves its sockets behind. */
  readonly folder: string;
  readonly #process: ChildProcess;
  /** Its exit code or signal, once its last line has been read, too. */
  readonly #ended: Promise<number | NodeJS.Signals>;

  private constructor(
    child: ChildProcess,
    folder: string,
    log: readonly LogLine[],
    errors: readonly string[],
    ready: LogLine,
  ) {
    this.#process = child;
    // Not 'exit': what it said last may still be in the pipes then.
    this.#ended = once(child, 'close').then(([code, signal]) => code ?? signal);
    this.folder = folder;
    this.log = log;
    this.errors = errors;
    this.port = Number(ready.port);
    this.adminPort = Number(ready.adminPort);
  }

  /** The port of one of several listeners. */
  portOf(listener: string): number {
    return portIn(placeOf(this.log, listener));
  }

  /** Starts a node and waits until its health says ready. */
  static async start(options: ServerOptions): Promise<Server> {
    const { amqp, prefix, acceptors = 2, port = 0, limits = {}, flags = [] } = options;
    const { openFiles, env, cli = CLI } = options;
    // A short path: Unix sockets lie in a folder within.
    const folder = mkdtempSync(join(tmpdir(), 'ot-'));
    const sets = Object.entries({ ...QUICK, ...limits }).flatMap(([name, value]) => [
      '--set',
      `${name}=${value}`,
    ]);
    const pool = acceptors === 0 ? [] : ['--acceptors', `${acceptors}`];
    const ports = ['--port', `${port}`, '--admin-port', '0', ...pool];
    const store = flags.includes('--data-dir') ? [] : ['--data-dir', join(folder, 'data')];
    const serve = [cli, 'serve', ...ports, '--prefix', prefix, ...store, ...sets, ...flags];
    const fewer = openFiles === undefined ? undefined : `ulimit -n ${openFiles}`;
    const [file = '', ...args] = after(fewer, [...NODE, ...serve]);
    const child = spawn(file, args, {
      env: {
        ...{ ...cleanEnvironment(), TMPDIR: folder, ...env },
        ...(amqp === '' ? {} : { OWSLA_AMQP: amqp }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    leash(child, folder);
    const log: LogLine[] = [];
    const errors: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
    const ready = await new Promise<LogLine>((resolve, reject) => {
      child.once('exit', (code) => {
        reject(new Error(`owsla serve ended with ${code}: ${errors.join(' ')}`));
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const entry = JSON.parse(line) as LogLine;
        log.push(entry);
        if (entry.role === 'supervisor' && entry.msg === 'ready') resolve(entry);
      });
    });
    const server = new Server(child, folder, log, errors, ready);
    await waitFor('ready health', () => server.isReady());
    return server;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Lines of the log that are no mere information, but for those about refused devices. */
  get complaints(): readonly LogLine[] {
    return this.log.filter(
      ({ level, msg }) => level !== 'info' && !/devices? refused$/.test(String(msg)),
    );
  }

  /** Has it logged this message, or one that fits? `after`: lines that were there before. */
  hasSaid(wanted: string | RegExp, after = 0): boolean {
    const fits = ({ msg }: LogLine) =>
      wanted instanceof RegExp ? wanted.test(msg) : msg === wanted;
    return this.log.slice(after).some(fits);
  }

  /** Waits for that. */
  untilSaid(wanted: string | RegExp, after = 0, deadlineMs?: number): Promise<void> {
    return waitFor(`the line ${wanted}`, () => this.hasSaid(wanted, after), deadlineMs);
  }

  /** The pid of a live child, from the log. */
  childPid(child: string): number {
    const ready = this.log.findLast((line) => line.child === child && line.msg === 'child ready');
    return Number(ready?.childPid);
  }

  async isReady(): Promise<boolean> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}/health/ready`);
    return response.ok;
  }

  /** The text of an admin page, such as /metrics. */
  async page(path: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}${path}`);
    return response.text();
  }

  /** A node-wide figure, as in `metric('owsla_closes_total', 'reason="draining"')`. */
  async metric(name: string, label = ''): Promise<number> {
    const series = label === '' ? name : `${name}{${label}}`;
    const lines = (await this.page('/metrics')).split('\n');
    const line = lines.find((line) => line.startsWith(`${series} `));
    return Number(line?.slice(series.length + 1) ?? Number.NaN);
  }

  /**
   * The same, but not as of before this call: for figures that are compared with later ones. Each
   * process that reports has to be running: two reports of each are awaited, as one may have been
   * on its way.
   */
  async metricNow(name: string, label = ''): Promise<number> {
    const reports = new Map<string, { text: string; count: number }>();
    await waitFor(`reports of all processes for ${name}`, async () => {
      for (const [process, text] of reportsOf(await this.page('/metrics'))) {
        const seen = reports.get(process);
        if (seen?.text !== text) reports.set(process, { text, count: (seen?.count ?? -1) + 1 });
      }
      return reports.size > 0 && [...reports.values()].every(({ count }) => count >= 2);
    });
    return this.metric(name, label);
  }

  /** Waits until a node-wide figure is as wanted. */
  async untilMetric(name: string, label: string, wanted: (value: number) => boolean) {
    await waitFor(`${name}{${label}}`, async () => wanted(await this.metric(name, label)));
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /**
   * Resolves with the exit code, or the signal that ended the supervisor, when `log` and `errors`
   * are whole.
   */
  ended(): Promise<number | NodeJS.Signals> {
    return this.#ended;
  }

  /** Ends the node at once: for tests that do not look at how it ends. */
  async stop(): Promise<void> {
    const { exitCode, signalCode, pid } = this.#process;
    if (exitCode === null && signalCode === null && pid !== undefined) {
      signalTo(-pid, 'SIGKILL');
      await this.ended();
    }
    rmSync(this.folder, { recursive: true, force: true });
    // The leash removes it too: what one of them finds gone already it may take for all.
    await waitFor('its folder to go', () => !existsSync(this.folder));
  }
}

/** By process: its delay of the event loop, measured to the nanosecond anew for each report. */
function reportsOf(page: string): Map<string, string> {
  const reports = new Map<string, string>();
  for (const line of page.match(/^owsla_(?:acceptor|presence)_loop_lag_.*$/gm) ?? []) {
    const process = /acceptor="\d+"/.exec(line)?.[0] ?? 'registrar';
    reports.set(process, `${reports.get(process) ?? ''}${line}\n`);
  }
  return reports;
}
