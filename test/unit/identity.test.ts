/** Identity: one who is asked and fails costs the device its try, and the process nothing. */
import t from 'tap';
import { Identity, type IdentitySources } from '../../src/acceptor/identity/identity.ts';
import { makeConfig } from '../../src/base/config.ts';
import type { ListenerConfig } from '../../src/base/listeners.ts';
import type { Greeting } from '../../src/wire/protocol.ts';

const [listener] = makeConfig({ auth: 'backend,none' }).listeners as [ListenerConfig];
const greeting: Greeting = {
  type: 'hello',
  deviceId: 'door-17',
  token: 'anything',
  keepalive: undefined,
  frameBytesMax: undefined,
};

function sources(askBackend: IdentitySources['askBackend']): IdentitySources {
  return {
    ...{ keys: () => undefined, jwtKeys: () => undefined, revoked: () => undefined },
    ...{ isBlocked: () => false, retryAfter: () => 5_000, askBackend },
  };
}

t.test('who was asked fails: unavailable, and no weaker method is tried', async (t) => {
  const failing = sources(async () => {
    throw new Error('out of entropy');
  });
  const identity = new Identity(listener, failing, Date.now);
  t.match(await identity.prove({ listener, peer: '' }, greeting), {
    ...{ code: 'auth-unavailable', reason: 'unavailable', retryAfter: 5_000 },
  });
});
