/** `owsla check`: what it proves, without a node; and beside one that runs. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { cleanEnvironment } from '../helpers/processes/environment.ts';
import { Server } from '../helpers/processes/server.ts';

const CLI = join(import.meta.dirname, '../../src/cli/cli.ts');
const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const authority = new Authority();
t.teardown(async () => {
  authority.remove();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
});

function check(...flags: readonly string[]): Promise<{ code: number; said: string }> {
  const args = [CLI, 'check', '--prefix', prefix, ...flags];
  const env = { ...cleanEnvironment(), OWSLA_AMQP: broker.url };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), said: stdout + stderr });
    });
  });
}

const served = authority.issue('localhost', { san: 'DNS:localhost' });
const other = authority.issue('other');
const tls = (cert = served.certFile, key = served.keyFile) => [
  ...['--tls-port', '0', '--tls-cert', cert, '--tls-key', key, '--auth', 'none'],
  ...['--data-dir', authority.at('data')],
];
const ANY_ADMIN = ['--admin-port', '0'];

t.test('all is well', async (t) => {
  const { code, said } = await check(...tls(), ...ANY_ADMIN);
  t.equal(code, 0, said);
  t.notMatch(said, /failed|warning/);
  t.match(said, /^ok: listener devices-tls at 127\.0\.0\.1:0: its files$/m);
  t.match(said, /^ok: store$/m);
  t.match(said, /^ok: broker$/m);
});

t.test('a file that does not fit: its name, why, exit code 78', async (t) => {
  const ended = authority.issue('ended', { from: '20200101000000Z', to: '20200201000000Z' });
  const keys = authority.at('open-keys.yaml');
  writeFileSync(keys, 'g1: AAAA\n', { mode: 0o644 });
  for (const [flags, why] of [
    [tls(served.certFile, other.keyFile), /is not the key of the certificate/],
    [tls('/nowhere.pem'), /\/nowhere\.pem cannot be read \(ENOENT\)/],
    [tls(served.keyFile), /holds no certificate in PEM/],
    [tls(ended.certFile, ended.keyFile), /ended at/],
    [[...tls(), '--tls-client-ca', served.keyFile], /holds no certificate in PEM/],
    [
      [...tls(), '--tls-client-ca', authority.caFile, '--tls-crl', served.certFile],
      /no revocation/,
    ],
    [['--port', '0', '--auth', 'key', '--keys', keys], /mode 0644/],
  ] as const) {
    const { code, said } = await check(...flags, ...ANY_ADMIN);
    t.equal(code, 78, said);
    t.match(
      said,
      new RegExp(`^failed: listener [a-z-]+ at [^ ]+: its files: .*${why.source}`, 'm'),
    );
  }
});

t.test('settings that do not fit each other are one sentence each, exit code 64', async (t) => {
  for (const [flags, why] of [
    [['--tls-port', '7443'], /TLS needs a certificate/],
    [['--auth', 'key'], /need group keys/],
    [['--auth', 'jwt'], /need the keys of its issuer|needs the keys/],
    [['--host', '0.0.0.0', '--auth', 'backend'], /sent unencrypted/],
    [['--auth', 'cert'], /nothing applies there/],
    [['--auth', 'none,key', '--keys', 'x'], /put it last/],
    [['--host', '0.0.0.0', '--auth', 'key', '--keys', 'x'], /sent unencrypted/],
    [['--allow-from', '10.0.0.0/33'], /is no address and no CIDR/],
    [[...tls(), '--tls-client-cert', 'require'], /needs the CA/],
  ] as const) {
    const { code, said } = await check(...flags);
    t.equal(code, 64, said);
    t.match(said, why);
  }
});

t.test('beside the node that runs, what it holds is not tried', async (t) => {
  const run = authority.at('run');
  const flags = [...tls(), '--run-dir', run];
  const server = await Server.start({ amqp: broker.url, prefix, flags });
  t.teardown(() => server.stop());
  const { code, said } = await check(...flags, ...ANY_ADMIN);
  t.equal(code, 0, said);
  t.match(said, /^not tried: ports, run-dir, store: a node runs with --run-dir/m);
});
