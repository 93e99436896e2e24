/**
 * Shape: what a module must give, for a link to be led by it at all.
 * From: moduleProtocol.ts, with what it gave.  To: the same; or NonsenseError.
 * Bound: pure; it looks, and calls nothing.
 */
import { hushPromise, NonsenseError } from './fault.ts';
import type { DeviceLink } from './moduleTypes.ts';

export function linkOf(link: unknown): DeviceLink {
  hushPromise(link);
  const { frame, read } = (link ?? {}) as Partial<DeviceLink>;
  if (typeof frame === 'function' && typeof read === 'function') return link as DeviceLink;
  throw new NonsenseError('gave a link without frame and read');
}

export function lengthOf(length: unknown): number | undefined {
  if (length === undefined) return undefined;
  hushPromise(length);
  if (Number.isSafeInteger(length) && Number(length) >= 1) return Number(length);
  throw new NonsenseError('gave a length that is no whole number above 0');
}
