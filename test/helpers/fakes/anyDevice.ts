/** Every device is who it says; and how a link comes that shows nothing. */

import type { Origin } from '../../../src/acceptor/endpoint/origin.ts';
import type { Prover } from '../../../src/acceptor/endpoint/routes.ts';
import { makeConfig } from '../../../src/base/config.ts';
import type { ListenerConfig } from '../../../src/base/listeners.ts';

export const ANY_DEVICE: Prover = {
  prove: () => ({ method: 'none' }),
  onNoProof: () => {},
};

export const PLAIN_ORIGIN: Origin = {
  listener: makeConfig({}).listeners[0] as ListenerConfig,
  peer: '',
};
