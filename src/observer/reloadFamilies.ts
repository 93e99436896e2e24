/**
 * ReloadFamilies: the node's reloads as metrics.
 * From: exposition.ts, with the supervisor's word.  To: prom-client, by families.ts.
 * Bound: three families; the last reload, and how many were refused.
 */
import type { Registry } from 'prom-client';
import type { ReloadFacts } from '../node/reloadFacts.ts';
import { makeSingle, type Single, setTo } from './families.ts';

const SECOND = 1_000;

export class ReloadFamilies {
  readonly #refusals: Single;
  readonly #links: Single;
  readonly #seconds: Single;

  constructor(registry: Registry) {
    const single = (kind: 'counter' | 'gauge', name: string, help: string, labels: string[]) =>
      makeSingle(kind, { name, help, labelNames: labels, registers: [registry] });
    const refused = 'Reloads that were refused, since the start of the node.';
    this.#refusals = single('counter', 'owsla_reload_refusals_total', refused, []);
    const links = 'Links of acceptors that the last reload replaced.';
    this.#links = single('gauge', 'owsla_reload_links', links, ['how']);
    const took = 'How long the last reload took, or has taken.';
    this.#seconds = single('gauge', 'owsla_reload_seconds', took, []);
  }

  fill(facts: ReloadFacts | undefined): void {
    const { refusals = 0, moved = 0, left = 0, drained = 0, ms = 0 } = facts ?? {};
    setTo(this.#refusals, {}, refusals);
    for (const [how, links] of Object.entries({ moved, left, drained })) {
      setTo(this.#links, { how }, links);
    }
    setTo(this.#seconds, {}, ms / SECOND);
  }
}
