/**
 * Restore: what a link of another process is here: its protocol, its listener, what it has proved.
 * From: intake.ts, with a snapshot's words.  To: the same.
 * Bound: pure. It is believed: only processes of this node can say it. The block list and the
 * proof's end are looked at as for all links.
 */
import type { GroupKeys } from '../../base/deviceKeys.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import type { ProtocolRestorer } from '../../wire/protocol.ts';
import type { Restorer } from '../endpoint/routes.ts';
import { filterOf } from './topics.ts';

/** `keys`: of a listener, by their ids. `onAdopted`: where links of an address are limited. */
export function restorerOf(
  listeners: readonly ListenerConfig[],
  protocol: ProtocolRestorer,
  keys: (listener: ListenerConfig) => GroupKeys | undefined,
  onAdopted: Restorer['onAdopted'] = () => {},
): Restorer {
  return {
    protocol,
    onAdopted,
    origin: ({ topics, isByKey, ...rest }, name, peer) => {
      const listener = listeners.find((one) => one.name === name);
      if (listener === undefined) return undefined;
      const groupKey = isByKey ? keys(listener)?.get(rest.by ?? '') : undefined;
      // It is not there any more: who has the link ends it when it reads its files again.
      if (isByKey && groupKey === undefined) return undefined;
      const key = groupKey === undefined ? {} : { groupKey };
      const filter = topics === undefined ? {} : { topics: filterOf(topics) };
      return { origin: { listener, peer }, proof: { ...rest, ...key, ...filter } };
    },
  };
}
