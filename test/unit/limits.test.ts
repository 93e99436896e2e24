/** Limits: the defaults fit, what does not fit is told, and files bound the links. */
import t from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { EXIT } from '../../src/base/errors.ts';
import { LIMIT_NAMES, LIMIT_SPECS, limitFaults, makeLimits } from '../../src/base/limits.ts';
import { linksMaxOf, openFilesMax } from '../../src/node/files.ts';
import { checkFiles } from '../../src/supervisor/preflight.ts';

t.test('the defaults have no fault', async (t) => {
  t.same(limitFaults(makeLimits()), []);
});

t.test('every limit outside its range is told with the range and the unit', async (t) => {
  for (const name of LIMIT_NAMES) {
    const { min, max, unit } = LIMIT_SPECS[name];
    for (const value of [min - 1, max + 1, min + 0.5, Number.NaN]) {
      const faults = limitFaults(makeLimits({ [name]: value }));
      const told = `${name} must be a whole number from ${min} to ${max} (${unit}), not ${value}`;
      t.ok(faults.includes(told), told);
    }
  }
});

t.test('the open-file limit is known here and leaves 256 files', async (t) => {
  t.ok(openFilesMax() > 0);
  const links = (maxLinks: number, linksMax: number, filesMax: number, index = 1) =>
    linksMaxOf({ limits: makeLimits({ linksMax }), maxLinks, acceptors: 3 }, index, filesMax);
  t.equal(links(0, 0, 20_000), 19_744);
  t.equal(links(0, 100, 20_000), 100);
  t.equal(links(0, 0, Number.POSITIVE_INFINITY), 1_000_000);
  t.equal(links(90_000, 0, 20_000), 19_744);
  const shares = [1, 2, 3].map((index) => links(1_000, 0, 20_000, index));
  t.same(shares, [334, 333, 333], 'the shares of max-links add up to it');
});

t.test('links that do not fit below the open-file limit less 256 are refused', async (t) => {
  const config = makeConfig({ set: { linksMax: 1_000 } });
  const refused = { exitCode: EXIT.config, message: /linksMax=1000 needs 1256 open files.*1255/ };
  t.throws(() => checkFiles(config, 1_255), refused);
  t.doesNotThrow(() => checkFiles(config, 1_256));
  t.throws(() => checkFiles(makeConfig({}), 256), { message: /an acceptor needs 257 open files/ });
});

t.test('limits: refused links that linger fit into the files kept for other things', async (t) => {
  t.same(limitFaults(makeLimits({ refusingMax: 192, listenSockets: 16 })), []);
  t.match(limitFaults(makeLimits({ refusingMax: 192, listenSockets: 17 })), [
    /^refusingMax \(192\) and listenSockets \(17\) must fit/,
  ]);
});
