/**
 * What a real HAProxy says of the links that it passes on, as our parser reads it; and
 * examples/deploy/haproxy.cfg as an operator runs it.
 */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import t, { type Test } from 'tap';
import {
  PROXY_BYTES_MAX,
  type ProxyHeader,
  readProxyHeader,
} from '../../src/acceptor/establish/proxyHeader.ts';
import { loopbackNet, quietPort } from '../helpers/loopback.ts';
import { Authority, type Issued } from '../helpers/processes/authority.ts';
import { faultsOfConfig, Haproxy, noHaproxy } from '../helpers/processes/haproxy.ts';
import { at, noOpenssl } from '../helpers/processes/programs.ts';
import { addressHex } from '../helpers/proxyHeaders.ts';
import { waitFor } from '../helpers/waitFor.ts';

const skip = noHaproxy || noOpenssl;
const NET = loopbackNet();
const PROXY = `${NET}.1`;
const DEVICE = `${NET}.7`;
const noIPv6 =
  !existsSync('/proc/net/if_inet6') || !/ lo$/m.test(readFileSync('/proc/net/if_inet6', 'utf8'));
const PORTS = { v1: 7_001, v2: 7_002, cn: 7_003, all: 7_004, tls: 7_005, lax: 7_006, v1tls: 7_007 };
/** ::1 is everybody's, so ports there are free ones. */
const IPV6_PORTS = { v1: await quietPort(), v2: await quietPort(), cn: await quietPort() };
const HELLO = 'HELLO\0';

/** A link as the server behind HAProxy has it. */
interface Passed {
  readonly header: ProxyHeader;
  /** The header as it came. */
  readonly raw: Buffer;
  readonly socket: Socket;
  /** What follows the header, so far. */
  rest: Buffer;
}

/** The server: reads headers, and answers HELLO with OK. */
class Behind {
  readonly passed: Passed[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#read(socket));
  }

  static async listen(path: string): Promise<Behind> {
    const server = createServer({ allowHalfOpen: true }).listen(path);
    await once(server, 'listening');
    return new Behind(server);
  }

  #read(socket: Socket): void {
    let bytes: Buffer = Buffer.alloc(0);
    let passed: Passed | undefined;
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (passed === undefined) {
        const header = readProxyHeader(bytes);
        if (header === 'more') return;
        const raw = bytes.subarray(0, header.bytes);
        passed = { header, raw, socket, rest: bytes };
        this.passed.push(passed);
      }
      passed.rest = bytes.subarray(passed.header.bytes);
      if (passed.rest.toString().endsWith(HELLO)) socket.write('OK');
    });
  }

  /** The link of the device with this port. */
  of({ localPort }: Socket): Passed {
    const found = this.passed.findLast(({ header }) => header.source?.port === localPort);
    if (found === undefined) throw new Error(`nothing came of port ${localPort}`);
    return found;
  }

  close(): void {
    for (const { socket } of this.passed) socket.destroy();
    this.#server.close();
  }
}

/** Says HELLO, and resolves with the answer; '' when the link ends instead. */
async function greet(socket: Socket): Promise<string> {
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.write(HELLO);
  await new Promise<void>((resolve) => {
    socket.once('data', () => resolve()).once('close', () => resolve());
  });
  return answer;
}

const plain = (port: number, host = PROXY, localAddress = DEVICE) =>
  connect({ port, host, localAddress }).on('error', () => {});

/** The newest session of each, to resume it later. */
const sessions = new WeakMap<TLSSocket, Buffer>();

/** Opens TLS; rejects with what the handshake ended with. */
async function secure(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const to = { port, host: PROXY, localAddress: DEVICE, servername: 'localhost' };
  const socket = tlsConnect({ ...to, ...options });
  socket.on('session', (session) => sessions.set(socket, session));
  // In TLS 1.3 the server refuses a certificate when the device is done with its handshake.
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  return socket;
}

/** Does a link with these options come through to the server? */
async function isLinked(port: number, options: ConnectionOptions): Promise<boolean> {
  const socket = await secure(port, options).catch(() => undefined);
  if (socket === undefined) return false;
  const answer = await greet(socket);
  socket.destroy();
  return answer === 'OK';
}

interface World {
  readonly ca: Authority;
  readonly server: Issued;
  readonly folder: string;
  readonly behind: Behind;
}

async function makeWorld(t: Test): Promise<World> {
  const ca = new Authority();
  t.teardown(() => ca.remove());
  const behind = await Behind.listen(join(ca.folder, 'devices.sock'));
  t.teardown(() => behind.close());
  const server = ca.issue('localhost', { san: 'DNS:localhost' });
  ca.save('server.pem', server.cert + server.key);
  ca.save('fleet-ca.pem', ca.ca);
  ca.save('fleet.crl', ca.crl);
  return { ca, server, folder: ca.folder, behind };
}

