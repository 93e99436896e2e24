/**
 * Driven: a device by somebody else's MQTT library, as a process that takes orders.
 * From: a test: one order, a JSON object, a line on its stdin.  To: what the library said of it,
 * one JSON object a line on its stdout, its word in `is`. Every program of clients/ and go/device/
 * speaks so:
 *
 *   connect      connected, or refused with CONNACK's `code`; later lost, with DISCONNECT's `code`
 *   subscribe    subscribed, with SUBACK's `code`
 *   publish      published, with PUBACK's `code`; QoS 0: written
 *   drop         cuts its socket without a DISCONNECT
 *   disconnect   DISCONNECT
 *                message, whenever one comes
 *
 * Bound: it ends with the test that started it, at the latest with this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { cleanEnvironment } from '../../helpers/processes/environment.ts';
import { waitFor } from '../../helpers/waitFor.ts';

export interface Connect {
  readonly do: 'connect';
  readonly host: string;
  readonly port: number;
  readonly id: string;
  readonly version: 4 | 5;
  readonly keepalive?: number;
  readonly password?: string;
  /** It comes back by itself. */
  readonly reconnect?: boolean;
  readonly will?: { readonly topic: string; readonly payload: string };
}

export interface Publish {
  readonly do: 'publish';
  readonly topic: string;
  readonly payload: string;
  readonly qos: 0 | 1;
  /** MQTT 5: Response Topic and Correlation Data. */
  readonly response?: string;
  readonly correlation?: string;
}

export type Order =
  | Connect
  | Publish
  | { readonly do: 'subscribe'; readonly filter: string }
  | { readonly do: 'drop' }
  | { readonly do: 'disconnect' };

export interface Said {
  readonly is: string;
  readonly code?: number | string;
  readonly topic?: string;
  readonly payload?: string;
  readonly correlation?: string;
  readonly user?: Readonly<Record<string, string>>;
}

export class Driven {
  /** All that it said, in order. */
  readonly said: Said[] = [];
  readonly #process: ChildProcess;
  #isOver = false;
  /** How much of `said` was taken. */
  #taken = 0;

  constructor(t: Test, [file = '', ...args]: readonly string[]) {
    this.#process = spawn(file, args, {
      env: cleanEnvironment(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const kill = () => this.#process.kill('SIGKILL');
    process.once('exit', kill);
    void once(this.#process, 'close').then(() => {
      this.#isOver = true;
      process.off('exit', kill);
    });
    this.#process.stdin?.on('error', () => {});
    createInterface({ input: this.#process.stdout as NodeJS.ReadableStream }).on('line', (line) =>
      this.said.push(JSON.parse(line) as Said),
    );
    t.teardown(() => kill());
  }

  order(order: Order): void {
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** The next that it says with this word; what it said before that is passed over. */
  async next(is: string): Promise<Said> {
    let found = -1;
    await waitFor(`${is}, after ${JSON.stringify(this.said)}`, () => {
      found = this.said.findIndex((one, at) => at >= this.#taken && one.is === is);
      if (found < 0 && this.#isOver) throw new Error(`it ended: ${JSON.stringify(this.said)}`);
      return found >= 0;
    });
    this.#taken = found + 1;
    return this.said[found] as Said;
  }

  /** Give an order, and wait for the word that answers it. */
  async ask(order: Order, is: string): Promise<Said> {
    this.order(order);
    return this.next(is);
  }
}
