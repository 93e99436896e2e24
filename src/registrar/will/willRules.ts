/**
 * WillRules: what becomes of a device's will when its link ends, and when it has a new one. Pure.
 * From: willBook.ts, one will at a time.  To: the same.
 * Bound: none; docs/protocol.md has the table.
 */
import type { PresenceReason } from '../../base/errors.ts';
import type { WillHead } from '../store/willRows.ts';

/** The link that left it has ended, and the device has no other. */
export function onEnd(
  { delayMs }: Pick<WillHead, 'delayMs'>,
  reason: PresenceReason,
): 'goodbye' | 'published' | 'waits' {
  if (reason === 'peer-bye') return 'goodbye';
  return delayMs === 0 ? 'published' : 'waits';
}

/**
 * The device has a newer link: by a takeover, or while the delay ran. To MQTT a takeover ends the
 * older link like any other end, and with Clean Start the device does not come back to it: the will
 * is due, unless the older link turns out to have ended by a goodbye.
 */
export function onReturn(
  { rules, delayMs }: Pick<WillHead, 'rules' | 'delayMs'>,
  isCleanStart: boolean,
): 'cancelled' | 'due' {
  if (rules === '') return 'cancelled';
  return delayMs === 0 || isCleanStart ? 'due' : 'cancelled';
}
