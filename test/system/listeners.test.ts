/** A real node that listens in every way there is: who shows what it has to is let in by each. */
import type { KeyObject } from 'node:crypto';
import { statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import t from 'tap';
import { devicePskKey, makeToken, newGroupKey, readGroupKeys } from '../../src/base/deviceKeys.ts';
import { Device, hello } from '../helpers/fakes/device.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { startNode } from '../helpers/processes/node.ts';

const authority = new Authority();
t.teardown(() => authority.remove());
const served = authority.issue('localhost', { san: 'DNS:localhost' });
const door1 = authority.issue('door-1', { san: 'URI:urn:device:door-1' });
const keysFile = authority.at('keys.yaml');
writeFileSync(keysFile, `g1: ${newGroupKey()}\n`, { mode: 0o600 });
const groupKey = readGroupKeys(keysFile).get('g1') as KeyObject;

const unix = authority.at('devices.sock');
const config = authority.at('owsla.yaml');
writeFileSync(
  config,
  JSON.stringify({
    keys: keysFile,
    'tls-cert': served.certFile,
    'tls-key': served.keyFile,
    listeners: [
      {
        ...{ name: 'by-cert', port: 0, auth: ['cert'] },
        tls: { 'client-ca': authority.caFile, 'client-cert': 'require', crl: authority.crlFile },
      },
      { name: 'by-psk', port: 0, auth: ['psk', 'key'], tls: true },
      { name: 'by-proxy', unix, auth: ['none'] },
    ],
  }),
);
const { server } = await startNode(t, { flags: ['--config', config] });

async function secured(name: string, options: ConnectionOptions): Promise<TLSSocket> {
  const base = { host: '127.0.0.1', servername: 'localhost', ca: authority.ca };
  const socket = connectTls({ ...base, port: server.portOf(name), ...options });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

async function opened(socket: Socket, id: string, options = {}): Promise<string> {
  const device = new Device(socket);
  device.send(hello(id, options));
  const welcome = await device.expect('welcome');
  device.close();
  return welcome.type;
}

t.test('plain', async (t) => {
  const device = await Device.open(server.port, 'door-plain');
  t.ok(device);
  device.close();
});

t.test('by a certificate, with TLS 1.2 and 1.3', async (t) => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { cert, key } = door1;
    const socket = await secured('by-cert', { cert, key, maxVersion: version });
    t.equal(await opened(socket, 'door-1'), 'welcome', version);
  }
});

t.test('by PSK, with TLS 1.2 and 1.3', async (t) => {
  const psk = devicePskKey(groupKey, 'door-2');
  const pskCallback = () => ({ psk, identity: 'g1.door-2' });
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await secured('by-psk', {
      ...{ maxVersion: version, pskCallback, checkServerIdentity: () => undefined },
      ciphers: version === 'TLSv1.2' ? 'PSK' : 'TLS_AES_128_GCM_SHA256:PSK',
    });
    t.equal(await opened(socket, 'door-2'), 'welcome', version);
  }
  // OpenSSL calls a TLS 1.3 session that began with a key resumed; nothing was.
  await server.untilMetric('owsla_handshakes_total', 'kind="psk"', (count) => count === 2);
});

t.test('by a token', async (t) => {
  const token = makeToken(groupKey, 'g1', 'door-3', 0);
  t.equal(await opened(await secured('by-psk', {}), 'door-3', { token }), 'welcome');
});

t.test('through a proxy, over a Unix socket with rights of its own', async (t) => {
  t.equal(statSync(unix).mode & 0o777, 0o660);
  const socket = connect(unix);
  socket.write('PROXY TCP4 192.0.2.7 192.0.2.1 4711 7000\r\n');
  t.equal(await opened(socket, 'door-4'), 'welcome');
});