/** Frontends and backends of one server each: `name`, what is bound, what is sent. */
function configOf(folder: string): string {
  const tls = `ssl crt ${folder}/server.pem ca-file ${folder}/fleet-ca.pem verify optional`;
  const all =
    'send-proxy-v2-ssl-cn proxy-v2-options crc32c,unique-id,authority,ssl-cipher,cert-sig';
  const also = (name: string) =>
    name in IPV6_PORTS && !noIPv6
      ? `bind [::1]:${IPV6_PORTS[name as keyof typeof IPV6_PORTS]}`
      : '';
  const listen = (name: keyof typeof PORTS, how: string, sends: string, more = '') => `
listen ${name}
  bind ${PROXY}:${PORTS[name]} ${how}
  ${also(name)}
  server owsla unix@${folder}/devices.sock ${sends} ${more}
`;
  return `
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
${listen('v1', '', 'send-proxy')}
${listen('v2', '', 'send-proxy-v2')}
${listen('cn', '', 'send-proxy-v2-ssl-cn', 'check inter 100ms')}
${listen('all', tls, all)}
${listen('tls', tls, 'send-proxy-v2-ssl-cn')}
${listen('lax', `${tls} crt-ignore-err all ca-ignore-err all`, 'send-proxy-v2-ssl-cn')}
${listen('v1tls', tls, 'send-proxy', 'check inter 100ms')}
`;
}

