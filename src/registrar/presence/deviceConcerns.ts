/**
 * DeviceConcerns: which devices an operator should hear of by name.
 * From: what was recorded, and recorder.ts, which knows repeated takeovers.
 * To: the registrar's reports.
 * Bound: CONCERNS_MAX of each kind. A device that is cloned is not said to flap as well.
 */
import type { Limits } from '../../base/limits.ts';
import { CONCERNS_MAX, type Concern } from '../../node/alarmNames.ts';
import type { OutboxEvent } from '../store/store.ts';
import { Flaps } from './flaps.ts';
import type { Recorder } from './recorder.ts';

export class DeviceConcerns {
  readonly #flaps: Flaps;
  readonly #clock: { now(): number };

  constructor(limits: Limits, clock: { now(): number }) {
    this.#flaps = new Flaps(limits);
    this.#clock = clock;
  }

  /** These are on record. */
  onCommit(events: readonly Pick<OutboxEvent, 'device' | 'online'>[]): void {
    const now = this.#clock.now();
    for (const { device, online } of events) if (online) this.#flaps.began(device, now);
  }

  list(recorder: Pick<Recorder, 'clones'>): Concern[] {
    const clones = recorder.clones(CONCERNS_MAX);
    const names = new Set(clones.map(([device]) => device));
    const cloned = clones.map(([name, figure]) => ({ about: 'cloned' as const, name, figure }));
    const flapping = this.#flaps.list(this.#clock.now()).filter(({ name }) => !names.has(name));
    return [...cloned, ...flapping];
  }
}
