/**
 * ReloadFamilies: the node's reloads as metrics.
 * From: exposition.ts, with the supervisor's word.  To: prom-client, by families.ts.
 * Bound: three families; the last reload, and how many there were.
 */
import type { Registry } from 'prom-client';
import { hasReloadEnded, type ReloadFacts } from '../node/reloadFacts.ts';
import { makeFamily, type Single, setTo } from './families.ts';

const SECOND = 1_000;

export class ReloadFamilies {
  readonly #total: Single;
  readonly #links: Single;
  readonly #seconds: Single;

  constructor(registry: Registry) {
    const single = (kind: 'counter' | 'gauge', name: string, help: string, labels: string[]) =>
      makeFamily(kind, { name, help, labelNames: labels, registers: [registry] }) as Single;
    const ended = 'Reloads that have ended, since the start of the node.';
    this.#total = single('counter', 'owsla_reloads_total', ended, ['outcome']);
    const links = 'Links of acceptors that the last reload replaced.';
    this.#links = single('gauge', 'owsla_reload_links', links, ['how']);
    const took = 'How long the last reload took, or has taken.';
    this.#seconds = single('gauge', 'owsla_reload_seconds', took, []);
  }

  fill(facts: ReloadFacts | undefined): void {
    const { number = 0, refusals = 0, moved = 0, left = 0, drained = 0, ms = 0 } = facts ?? {};
    const underWay = facts === undefined || hasReloadEnded(facts) ? 0 : 1;
    setTo(this.#total, { outcome: 'done' }, number - refusals - underWay);
    setTo(this.#total, { outcome: 'refused' }, refusals);
    for (const [how, links] of Object.entries({ moved, left, drained })) {
      setTo(this.#links, { how }, links);
    }
    setTo(this.#seconds, {}, ms / SECOND);
  }
}
