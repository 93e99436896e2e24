/**
 * ReloadKills: a node that is reloaded again and again while its processes are killed: what each
 * kill costs must be what docs/operations.md says. A link may be lost if processes that were killed
 * had it, and nobody else (holders.ts); each other one goes on in time, is read once, and is in one
 * process.
 * From: a plan; a node with links, some of them busy, and a backend that echoes; its traces.
 * To: figures, and every promise that was broken.
 * Bound: `kills` and `forMs`; a reload has two acceptors, and at most one kill in each phase.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from '../../loadgen/plan/random.ts';
import type { LinksAnswer } from '../../src/node/linkFacts.ts';
import { readTrace } from '../../tla/judge.ts';
import { childrenOf } from '../helpers/processes/cli.ts';
import { askOnce } from '../helpers/processes/node.ts';
import type { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { holdersIn, storyOf, wronglyLost } from './holders.ts';
import { foreignShare, type Sample } from './machine.ts';
import { Talker } from './talker.ts';

export interface KillPlan {
  readonly kills: number;
  /** Fewer of them when it takes longer. */
  readonly forMs: number;
  readonly links: number;
  /** Of these. */
  readonly busy: number;
  /** So soon after a kill each link goes on or is over, if nobody else has the machine. */
  readonly goOnMs: number;
  /** A link that has had no answer for so long hangs, whatever else the machine does. */
  readonly hangMs: number;
}

export interface KillWorld {
  readonly server: Server;
  readonly runDir: string;
  readonly random: Random;
  /** Payloads of EVENTs that the backend has. */
  readonly published: ReadonlySet<string>;
  /** Where the node's processes write what they do with links. */
  readonly traceDir: string;
  /** What others had of the machine. */
  readonly samples: readonly Sample[];
  readonly tell: (line: string) => void;
}

type Victim = 'predecessor' | 'successor' | 'registrar';
/** While an acceptor is replaced: the more often it stands here, the more often it is. */
const VICTIMS = ['predecessor', 'successor', 'predecessor', 'successor', 'registrar'] as const;
const STEPS = ['starting', 'moving', 'moving', 'moving', 'ending'] as const;

/** What the kills of one kind, at one step, have cost. */
export interface KillCost {
  kills: number;
  /** Links that it alone had. */
  lost: number;
  /** The longest time until a link went on, and what of it was not taken by others. */
  slowestMs: number;
  slowestOwnMs: number;
}

export interface KillOutcome {
  /** By victim and step. */
  readonly costs: Map<string, KillCost>;
  reloads: number;
  refused: number;
  lost: number;
  readonly failures: string[];
}

/** One kill of this reload. */
interface Kill {
  readonly what: string;
  readonly pid: number;
  /** How long each link took, by its name. */
  readonly waits: { readonly name: string; readonly ms: number }[];
  /** By Date.now(). */
  readonly at: number;
  /** By the clock of traces. */
  readonly us: number;
}

/** Up to so long after a step has begun: it is as likely to be over by then. */
const STEP_MS = { starting: 500, moving: 80, ending: 80 } as const;
const LOOK_MS = 5;

export class ReloadKills {
  readonly outcome: KillOutcome = {
    costs: new Map(),
    ...{ reloads: 0, refused: 0, lost: 0, failures: [] },
  };
  readonly #plan: KillPlan;
  readonly #world: KillWorld;
  readonly #talkers = new Map<string, Talker>();
  /** Every one that there was: what it had ACKed counts after its end, too. */
  readonly #all: Talker[] = [];
  /** Incarnations: one that was killed in a reload before may have had a link that is lost now. */
  readonly #killedEver = new Set<string>();

  constructor(plan: KillPlan, world: KillWorld) {
    this.#plan = plan;
    this.#world = world;
  }

