/**
 * Commands: what one worker publishes to its own devices, and the devices that sleep.
 * From: the plan.  To: commandPublisher.ts at the planned times; commandLedger.ts, which judges.
 * Bound: open loop: what cannot be published at its time is counted as `commandsSkipped`. A worker
 * commands its own devices only, so that its ledger sees both ends.
 */

import type { Device } from '../fleet/device.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Source } from '../fleet/pacer.ts';
import { nowMs } from '../measure/clock.ts';
import { KIND } from '../plan/payload.ts';
import { type CommandPlan, LATE_MS, type Plan } from '../plan/plan.ts';
import { Ramp } from '../plan/ramp.ts';
import { Random } from '../plan/random.ts';
import { CommandLedger } from './commandLedger.ts';
import { type CommandBroker, CommandPublisher } from './commandPublisher.ts';

export class Commands {
  readonly ledger: CommandLedger;
  readonly publisher: CommandPublisher;
  readonly #fleet: Fleet;
  readonly #plan: CommandPlan;
  readonly #random: Random;

  constructor(fleet: Fleet, worker: number, broker: CommandBroker) {
    const { plan } = fleet;
    this.#fleet = fleet;
    this.#plan = plan.commands;
    this.#random = new Random(plan.seed ^ 0xc03a, worker);
    this.ledger = new CommandLedger(fleet);
    const name = `${plan.run.toString(16)}.${worker}`;
    this.publisher = new CommandPublisher(broker, name, {
      onUnpublished: (number, fate) => this.ledger.onUnpublished(number, fate),
      onOutcome: (number, outcome) => this.ledger.onOutcome(number, outcome, nowMs()),
    });
    fleet.onActed = (device, payload) => this.#onActed(device, payload);
  }

  /** Resolves when commands can be published. */
  connect(): Promise<void> {
    return new Promise((resolve) => {
      void this.publisher.run(resolve);
    });
  }

  /** True: the device loses its link now, instead of answering. */
  #onActed(device: Device, payload: Buffer): boolean {
    this.ledger.onActed(device.index, payload, nowMs());
    const isCut = this.#random.next() < this.#plan.cutShare;
    if (isCut) {
      this.#fleet.measures.counts.faults += 1;
      this.#fleet.measures.label('faults', 'command-cut');
    }
    return isCut;
  }

  /** Publish one planned command to `device`, or count it as skipped. */
  publish(number: number, device: Device, plannedMs: number, now: number): void {
    const { plan, payloads, measures } = this.#fleet;
    if (!this.publisher.isReady) {
      measures.counts.commandsSkipped += 1;
      return;
    }
    measures.time('sendLag', now - plannedMs);
    if (now - plannedMs > LATE_MS) measures.counts.lateSends += 1;
    const { topic, deadlineMs, keptShare } = this.#plan;
    // By chance: evenly, devices in turn would get one sort each.
    const isKept = this.#random.next() < keptShare;
    const mark = { device: device.index, number, kind: KIND.command };
    const payload = Buffer.allocUnsafe(payloads.lengthOf(device.index, number, plan.bytes));
    payloads.fill(payload, 0, payload.length, mark);
    const isTimed = device.state === 'open' && !device.isFaulty;
    const dueMs = now + deadlineMs;
    this.ledger.onPublished({ number, device: device.index, isKept, plannedMs, dueMs, isTimed });
    const deadline = Math.round(Date.now() + deadlineMs);
    this.publisher.publish({ number, deviceId: device.id, topic, payload, isKept, deadline });
  }

  /** Begin to publish at `startMs`. */
  start(worker: number, startMs: number): void {
    const { plan, devices, pacer } = this.#fleet;
    const targets = devices.filter((device) => {
      return this.#plan.to === 'all' || device.isSleeper === (this.#plan.to === 'asleep');
    });
    if (targets.length > 0) pacer.add(new CommandSource(this, plan, targets, worker, startMs));
  }
}

/** The rate: command k of all workers is due when the area under it reaches k. */
class CommandSource implements Source {
  readonly #commands: Commands;
  readonly #workers: number;
  readonly #targets: readonly Device[];
  readonly #startMs: number;
  readonly #ramp: Ramp;
  #at = 0;
  #k: number;
  nextMs: number;

  constructor(
    commands: Commands,
    { commands: { rate }, workers }: Plan,
    targets: readonly Device[],
    worker: number,
    startMs: number,
  ) {
    this.#commands = commands;
    this.#workers = workers;
    this.#targets = targets;
    this.#startMs = startMs;
    this.#ramp = new Ramp(rate);
    this.#k = worker;
    this.nextMs = startMs + this.#ramp.inverse(this.#k);
  }

  emit(now: number): void {
    const device = this.#targets[this.#at] as Device;
    this.#at = this.#at + 1 < this.#targets.length ? this.#at + 1 : 0;
    this.#commands.publish(this.#k + 1, device, this.nextMs, now);
    this.#k += this.#workers;
    this.nextMs = this.#startMs + this.#ramp.inverse(this.#k);
  }
}

/** The sleepers' first wake-ups: spread evenly over the plan's time for that. */
export class WakeUps implements Source {
  readonly #fleet: Fleet;
  readonly #sleepers: readonly Device[];
  readonly #startMs: number;
  #at = 0;
  nextMs: number;

  constructor(fleet: Fleet, startMs: number) {
    this.#fleet = fleet;
    this.#sleepers = fleet.devices.filter(({ isSleeper }) => isSleeper);
    this.#startMs = startMs;
    this.nextMs = this.#planned();
  }

  #planned(): number {
    const { sleep } = this.#fleet.plan;
    if (this.#at >= this.#sleepers.length || sleep.wakeToMs === 0) return Number.POSITIVE_INFINITY;
    const share = this.#at / this.#sleepers.length;
    return this.#startMs + sleep.wakeFromMs + share * (sleep.wakeToMs - sleep.wakeFromMs);
  }

  emit(now: number): void {
    const device = this.#sleepers[this.#at] as Device;
    this.#at += 1;
    this.#fleet.wake(device, this.nextMs, now);
    this.nextMs = this.#planned();
  }
}
