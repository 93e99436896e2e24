/**
 * Wills of links, for worlds around links: none at all, or those that a test has kept.
 * From: tests that make LinkChanges or Endpoints.  To: their options.
 * Bound: the limits' defaults.
 */
import { LinkWills } from '../../../src/acceptor/endpoint/linkWills.ts';
import { makeLimits } from '../../../src/base/limits.ts';
import { makeCounters } from '../../../src/base/metrics.ts';
import { noTrace } from '../../../src/base/trace.ts';
import { MESSAGE_TYPES } from '../../../src/wire/message.ts';

/** As an acceptor's LinkChanges and Endpoints share them. */
export function makeLinkWills(overrides: Parameters<typeof makeLimits>[0] = {}) {
  const limits = makeLimits(overrides);
  const counters = makeCounters(MESSAGE_TYPES);
  return { wills: new LinkWills({ limits, counters, trace: noTrace }), limits, counters };
}
