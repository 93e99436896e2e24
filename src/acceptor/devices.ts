/**
 * Devices: the side of an acceptor that devices see, put together: what listeners read, where they
 * listen, admission, TLS and identity, endpoints.
 * From: acceptor.ts, with the routes of messages and what all parts share.  To: the same.
 * Bound: none of its own; each part has one.
 */
import type { Socket } from 'node:net';
import { systemClock } from '../base/clock.ts';
import type { ListenerConfig } from '../base/listeners.ts';
import { BrokerLossPolicy } from './brokerLossPolicy.ts';
import { Admission } from './endpoint/admission.ts';
import { Endpoints } from './endpoint/endpoints.ts';
import type { EndpointHost } from './endpoint/host.ts';
import { Listeners, speaksLater } from './endpoint/listeners.ts';
import type { Origin } from './endpoint/origin.ts';
import { watchBusy } from './endpoint/overload.ts';
import type { Presence, Routes } from './endpoint/routes.ts';
import { closeShard } from './endpoint/shards.ts';
import { spreadBy } from './endpoint/spread.ts';
import { UnixRoom } from './endpoint/unixRoom.ts';
import { addressesOf } from './establish/addresses.ts';
import { countLink, Entrance } from './establish/entrance.ts';
import type { OnFailure } from './establish/establish.ts';
import { ListenerFiles } from './establish/listenerFiles.ts';
import type { AuthClient } from './identity/authClient.ts';
import { Identities } from './identity/identities.ts';
import { restorerOf } from './identity/restore.ts';
import { RefusalLog } from './refusalLog.ts';
import type { Operated } from './shared.ts';

const clock = systemClock;
const spread = spreadBy(Math.random);

/** What endpoints need of what is made before them. */
export interface Around {
  readonly linksMax: number;
  readonly routes: Routes;
  readonly presence: Presence;
  readonly backend: AuthClient;
  readonly onOwed: EndpointHost['onOwed'];
}

export function buildDevices(shared: Operated, around: Around) {
  const known = buildIdentity(shared, around.backend);
  const endpoints = buildEndpoints(shared, around, known, () => entry.places.extra);
  const lossPolicy = lossPolicyOf(shared);
  const entry = buildEntry(shared, known, endpoints, lossPolicy);
  const { refusals, files, identities } = known;
  return { endpoints, refusals, lossPolicy, files, identities, ...entry };
}

/** Who devices are, and where they may come from. */
function buildIdentity({ start, counters, registry, blockList }: Operated, backend: AuthClient) {
  const { config, log } = start;
  const { limits, listeners } = config;
  const refusals = new RefusalLog({ log, limits, clock });
  const files = new ListenerFiles(listeners, () => clock.wall(), start.kept);
  files.sayFaults(log);
  files.count(counters);
  const addresses = addressesOf(config);
  const retryAfter = () => spread(limits.authRetryMs);
  const known = { files, addresses, backend, registry, blockList };
  const identities = new Identities({ listeners, ...known, retryAfter, clock });
  return { refusals, files, addresses, identities };
}

type Known = ReturnType<typeof buildIdentity>;

function buildEndpoints(
  shared: Operated,
  around: Around,
  known: Known,
  filesTaken: () => number,
): Endpoints {
  const { start, protocols, counters, registry, room, operate, wills } = shared;
  const { limits, listeners } = start.config;
  const { files, addresses, identities: prover, refusals } = known;
  const isCounted = limits.linksPerAddressMax > 0;
  const restorer = restorerOf(
    listeners,
    { protocols, limits },
    (listener) => files.of(listener).keys,
    isCounted ? (socket, peer) => countLink(addresses, socket, peer) : undefined,
  );
  const { ended: ends, traces } = operate;
  const told = { refusals, ends, onGreeting: traces.onGreeting };
  const parts = { registry, room, wills, prover, restorer, ...told, ...around };
  const links = { protocols, spread, busyShare: watchBusy(), filesTaken };
  return new Endpoints({ limits, counters, clock, ...links, ...parts });
}

function lossPolicyOf({ start, registry }: Operated): BrokerLossPolicy {
  const { log, config } = start;
  const { limits, onBrokerLoss: policy } = config;
  const retryAfter = () => spread(limits.brokerLossRetryMs);
  return new BrokerLossPolicy({
    policy,
    limits,
    log,
    closeShard: (shard) => closeShard(registry, shard, 'broker-lost', retryAfter),
  });
}

/** From a listener to an endpoint. */
function buildEntry(
  { start, counters, operate }: Operated,
  { files, addresses, refusals }: Known,
  endpoints: Endpoints,
  lossPolicy: BrokerLossPolicy,
) {
  const { limits, listeners } = start.config;
  const { ended, drain } = operate;
  // A link to be refused has waited for its admission too, so refusals are paced as well.
  const onReady = (socket: Socket, acceptedUs: number, origin: Origin) => {
    const { listener } = origin;
    if (drain.isOn) endpoints.refuse(socket, listener, 'draining', limits.drainRetryMs);
    else if (lossPolicy.isRefusing) {
      endpoints.refuse(socket, listener, 'broker-lost', limits.brokerLossRetryMs);
    } else endpoints.accept(socket, acceptedUs, origin);
  };
  const onFailure: OnFailure = (peer, failure, why, listener) => {
    refusals.onTurnedAway(peer, failure, why);
    ended.onTurnedAway(peer, failure, why, listener);
  };
  const ticketKey = Buffer.from(start.ticketKey, 'base64');
  const ways = { listeners, files, addresses, ticketKey, onReady, onFailure };
  const entrance = new Entrance({ limits, counters, clock, ...ways });
  const admission = new Admission<Arrived>({
    limits,
    counters,
    clock,
    room: () => endpoints.room,
    admit: ({ socket, listener }, acceptedUs) => entrance.begin(listener, socket, acceptedUs),
    refuse: ({ socket, listener }, reason) =>
      endpoints.refuse(socket, listener, reason, undefined, speaksLater(listener)),
  });
  const onSocket = (socket: Socket, listener: ListenerConfig) => {
    admission.arrive({ socket, listener });
    if (listener.unix !== '') unixRoom.look();
  };
  const places = new Listeners(listeners, limits, onSocket);
  const unixRoom = new UnixRoom({
    places,
    room: () => endpoints.room - admission.size,
    linksMax: counters.linksMax,
    ask: () => start.toSupervisor({ type: 'sockets' }),
  });
  return { entrance, admission, places, unixRoom };
}

/** A socket, and where it was accepted. */
interface Arrived {
  readonly socket: Socket;
  readonly listener: ListenerConfig;
}
