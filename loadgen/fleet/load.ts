/**
 * Load: which message is due when, and which device sends it.
 * From: the plan (rate, stages, profiles).  To: pacer.ts as sources; devices of the fleet.
 * Bound: open loop: what cannot be sent at its time, because no link is open, is counted as
 * `skipped`, never postponed. Only profiles with think times wait for answers.
 */

import { KIND } from '../plan/payload.ts';
import { LATE_MS, type Plan, type Profile, profileOf } from '../plan/plan.ts';
import { Ramp } from '../plan/ramp.ts';
import { Random } from '../plan/random.ts';
import type { Device } from './device.ts';
import type { Fleet } from './fleet.ts';
import { DUE } from './fleet.ts';
import type { Source } from './pacer.ts';
import type { Template } from './speech.ts';

/** Send one planned message from `device`, or count it as skipped. */
function send(
  fleet: Fleet,
  device: Device | undefined,
  template: Template,
  plannedMs: number,
  now: number,
): void {
  const { measures } = fleet;
  if (device === undefined || !device.canSend) {
    measures.counts.skipped += 1;
    return;
  }
  const lagMs = now - plannedMs;
  measures.time('sendLag', lagMs);
  if (lagMs > LATE_MS) measures.counts.lateSends += 1;
  fleet.pendingCount += 1;
  device.send(template, plannedMs, now);
}

/** The total rate: message k of all workers is due when the area under the rate reaches k. */
export class RateSource implements Source {
  readonly #fleet: Fleet;
  readonly #startMs: number;
  readonly #ramp: Ramp;
  readonly #request: Template;
  readonly #event: Template;
  #k: number;
  nextMs: number;

  constructor(fleet: Fleet, worker: number, startMs: number) {
    const { rate, topic, eventTopic, bytes } = fleet.plan;
    this.#fleet = fleet;
    this.#startMs = startMs;
    this.#ramp = new Ramp(rate);
    this.#request = fleet.speech.template(KIND.request, topic, bytes);
    this.#event = fleet.speech.template(KIND.event, eventTopic, bytes);
    this.#k = worker;
    this.nextMs = startMs + this.#ramp.inverse(this.#k);
  }

