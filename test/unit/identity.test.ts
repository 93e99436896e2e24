/** Identity: one who is asked and fails costs the device its try, and the process nothing. */
import { createSecretKey } from 'node:crypto';
import t from 'tap';
import { Identity, type IdentitySources } from '../../src/acceptor/identity/identity.ts';
import { makeConfig } from '../../src/base/config.ts';
import { type GroupKeys, makeToken } from '../../src/base/deviceKeys.ts';
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

t.test('proofs: one object for all links of a key, however often files were read', async (t) => {
  const [keyed] = makeConfig({ auth: 'key', keys: '/keys' }).listeners as [ListenerConfig];
  let keys: GroupKeys = new Map();
  const none = sources(async () => undefined);
  const identity = new Identity(keyed, { ...none, keys: () => keys }, Date.now);
  const proofs = new Set<unknown>();
  for (let reads = 1; reads <= 100; reads += 1) {
    const groupKey = createSecretKey(Buffer.alloc(32, 'k'));
    keys = new Map([['of-the-year-2026', groupKey]]);
    for (const deviceId of ['door-17', 'door-18']) {
      const token = makeToken(groupKey, 'of-the-year-2026', deviceId, 0);
      proofs.add(identity.prove({ listener: keyed, peer: '' }, { ...greeting, deviceId, token }));
    }
    t.equal(proofs.size, reads);
  }
  t.match([...proofs].at(-1), { method: 'key', by: 'of-the-year-2026' });
});
