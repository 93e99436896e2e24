/** Units: what people write, as numbers, without rounding. */
import t from 'tap';
import {
  didYouMean,
  parseDuration,
  parseSize,
  parseWhole,
  writeDuration,
  writeSize,
} from '../../src/base/units.ts';

t.test('a duration is a number and ms, s, m, h or d', async (t) => {
  t.equal(parseDuration('500ms'), 500);
  t.equal(parseDuration('1.5s'), 1_500);
  t.equal(parseDuration('1.1s'), 1_100);
  t.equal(parseDuration(' 5 m '), 300_000);
  t.equal(parseDuration('1h'), 3_600_000);
  t.equal(parseDuration('2d'), 172_800_000);
  t.equal(parseDuration('0s'), 0);
});

t.test('a duration with no unit, an unknown one or part of a millisecond is none', async (t) => {
  for (const text of ['10', 's', '', '-1s', '1 week', '0.5ms', '1e3s', 'toString', '1S']) {
    t.equal(parseDuration(text), undefined, text);
  }
});

t.test(
  'a size is a number and B, KiB, MiB or GiB; kB and KB, which mean two things, are not',
  async (t) => {
    t.equal(parseSize('64KiB'), 65_536);
    t.equal(parseSize('1.5 MiB'), 1_572_864);
    t.equal(parseSize('1GiB'), 1_073_741_824);
    t.equal(parseSize('7B'), 7);
    for (const text of ['64kB', '64KB', '64K', '65536', '0.1KiB']) {
      t.equal(parseSize(text), undefined, text);
    }
  },
);

t.test('a whole number is digits only', async (t) => {
  t.equal(parseWhole('65536'), 65_536);
  for (const text of ['', '1.0', '-1', '0x10', '1e3', '9'.repeat(20)]) {
    t.equal(parseWhole(text), undefined, text);
  }
});

t.test('written values are read back as the same', async (t) => {
  for (const ms of [0, 1, 1_500, 60_000, 90_000, 3_600_000, 86_400_000]) {
    t.equal(parseDuration(writeDuration(ms)), ms);
  }
  for (const bytes of [0, 1, 1_000, 1_024, 65_536, 1_048_576]) {
    t.equal(parseSize(writeSize(bytes)), bytes);
  }
});

t.test('a near miss gets the nearest word, a far one none', async (t) => {
  const words = ['port', 'host', 'prefix'];
  t.equal(didYouMean('prot', words, '--'), '; did you mean --port?');
  t.equal(didYouMean('PREFIXX', words), '; did you mean prefix?');
  t.equal(didYouMean('nonsense', words), '');
});
