/**
 * OperatorDrain: an operator wants this acceptor empty for a while; the process stays.
 * From: linkQuestions.ts: drain and resume.  To: its links, BYE `draining`, shard by shard.
 * Bound: links with nothing under way first, over `drainPaceMs`; those with something as it is
 * done, and all that are left `drainMs` later. New ones are refused by devices.ts.
 *
 *   taking links --drain--> draining --resume--> taking links
 */
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { type Limits, SHARDS } from '../../base/limits.ts';
import { pacedShards } from '../drainLinks.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Registry } from '../endpoint/registry.ts';
import type { Spread } from '../endpoint/spread.ts';

export interface OperatorDrainOptions {
  readonly registry: Registry<Endpoint>;
  readonly limits: Pick<Limits, 'drainMs' | 'drainPaceMs' | 'drainRetryMs'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly spread: Spread;
}

/** How often it looks which links have nothing under way any more. */
const LOOK_MS = 50;

export class OperatorDrain {
  readonly #options: OperatorDrainOptions;
  /** Of this time; undefined: it takes links. */
  #drain: object | undefined;

  constructor(options: OperatorDrainOptions) {
    this.#options = options;
  }

  get isOn(): boolean {
    return this.#drain !== undefined;
  }

  /** False: it was so before. */
  begin(): boolean {
    if (this.isOn) return false;
    const drain = {};
    this.#drain = drain;
    void this.#sayBye(drain);
    return true;
  }

  /** Links that were told BYE stay told. False: it was so before. */
  end(): boolean {
    const wasOn = this.isOn;
    this.#drain = undefined;
    return wasOn;
  }

  async #sayBye(drain: object): Promise<void> {
    const { registry, limits, clock } = this.#options;
    const isOver = () => this.#drain !== drain;
    // Who asked is told first how many links there are.
    await turn();
    await pacedShards(registry, limits.drainPaceMs, (shard) => this.#close(shard, isQuiet), isOver);
    const told = clock.now();
    while (!isOver() && registry.size > 0) {
      const isLate = clock.now() - told >= limits.drainMs;
      for (let shard = 0; shard < SHARDS && !isOver(); shard += 1) {
        this.#close(shard, isLate ? () => true : isQuiet);
      }
      await pause(LOOK_MS, undefined, { ref: false });
    }
  }

  #close(shard: number, isMeant: (endpoint: Endpoint) => boolean): void {
    const { registry, limits, spread } = this.#options;
    for (const endpoint of registry.shard(shard)) {
      if (isMeant(endpoint)) endpoint.close('draining', spread(limits.drainRetryMs));
    }
  }
}

function isQuiet({ inFlight }: Endpoint): boolean {
  return inFlight === 0;
}
