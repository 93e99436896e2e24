/**
 * Families: metrics as prom-client puts them on the page. They are counted elsewhere.
 * From: exposition.ts, with the figures of each moment.  To: prom-client's registry.
 * Bound: what they are given: one value a label value, one a bucket.
 */
import type * as prom from 'prom-client';
import { BOUNDS, cumulative } from '../base/histogram.ts';
import type { MetricSpec } from '../base/metrics.ts';
import { PROM } from './promClient.ts';

/** One value for each of its labels. */
export type Single = prom.Counter<string> | prom.Gauge<string>;
export type Family = Single | CarriedHistogram;

export interface FamilyOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: string[];
  readonly registers: prom.Registry[];
}

export function makeFamily(kind: MetricSpec['kind'], options: FamilyOptions): Family {
  return kind === 'histogram' ? new CarriedHistogram(options) : makeSingle(kind, options);
}

export function makeSingle(kind: 'counter' | 'gauge', options: FamilyOptions): Single {
  return kind === 'counter' ? new PROM.Counter(options) : new PROM.Gauge(options);
}

/** prom-client cannot be told a histogram's counts; it asks this one for them. */
export class CarriedHistogram extends PROM.Histogram<string> {
  readonly #named: Pick<FamilyOptions, 'name' | 'help'>;
  #figure: readonly number[] = [];

  constructor({ name, help, registers }: FamilyOptions) {
    super({ name, help, registers, buckets: [...BOUNDS] });
    this.#named = { name, help };
  }

  /** Shown from now on; as histogram.ts has it. */
  take(figure: unknown): void {
    this.#figure = Array.isArray(figure) ? figure : [];
  }

  /** What prom-client asks for when it renders. */
  async getForPromString() {
    const { name } = this.#named;
    const { upTo, count, sum } = cumulative(this.#figure);
    const bucket = (le: number | string, value: number) => {
      return { metricName: `${name}_bucket`, labels: { le }, value };
    };
    const values = [
      ...BOUNDS.map((bound, at) => bucket(bound, upTo[at] ?? 0)),
      bucket('+Inf', count),
      { metricName: `${name}_sum`, labels: {}, value: sum },
      { metricName: `${name}_count`, labels: {}, value: count },
    ];
    return { ...this.#named, type: 'histogram', values };
  }
}

/** prom-client's own only carry the counters onto the page. */
export function setTo(family: Single, labels: Record<string, string>, value: number): void {
  if (family instanceof PROM.Gauge) {
    family.set(labels, value);
    return;
  }
  family.remove(labels);
  family.inc(labels, value);
}

export function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])[A-Z]/g, '_$&').toLowerCase();
}
