/** TLS of a listener: what a handshake proves, and what only looks as if it did. */
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { readTlsFiles } from '../../src/acceptor/establish/tlsFiles.ts';
import { TlsServer } from '../../src/acceptor/establish/tlsServer.ts';
import { makeConfig } from '../../src/base/config.ts';
import { devicePskKey } from '../../src/base/deviceKeys.ts';
import type { AuthMethod, ListenerConfig, TlsConfig } from '../../src/base/listeners.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { noOpenssl } from '../helpers/processes/programs.ts';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
const groupKey: KeyObject = createSecretKey(randomBytes(32));
const keys = new Map([['g1', groupKey]]);
const ticketKey = randomBytes(48);
const plain = makeConfig({}).listeners[0] as ListenerConfig;

/** What the server learns of a link; a word where the handshake fails. */
interface Learned {
  readonly identity: string | undefined;
  readonly isVerified: boolean;
  readonly isResumed: boolean;
}

class Place {
  readonly port: number;
  readonly server: TlsServer;
  readonly #learned: (Learned | string)[];
  readonly #tls: TlsConfig;

  private constructor(
    port: number,
    server: TlsServer,
    learned: (Learned | string)[],
    tls: TlsConfig,
  ) {
    this.port = port;
    this.server = server;
    this.#learned = learned;
    this.#tls = tls;
  }

