/**
 * A cut of the part with bad neighbours: a poisoner, a full queue, mute devices, flooders and
 * non-readers, all at once beside a fleet that must not lose anything by them. What the innocents
 * wait is printed; only `make chaos`, at full length, judges it.
 */
import { randomInt } from 'node:crypto';
import t from 'tap';
import { WHO } from './badDevices.ts';
import { beside } from './beside.ts';
import { writeBeside, writeTable } from './table.ts';

const seed = Number(process.env.SEED || randomInt(2 ** 31));

t.test(`chaos: bad neighbours cost the innocents no promise (SEED=${seed})`, async (t) => {
  const outcome = await beside(
    {
      seed,
      durationMs: 1,
      devices: 100,
      visitors: 20,
      perSecond: 100,
      commandsPerSecond: 30,
      keepMs: 2_000,
      isPrompt: true,
      acceptors: 2,
      nodes: 1,
      limits: { nackRetryMs: 100, nackRetryMaxMs: 500, nackTriesMax: 3 },
      lateMs: 0,
      warmMs: 200,
      stretchMs: 2_000,
      isLowest: false,
      deedsMin: 6,
      // Else a busy machine ends the stretch before there was a nack.
      grownMin: ['publish_drops', 'deliveries'],
      casts: [WHO],
      settleMs: 0,
      ratioMax: 0,
      graceMs: 15_000,
    },
    (line) => t.comment(line),
  );

  t.comment(writeBeside(outcome));
  t.comment(writeTable(outcome));
  t.same(outcome.failures, []);
  const { latencies, deeds, got } = outcome;
  t.same(
    latencies.map(({ bad }) => bad.count > 0),
    [true, true, true],
    'innocents were at work beside them',
  );
  t.ok(deeds.length >= 6, 'each neighbour was at work');
  const isGot = (what: string) => got.some(([series]) => series.includes(what));
  t.ok(isGot('publish_drops') && isGot('deliveries'), 'and what they sent was given up');
});
