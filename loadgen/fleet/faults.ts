/**
 * Faults: devices that misbehave on purpose, in shares that the plan names.
 * From: the plan.  To: devices of the fleet, through its hooks; each fault is counted by name.
 * Bound: a device has at most one role, the same in every run with the same seed. What devices
 * with a role lose is `excused`, and their times are not taken: they measure the fault.
 */

import type { FaultPlan } from '../plan/plan.ts';
import { Random } from '../plan/random.ts';
import type { Device } from './device.ts';
import { DUE, type Fleet } from './fleet.ts';
import type { Source } from './pacer.ts';

type Role = 'half-open' | 'slow-reader' | 'garbage';

/** A slow reader takes one chunk of at most 64 KiB in this time. */
const SLOW_READ_MS = 1_000;

/** The role of a device, or `undefined` for the well-behaved rest. */
function roleOf(faults: FaultPlan, seed: number, index: number): Role | undefined {
  const at = new Random(seed ^ 0xfa17, index).next();
  if (at < faults.halfOpen) return 'half-open';
  if (at < faults.halfOpen + faults.slowReader) return 'slow-reader';
  if (at < faults.halfOpen + faults.slowReader + faults.garbage) return 'garbage';
  return undefined;
}

/** Bytes that are no frame of the protocol: one of the ways in which firmware goes wrong. */
export function garbage(random: Random): Buffer {
  const noise = Buffer.from(Array.from({ length: 32 }, () => random.below(256)));
  const header = Buffer.alloc(4);
  switch (random.below(4)) {
    case 0: // A frame of length 0.
      return header;
    case 1: // A length that no server takes.
      header.writeUInt32BE(0xffff_fff0);
      return Buffer.concat([header, noise]);
    case 2: // A right length, and noise that begins like no array.
      header.writeUInt32BE(noise.length);
      noise[0] = 0xc1;
      return Buffer.concat([header, noise]);
    default: // An array whose type nobody knows.
      header.writeUInt32BE(3);
      return Buffer.concat([header, Buffer.from([0x92, 0x7f, 0x00])]);
  }
}

class Faults {
  readonly #fleet: Fleet;
  readonly #plan: FaultPlan;
  readonly #random: Random;
  readonly #roles = new Map<number, Role>();
  readonly #restOfHello = new Map<number, Buffer>();

  constructor(fleet: Fleet, worker: number) {
    this.#fleet = fleet;
    this.#plan = fleet.plan.faults;
    this.#random = new Random(fleet.plan.seed ^ 0xfa17, worker);
    for (const device of fleet.devices) {
      const role = roleOf(this.#plan, fleet.plan.seed, device.index);
      if (role === undefined || device.isSleeper) continue;
      this.#roles.set(device.index, role);
      device.isFaulty = true;
    }
  }

  onConnected(device: Device): void {
    const hello = device.hello();
    const isSlow = this.#random.next() < this.#plan.slowGreeting;
    if (!isSlow) {
      device.greet(hello);
      return;
    }
    this.#count('slow-greeting');
    device.isFaulty = true;
    device.write(hello.subarray(0, 3));
    this.#restOfHello.set(device.index, hello.subarray(3));
    this.#later(device);
  }

  onOpened(device: Device): void {
    const role = this.#roles.get(device.index);
    device.isFaulty = role !== undefined;
    if (role !== undefined) this.#later(device);
  }

  onDue(device: Device): void {
    const rest = this.#restOfHello.get(device.index);
    if (rest !== undefined) {
      this.#restOfHello.delete(device.index);
      if (device.state === 'greeting') device.greet(rest);
      return;
    }
    const role = this.#roles.get(device.index);
    if (device.state !== 'open' || role === undefined) return;
    this.#count(role);
    if (role === 'half-open') {
      // It reads on, so that the end which the server makes is seen; it never writes again.
      device.state = 'muted';
      this.#fleet.retire(device);
    } else if (role === 'slow-reader') {
      device.readSlowly(SLOW_READ_MS);
    } else {
      device.write(garbage(this.#random));
    }
  }

  /** One wave: a share of the devices loses power at once, without a FIN of their program. */
  reboot(): void {
    for (const device of this.#fleet.devices) {
      if (device.state !== 'open' || this.#random.next() >= this.#plan.rebootShare) continue;
      this.#count('reboot');
      device.close('reset');
    }
  }

  #later(device: Device): void {
    const { afterMs } = this.#plan;
    const atMs = this.#random.between(afterMs, 2 * afterMs);
    this.#fleet.after(atMs, DUE.fault, device);
  }

  #count(fault: string): void {
    this.#fleet.measures.counts.faults += 1;
    this.#fleet.measures.label('faults', fault);
  }
}

class Waves implements Source {
  readonly #faults: Faults;
  readonly #everyMs: number;
  nextMs: number;

  constructor(faults: Faults, startMs: number, everyMs: number) {
    this.#faults = faults;
    this.#everyMs = everyMs;
    this.nextMs = startMs + everyMs;
  }

  emit(): void {
    this.#faults.reboot();
    this.nextMs += this.#everyMs;
  }
}

/** Hook the plan's faults into the fleet; reboot waves come every interval from `startMs` on. */
export function startFaults(fleet: Fleet, worker: number, startMs: number): void {
  const { halfOpen, slowReader, slowGreeting, garbage, rebootShare, rebootEveryMs } =
    fleet.plan.faults;
  if (halfOpen + slowReader + slowGreeting + garbage + rebootShare === 0) return;
  const faults = new Faults(fleet, worker);
  fleet.onConnected = (device) => faults.onConnected(device);
  fleet.onOpened = (device) => faults.onOpened(device);
  fleet.onDueElse = (due, device) => {
    if (due.kind === DUE.fault) faults.onDue(device);
  };
  if (rebootShare > 0) fleet.addBackground(new Waves(faults, startMs, rebootEveryMs));
}
