/** A real HAProxy in front of a real node, as examples/deploy/haproxy.cfg has it. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { ConsumeMessage } from 'amqplib';
import t from 'tap';
import { makeToken, newGroupKey, readGroupKeys } from '../../src/base/deviceKeys.ts';
import { names } from '../../src/broker/topology.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import { loopbackNet } from '../helpers/loopback.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { Haproxy, noHaproxy } from '../helpers/processes/haproxy.ts';
import { startNode } from '../helpers/processes/node.ts';
import { at, noOpenssl } from '../helpers/processes/programs.ts';
import { waitFor } from '../helpers/waitFor.ts';

const NET = loopbackNet();
const [PROXY, DEVICE] = [`${NET}.1`, `${NET}.7`];
const [TLS_PORT, MTLS_PORT] = [17_001, 17_002];

t.test('HAProxy in front', { skip: noHaproxy || noOpenssl }, async (t) => {
  const ca = new Authority();
  t.teardown(() => ca.remove());
  const served = ca.issue('localhost', { san: 'DNS:localhost' });
  ca.save('server.pem', served.cert + served.key);
  ca.save('fleet-ca.pem', ca.ca);
  ca.save('fleet.crl', readFileSync(ca.crlFile, 'utf8'));
  const keys = ca.save('keys.yaml', `g1: ${newGroupKey()}\n`);
  const unix = `${ca.folder}/devices.sock`;
  const listener = { name: 'behind-haproxy', unix, auth: ['cert', 'key'], 'cert-id': 'cn', keys };
  const config = ca.save('owsla.json', JSON.stringify({ listeners: [listener] }));
  const { prefix, server, backend } = await startNode(t, { flags: ['--config', config] });
  const haproxy = await Haproxy.start(
    readFileSync(at('examples/deploy/haproxy.cfg'), 'utf8')
      .replaceAll(/\/etc\/owsla\/tls|\/run\/(?:owsla|haproxy)/g, ca.folder)
      .replaceAll(/bind :/g, `bind ${PROXY}:1`)
      .replaceAll(/^ +(?:user|group) .*\n/gm, '')
      .replace('maxconn 100000', 'maxconn 100')
      .replace('check inter 5s', 'check inter 100ms'),
  );
  t.teardown(() => haproxy.stop());

  async function secured(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
    const to = { port, host: PROXY, localAddress: DEVICE, servername: 'localhost', ca: ca.ca };
    const socket = connect({ ...to, ...options });
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    return socket;
  }
  const door = ca.issue('door-1');
  const shown = ({ cert, key }: typeof door): ConnectionOptions => ({ cert, key });

  t.test('a certificate that HAProxy has verified, and the address of the device', async (t) => {
    const got = Promise.withResolvers<ConsumeMessage>();
    await backend.on(names(prefix).events, '#', got.resolve);
    const socket = await secured(MTLS_PORT, shown(door));
    const device = new Device(socket);
    device.send(hello('door-1'), event(1));
    await device.expect('welcome');
    const { properties } = await got.promise;
    t.equal(properties.headers?.peer, `${DEVICE}:${socket.localPort}`);
    device.close();
  });

  t.test('the certificate of another device', async (t) => {
    const device = new Device(await secured(MTLS_PORT, shown(door)));
    device.send(hello('door-2'));
    t.match(await device.rest(), [
      { type: 'error', code: 'auth-failed' },
      { reason: 'auth-failed' },
    ]);
  });

  t.test('without a certificate: a token, or nobody', async (t) => {
    const groupKey = readGroupKeys(keys).get('g1');
    if (groupKey === undefined) throw new Error('no group key');
    const token = makeToken(groupKey, 'g1', 'door-3', 0);
    const known = new Device(await secured(TLS_PORT));
    known.send(hello('door-3', { token }));
    await known.expect('welcome');
    known.close();
    const stranger = new Device(await secured(TLS_PORT));
    stranger.send(hello('door-4'));
    t.match(await stranger.rest(), [{ code: 'auth-failed' }, { reason: 'auth-failed' }]);
  });

  t.test('health checks are no devices and no failures', async (t) => {
    const up = async () => /,UP,/.test(await haproxy.ask('show stat'));
    await waitFor('checks that HAProxy believes', up);
    const page = await server.page('/metrics');
    const failures = page.match(/^owsla_establish_failures_total\{[^}]*\} [1-9].*$/gm) ?? [];
    t.same(failures, []);
  });

  t.test(
    'a certificate renewed over the runtime API: new links have it, old ones stay',
    async (t) => {
      const old = new Device(await secured(MTLS_PORT, shown(door)));
      old.send(hello('door-1'));
      await old.expect('welcome');
      const next = ca.issue('localhost', { san: 'DNS:localhost' });
      const file = `${ca.folder}/server.pem`;
      await haproxy.ask(`set ssl cert ${file}`, next.cert + next.key);
      await haproxy.ask(`commit ssl cert ${file}`);
      writeFileSync(file, next.cert + next.key);
      const renewed = await secured(TLS_PORT);
      t.equal(renewed.getPeerX509Certificate()?.toString().trim(), next.cert.trim());
      renewed.destroy();
      old.send(event(7));
      t.match(await old.expect('ack'), { id: 7 });
      old.close();
    },
  );
});
