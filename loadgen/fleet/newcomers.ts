/**
 * Newcomers: devices that connect for the first time while the node is reloaded.
 * From: worker.ts, when a reload begins and ends.  To: the fleet, as further devices that stay.
 * Bound: `newcomers` of the plan a second, over all workers; NEWCOMERS_MAX in a worker.
 */
import { NEWCOMERS_MAX } from '../plan/deployPlan.ts';
import type { Fleet } from './fleet.ts';
import type { Source } from './pacer.ts';

export class Newcomers implements Source {
  readonly #fleet: Fleet;
  readonly #everyMs: number;
  #count = 0;
  nextMs: number;

  /** `perSecond`: of all workers; this one comes in its turn. */
  constructor(fleet: Fleet, worker: number, startMs: number, perSecond: number) {
    const { workers } = fleet.plan;
    this.#fleet = fleet;
    this.#everyMs = (1_000 * workers) / perSecond;
    this.nextMs = startMs + (this.#everyMs * worker) / workers;
  }

  emit(now: number): void {
    this.#fleet.start(this.#fleet.addNewcomer(), this.nextMs, now);
    this.#count += 1;
    this.nextMs = this.#count < NEWCOMERS_MAX ? this.nextMs + this.#everyMs : Infinity;
  }
}
