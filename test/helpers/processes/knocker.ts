/**
 * Knocker: devices that connect, so many a second, and say something wrong: each has its ERROR, as
 * somebody has taken it, and no registrar or broker has work with it.
 * From: a test, by Knocking.start: where, and how many.  To: a node; what became of all of them.
 * Bound: UNDER_WAY at once, so that a busy machine is asked less; what could not begin in time
 * begins later. It ends with its parent.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type NetConnectOpts } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Message, TYPE } from '../../../src/wire/message.ts';
import { encode, V1Reader } from '../../../src/wire/v1.ts';

/** There was no HELLO. */
const WRONG = encode({ type: TYPE.PING });
const UNDER_WAY = 400;
const TICK_MS = 10;

export interface Knocks {
  readonly answered: number;
  /** Per second. */
  readonly rate: number;
  /** How often something else than ERROR came, by what it was. */
  readonly faults: Readonly<Record<string, number>>;
  /** The longest that one had to wait, and the 99th of 100. */
  readonly worstMs: number;
  readonly p99Ms: number;
}

/** The same, from a test. */
export class Knocking {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when the first ones have been answered. `at`: a port or a Unix socket. */
  static async start(at: number | string, perSecond: number): Promise<Knocking> {
    const child = fork(fileURLToPath(import.meta.url), [`${at}`, `${perSecond}`]);
    await once(child, 'message');
    return new Knocking(child);
  }

  async stop(): Promise<Knocks> {
    const told = once(this.#child, 'message');
    this.#child.send('stop');
    const [knocks] = (await told) as [Knocks];
    this.#child.disconnect();
    await once(this.#child, 'exit');
    return knocks;
  }

  kill(): void {
    this.#child.kill();
  }
}

function run(at: string, perSecond: number): void {
  const to: NetConnectOpts = /^\d+$/.test(at)
    ? { host: '127.0.0.1', port: Number(at) }
    : { path: at };
  const faults: Record<string, number> = {};
  const waits: number[] = [];
  const began = performance.now();
  let tried = 0;
  let underWay = 0;
  let isStopping = false;

  const knock = () => {
    tried += 1;
    underWay += 1;
    const since = performance.now();
    const reader = new V1Reader(4_096);
    const socket = connect({ ...to, noDelay: true });
    let isOver = false;
    const end = (fault?: string) => {
      if (isOver) return;
      isOver = true;
      underWay -= 1;
      if (fault === undefined) waits.push(performance.now() - since);
      else faults[fault] = (faults[fault] ?? 0) + 1;
      socket.destroy();
      if (waits.length === 1) process.send?.('knocking');
    };
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.on('close', () => end('closed'));
    socket.on('end', () => end('FIN'));
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk);
      const first: Message | undefined = reader.next();
      if (first === undefined) return;
      end(first.type === TYPE.ERROR ? undefined : JSON.stringify(first));
    });
    socket.write(WRONG);
  };
  const timer = setInterval(() => {
    const due = ((performance.now() - began) / 1_000) * perSecond;
    while (!isStopping && tried < due && underWay < UNDER_WAY) knock();
    if (!isStopping || underWay > 0) return;
    clearInterval(timer);
    const rate = Math.round((tried * 1_000) / (performance.now() - began));
    waits.sort((a, b) => a - b);
    const at = (share: number) => Math.round(waits[Math.floor(waits.length * share)] ?? 0);
    const [p99Ms, worstMs] = [at(0.99), Math.round(waits.at(-1) ?? 0)];
    process.send?.({ answered: waits.length, rate, faults, p99Ms, worstMs } satisfies Knocks);
  }, TICK_MS);
  process.on('message', () => {
    isStopping = true;
  });
  process.on('disconnect', () => process.exit());
}

if (import.meta.main) run(process.argv[2] ?? '', Number(process.argv[3]));
