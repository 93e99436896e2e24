/** Every device is who it says; and how a link comes that shows nothing. */

import type { Origin } from '../../../src/acceptor/endpoint/origin.ts';
import type { Prover } from '../../../src/acceptor/endpoint/routes.ts';
import { restorerOf } from '../../../src/acceptor/identity/restore.ts';
import { makeConfig } from '../../../src/base/config.ts';
import type { ListenerConfig } from '../../../src/base/listeners.ts';
import { restoreV1 } from '../../../src/wire/v1Protocol.ts';

export const ANY_DEVICE: Prover = {
  prove: () => ({ method: 'none' }),
  onNoProof: () => {},
};

export const PLAIN_ORIGIN: Origin = {
  listener: makeConfig({}).listeners[0] as ListenerConfig,
  peer: '',
};

/** Of links that come from another process. */
export const ANY_LINK = restorerOf([PLAIN_ORIGIN.listener], restoreV1, () => undefined);
