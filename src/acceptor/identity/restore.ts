/**
 * Restore: what a link of another process is here: its protocol, its listener, what it has proved.
 * From: intake.ts, with a snapshot's words.  To: the same.
 * Bound: pure. It is believed: only processes of this node can say it. The block list and the
 * proof's end are looked at as for all links.
 */
import type { GroupKeys } from '../../base/deviceKeys.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import type { ProtocolLimits, Protocols } from '../../wire/protocol.ts';
import type { Origin } from '../endpoint/origin.ts';
import type { Restorer } from '../endpoint/routes.ts';
import { filterOf } from './topics.ts';

/** What links may speak, and what they keep to. */
export interface Spoken {
  readonly protocols: Protocols;
  readonly limits: ProtocolLimits;
}

/** `keys`: of a listener, by their ids. `onAdopted`: where links of an address are limited. */
export function restorerOf(
  listeners: readonly ListenerConfig[],
  { protocols, limits }: Spoken,
  keys: (listener: ListenerConfig) => GroupKeys | undefined,
  onAdopted: Restorer['onAdopted'] = () => {},
): Restorer {
  const listenerOf = (name: string) => listeners.find((one) => one.name === name);
  // One for all links whose sockets know where they come from, as at the door.
  const plain = new Map<ListenerConfig, Origin>();
  for (const listener of listeners) plain.set(listener, { listener, peer: '' });
  const originOf = (listener: ListenerConfig, peer: string): Origin => {
    const isShown = listener.unix !== '' || listener.proxyProtocol !== 'none';
    return (isShown ? undefined : plain.get(listener)) ?? { listener, peer };
  };
  return {
    // The listener may speak something else since: then the form is none of it.
    protocol: (state, name) =>
      protocols.get(listenerOf(name)?.protocol ?? '')?.restore(state, limits),
    onAdopted,
    origin: ({ topics, isByKey, ...rest }, name, peer) => {
      const listener = listenerOf(name);
      if (listener === undefined) return undefined;
      const groupKey = isByKey ? keys(listener)?.get(rest.by ?? '') : undefined;
      // It is not there any more: who has the link ends it when it reads its files again.
      if (isByKey && groupKey === undefined) return undefined;
      const key = groupKey === undefined ? {} : { groupKey };
      const filter = topics === undefined ? {} : { topics: filterOf(topics) };
      return { origin: originOf(listener, peer), proof: { ...rest, ...key, ...filter } };
    },
  };
}
