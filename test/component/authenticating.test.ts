/** Authenticating: what a link may do until its device has proved who it is, and after. */
import type { AuthVerdict } from '../../src/acceptor/endpoint/proof.ts';
import type { Prover } from '../../src/acceptor/endpoint/routes.ts';
import { authFailure } from '../../src/acceptor/identity/identity.ts';
import { topicFilter } from '../../src/acceptor/identity/topics.ts';
import { event, hello, request } from '../helpers/fakes/device.ts';
import { on, onBoth, settle, until } from '../helpers/worlds/endpoints.ts';

/** Says of every device what it is told to, when it is told to. */
class Slow implements Prover {
  readonly #asked: ((verdict: AuthVerdict) => void)[] = [];

  get waiting(): number {
    return this.#asked.length;
  }

  prove(): Promise<AuthVerdict> {
    const { promise, resolve } = Promise.withResolvers<AuthVerdict>();
    this.#asked.push(resolve);
    return promise;
  }

  onNoProof(): void {}

  say(verdict: AuthVerdict): void {
    this.#asked.shift()?.(verdict);
  }
}

const says = (verdict: AuthVerdict): Prover => ({ prove: () => verdict, onNoProof: () => {} });

const slow = new Slow();
onBoth(
  'until the verdict nothing is handled; then all of it is',
  { prover: slow },
  async (t, served) => {
    const device = await served.connect();
    device.send(hello('door-17'), event(1), request(2));
    await until(() => slow.waiting === 1);
    await settle();

    const [endpoint] = served.registry.all();
    t.match(endpoint, { state: 'authenticating', deviceId: '' }, 'nobody knows it yet');
    t.same(served.routes.ids(), []);
    t.equal(served.counters.greetings, 1, 'it counts as unfinished');

    slow.say({ method: 'backend' });
    await device.expect('welcome');
    await until(() => served.routes.ids().length === 2);
    t.equal(served.endpoint().deviceId, 'door-17');
    t.equal(served.counters.greetings, 0);
    t.equal(served.counters.proofs.backend, 1);
  },
);

onBoth('a verdict that comes too late finds no link', { prover: slow }, async (t, served) => {
  const device = await served.connect();
  device.send(hello('door-17'), event(1));
  await until(() => slow.waiting === 1);
  served.clock.advance(served.limits.greetingMs);
  served.endpoints.tick();
  t.match(await device.rest(), [{ type: 'bye', reason: 'greeting-timeout' }]);
  slow.say({ method: 'backend' });
  await settle();
  t.same(served.routes.ids(), []);
  t.equal(served.counters.proofs.backend, 0);
});

onBoth('FIN behind a HELLO that is not proved yet', { prover: slow }, async (t, served) => {
  const device = await served.connect();
  device.send(hello('door-17'), event(1));
  device.socket.end();
  await until(() => slow.waiting === 1);
  slow.say({ method: 'backend' });
  await until(() => served.counters.closes['peer-fin'] === 1);
  t.same(served.routes.ids(), [1], 'what was whole before it is still handled');
});

for (const [reason, code, frames] of [
  ['expired', 'auth-failed', ['error', 'bye']],
  ['unavailable', 'auth-unavailable', ['bye']],
  ['blocked', 'blocked', ['bye']],
] as const) {
  let failed = 0;
  const prover = {
    ...says(authFailure(reason, 7_000)),
    onNoProof: () => {
      failed += 1;
    },
  };
  on('TCP', `no proof: ${reason}`, { prover }, async (t, served) => {
    const device = await served.connect();
    device.send(hello('door-17'), event(1));
    const said = await device.rest();
    t.same(
      said.map(({ type }) => type),
      frames,
    );
    t.match(said.at(-1), { reason: code });
    t.equal(served.counters.authFailures[reason], 1);
    t.equal(served.counters.closes[code], 1);
    t.equal(failed, code === 'auth-failed' ? 1 : 0, 'what counts against its address');
    t.same(served.routes.ids(), []);
  });
}

const ends = says({ method: 'key', expiresAt: 0 });
onBoth('a proof that ends', { prover: ends }, async (t, served) => {
  // In ms since 1970, by the clock on the wall; held by the one that nobody sets.
  Object.assign(ends, { prove: () => ({ method: 'key', expiresAt: served.clock.wall() + 5_000 }) });
  const device = await served.connect();
  device.send(hello('door-17'));
  await device.expect('welcome');
  served.clock.advance(4_000);
  served.endpoints.tick();
  t.equal(served.endpoint().state, 'open');
  served.clock.advance(1_250);
  served.endpoints.tick();
  t.match(await device.rest(), [{ type: 'bye', reason: 'auth-expired' }]);
});

const deaf = says({ method: 'key', expiresAt: 0 });
const small = { outboxSoftBytes: 16_384, outboxHardBytes: 262_144 };
onBoth(
  'one that ends while its outbox is full',
  { prover: deaf, limits: small },
  async (t, served) => {
    const expiresAt = served.clock.wall() + 5_000;
    Object.assign(deaf, { prove: () => ({ method: 'key', expiresAt }) });
    const device = await served.connect();
    device.send(hello('door-17'));
    await device.expect('welcome');
    device.socket.pause();
    const endpoint = served.endpoint();
    for (let id = 1; endpoint.outboxBytes < 100_000; id += 1) {
      endpoint.reply(id, 0, Buffer.alloc(4_000));
      await settle();
    }
    served.clock.advance(5_999);
    served.endpoints.tick();
    t.equal(endpoint.state, 'draining', 'within a second, though nothing is read');
    t.equal(served.counters.closes['auth-expired'], 1);
    t.match(served.gauges(), { links: 0, lingering: 1 });
    served.clock.advance(served.limits.lingerMs);
    served.endpoints.tick();
    await until(() => served.gauges().lingering === 0);
  },
);

const filter = topicFilter(['door.#', 'room.*']);
const bound = says({ method: 'key', ...(filter ? { topics: filter } : {}) });
onBoth(
  'a topic that is not its own costs the message, and nothing else',
  { prover: bound },
  async (t, served) => {
    const device = await served.connect();
    device.send(hello('door-17'));
    await device.expect('welcome');

    device.send(event(1, 'till.open'), event(0, 'till.open'), request(2, 'till.open'));
    device.send(event(3, 'door.a.b'), request(4, 'room.one'));

    t.match(await device.expect('error'), { code: 'not-allowed', id: 1 });
    t.match(await device.expect('reply'), { id: 2, status: 3 });
    await until(() => served.routes.ids().length === 2);
    t.same(served.routes.ids(), [3, 4]);
    t.equal(served.counters.notAllowed, 3);
    t.equal(served.endpoint().state, 'open');
  },
);
