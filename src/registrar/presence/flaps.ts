/**
 * Flaps: devices that connect again and again. Pure.
 * From: links that begin, once they are on record; hand-overs repeat none of them.
 * To: the observer's alarms, by the registrar's reports.
 * Bound: TRACKED_MAX devices: of more, those that began a link longest ago are forgotten. That
 * happens in a storm, in which a device that flaps comes again before.
 *
 * Each device has a level: one more for each link, and `deviceFlapsMax` less in each
 * `deviceFlapWindowMs`. What reaches `deviceFlapsMax` flaps, until it has come down to half of it.
 */
import type { Limits } from '../../base/limits.ts';
import { CONCERNS_MAX, type Concern } from '../../node/alarmNames.ts';

const TRACKED_MAX = 10_000;
/** Devices worth a look when they are asked for, most. */
const SUSPECTS_MAX = 1_000;

interface Pulse {
  level: number;
  /** As of then, in the clock's ms. */
  at: number;
}

export class Flaps {
  readonly #max: number;
  readonly #perMs: number;
  /** The one that began a link last stands last. */
  readonly #pulses = new Map<string, Pulse>();
  /** All before it are deleted: V8 would step over them again from a new one on, at each link. */
  readonly #oldest = this.#pulses.keys();
  /** Those that were at half of the level or above when last seen. */
  readonly #suspects = new Set<string>();

  constructor({ deviceFlapsMax, deviceFlapWindowMs }: FlapLimits) {
    this.#max = deviceFlapsMax;
    this.#perMs = deviceFlapsMax / deviceFlapWindowMs;
  }

  /** A link of this device began. */
  began(device: string, now: number): void {
    const level = this.#levelOf(this.#pulses.get(device), now) + 1;
    this.#pulses.delete(device);
    this.#pulses.set(device, { level, at: now });
    if (this.#pulses.size > TRACKED_MAX) this.#pulses.delete(this.#oldest.next().value as string);
    if (level >= this.#max / 2 && this.#suspects.size < SUSPECTS_MAX) this.#suspects.add(device);
  }

  #levelOf(pulse: Pulse | undefined, now: number): number {
    if (pulse === undefined) return 0;
    return Math.max(0, pulse.level - (now - pulse.at) * this.#perMs);
  }

  /** The worst, each with its level; 1 is `deviceFlapsMax`. */
  list(now: number): Concern[] {
    const concerns: Concern[] = [];
    for (const device of this.#suspects) {
      const figure = this.#levelOf(this.#pulses.get(device), now) / this.#max;
      if (figure < 0.5) this.#suspects.delete(device);
      else concerns.push({ about: 'flapping', name: device, figure });
    }
    return concerns.sort((a, b) => b.figure - a.figure).slice(0, CONCERNS_MAX);
  }
}

type FlapLimits = Pick<Limits, 'deviceFlapsMax' | 'deviceFlapWindowMs'>;
