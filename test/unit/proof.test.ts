/** What a reload cannot change, before anything else is looked at. */
import t from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { EXIT } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { proveReload } from '../../src/supervisor/proof.ts';
import { livingSuccessions } from '../../src/supervisor/successions.ts';

const log = {} as Logger;

for (const [name, value] of Object.entries({
  prefix: 'another',
  'data-dir': '/var/lib/another',
  'run-dir': '/run/another',
  'trace-dir': '/tmp/another',
})) {
  t.test(`a reload does not change ${name}`, async (t) => {
    const [running, next] = [makeConfig({}), makeConfig({ [name]: value })];
    await t.rejects(proveReload(running, next, log), {
      exitCode: EXIT.usage,
      message: new RegExp(`^${name} cannot be changed by a reload: .*"${value}"`),
    });
  });
}

t.test('a succession is named as long as somebody at its end lives', async (t) => {
  const chain = [
    { of: 'a', by: 'b' },
    { of: 'b', by: 'c' },
    { of: 'x', by: 'y' },
  ];
  t.same(
    livingSuccessions(chain, (one) => one === 'c'),
    chain.slice(0, 2),
  );
  t.same(
    livingSuccessions(chain, (one) => one === 'x'),
    [],
  );
});