t.test('haproxy: what it says of links', { skip }, async (t) => {
  const { ca, folder, behind } = await makeWorld(t);
  const haproxy = await Haproxy.start(configOf(folder));
  t.teardown(() => haproxy.stop());
  const pump = ca.issue('pump-17');
  const trusted = { ca: ca.ca };

  /** Greets, and gives the header as the server read it. */
  async function passedOf(t: Test, socket: Socket): Promise<Passed> {
    t.equal(await greet(socket), 'OK');
    const passed = behind.of(socket);
    t.same(passed.rest.toString(), HELLO, 'what follows is the device’s, to the byte');
    const { raw, header } = passed;
    t.strictSame(readProxyHeader(raw), header);
    const early = [...raw.keys()].filter((n) => readProxyHeader(raw.subarray(0, n)) !== 'more');
    t.same(early, [], 'cut anywhere it is incomplete');
    t.equal(header.source?.address, socket.localAddress);
    t.equal(header.source?.port, socket.localPort);
    socket.destroy();
    return passed;
  }

  for (const name of ['v1', 'v2', 'cn'] as const) {
    t.test(`haproxy: TCP over IPv4, ${name}`, async (t) => {
      const { header, raw } = await passedOf(t, plain(PORTS[name]));

      t.equal(header.ssl, undefined);
      t.equal(raw.toString().startsWith('PROXY TCP4 '), name === 'v1');
    });
    t.test(`haproxy: TCP over IPv6, ${name}`, { skip: noIPv6 && 'no IPv6 here' }, async (t) => {
      const { header, raw } = await passedOf(t, plain(IPV6_PORTS[name], '::1', '::1'));

      t.equal(header.ssl, undefined);
      t.equal(addressHex(header.source?.address ?? ''), addressHex('::1'));
      t.equal(raw.toString().startsWith('PROXY TCP6 '), name === 'v1');
    });
  }

  t.test('haproxy: version 1 knows nothing of TLS', async (t) => {
    const { header } = await passedOf(t, await secure(PORTS.v1tls, { ...trusted, ...pump }));

    t.equal(header.ssl, undefined);
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const of = { ...trusted, minVersion: version, maxVersion: version };
    const said = {
      hasClientCert: true,
      isSession: false,
      isVerified: true,
      version,
      commonName: 'pump-17',
    };
    t.test(`haproxy: a verified certificate, ${version}`, async (t) => {
      const { header } = await passedOf(t, await secure(PORTS.tls, { ...of, ...pump }));

      t.strictSame(header.ssl, said);
    });
    t.test(`haproxy: no certificate, ${version}`, async (t) => {
      const { header } = await passedOf(t, await secure(PORTS.tls, of));

      const nothing = { hasClientCert: false, isVerified: false, commonName: undefined };
      t.strictSame(header.ssl, { ...said, ...nothing });
    });
    t.test(`haproxy: TLS that is resumed has the certificate of before, ${version}`, async (t) => {
      const first = await secure(PORTS.tls, { ...of, ...pump });
      // An answer comes behind the session, which each side of TLS 1.3 waits for no longer.
      await passedOf(t, first);
      const second = await secure(PORTS.tls, { ...of, session: sessions.get(first) });
      t.ok(second.isSessionReused());
      const { header } = await passedOf(t, second);

      t.strictSame(header.ssl, { ...said, isSession: true });
    });
    t.test(`haproxy: a certificate of another CA that is let pass, ${version}`, async (t) => {
      const other = new Authority({ name: 'Another CA' });
      t.teardown(() => other.remove());
      const strange = other.issue('pump-17');
      const { header } = await passedOf(t, await secure(PORTS.lax, { ...of, ...strange }));

      t.strictSame(header.ssl, { ...said, isVerified: false });
      t.notOk(await isLinked(PORTS.tls, { ...of, ...strange }), 'elsewhere it is not');
    });
  }

  t.test('haproxy: all that it can say, with a checksum', async (t) => {
    const { header, raw } = await passedOf(t, await secure(PORTS.all, { ...trusted, ...pump }));

    t.match(header.ssl, { isVerified: true, commonName: 'pump-17' });
    const wrong = [...raw.keys()].filter((n) => {
      const changed = Buffer.from(raw);
      changed[n] = (changed[n] ?? 0) ^ 1;
      try {
        const read = readProxyHeader(changed);
        return read !== 'more' && read.source !== undefined;
      } catch {
        return false;
      }
    });
    // There the word checksum becomes another, and there is none.
    t.same(wrong, [28], 'no bit of it may change');
    t.ok(raw.length < PROXY_BYTES_MAX / 4, `${raw.length} bytes`);
  });

  for (const name of ['pompe-é', 'x'.repeat(64), 'a b', 'CN=x,O=y']) {
    t.test(`haproxy: the name '${name}' comes as it is`, async (t) => {
      const device = ca.issue(name.replaceAll(/[,=/+]/g, '\\$&'));
      const { header } = await passedOf(t, await secure(PORTS.tls, { ...trusted, ...device }));

      t.equal(header.ssl?.commonName, name);
    });
  }

  t.test('haproxy: a health check is no device, in both versions', async (t) => {
    const checks = () => behind.passed.filter(({ header }) => header.source === undefined);
    const kinds = () => new Set(checks().map(({ raw }) => (raw[0] === 0x0d ? raw[12] : 1)));
    await waitFor('a check of each kind', () => kinds().size === 2);

    t.same([...kinds()].sort(), [1, 0x20], 'UNKNOWN and LOCAL');
    t.ok(checks().every(({ header, raw }) => !header.ssl && header.bytes === raw.length));
  });
});

/** examples/deploy/haproxy.cfg with its paths and ports at this test's places. */
function exampleAt({ folder }: World): string {
  return readFileSync(at('examples/deploy/haproxy.cfg'), 'utf8')
    .replaceAll('/etc/owsla/tls', folder)
    .replaceAll('/run/owsla', folder)
    .replaceAll('/run/haproxy', folder)
    .replaceAll(/bind :/g, `bind ${PROXY}:1`)
    .replaceAll(/^ +(?:user|group) .*\n/gm, '')
    .replace('maxconn 100000', 'maxconn 100');
}

const TLS_PORT = 17_001;
const MTLS_PORT = 17_002;

t.test('haproxy.cfg: what it promises is so', { skip }, async (t) => {
  const world = await makeWorld(t);
  const { ca, server, folder, behind } = world;
  const file = ca.save('haproxy.cfg', exampleAt(world));
  t.equal(faultsOfConfig(file), '');
  const haproxy = await Haproxy.start(exampleAt(world));
  t.teardown(() => haproxy.stop());
  const pump = ca.issue('pump-17');
  const lost = ca.issue('lost-1');
  const trusted = { ca: ca.ca };

  t.test('haproxy.cfg: with and without a certificate', async (t) => {
    const socket = await secure(MTLS_PORT, { ...trusted, ...pump });
    t.equal(await greet(socket), 'OK');
    t.match(behind.of(socket).header, {
      source: { address: DEVICE },
      ssl: { isVerified: true, isSession: false, commonName: 'pump-17' },
    });
    socket.destroy();

    const bare = await secure(TLS_PORT, trusted);
    t.equal(await greet(bare), 'OK');
    t.match(behind.of(bare).header.ssl, { hasClientCert: false, isVerified: false });
    bare.destroy();
    t.notOk(await isLinked(MTLS_PORT, trusted), 'no link without one where it is required');
    t.notOk(await isLinked(TLS_PORT, { ...trusted, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }));
  });

  t.test('haproxy.cfg: a silent link stays, a silent handshake does not', async (t) => {
    const hasty = exampleAt(world)
      .replaceAll(/timeout (client|server) 15s/g, 'timeout $1 1s')
      .replaceAll(`bind ${PROXY}:1`, `bind ${PROXY}:3`);
    const other = await Haproxy.start(hasty);
    t.teardown(() => other.stop());
    const port = TLS_PORT + 20_000;
    const link = await secure(port, { ...trusted, ...pump });
    t.equal(await greet(link), 'OK');
    // One after the other: together they last longer than the link would if it were cut like them.
    for (let i = 0; i < 2; i += 1) {
      const silent = plain(port);
      silent.resume();
      await once(silent, 'close');
    }

    t.equal(await greet(link), 'OK');
    link.destroy();
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    t.test(`haproxy.cfg: nobody resumes TLS, ${version}`, async (t) => {
      const of = { ...trusted, ...lost, minVersion: version, maxVersion: version };
      const first = await secure(MTLS_PORT, of);
      t.equal(await greet(first), 'OK');
      const session = sessions.get(first) ?? first.getSession();
      first.destroy();
      const second = await secure(MTLS_PORT, { ...of, session });

      t.notOk(second.isSessionReused());
      second.destroy();
    });
  }

  t.test('haproxy.cfg: certificates and lists are renewed while links are open', async (t) => {
    const open = await secure(TLS_PORT, { ...trusted, ...lost });
    t.equal(await greet(open), 'OK');

    const next = ca.issue('localhost', { san: 'DNS:localhost' });
    const cert = `${folder}/server.pem`;
    t.match(await haproxy.ask(`set ssl cert ${cert}`, next.cert + next.key), /created/);
    t.match(await haproxy.ask(`commit ssl cert ${cert}`), /Success/);
    const renewed = await secure(TLS_PORT, trusted);
    t.not(next.cert, server.cert);
    t.equal(pemOf(renewed), next.cert.replaceAll(/\s/g, ''));
    renewed.destroy();

    t.ok(await isLinked(MTLS_PORT, { ...trusted, ...lost }));
    ca.revoke(lost);
    const list = `${folder}/fleet.crl`;
    t.match(await haproxy.ask(`set ssl crl-file ${list}`, ca.crl), /created/);
    t.match(await haproxy.ask(`commit ssl crl-file ${list}`), /Success/);
    t.notOk(await isLinked(MTLS_PORT, { ...trusted, ...lost }), 'revoked: no new link');
    t.notOk(await isLinked(TLS_PORT, { ...trusted, ...lost }));
    t.ok(await isLinked(MTLS_PORT, { ...trusted, ...pump }));

    t.equal(await greet(open), 'OK', 'its open link stays: owsla block ends it');
    open.destroy();
  });

  t.test('haproxy.cfg: what it guards against: a revoked device that resumes TLS', async (t) => {
    const careless = exampleAt(world)
      .replaceAll(' no-tls-tickets', '')
      .replace('tune.ssl.cachesize 0', '')
      .replaceAll(`bind ${PROXY}:1`, `bind ${PROXY}:2`);
    const other = await Haproxy.start(careless);
    t.teardown(() => other.stop());
    const port = MTLS_PORT + 10_000;
    const device = { ...trusted, ...ca.issue('stolen-1') };
    const first = await secure(port, device);
    t.equal(await greet(first), 'OK');
    first.destroy();
    ca.revoke(device);
    await other.ask(`set ssl crl-file ${folder}/fleet.crl`, ca.crl);
    t.match(await other.ask(`commit ssl crl-file ${folder}/fleet.crl`), /Success/);
    t.notOk(await isLinked(port, device));

    const second = await secure(port, { ...device, session: sessions.get(first) });
    t.equal(await greet(second), 'OK', 'it is let in again');
    t.match(behind.of(second).header.ssl, { isVerified: true, isSession: true });
    second.destroy();
  });

  t.test('haproxy.cfg: BYE and FIN of the server reach the device', async (t) => {
    const socket = await secure(TLS_PORT, trusted);
    t.equal(await greet(socket), 'OK');
    const said = text(socket);
    behind.of(socket).socket.end('BYE');
    t.equal(await said, 'BYE');
    socket.destroy();
  });
});

/** The certificate that the server showed, as PEM without blanks. */
function pemOf(socket: TLSSocket): string {
  const der = socket.getPeerCertificate().raw.toString('base64');
  return `-----BEGINCERTIFICATE-----${der}-----ENDCERTIFICATE-----`;
}
