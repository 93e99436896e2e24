/**
 * Identities: who the devices of this acceptor are, by the listener that each came by; and whose
 * link ends because of what is known of it by now.
 * From: endpoints.ts, HELLOs; listenerFiles.ts; blockList.ts, whom the operator keeps out.
 * To: endpoints.ts, which opens the link or refuses it.
 * Bound: a walk over all links, which only people cause: files that were read again, or devices
 * that are blocked; of these all that came since the last tick take one walk.
 */
import type { Clock } from '../../base/clock.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import type { AuthQuestion } from '../../node/verdicts.ts';
import type { Greeting } from '../../wire/protocol.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { addressOfPeer } from '../endpoint/peer.ts';
import type { AuthVerdict } from '../endpoint/proof.ts';
import type { Registry } from '../endpoint/registry.ts';
import type { Prover } from '../endpoint/routes.ts';
import type { Addresses } from '../establish/addresses.ts';
import type { FilesRead, ListenerFiles } from '../establish/listenerFiles.ts';
import type { AuthClient } from './authClient.ts';
import type { BlockList } from './blockList.ts';
import { authFailure, Identity } from './identity.ts';
import { Withdrawn } from './withdrawn.ts';

export interface IdentitiesOptions {
  readonly listeners: readonly ListenerConfig[];
  readonly files: ListenerFiles;
  readonly addresses: Addresses;
  readonly registry: Registry<Endpoint>;
  readonly blockList: BlockList;
  readonly backend: Pick<AuthClient, 'ask'>;
  /** When a device may ask again about which nobody knows, in ms. */
  readonly retryAfter: () => number;
  readonly clock: Clock;
}

export class Identities implements Prover {
  readonly #options: IdentitiesOptions;
  readonly #byListener: ReadonlyMap<ListenerConfig, Identity>;

  constructor(options: IdentitiesOptions) {
    const { listeners, files, blockList, backend, retryAfter, clock } = options;
    const identityOf = (listener: ListenerConfig) => {
      const sources = {
        keys: () => files.of(listener).keys,
        jwtKeys: () => files.of(listener).jwtKeys,
        revoked: () => files.of(listener).tls?.revoked,
        isBlocked: (deviceId: string) => blockList.has(deviceId),
        askBackend: (question: AuthQuestion) => backend.ask(question),
        retryAfter,
      };
      return new Identity(listener, sources, () => clock.wall());
    };
    this.#options = options;
    this.#byListener = new Map(listeners.map((one) => [one, identityOf(one)]));
  }

  prove(endpoint: Endpoint, greeting: Greeting): AuthVerdict | Promise<AuthVerdict> {
    const { origin } = endpoint;
    const identity = origin && this.#byListener.get(origin.listener);
    if (origin === undefined || identity === undefined) return authFailure('no-proof');
    return identity.prove(origin, greeting, endpoint);
  }

  onNoProof({ peer }: Endpoint): void {
    const { addresses, clock } = this.#options;
    addresses.failed(addressOfPeer(peer), clock.now());
  }

  /** End the links whose certificate is revoked by now, or its authority or group key removed. */
  endWithdrawn(before: ReadonlyMap<ListenerConfig, FilesRead>): void {
    const { registry, files } = this.#options;
    const listeners = [...before].map(
      ([listener, read]) => [listener, new Withdrawn(read, files.of(listener))] as const,
    );
    const withdrawn = new Map(listeners);
    for (const endpoint of registry.all()) {
      const { origin, deviceId } = endpoint;
      if (deviceId === '' || origin === undefined) continue;
      if (withdrawn.get(origin.listener)?.has(endpoint)) endpoint.close('auth-expired');
    }
  }

  /** End the links of devices that are blocked since the last tick. */
  tick(): void {
    const { registry, blockList } = this.#options;
    const blocked = blockList.takeFresh();
    if (blocked.size === 0) return;
    for (const endpoint of registry.all()) {
      if (blocked.has(endpoint.deviceId)) endpoint.close('blocked');
    }
  }
}
