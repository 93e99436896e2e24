/** The registry against a plain Map: whatever is registered, found, forgotten and walked. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { type Registered, Registry, shardOf } from '../../src/acceptor/endpoint/registry.ts';
import { SHARDS } from '../../src/base/limits.ts';

/** Few ids, so that the same one comes up often; two of them share a shard. */
const IDS = [
  '00000000-0000-4000-8000-000000000000',
  '00ffffff-ffff-4fff-bfff-ffffffffffff',
  '7f000000-0000-4000-8000-000000000001',
  '80000000-0000-4000-8000-000000000002',
  'ff000000-0000-4000-8000-000000000003',
  'a9000000-0000-4000-8000-000000000004',
];

const id = fc.constantFrom(...IDS);
const step = fc.oneof(
  fc.record({ do: fc.constant('register' as const), id }),
  fc.record({ do: fc.constant('unregister' as const), id }),
  fc.record({ do: fc.constant('unregister another' as const), id }),
);

function walk(registry: Registry<Registered>): Registered[] {
  return Array.from({ length: SHARDS }, (_, shard) => [...registry.shard(shard)]).flat();
}

const byId = (a: Registered, b: Registered) => (a.id < b.id ? -1 : 1);

t.test('registry: holds what a plain Map holds, after any steps', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const registry = new Registry<Registered>();
      const twin = new Map<string, Registered>();
      for (const { do: action, id } of steps) {
        if (action === 'register') {
          const endpoint = { id };
          if (twin.has(id)) assert.throws(() => registry.register(endpoint), RangeError);
          else {
            registry.register(endpoint);
            twin.set(id, endpoint);
          }
        } else if (action === 'unregister') {
          const endpoint = twin.get(id) ?? { id };
          assert.equal(registry.unregister(endpoint), twin.delete(id));
        } else {
          assert.equal(registry.unregister({ id }), false, 'only the very same is forgotten');
        }
        assert.equal(registry.size, twin.size);
        for (const known of IDS) assert.equal(registry.find(known), twin.get(known));
      }
      assert.deepEqual(walk(registry).sort(byId), [...twin.values()].sort(byId));
    }),
    { numRuns: 500 },
  );
  t.pass('held for every run');
});

t.test('registry: the shard is the first byte of the id', async (t) => {
  fc.assert(
    fc.property(fc.uuid({ version: 4 }), (id) => {
      const shard = Number.parseInt(id.slice(0, 2), 16);
      assert.equal(shardOf(id), shard);
      const registry = new Registry<Registered>();
      const endpoint = { id };
      registry.register(endpoint);
      assert.deepEqual([...registry.shard(shard)], [endpoint]);
    }),
  );
  t.pass('held for every run');
});

t.test('registry: text that is no lower-case UUID is not found and not taken', async (t) => {
  const registry = new Registry<Registered>();
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.constantFrom('', 'F', 'fg', 'G0', 'AA-', '/0', ':0')),
      (id) => {
        assert.equal(registry.find(id), undefined);
        if (shardOf(id) === -1) assert.throws(() => registry.register({ id }), RangeError);
      },
    ),
  );
  t.equal(shardOf('AA000000-0000-4000-8000-000000000000'), -1);
  t.equal(registry.size, 0);
});

t.test('registry: a shard may change while it is walked', async (t) => {
  const inShard = fc.uniqueArray(fc.integer({ min: 0, max: 0xffff }), {
    minLength: 1,
    maxLength: 40,
  });
  const toId = (n: number) => `2a00${n.toString(16).padStart(4, '0')}-0000-4000-8000-000000000000`;
  fc.assert(
    fc.property(inShard, fc.func(fc.nat({ max: 3 })), (numbers, choose) => {
      const registry = new Registry<Registered>();
      for (const n of numbers) registry.register({ id: toId(n) });
      const present = new Set([...registry.shard(0x2a)]);
      const seen: Registered[] = [];
      for (const endpoint of registry.shard(0x2a)) {
        assert.ok(present.has(endpoint), 'nobody is walked who is gone');
        seen.push(endpoint);
        const choice = choose(endpoint.id);
        const other = [...present].at(-1);
        if (choice === 0) registry.unregister(endpoint);
        if (choice === 1 && other) {
          registry.unregister(other);
          present.delete(other);
        }
        if (choice === 2 && seen.length < 100) {
          const newcomer = { id: toId(0x1_0000 + seen.length).slice(0, 36) };
          if (!registry.find(newcomer.id)) {
            registry.register(newcomer);
            present.add(newcomer);
          }
        }
      }
      assert.equal(new Set(seen).size, seen.length, 'nobody is walked twice');
      for (const endpoint of present) assert.ok(seen.includes(endpoint), 'who stayed is walked');
    }),
  );
  t.pass('held for every run');
});
