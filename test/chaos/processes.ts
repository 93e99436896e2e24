/**
 * Processes: fleet, backend, commander and bad neighbours as the run sees them, each one its own.
 * From: world.ts, faults.ts and beside.ts, as calls.  To: fleet.ts and the others, by IPC.
 * Bound: they end with this process, however it ends: their IPC channel closes.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { waitFor } from '../helpers/waitFor.ts';
import type { BackendStart, Manner, ToBackend } from './backend.ts';
import type { Who } from './badDevices.ts';
import type { CommanderStart, ToCommander } from './commander.ts';
import type { Fare, FleetStart, ToFleet } from './fleet.ts';
import type { NeighboursStart, ToNeighbours } from './neighbours.ts';

/** Nothing may wait longer than this for things to count as calm, and it must stay so as long. */
const CALM_MS = 1_000;

/** `isApart`: in a session of its own, which is what Linux shares out processors by (autogroup). */
function start(file: string, isApart = false): ChildProcess {
  return fork(join(import.meta.dirname, file), [], { stdio: 'inherit', detached: isApart });
}

function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** SIGKILL. */
async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || isOver(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

export class FleetProcess {
  readonly #child = start('fleet.ts');
  readonly #residents: number;
  #fare: Fare = { open: 0, waiting: 0, oldestMs: 0, wellMs: 0 };

  constructor(options: Omit<FleetStart, 'what'>) {
    this.#residents = options.devices - options.visitors;
    this.#child.on('message', (fare: Fare) => {
      this.#fare = fare;
    });
    this.#tell({ what: 'start', ...options });
  }

  #tell(message: ToFleet): void {
    this.#child.send(message);
  }

  get fare(): Fare {
    return this.#fare;
  }

  /** Times the steady rate; 0 sends nothing. */
  rate(factor: number): void {
    this.#tell({ what: 'rate', factor });
  }

  async untilOpen(deadlineMs: number): Promise<void> {
    await waitFor('every link to open', () => this.#fare.open === this.#residents, deadlineMs);
  }

  /** For a second: all are there that stay, nothing waits long, and every answer is a good one. */
  async untilCalm(deadlineMs: number): Promise<void> {
    let since = performance.now();
    await waitFor(
      'everything to be answered again',
      () => {
        const { open, oldestMs, wellMs } = this.#fare;
        const now = performance.now();
        if (open < this.#residents || oldestMs > CALM_MS || wellMs < CALM_MS) since = now;
        return now - since > CALM_MS;
      },
      deadlineMs,
    );
  }

  async untilAnswered(deadlineMs: number): Promise<void> {
    await waitFor('the last answers', () => this.#fare.waiting === 0, deadlineMs);
  }

  /** Ends every link; its ledger is complete then. */
  async end(): Promise<void> {
    if (isOver(this.#child)) return;
    const ended = once(this.#child, 'exit');
    this.#tell({ what: 'end' });
    await ended;
  }
}

export class BackendProcess {
  readonly #options: Omit<BackendStart, 'what' | 'file'>;
  /** The ledger file of the next process. */
  readonly #file: (life: number) => string;
  #child: ChildProcess | undefined;
  #lives = 0;

  constructor(options: Omit<BackendStart, 'what' | 'file'>, file: (life: number) => string) {
    this.#options = options;
    this.#file = file;
  }

  /** Resolves when it consumes. */
  async start(): Promise<void> {
    this.#lives += 1;
    const child = start('backend.ts');
    this.#child = child;
    const ready = once(child, 'message');
    this.#tell({ what: 'start', ...this.#options, file: this.#file(this.#lives) });
    await ready;
  }

  #tell(message: ToBackend): void {
    this.#child?.send(message);
  }

  behave(manner: Manner): void {
    this.#tell({ what: 'manner', manner });
  }

  async kill(): Promise<void> {
    await end(this.#child);
  }
}

export class CommanderProcess {
  readonly #options: Omit<CommanderStart, 'what' | 'file' | 'life'>;
  /** The ledger file of the next process. */
  readonly #file: (life: number) => string;
  #child: ChildProcess | undefined;
  #lives = 0;
  #factor = 0;

  constructor(
    options: Omit<CommanderStart, 'what' | 'file' | 'life'>,
    file: (life: number) => string,
  ) {
    this.#options = options;
    this.#file = file;
  }

  /** Resolves when it can command. It goes on at the rate of its life before. */
  async start(): Promise<void> {
    this.#lives += 1;
    const life = this.#lives;
    const child = start('commander.ts');
    this.#child = child;
    const ready = once(child, 'message');
    this.#tell({ what: 'start', ...this.#options, life, file: this.#file(life) });
    await ready;
    this.rate(this.#factor);
  }

  #tell(message: ToCommander): void {
    this.#child?.send(message);
  }

  /** Times the steady rate; 0 sends nothing. */
  rate(factor: number): void {
    this.#factor = factor;
    this.#tell({ what: 'rate', factor });
  }

  async kill(): Promise<void> {
    await end(this.#child);
  }
}

export class NeighboursProcess {
  readonly #child = start('neighbours.ts', true);
  /** What they did, by words for people. */
  deeds: readonly (readonly [string, number])[] = [];

  constructor(options: Omit<NeighboursStart, 'what'>) {
    this.#tell({ what: 'start', ...options });
  }

  #tell(message: ToNeighbours): void {
    this.#child.send(message);
  }

  /** Resolves when they have begun, or have gone with all that was theirs. */
  async #until(message: ToNeighbours): Promise<void> {
    const told = once(this.#child, 'message');
    this.#tell(message);
    const [deeds] = await told;
    this.deeds = deeds;
  }

  /** All of `who` at once. */
  work(who: readonly Who[]): Promise<void> {
    return this.#until({ what: 'work', who });
  }

  rest(): Promise<void> {
    return this.#until({ what: 'rest' });
  }

  /** Resolves when they have done things of so many kinds: on a busy machine they come last. */
  async haveDone(kinds: number): Promise<void> {
    await waitFor(`${kinds} kinds of deeds`, async () => {
      await this.#until({ what: 'tell' });
      return this.deeds.length >= kinds;
    });
  }

  async end(): Promise<void> {
    await end(this.#child);
  }
}
