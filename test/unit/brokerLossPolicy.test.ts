/**
 * BrokerLossPolicy: when links are told to come back later, at what pace, and when they are not.
 */
import t from 'tap';
import { BrokerLossPolicy } from '../../src/acceptor/brokerLossPolicy.ts';
import { makeLimits, SHARDS } from '../../src/base/limits.ts';
import type { LossPolicy } from '../../src/base/options.ts';

const LOSS_MS = 30_000;
const PACE_MS = 25_600;

function build(
  policy: LossPolicy,
  paceMs = PACE_MS,
): { lossPolicy: BrokerLossPolicy; told: number[] } {
  const told: number[] = [];
  const log = { info: () => {}, warn: () => {} };
  const limits = makeLimits({ brokerLossMs: LOSS_MS, brokerLossPaceMs: paceMs });
  const closeShard = (shard: number) => told.push(shard);
  return { lossPolicy: new BrokerLossPolicy({ policy, limits, log, closeShard }), told };
}

const all = Array.from({ length: SHARDS }, (_, shard) => shard);

t.test('hold: however long the broker is away, nobody is told anything', async (t) => {
  const { lossPolicy, told } = build('hold');

  for (let now = 0; now < 100 * LOSS_MS; now += 1_000) lossPolicy.tick(false, now);

  t.same(told, []);
  t.equal(lossPolicy.isRefusing, false);
});

t.test('refuse: not before brokerLossMs, then shard by shard over brokerLossPaceMs', async (t) => {
  const { lossPolicy, told } = build('refuse');
  lossPolicy.tick(true, 0);
  lossPolicy.tick(false, 1_000);
  lossPolicy.tick(false, 1_000 + LOSS_MS - 1);
  t.equal(lossPolicy.isRefusing, false);
  t.same(told, []);

  lossPolicy.tick(false, 1_000 + LOSS_MS);
  t.equal(lossPolicy.isRefusing, true);
  t.same(told, [0]);
  lossPolicy.tick(false, 1_000 + LOSS_MS + PACE_MS / 2 - 1);
  t.equal(told.length, SHARDS / 2);
  lossPolicy.tick(false, 1_000 + LOSS_MS + 10 * PACE_MS);

  t.same(told, all, 'every shard, once');
});

t.test('refuse: the broker comes back: who was not told yet stays', async (t) => {
  const { lossPolicy, told } = build('refuse');
  lossPolicy.tick(false, 0);
  lossPolicy.tick(false, LOSS_MS + 999);
  lossPolicy.tick(true, LOSS_MS + 1_000);

  t.equal(lossPolicy.isRefusing, false);
  t.equal(told.length, 10);
  lossPolicy.tick(false, LOSS_MS + 2_000);
  lossPolicy.tick(false, LOSS_MS + 2_000 + LOSS_MS - 1);
  t.equal(told.length, 10, 'a new loss has its own time');
  lossPolicy.tick(false, LOSS_MS + 2_000 + LOSS_MS);

  t.same(told.slice(10), [0], 'and begins with the first shard again');
});

t.test('refuse: without a pace all are told at once', async (t) => {
  const { lossPolicy, told } = build('refuse', 0);
  lossPolicy.tick(false, 0);
  lossPolicy.tick(false, LOSS_MS);

  t.same(told, all);
});
