/**
 * ReloadKills: a node that is reloaded again and again while its processes are killed: what each
 * kill costs must be what docs/operations.md says.
 * From: a plan; a node with links, some of them busy, and a backend that echoes.
 * To: figures, and every promise that was broken.
 * Bound: `kills` and `forMs`; a reload has two acceptors, and at most one kill in each phase.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from '../../loadgen/plan/random.ts';
import type { LinksAnswer } from '../../src/node/linkFacts.ts';
import { childrenOf } from '../helpers/processes/cli.ts';
import { askOnce } from '../helpers/processes/node.ts';
import type { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { Talker } from './talker.ts';

export interface KillPlan {
  readonly kills: number;
  /** Fewer of them when it takes longer. */
  readonly forMs: number;
  readonly links: number;
  /** Of these. */
  readonly busy: number;
  /** A link that has had no answer for so long after a kill hangs. */
  readonly hangMs: number;
}

export interface KillWorld {
  readonly server: Server;
  readonly runDir: string;
  readonly random: Random;
  /** Payloads of EVENTs that the backend has. */
  readonly published: ReadonlySet<string>;
  readonly tell: (line: string) => void;
}

type Victim = 'predecessor' | 'successor' | 'registrar';
/** While an acceptor is replaced: the more often it stands here, the more often it is. */
const VICTIMS = ['predecessor', 'successor', 'predecessor', 'successor', 'registrar'] as const;
const STEPS = ['starting', 'moving', 'moving', 'moving', 'ending'] as const;

export interface KillOutcome {
  readonly kills: Record<Victim, number>;
  reloads: number;
  refused: number;
  lost: number;
  /** The longest that any answer took after a kill. */
  slowestMs: number;
  readonly failures: string[];
}

/** Up to so long after a step has begun: it is as likely to be over by then. */
const STEP_MS = { starting: 500, moving: 80, ending: 80 } as const;
const LOOK_MS = 5;

export class ReloadKills {
  readonly outcome: KillOutcome = {
    kills: { predecessor: 0, successor: 0, registrar: 0 },
    ...{ reloads: 0, refused: 0, lost: 0, slowestMs: 0, failures: [] },
  };
  readonly #plan: KillPlan;
  readonly #world: KillWorld;
  readonly #talkers = new Map<string, Talker>();
  /** Every one that there was: what it had ACKed counts after its end, too. */
  readonly #all: Talker[] = [];

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
    return Object.values(this.outcome.kills).reduce((sum, one) => sum + one, 0);
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

  /** By device. */
  async #acceptorOf(): Promise<Map<string, number>> {
    const question = { after: '', limit: 1_000 };
    const page = await askOnce<LinksAnswer>(this.#world.runDir, 'links', question);
    return new Map(page.rows.map(({ device, acceptor }) => [device ?? '', acceptor]));
  }

  async #reload(): Promise<void> {
    const { server, tell } = this.#world;
    const holders = await this.#acceptorOf();
    const before = {
      children: new Set(childrenOf(server.pid)),
      pids: ['', 'acceptor 1', 'acceptor 2'].map((name) => server.childPid(name)),
    };
    const seen = server.log.length;
    const isOver = () =>
      server.log.slice(seen).some(({ msg }) => /^reload (done|refused)$/.test(msg));
    const mayLose = new Set<number>();
    server.signal('SIGHUP');
    for (const index of [0, 1, 2]) {
      const { begins, ms, victim } = this.#point(index);
      const next = `reload: acceptor ${index + 1} `;
      const said = (begin: string) =>
        server.log.slice(seen).some(({ msg }) => msg.startsWith(begin));
      await until(() => said(begins) || said(next) || isOver());
      if (isOver()) break;
      await pause(this.#world.random.below(ms));
      if (!this.#kill(victim, index, before)) continue;
      if (victim !== 'registrar') mayLose.add(index);
      await this.#probe(`kill -9 of ${victim} ${index}, ${begins}`);
    }
    await until(isOver);
    await waitFor('health', () => server.isReady());
    await this.#probe('the reload');
    this.outcome.reloads += 1;
    if (server.log.slice(seen).some(({ msg }) => msg === 'reload refused'))
      this.outcome.refused += 1;
    this.#judge(holders, mayLose);
    await this.#fill();
    tell(`${this.#killed} kills, ${this.outcome.reloads} reloads, ${this.outcome.lost} links lost`);
  }

  /** Somewhere in the replacement of the registrar (0) or of an acceptor. */
  #point(index: number): { begins: string; ms: number; victim: Victim } {
    const { random } = this.#world;
    if (index === 0)
      return { begins: 'reload: registrar', ms: STEP_MS.starting, victim: 'registrar' };
    const step = STEPS[random.below(STEPS.length)] ?? 'moving';
    const victim = VICTIMS[random.below(VICTIMS.length)] ?? 'registrar';
    return { begins: `reload: acceptor ${index} ${step}`, ms: STEP_MS[step], victim };
  }

  /** False: it is not there any more, or not yet. */
  #kill(
    victim: Victim,
    index: number,
    before: { readonly children: ReadonlySet<number>; readonly pids: readonly number[] },
  ): boolean {
    const { server } = this.#world;
    const pid =
      victim === 'registrar'
        ? server.childPid('registrar')
        : victim === 'predecessor'
          ? before.pids[index]
          : childrenOf(server.pid).findLast((one) => !before.children.has(one));
    if (pid === undefined || !childrenOf(server.pid).includes(pid)) return false;
    process.kill(pid, 'SIGKILL');
    this.outcome.kills[victim] += 1;
    return true;
  }

  /** Each link is asked; each must go on, or be over, soon. */
  async #probe(after: string): Promise<void> {
    const all = [...this.#talkers.values()];
    const begun = performance.now();
    const said = all.map((talker) => talker.say());
    const isWaiting = (talker: Talker) =>
      talker.ended === undefined && talker.waitingMs > performance.now() - begun;
    // Whoever is busy has its own turn under way.
    await Promise.race([
      Promise.all([Promise.all(said), until(() => !all.some(isWaiting))]),
      pause(this.#plan.hangMs, undefined, { ref: false }),
    ]);
    this.outcome.slowestMs = Math.max(this.outcome.slowestMs, performance.now() - begun);
    for (const talker of all.filter(isWaiting)) {
      this.outcome.failures.push(`${talker.name} hangs after ${after}`);
    }
  }

  #judge(holders: ReadonlyMap<string, number>, mayLose: ReadonlySet<number>): void {
    const { failures } = this.outcome;
    for (const { name, ended, wrong } of this.#talkers.values()) {
      failures.push(...wrong);
      if (ended === undefined) continue;
      this.outcome.lost += 1;
      const index = holders.get(name) ?? 0;
      if (!mayLose.has(index)) failures.push(`${name} of acceptor ${index} was lost: ${ended}`);
      else if (ended !== 'reset') failures.push(`${name} was closed: ${ended}`);
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

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(LOOK_MS);
}
