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

/** Each of them listens for this process's end. */
process.setMaxListeners(100);

export class Driven {
  /** All that it said, in order. */
  readonly said: Said[] = [];
  readonly #process: ChildProcess;
  #isOver = false;
  /** What of `said` was taken. */
  readonly #taken = new Set<Said>();

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

  /** The next that it says with this word, whatever other words come between. */
  async next(is: string): Promise<Said> {
    let found: Said | undefined;
    await waitFor(`${is}, after ${JSON.stringify(this.said)}`, () => {
      found = this.said.find((one) => one.is === is && !this.#taken.has(one));
      if (found === undefined && this.#isOver) {
        throw new Error(`it ended: ${JSON.stringify(this.said)}`);
      }
      return found !== undefined;
    });
    this.#taken.add(found as Said);
    return found as Said;
  }

  /** Give an order, and wait for the word that answers it. */
  async ask(order: Order, is: string): Promise<Said> {
    this.order(order);
    return this.next(is);
  }
}
