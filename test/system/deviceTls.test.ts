/** examples/device-tls.c, by mbed TLS, against a real node: certificate, pre-shared key, token. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import t from 'tap';
import { devicePskKey, newGroupKey, readGroupKeys } from '../../src/base/deviceKeys.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { Command } from '../helpers/processes/command.ts';
import { startNode } from '../helpers/processes/node.ts';
import { at, noMbedtls, noOpenssl } from '../helpers/processes/programs.ts';

const LIBRARIES = ['-lmbedtls', '-lmbedx509', '-lmbedcrypto'];
const STRICT = [
  '-std=c99',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-pedantic',
  '-fsanitize=address,undefined',
];

t.test('device-tls.c', { skip: noMbedtls || noOpenssl }, async (t) => {
  const authority = new Authority();
  t.teardown(() => authority.remove());
  const served = authority.issue('localhost', { san: 'DNS:localhost' });
  const own = authority.issue('door-1', { san: 'URI:urn:device:door-1' });
  const keys = authority.at('keys.yaml');
  writeFileSync(keys, `g1: ${newGroupKey()}\n`, { mode: 0o600 });
  const groupKey = readGroupKeys(keys).get('g1');
  if (groupKey === undefined) throw new Error('no group key');
  const pskFile = authority.at('door-2.psk');
  writeFileSync(pskFile, `g1.door-2:${devicePskKey(groupKey, 'door-2').toString('hex')}\n`);
  const tls = { 'client-ca': authority.caFile, 'client-cert': 'request' };
  const config = authority.at('owsla.json');
  const listener = { name: 'tls', port: 0, auth: ['cert', 'psk', 'key'], keys, tls };
  const files = { 'tls-cert': served.certFile, 'tls-key': served.keyFile };
  writeFileSync(config, JSON.stringify({ ...files, listeners: [listener] }));
  const { server } = await startNode(t, { flags: ['--config', config] });
  const program = authority.at('device-tls');
  execFileSync('cc', [...STRICT, '-o', program, at('examples/device-tls.c'), ...LIBRARIES]);
  const port = String(server.portOf('tls'));

  const run = (id: string, env: Record<string, string>) => {
    const device = [program, '127.0.0.1', port, id, '--event', 'hvac.temp', '21.5'];
    return new Command(['/bin/sh', '-c', 'exec "$@" 2>&1', 'sh', ...device], env);
  };

  for (const [how, id, env] of [
    [
      'certificate',
      'door-1',
      { TLS_CA: authority.caFile, TLS_CERT: own.certFile, TLS_KEY: own.keyFile },
    ],
    ['pre-shared key', 'door-2', { TLS_PSK_FILE: pskFile }],
  ] as const) {
    t.test(how, async (t) => {
      const device = run(id, env);
      t.equal(await device.exit, 0, device.output);
    });
  }

  t.test('what does not fit', async (t) => {
    const other = new Authority({ name: 'other' });
    t.teardown(() => other.remove());
    const stranger = run('door-1', { TLS_CA: other.caFile });
    await stranger.prints(/TLS handshake: .*(?:Certificate|X509)/i);
    await stranger.end('SIGKILL');
    const wrongId = run('door-9', { TLS_PSK_FILE: pskFile });
    await wrongId.prints(/auth-failed/);
    await wrongId.end('SIGKILL');
  });
});
