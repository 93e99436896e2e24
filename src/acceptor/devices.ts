/**
 * Devices: the side of an acceptor that devices see, put together: what listeners read, where they
 * listen, admission, TLS and identity, endpoints.
 * From: acceptor.ts, with the routes of messages and what all parts share.  To: the same.
 * Bound: none of its own; each part has one.
 */
import type { Socket } from 'node:net';
import { systemClock } from '../base/clock.ts';
import type { ListenerConfig } from '../base/listeners.ts';
import { restoreV1, v1Protocol } from '../wire/v1Protocol.ts';
import { BrokerLossPolicy } from './brokerLossPolicy.ts';
import { Admission } from './endpoint/admission.ts';
import { Endpoints } from './endpoint/endpoints.ts';
import { Listeners, speaksLater } from './endpoint/listeners.ts';
import type { Origin } from './endpoint/origin.ts';
import { watchBusy } from './endpoint/overload.ts';
import type { Presence, Routes } from './endpoint/routes.ts';
import { closeShard } from './endpoint/shards.ts';
import { spreadBy } from './endpoint/spread.ts';
import { addressesOf } from './establish/addresses.ts';
import { Entrance } from './establish/entrance.ts';
import type { OnFailure } from './establish/establish.ts';
import { ListenerFiles } from './establish/listenerFiles.ts';
import type { AuthClient } from './identity/authClient.ts';
import { Identities } from './identity/identities.ts';
import { restorerOf } from './identity/restore.ts';
import { RefusalLog } from './refusalLog.ts';
import type { Operated } from './shared.ts';

const clock = systemClock;
const spread = spreadBy(Math.random);

export function buildDevices(
  shared: Operated,
  linksMax: number,
  routes: Routes,
  presence: Presence,
  backend: AuthClient,
) {
  const { start, counters, registry, room, blockList, operate } = shared;
  const { config, log } = start;
  const { limits, listeners, onBrokerLoss: policy } = config;
  const refusals = new RefusalLog({ log, limits, clock });
  const files = new ListenerFiles(listeners, () => clock.wall(), start.kept);
  files.sayFaults(log);
  files.count(counters);
  const addresses = addressesOf(config);
  const retryAfter = () => spread(limits.authRetryMs);
  const known = { files, addresses, backend, registry, blockList };
  const prover = new Identities({ listeners, ...known, retryAfter, clock });
  const { ended: ends, drain, traces } = operate;
  const { onGreeting } = traces;
  const restorer = restorerOf(listeners, restoreV1, (listener) => files.of(listener).keys);
  const told = { routes, presence, refusals, ends, onGreeting };
  const around = { registry, room, prover, restorer, ...told };
  const links = { makeProtocol: v1Protocol, spread, linksMax, busyShare: watchBusy() };
  const endpoints = new Endpoints({ limits, counters, clock, ...links, ...around });
  const retryMs = limits.brokerLossRetryMs;
  const lossPolicy = new BrokerLossPolicy({
    policy,
    limits,
    log,
    closeShard: (shard) => closeShard(registry, shard, 'broker-lost', () => spread(retryMs)),
  });
  // A link to be refused has waited for its admission too, so refusals are paced as well.
  const onReady = (socket: Socket, acceptedUs: number, origin: Origin) => {
    if (drain.isOn) endpoints.refuse(socket, 'draining', limits.drainRetryMs);
    else if (lossPolicy.isRefusing) endpoints.refuse(socket, 'broker-lost', retryMs);
    else endpoints.accept(socket, acceptedUs, origin);
  };
  const onFailure: OnFailure = (peer, failure, why, listener) => {
    refusals.onTurnedAway(peer, failure, why);
    ends.onTurnedAway(peer, failure, why, listener);
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
      endpoints.refuse(socket, reason, undefined, speaksLater(listener)),
  });
  const onSocket = (socket: Socket, listener: ListenerConfig) => {
    admission.arrive({ socket, listener });
  };
  const places = new Listeners(listeners, limits, onSocket);
  const toDevices = { endpoints, refusals, lossPolicy, admission, places };
  return { ...toDevices, files, identities: prover, entrance };
}

/** A socket, and where it was accepted. */
interface Arrived {
  readonly socket: Socket;
  readonly listener: ListenerConfig;
}
