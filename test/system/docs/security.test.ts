/** docs/security.md: its config is one, and its commands make keys. */
import t from 'tap';
import { parse } from 'yaml';
import { makeConfig } from '../../../src/base/config.ts';
import { everyBlockOf } from '../../helpers/docs.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

const world = await DocsWorld.make(t);

await everyBlockOf('docs/security.md', async (page, t) => {
  const keys = page.take('sh', 'owsla key');
  const behind = page.take('yaml', 'behind-haproxy');

  t.test('device keys', async (t) => {
    world.save('/etc/owsla/owsla.yaml', '');
    t.match(await world.ends(t, keys), /^\w+\.door-17:[\da-f]{64}$/m);
  });

  t.test('behind HAProxy', async (t) => {
    const [listener] = makeConfig(parse(behind)).listeners;
    t.match(listener, {
      auth: ['cert', 'key'],
      proxyProtocol: 'require',
      certId: 'cn',
      mode: 0o660,
    });
  });
});
