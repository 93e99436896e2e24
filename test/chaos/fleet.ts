/**
 * Fleet: the devices of a run, in a process of their own, sending at a steady rate.
 * From: its parent, by IPC (fork): what to do.  To: a ledger file; its parent, ten times a second:
 * how it goes.
 * Visitors among them come and go, and are there to be commanded only.
 * Bound: a message that falls due while its device has no link is noted as skipped, never sent
 * later. Ends with its parent.
 */
import { Random } from '../../loadgen/plan/random.ts';
import type { Tongue } from '../helpers/fakes/speech.ts';
import { Device } from './device.ts';
import { LedgerFile } from './ledger.ts';
import { Steady } from './steady.ts';

export interface FleetStart {
  readonly what: 'start';
  readonly port: number;
  /** Of the MQTT listener: every second device speaks it, 3.1.1 and 5 by turns. */
  readonly mqttPort: number;
  readonly devices: number;
  /** So many of them come and go all the time, and send nothing; the others stay, and send. */
  readonly visitors: number;
  /** Messages a second, of all that stay together. */
  readonly perSecond: number;
  /** Share of them that are REQUESTs; the others are EVENTs. */
  readonly requestShare: number;
  /** Every command is ACKed and answered at once. */
  readonly isPrompt: boolean;
  readonly seed: number;
  readonly file: string;
}

export type ToFleet =
  | FleetStart
  /** Times the steady rate, from now on; 0 sends nothing. */
  | { readonly what: 'rate'; readonly factor: number }
  /** Say BYE on every link and end the process. */
  | { readonly what: 'end' };

/** How those fare that stay. */
export interface Fare {
  readonly open: number;
  /** Messages without an answer on links that are open. */
  readonly waiting: number;
  /** Age of the oldest of them, in ms. */
  readonly oldestMs: number;
  /** Time since a REQUEST was answered with another status than 0, in ms. */
  readonly wellMs: number;
}

/** By a device's number. */
const TONGUES: readonly Tongue[] = ['owsla', 'mqtt-5', 'owsla', 'mqtt-3.1.1'];
const TICK_MS = 10;
const TELL_MS = 100;
/** New links a second, so that the start is no storm. */
const CONNECTS_PER_SECOND = 1_000;
const END_MS = 3_000;

class Fleet {
  readonly #start: FleetStart;
  readonly #random: Random;
  readonly #ledger: LedgerFile;
  readonly #devices: Device[] = [];
  readonly #steady: Steady;
  #next = 0;
  #refusedAt = Date.now();

  constructor(start: FleetStart) {
    const { port, mqttPort, devices, visitors, isPrompt, seed, file } = start;
    this.#start = start;
    this.#steady = new Steady(start.perSecond);
    this.#random = new Random(seed, 1);
    const jitter = new Random(seed, 2);
    const ledger = new LedgerFile(file);
    this.#ledger = ledger;
    for (let number = 0; number < devices; number += 1) {
      const tongue = TONGUES[number % TONGUES.length] as Tongue;
      const device = new Device(number, {
        port: tongue === 'owsla' ? port : mqttPort,
        tongue,
        ledger,
        random: () => jitter.next(),
        isVisitor: number >= devices - visitors,
        isPrompt,
        onRefused: () => {
          this.#refusedAt = Date.now();
        },
      });
      this.#devices.push(device);
      setTimeout(() => device.connect(), (number / CONNECTS_PER_SECOND) * 1_000);
    }
    setInterval(() => this.#tick(), TICK_MS);
    // A parent that is gone is for `disconnect` to say.
    setInterval(() => process.send?.(this.#fare(), undefined, undefined, () => {}), TELL_MS);
  }

  rate(factor: number): void {
    this.#steady.rate(factor);
  }

  #tick(): void {
    const now = Date.now();
    for (let due = this.#steady.due(now); due > 0; due -= 1) this.#sendOne(now);
    this.#ledger.flush();
  }

  #sendOne(now: number): void {
    const device = this.#devices[this.#next] as Device;
    this.#next = (this.#next + 1) % (this.#start.devices - this.#start.visitors);
    const isRequest = this.#random.next() < this.#start.requestShare;
    if (device.state === 'open') device.send(isRequest ? 'request' : 'event', now);
    else this.#ledger.note({ what: 'skipped', device: device.number, at: now });
  }

  #fare(): Fare {
    let open = 0;
    let waiting = 0;
    let since = Number.POSITIVE_INFINITY;
    for (const device of this.#devices) {
      if (device.isVisitor) continue;
      if (device.state === 'open') open += 1;
      waiting += device.waiting;
      since = Math.min(since, device.waitingSince);
    }
    const now = Date.now();
    const oldestMs = waiting === 0 ? 0 : now - since;
    return { open, waiting, oldestMs, wellMs: now - this.#refusedAt };
  }

  end(): void {
    this.rate(0);
    for (const device of this.#devices) device.end();
    const begin = Date.now();
    setInterval(() => {
      const isDown = this.#devices.every(({ state }) => state === 'down');
      if (!isDown && Date.now() - begin < END_MS) return;
      this.#ledger.close();
      process.exit(0);
    }, TICK_MS);
  }
}

let fleet: Fleet | undefined;
process.on('message', (message: ToFleet) => {
  if (message.what === 'start') fleet = new Fleet(message);
  else if (message.what === 'rate') fleet?.rate(message.factor);
  else fleet?.end();
});
process.on('disconnect', () => process.exit(1));