  async run(): Promise<KillOutcome> {
    await this.#fill();
    const until = performance.now() + this.#plan.forMs;
    const isOver = () => this.#killed >= this.#plan.kills || performance.now() > until;
    while (!isOver() && this.outcome.failures.length === 0) {
      await this.#reload();
    }
    await this.#balance();
    for (const { device } of this.#talkers.values()) device.close();
    return this.outcome;
  }

  get #killed(): number {
    return [...this.outcome.costs.values()].reduce((sum, { kills }) => sum + kills, 0);
  }

  /** All devices have a link. */
  async #fill(): Promise<void> {
    const { links, busy } = this.#plan;
    const { server } = this.#world;
    const missing = Array.from({ length: links }, (_, at) => at).filter(
      (at) => this.#talkers.get(`t-${at}`)?.ended !== undefined || !this.#talkers.has(`t-${at}`),
    );
    await Promise.all(
      missing.map(async (at) => {
        const talker = await Talker.open(server.port, `t-${at}`, at < busy);
        this.#talkers.set(talker.name, talker);
        this.#all.push(talker);
      }),
    );
  }

  async #reload(): Promise<void> {
    const { server, tell } = this.#world;
    const before = {
      children: new Set(childrenOf(server.pid)),
      pids: ['', 'acceptor 1', 'acceptor 2'].map((name) => server.childPid(name)),
    };
    const seen = server.log.length;
    const isOver = () => server.hasSaid(/^reload (done|refused)$/, seen);
    const kills: Kill[] = [];
    server.signal('SIGHUP');
    for (const index of [0, 1, 2]) {
      const { begins, ms, victim, step } = this.#point(index);
      const next = `reload: acceptor ${index + 1} `;
      const hasBegun = new RegExp(`^(?:${begins}|${next})`);
      await until(() => server.hasSaid(hasBegun, seen) || isOver());
      if (isOver()) break;
      await pause(this.#world.random.below(ms));
      const pid = this.#kill(victim, index, before);
      if (pid === undefined) continue;
      kills.push(await this.#probe(`${victim}, ${step}`, pid));
    }
    await until(isOver);
    await waitFor('health', () => server.isReady());
    await this.#probe('the reload', 0);
    this.outcome.reloads += 1;
    if (server.hasSaid('reload refused', seen)) this.outcome.refused += 1;
    this.#judge(kills);
    await this.#judgeReaders();
    await this.#fill();
    tell(`${this.#killed} kills, ${this.outcome.reloads} reloads, ${this.outcome.lost} links lost`);
  }

  /** Somewhere in the replacement of the registrar (0) or of an acceptor. */
  #point(index: number): { begins: string; ms: number; victim: Victim; step: string } {
    const { random } = this.#world;
    if (index === 0) {
      const begins = 'reload: registrar';
      return { begins, ms: STEP_MS.starting, victim: 'registrar', step: 'its own replacement' };
    }
    const step = STEPS[random.below(STEPS.length)] ?? 'moving';
    const victim = VICTIMS[random.below(VICTIMS.length)] ?? 'registrar';
    return { begins: `reload: acceptor ${index} ${step}`, ms: STEP_MS[step], victim, step };
  }

  /** Undefined: it is not there any more, or not yet. */
  #kill(
    victim: Victim,
    index: number,
    before: { readonly children: ReadonlySet<number>; readonly pids: readonly number[] },
  ): number | undefined {
    const { server } = this.#world;
    const pid =
      victim === 'registrar'
        ? server.childPid('registrar')
        : victim === 'predecessor'
          ? before.pids[index]
          : childrenOf(server.pid).findLast((one) => !before.children.has(one));
    if (pid === undefined || !childrenOf(server.pid).includes(pid)) return undefined;
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  /** Each link is asked; each must go on, or be over, soon. */
  async #probe(what: string, pid: number): Promise<Kill> {
    const at = Date.now();
    const us = Number(process.hrtime.bigint() / 1_000n);
    const waits: { name: string; ms: number }[] = [];
    const asked = [...this.#talkers.values()].filter(({ ended }) => ended === undefined);
    const answered = asked.map(async (talker) => {
      await talker.say();
      waits.push({ name: talker.name, ms: Date.now() - at });
    });
    const isLate = pause(this.#plan.hangMs, 'late', { ref: false });
    if ((await Promise.race([Promise.all(answered), isLate])) === 'late') {
      const done = new Set(waits.map(({ name }) => name));
      for (const { name } of asked.filter((one) => !done.has(one.name))) {
        this.outcome.failures.push(`${name} hangs after the kill of ${what}`);
      }
    }
    return { what, pid, waits, at, us };
  }

  /** What was lost, and how long the others took. */
  #judge(kills: readonly Kill[]): void {
    const { failures, costs } = this.outcome;
    const { server, traceDir } = this.#world;
    const incarnationOf = ({ pid }: Kill) =>
      String(server.log.findLast(({ childPid }) => childPid === pid)?.incarnation);
    for (const kill of kills) this.#killedEver.add(incarnationOf(kill));
    const lost = [...this.#talkers.values()].filter(({ ended }) => ended !== undefined);
    const lines = readTrace(traceDir);
    const holders = holdersIn(lines);
    for (const talker of this.#talkers.values()) failures.push(...talker.wrong.splice(0));
    for (const { name, ended, device } of lost) {
      const why = wronglyLost(holders, device.connection, this.#killedEver);
      if (why !== undefined) {
        const story = `${storyOf(lines, device.connection)}; ${kills.map(tellKill).join('; ')}`;
        failures.push(`${name} was lost (${ended}): ${why}: ${story}`);
      } else if (ended !== 'reset') failures.push(`${name} was closed: ${ended}`);
    }
    this.outcome.lost += lost.length;
    for (const kill of kills) {
      const cost = costs.get(kill.what) ?? { kills: 0, lost: 0, slowestMs: 0, slowestOwnMs: 0 };
      costs.set(kill.what, cost);
      cost.kills += 1;
      const had = ({ device }: Talker) => holders.get(device.connection)?.has(incarnationOf(kill));
      cost.lost += lost.filter(had).length;
      this.#judgeWaits(kill, cost);
    }
  }

  #judgeWaits({ what, waits, at }: Kill, cost: KillCost): void {
    const { goOnMs } = this.#plan;
    for (const { name, ms } of waits) {
      const ownMs = ms * (1 - foreignShare(this.#world.samples, at, at + ms));
      cost.slowestMs = Math.max(cost.slowestMs, ms);
      cost.slowestOwnMs = Math.max(cost.slowestOwnMs, ownMs);
      if (ownMs <= goOnMs) continue;
      const took = `${ms} ms, ${Math.round(ownMs)} of them this run's own`;
      this.outcome.failures.push(`${name} went on ${took}, after the kill of ${what}`);
    }
  }

  /** Each link that lives is in one process, and the node knows of no other. */
  async #judgeReaders(): Promise<void> {
    const question = { after: '', limit: 1_000 };
    let answer: LinksAnswer | undefined;
    // Who was killed is started again.
    await waitFor('all acceptors to answer', async () => {
      answer = await askOnce<LinksAnswer>(this.#world.runDir, 'links', question);
      return answer.missing.length === 0;
    });
    const listed = (answer?.rows ?? []).map(({ connection }) => connection);
    for (const { name, ended, device } of this.#talkers.values()) {
      if (ended !== undefined) continue;
      const times = listed.filter((one) => one === device.connection).length;
      if (times !== 1) this.outcome.failures.push(`${name} is in ${times} processes`);
    }
  }

  /** What was ACKed is at the backend. */
  async #balance(): Promise<void> {
    const { published } = this.#world;
    const acked = this.#all.flatMap((talker) => talker.acked);
    const missing = () => acked.filter((payload) => !published.has(payload));
    await waitFor('the ledger', () => missing().length === 0).catch(() => {});
    for (const payload of missing()) this.outcome.failures.push(`${payload} was ACKed and lost`);
  }
}

function tellKill({ what, us }: Kill): string {
  return `${(us / 1_000).toFixed(1)} killed ${what}`;
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(LOOK_MS);
}
