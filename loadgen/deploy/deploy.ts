/**
 * Deploy: reloads the server in the middle of a run, and says what that was.
 * From: run.ts, when the load has gone on for a while.  To: `owsla reload`, or the plan's command;
 * the report.
 * Bound: the plan's reloads, one after another, each RELOAD_MS at most; the first that fails ends
 * it. Presence has PRESENCE_MS to know all links before the first one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { DeployPlan } from '../plan/deployPlan.ts';
import { deviceId, type Plan } from '../plan/plan.ts';
import { UsageError } from '../plan/units.ts';
import { type PresenceChanges, type PresenceRows, PresenceWatch } from './presenceWatch.ts';

const RELOAD_MS = 1_800_000;
const PRESENCE_MS = 60_000;
/** Of what a command writes, so much is kept. */
const OUTPUT_MAX = 1_000_000;

export interface ReloadOutcome {
  readonly isDone: boolean;
  /** Why not. */
  readonly why: string;
  readonly ms: number;
  /** What it says of links; missing where it says nothing. */
  readonly moved?: number;
  readonly left?: number;
  readonly drained?: number;
}

export interface DeployReport {
  readonly reloads: readonly ReloadOutcome[];
  /** Planned ones. */
  readonly times: number;
  /** Missing without --amqp. */
  readonly presence?: PresenceChanges & { readonly devices: number };
  /** Why presence could not be compared. */
  readonly presenceFault?: string;
}

/** `owsla reload --json`, of this installation. */
function owslaReload(runDir: string): [string, string[]] {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const cli = fileURLToPath(new URL(`../../src/cli/cli.${extension}`, import.meta.url));
  return [process.execPath, [cli, 'reload', '--json', '--run-dir', runDir]];
}

/** The last line of JSON that it wrote, as that of `owsla reload --json`. */
function figuresOf(stdout: string): Partial<Record<'moved' | 'left' | 'drained', number>> & {
  why?: string;
} {
  const last = stdout.trim().split('\n').at(-1) ?? '';
  try {
    const { moved, left, drained, why } = JSON.parse(last);
    return { moved, left, drained, ...(typeof why === 'string' ? { why } : {}) };
  } catch {
    return {};
  }
}

/** The run, as its manager knows it. */
export interface Reloaded {
  readonly totals: { readonly openNow: number };
  readonly markReload: () => void;
}

export class Deploy {
  readonly #plan: Plan;
  readonly #deploy: DeployPlan;
  readonly #reloads: ReloadOutcome[] = [];
  #watch: PresenceWatch | undefined;
  #before: PresenceRows | undefined;
  #presenceFault: string | undefined;
  #child: ChildProcess | undefined;
  #isStopped = false;

  constructor(plan: Plan, deploy: DeployPlan) {
    this.#plan = plan;
    this.#deploy = deploy;
  }

  /** Throws UsageError when presence cannot be watched. */
  async watchPresence(url: string, prefix: string): Promise<void> {
    const { devices, devicePrefix } = this.#plan;
    const isOurs = (device: string) => {
      const index = Number(/\d+$/.exec(device)?.[0] ?? -1);
      return index >= 0 && index < devices && device === deviceId(this.#plan, index);
    };
    this.#watch = new PresenceWatch(devicePrefix, isOurs);
    try {
      await this.#watch.start(url, prefix);
    } catch (error) {
      throw new UsageError(`--amqp: cannot watch presence: ${(error as Error).message}`);
    }
  }

  async #presence(act: (watch: PresenceWatch) => Promise<void>): Promise<void> {
    if (this.#watch === undefined || this.#presenceFault !== undefined) return;
    try {
      await act(this.#watch);
    } catch (error) {
      this.#presenceFault = (error as Error).message;
    }
  }

  /** All reloads, one after another. Never rejects. */
  async run({ totals, markReload }: Reloaded): Promise<void> {
    await this.#presence(async (watch) => {
      this.#before = await watch.rowsOnline(totals.openNow, PRESENCE_MS);
    });
    if (this.#isStopped) return;
    markReload();
    for (let at = 0; at < this.#deploy.times && !this.#isStopped; at += 1) {
      const outcome = await this.#reload();
      this.#reloads.push(outcome);
      if (!outcome.isDone) return;
    }
  }

  async #reload(): Promise<ReloadOutcome> {
    const { runDir, command = '' } = this.#deploy;
    const [file, args] = runDir === undefined ? ['sh', ['-c', command]] : owslaReload(runDir);
    const begunMs = performance.now();
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    const timer = setTimeout(() => child.kill(), RELOAD_MS);
    const texts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        texts[name] = (texts[name] + text).slice(-OUTPUT_MAX);
      });
    }
    let fault: string | undefined;
    child.once('error', (error) => {
      fault = error.message;
    });
    const [code, signal] = await once(child, 'close').catch(() => [null, null]);
    clearTimeout(timer);
    this.#child = undefined;
    const { why, ...links } = figuresOf(texts.stdout);
    const said = why ?? texts.stderr.trim().split('\n').at(-1) ?? '';
    const isDone = code === 0;
    const ended = fault ?? `${signal ?? `exit code ${code}`}${said === '' ? '' : `: ${said}`}`;
    return { isDone, why: isDone ? '' : ended, ms: performance.now() - begunMs, ...links };
  }

  /** The run ends: a command that is under way is no matter of ours any more. */
  stop(): void {
    this.#isStopped = true;
    this.#child?.kill();
    // What it has started may still hold the other ends.
    this.#child?.stdout?.destroy();
    this.#child?.stderr?.destroy();
  }

  /** What it came to. */
  async finish(): Promise<DeployReport> {
    let presence: DeployReport['presence'];
    await this.#presence(async (watch) => {
      if (this.#before === undefined) return;
      const changes = watch.changes(this.#before, await watch.rows());
      presence = { ...changes, devices: this.#before.size };
    });
    void this.#watch?.stop();
    const fault = this.#presenceFault;
    return {
      reloads: this.#reloads,
      times: this.#deploy.times,
      ...(presence === undefined ? {} : { presence }),
      ...(fault === undefined ? {} : { presenceFault: fault }),
    };
  }
}
