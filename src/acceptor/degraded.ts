/**
 * Degraded: which work of an acceptor makes no progress, although it serves devices.
 * From: its publishers, what the broker says, faults of its files.
 * To: acceptor.ts, for health and alarms.
 * Bound: none of its own: one look.
 */
import type { Counters } from '../base/metrics.ts';
import type { Publisher } from '../broker/publisher.ts';
import { type Degraded, OWED_MS } from '../node/report.ts';
import type { PublishedType } from './endpoint/routes.ts';

export interface DegradedParts {
  readonly broker: { readonly canPublish: boolean };
  readonly publishers: Readonly<Record<PublishedType, Pick<Publisher, 'owedMs'>>>;
  readonly counters: Pick<Counters, 'brokerBlocked'>;
  /** Of its files. */
  readonly faults: readonly string[];
}

export function degradedOf({ broker, publishers, counters, faults }: DegradedParts): Degraded[] {
  const old = faults.map((why) => ({ part: 'files' as const, reason: why }));
  if (!broker.canPublish) return old;
  const { event, request } = publishers;
  const reason = counters.brokerBlocked ? 'the broker blocks publishes' : 'no confirms';
  const parts = { events: event, requests: request };
  const cause = 'broker-blocking';
  const slow = (['events', 'requests'] as const).filter((part) => parts[part].owedMs > OWED_MS);
  return [...old, ...slow.map((part) => ({ part, reason, cause }) as const)];
}
