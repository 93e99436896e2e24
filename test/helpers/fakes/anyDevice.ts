/** Every device is who it says; and how a link comes that shows nothing. */

import type { Origin } from '../../../src/acceptor/endpoint/origin.ts';
import type { Prover } from '../../../src/acceptor/endpoint/routes.ts';
import { restorerOf } from '../../../src/acceptor/identity/restore.ts';
import { makeConfig } from '../../../src/base/config.ts';
import { makeLimits } from '../../../src/base/limits.ts';
import type { ListenerConfig } from '../../../src/base/listeners.ts';
import { builtIn } from '../../../src/wire/protocols.ts';

export const ANY_DEVICE: Prover = {
  prove: () => ({ method: 'none' }),
  onNoProof: () => {},
};

export const PLAIN_ORIGIN: Origin = {
  listener: makeConfig({}).listeners[0] as ListenerConfig,
  peer: '',
};

/** All of them: a node loads those that its listeners name. */
export const BUILT_IN = await builtIn(['mqtt']);

/** Of links that come from another process. */
const SPOKEN = { protocols: BUILT_IN, limits: makeLimits() };
export const ANY_LINK = restorerOf([PLAIN_ORIGIN.listener], SPOKEN, () => undefined);