  emit(now: number): void {
    const { eventShare, workers } = this.#fleet.plan;
    // Every 1/share-th message is an event, spread evenly, whichever worker has it.
    const isEvent = Math.floor((this.#k + 1) * eventShare) > Math.floor(this.#k * eventShare);
    const what = isEvent ? this.#event : this.#request;
    send(this.#fleet, this.#fleet.choose(), what, this.nextMs, now);
    this.#k += workers;
    this.nextMs = this.#startMs + this.#ramp.inverse(this.#k);
  }
}

function templateOf({ speech }: Fleet, { sends, topic, bytes }: Profile): Template {
  return speech.template(sends === 'event' ? KIND.event : KIND.request, topic, bytes);
}

/** Devices that report at fixed intervals, each with its own phase: nothing is aligned. */
export class IntervalSource implements Source {
  readonly #fleet: Fleet;
  readonly #profile: Profile;
  readonly #template: Template;
  readonly #startMs: number;
  readonly #speed: Ramp;
  /** Phases in [0, 1) of an interval, rising, and whose they are. */
  readonly #phases: Float64Array;
  readonly #devices: Device[];
  #at = 0;
  #round = 0;
  nextMs: number;

  constructor(fleet: Fleet, profile: Profile, devices: Device[], startMs: number) {
    this.#fleet = fleet;
    this.#profile = profile;
    this.#template = templateOf(fleet, profile);
    this.#startMs = startMs;
    this.#speed = new Ramp(fleet.plan.speed);
    const phased = devices
      .map((device) => ({ device, phase: new Random(fleet.plan.seed, device.index).next() }))
      .sort((a, b) => a.phase - b.phase);
    this.#phases = Float64Array.from(phased, ({ phase }) => phase);
    this.#devices = phased.map(({ device }) => device);
    this.nextMs = this.#planned();
  }

  #planned(): number {
    const phase = this.#phases[this.#at];
    if (phase === undefined) return Number.POSITIVE_INFINITY;
    // The speed's area is in seconds of the profile's own clock.
    const ownSeconds = ((this.#round + phase) * this.#profile.everyMs) / 1_000;
    return this.#startMs + this.#speed.inverse(ownSeconds);
  }

  emit(now: number): void {
    send(this.#fleet, this.#devices[this.#at], this.#template, this.nextMs, now);
    this.#at += 1;
    if (this.#at === this.#devices.length) {
      this.#at = 0;
      this.#round += 1;
    }
    this.nextMs = this.#planned();
  }
}

/** Devices at random moments: a Poisson process over all of them. */
export class RandomSource implements Source {
  readonly #fleet: Fleet;
  readonly #profile: Profile;
  readonly #template: Template;
  readonly #devices: Device[];
  readonly #startMs: number;
  readonly #speed: Ramp;
  readonly #random: Random;
  #ownSeconds = 0;
  nextMs = Number.POSITIVE_INFINITY;

  constructor(fleet: Fleet, profile: Profile, devices: Device[], startMs: number) {
    this.#fleet = fleet;
    this.#profile = profile;
    this.#template = templateOf(fleet, profile);
    this.#devices = devices;
    this.#startMs = startMs;
    this.#speed = new Ramp(fleet.plan.speed);
    this.#random = new Random(fleet.plan.seed, devices[0]?.index ?? 0);
    if (devices.length > 0) this.#plan();
  }

  #plan(): void {
    const meanMs = this.#profile.everyMs / this.#devices.length;
    this.#ownSeconds += this.#random.exponential(meanMs) / 1_000;
    this.nextMs = this.#startMs + this.#speed.inverse(this.#ownSeconds);
  }

  emit(now: number): void {
    const device = this.#devices[this.#random.below(this.#devices.length)];
    send(this.#fleet, device, this.#template, this.nextMs, now);
    this.#plan();
  }
}

/** Devices that wait for their answer, think, and send again: a closed loop. */
class Thinkers {
  readonly #fleet: Fleet;
  readonly #profiles: readonly Profile[];
  readonly #templates: ReadonlyMap<Profile, Template>;
  readonly #endMs: number;

  constructor(fleet: Fleet, endMs: number) {
    this.#fleet = fleet;
    this.#profiles = fleet.plan.profiles;
    this.#templates = new Map(
      this.#profiles.map((profile) => [profile, templateOf(fleet, profile)]),
    );
    this.#endMs = endMs;
  }

  /** The device's first message, on this link, comes within one interval. */
  begin(device: Device, startMs: number): void {
    const profile = this.#profile(device);
    if (profile?.when !== 'think') return;
    this.#at(startMs + this.#fleet.random.next() * profile.everyMs, device);
  }

  onAnswered(device: Device, now: number): void {
    const profile = this.#profile(device);
    if (profile?.when === 'think') this.#at(now + this.#thinkMs(profile), device);
  }

  onDue(device: Device, now: number): void {
    const profile = this.#profile(device);
    const isOver = this.#fleet.pacer.isMuted || now >= this.#endMs;
    if (profile === undefined || isOver) return;
    const template = this.#templates.get(profile) as Template;
    send(this.#fleet, device, template, now, now);
    if (!device.canSend) this.#at(now + this.#thinkMs(profile), device);
  }

  #profile(device: Device): Profile | undefined {
    return this.#profiles[profileOf(this.#fleet.plan, device.index)];
  }

  #thinkMs({ everyMs }: Profile): number {
    return this.#fleet.random.between(0.5 * everyMs, 1.5 * everyMs);
  }

  #at(timeMs: number, device: Device): void {
    if (timeMs >= this.#endMs) return;
    this.#fleet.pacer.at(timeMs, DUE.think, device.index, device.link);
  }
}

/** Start all load of the plan at `startMs`. Returns when it ends, in the same clock. */
export function startLoad(fleet: Fleet, worker: number, startMs: number): number {
  const { plan, pacer } = fleet;
  const endMs = startMs + durationOf(plan);
  if (plan.rate.some(({ from, to }) => from > 0 || to > 0)) {
    pacer.add(new RateSource(fleet, worker, startMs));
  }
  const thinkers = new Thinkers(fleet, endMs);
  const groups = new Map<Profile, Device[]>();
  for (const device of fleet.devices) {
    const profile = plan.profiles[profileOf(plan, device.index)];
    if (profile === undefined) continue;
    const group = groups.get(profile);
    if (group === undefined) groups.set(profile, [device]);
    else group.push(device);
  }
  for (const [profile, devices] of groups) {
    if (profile.when === 'interval')
      pacer.add(new IntervalSource(fleet, profile, devices, startMs));
    if (profile.when === 'random') pacer.add(new RandomSource(fleet, profile, devices, startMs));
  }
  if (!plan.profiles.some(({ when }) => when === 'think')) return endMs;
  for (const device of fleet.devices) thinkers.begin(device, startMs);
  fleet.onOpened = chain(fleet.onOpened, (device, now) => thinkers.begin(device, now));
  fleet.onAnswered = (index, now) => thinkers.onAnswered(fleet.at(index), now);
  const onDueElse = fleet.onDueElse;
  fleet.onDueElse = (due, device, now) => {
    if (due.kind === DUE.think) thinkers.onDue(device, now);
    else onDueElse(due, device, now);
  };
  return endMs;
}

function chain(
  before: (device: Device, now: number) => void,
  then: (device: Device, now: number) => void,
): (device: Device, now: number) => void {
  return (device, now) => {
    before(device, now);
    then(device, now);
  };
}

/** Milliseconds of the load; Infinity for a run that only an interrupt ends. */
export function durationOf(plan: Plan): number {
  return plan.durationMs === 0 ? Number.POSITIVE_INFINITY : plan.durationMs;
}