  static async open(t: Test, name: string, auth: AuthMethod[], some: Partial<TlsConfig>) {
    const none = { cert: '', key: '', clientCa: '', crl: '' };
    const tls: TlsConfig = { ...none, clientCert: 'none', min: '1.2', ...some };
    const learned: (Learned | string)[] = [];
    const listener = { ...plain, name, auth, tls };
    const server = new TlsServer(
      listener,
      readTlsFiles(tls, Date.now()),
      { ticketKey, keys },
      {
        onSecure: (_, secured, identity) => {
          const isVerified = secured.authorized;
          learned.push({ identity, isVerified, isResumed: secured.isSessionReused() });
          secured.on('error', () => {});
          secured.end('done');
        },
        onFailure: (_, code) => learned.push(code),
      },
    );
    const net = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      server.accept(socket);
    }).listen(0, '127.0.0.1');
    await once(net, 'listening');
    t.teardown(() => net.close());
    return new Place((net.address() as AddressInfo).port, server, learned, tls);
  }

  /** The files are read again. */
  renew(): void {
    this.server.renew(readTlsFiles(this.#tls, Date.now()), { ticketKey, keys });
  }

  /** What the server learns of a device with these options; and the device's session. */
  async meet(options: ConnectionOptions): Promise<{ learned: unknown; session?: Buffer }> {
    const to = { host: '127.0.0.1', port: this.port, servername: 'localhost' };
    const socket: TLSSocket = connect({ ...to, rejectUnauthorized: false, ...options });
    let session: Buffer | undefined;
    socket.on('session', (one) => {
      session = one;
    });
    socket.on('error', () => {});
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    return { learned: this.#learned.pop(), ...(session ? { session } : {}) };
  }
}

t.test('tls server', { skip: noOpenssl }, async (t) => {
  const authority = new Authority();
  const other = new Authority({ name: 'Another CA', key: 'rsa' });
  t.teardown(() => authority.remove());
  t.teardown(() => other.remove());
  const served = authority.issue('localhost', { san: 'DNS:localhost' });
  const files = { cert: served.certFile, key: served.keyFile };
  const byPsk = (psk: Buffer, ciphers?: string): ConnectionOptions => ({
    pskCallback: () => ({ psk, identity: 'g1.door-1' }),
    checkServerIdentity: () => undefined,
    ...(ciphers === undefined ? {} : { ciphers }),
  });
  const right = devicePskKey(groupKey, 'door-1');

  t.test('tls server: a PSK that was named and not used proves nothing', async (t) => {
    const place = await Place.open(t, 'psk', ['psk', 'key'], files);
    // OpenSSL looks the key up, finds that it does not fit SHA-384, and goes on without it.
    for (const psk of [randomBytes(32), right]) {
      const { learned } = await place.meet(byPsk(psk, 'TLS_AES_256_GCM_SHA384:PSK'));
      t.match(learned, { identity: undefined, isResumed: false });
    }
    const anonymous = await place.meet({ ciphers: 'TLS_AES_256_GCM_SHA384' });
    const resumed = { ...byPsk(randomBytes(32), 'TLS_AES_256_GCM_SHA384:PSK') };
    const { learned } = await place.meet({ ...resumed, session: anonymous.session });
    t.match(learned, { identity: undefined }, 'nor does one beside a ticket');
  });

  t.test(
    'tls server: a PSK that was used proves who it is, whatever a device offers',
    async (t) => {
      const place = await Place.open(t, 'psk', ['psk', 'key'], files);
      for (const maxVersion of VERSIONS) {
        const ciphers = maxVersion === 'TLSv1.2' ? 'PSK' : undefined;
        const { learned } = await place.meet({ ...byPsk(right, ciphers), maxVersion });
        t.match(learned, { identity: 'g1.door-1' }, maxVersion);
        const wrong = await place.meet({ ...byPsk(randomBytes(32), ciphers), maxVersion });
        t.type(wrong.learned, 'string', 'a wrong one fails');
      }
    },
  );

  t.test(
    'tls server: a PSK identity without a key id or with a wrong device has no key',
    async (t) => {
      const place = await Place.open(t, 'psk', ['psk'], {});
      for (const identity of [
        'g1x',
        '.door-1',
        'g1.',
        'g1.a b',
        'g2.door-1',
        `g1.${'x'.repeat(99)}`,
      ]) {
        const device = identity.slice(identity.indexOf('.') + 1);
        const psk = devicePskKey(groupKey, device);
        const ciphers = 'TLS_AES_128_GCM_SHA256:PSK';
        const given = { ...byPsk(psk, ciphers), pskCallback: () => ({ psk, identity }) };
        t.type((await place.meet(given)).learned, 'string', identity.slice(0, 12));
      }
    },
  );

  for (const maxVersion of VERSIONS) {
    t.test(`tls server: a ticket is good at its own listener only, ${maxVersion}`, async (t) => {
      const lab = { ...files, clientCa: other.caFile, clientCert: 'require' } as const;
      const fleet = { ...lab, clientCa: authority.caFile } as const;
      const door = other.issue('door-1', { san: 'URI:urn:device:door-1' });
      const at = { cert: door.cert, key: door.key, maxVersion };
      const first = await Place.open(t, 'lab', ['cert'], lab);
      const second = await Place.open(t, 'fleet', ['cert'], fleet);
      const { learned, session } = await first.meet(at);
      t.match(learned, { isVerified: true });
      t.match((await first.meet({ ...at, session })).learned, { isResumed: true });
      const strange = await second.meet({ ...at, session });
      t.match(strange.learned, { isVerified: false, isResumed: false });
    });

    t.test(
      `tls server: a ticket ends with the CA that it was given for, ${maxVersion}`,
      async (t) => {
        const clientCa = authority.save('changing-ca.pem', authority.ca + other.ca);
        const door = other.issue('door-1');
        const at = { cert: door.cert, key: door.key, maxVersion };
        const place = await Place.open(t, 'fleet', ['cert'], {
          ...{ ...files, clientCa, clientCert: 'require' },
        });
        const { learned, session } = await place.meet(at);
        t.match(learned, { isVerified: true });
        authority.save('changing-ca.pem', authority.ca);
        place.renew();
        const later = await place.meet({ ...at, session });
        t.match(later.learned, { isVerified: false, isResumed: false });
      },
    );
  }

  t.test('tls server: two revocation lists in one file count both', async (t) => {
    const [here, there] = [authority.issue('door-1'), other.issue('door-2')];
    const lost = other.issue('door-3');
    other.revoke(lost);
    const clientCa = authority.save('both-ca.pem', authority.ca + other.ca);
    const crl = authority.save('both-crl.pem', authority.crl + other.crl);
    const place = await Place.open(t, 'fleet', ['cert'], {
      ...{ ...files, clientCa, crl, clientCert: 'require' },
    });
    for (const { cert, key } of [here, there]) {
      t.match((await place.meet({ cert, key })).learned, { isVerified: true });
    }
    const { cert, key } = lost;
    t.match((await place.meet({ cert, key })).learned, { isVerified: false });
  });
});
