/**
 * Pages of links across acceptors: whoever is there all the time is seen exactly once, in the order
 * of connection ids, while others come and go between pages.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { Endpoint } from '../../src/acceptor/endpoint/endpoint.ts';
import { Registry } from '../../src/acceptor/endpoint/registry.ts';
import { LinkPages } from '../../src/acceptor/operate/linkPages.ts';
import { LinkWalk } from '../../src/acceptor/operate/linkWalk.ts';
import type { LinksAnswer } from '../../src/node/linkFacts.ts';
import { LINK_FIELDS, readConditions } from '../../src/node/linkQuery.ts';
import { NodeDrain } from '../../src/observer/nodeDrain.ts';
import { nodeLinks } from '../../src/observer/nodeLinks.ts';
import { aNode } from '../helpers/fakes/aNode.ts';

const ACCEPTORS = 3;

/** What of an endpoint a row needs. */
function linkOf(id: string, deviceId: string): Endpoint {
  return { id, deviceId, isLive: true, acceptedUs: 0, heardAt: 0, pausedAt: 0 } as Endpoint;
}

/** A clock that says so: at some looks so much time has passed that a page ends early. */
function acceptorOf(index: number, jumps: readonly number[]) {
  const registry = new Registry<Endpoint>();
  let [now, looks] = [0, 0];
  const look = () => {
    now += jumps[looks % jumps.length] ?? 0;
    looks += 1;
    return { now, us: 0, wall: 0, acceptor: index };
  };
  const walk = new LinkWalk({ lateMs: 1_000 });
  return { registry, pages: new LinkPages({ registry, walk, look }) };
}

/** Few first bytes: many links share a shard. */
const id = fc
  .tuple(fc.constantFrom('00', '01', '7f', 'fe', 'ff'), fc.nat({ max: 0xffff_ffff }))
  .map(
    ([byte, rest]) =>
      `${byte}${rest.toString(16).padStart(6, '0').slice(0, 6)}-0000-4000-8000-${rest.toString(16).padStart(12, '0')}`,
  );
const ids = (maxLength: number) => fc.uniqueArray(id, { maxLength });

interface Step {
  readonly comes: readonly string[];
  readonly goes: readonly number[];
}

async function follow(
  stays: readonly string[],
  passing: readonly string[],
  steps: readonly Step[],
  limit: number,
  jumps: readonly number[],
): Promise<void> {
  const acceptors = Array.from({ length: ACCEPTORS }, (_, at) => acceptorOf(at + 1, jumps));
  const where = (at: number) => acceptors[at % ACCEPTORS];
  for (const [at, one] of stays.entries()) where(at)?.registry.register(linkOf(one, 'stays'));
  const others = passing.filter((one) => !stays.includes(one));
  for (const [at, one] of others.entries()) where(at)?.registry.register(linkOf(one, 'passes'));
  const ask = async (incarnation: string, _: string, body: unknown) => {
    const { after, limit: rows, where: texts } = body as Record<string, string>;
    const conditions = readConditions(texts, LINK_FIELDS);
    const asked = { after: after ?? '', limit: Number(rows), conditions };
    return acceptors[Number(incarnation) - 1]?.pages.page(asked);
  };
  const children = { ask };
  const drain = new NodeDrain(children);
  const node = nodeLinks({ status: aNode(ACCEPTORS), children, drain, log: { info: () => {} } });

  const seen: string[] = [];
  let at = 0;
  for (let after: string | undefined = ''; after !== undefined; at += 1) {
    const page = (await node.links?.({ after, limit }, 'test')) as LinksAnswer;
    assert.ok(page.rows.length <= limit);
    assert.ok(page.next === undefined || page.next > after, 'it goes on');
    seen.push(...page.rows.map(({ connection }) => connection));
    after = page.next;
    const step = steps[at];
    for (const go of step?.goes ?? []) {
      const gone = others[go % Math.max(1, others.length)] ?? '';
      for (const { registry } of acceptors) {
        const link = registry.find(gone);
        if (link) registry.unregister(link);
      }
    }
    for (const come of step?.comes ?? []) {
      const isTaken = acceptors.some(({ registry }) => registry.find(come) !== undefined);
      if (!isTaken) where(at)?.registry.register(linkOf(come, 'comes'));
    }
  }
  assert.deepEqual(seen, [...new Set(seen)].toSorted(), 'in order, none twice');
  const missed = stays.filter((one) => !seen.includes(one));
  assert.deepEqual(missed, [], 'none is missed');
}

t.test('each link that stays is in exactly one page', async (t) => {
  const step = fc.record({ comes: ids(4), goes: fc.array(fc.nat({ max: 50 }), { maxLength: 4 }) });
  await fc.assert(
    fc.asyncProperty(
      ids(40),
      ids(40),
      fc.array(step, { maxLength: 20 }),
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.constantFrom(0, 0, 0, 500), { minLength: 1, maxLength: 7 }),
      follow,
    ),
    { numRuns: 40 },
  );
  t.pass();
});
