/** TLS, PROXY headers and Unix sockets: what a server sees of the fleet, and what is counted. */
import { chmodSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import tls, { type TLSSocket, type TlsOptions } from 'node:tls';
import t from 'tap';
import { addressOf, proxyHeader } from '../../loadgen/fleet/proxyHeader.ts';
import type { Report } from '../../loadgen/report/report.ts';
import { readProxyHeader } from '../../src/acceptor/establish/proxyHeader.ts';
import { devicePskKey, newGroupKey, readGroupKeys } from '../../src/base/deviceKeys.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { type Link, type Script, ScriptedServer } from './scriptedServer.ts';
import { runToEnd } from './spawn.ts';

const authority = new Authority();
t.teardown(() => authority.remove());
const served = authority.issue('localhost', { san: 'DNS:localhost' });
const { cert, key } = served;
const LOAD = ['--quiet', '--rate', '100'];
const BY_CA = ['--tls', '--tls-ca', authority.caFile];
const BY_TLS = [...BY_CA, '--tls-servername', 'localhost'];

const again = (flags: readonly string[]) =>
  flags.includes('--reconnect') ? [] : ['--reconnect', '10ms-50ms'];

const lasting = (flags: readonly string[]) =>
  flags.includes('--duration') ? [] : ['--duration', '500ms'];

async function report(server: net.Server, place: string, flags: readonly string[]) {
  const wanted = place === '' ? { host: '127.0.0.1', port: 0 } : { path: place };
  await new Promise<void>((resolve) => server.listen(wanted, resolve));
  const { port } = place === '' ? (server.address() as AddressInfo) : { port: 0 };
  const target = place === '' ? ['--target', `127.0.0.1:${port}`] : ['--unix', place];
  const outcome = await runToEnd([
    ...target,
    ...LOAD,
    ...lasting(flags),
    ...again(flags),
    ...flags,
  ]);
  server.close();
  if (outcome.report === undefined) throw new Error(outcome.stderr);
  return { ...outcome, report: outcome.report };
}

/** A run against a TLS server, and the sockets that it saw. */
async function byTls(options: TlsOptions, flags: readonly string[], script: Script = {}) {
  const scripted = new ScriptedServer(script);
  const isNamed = flags.includes('--tls-servername');
  const sockets: TLSSocket[] = [];
  const server = tls.createServer({ cert, key, noDelay: true, ...options }, (socket) => {
    sockets.push(socket);
    scripted.take(socket);
  });
  return { ...(await report(server, '', [...(isNamed ? BY_CA : BY_TLS), ...flags])), sockets };
}

function isWhole({ counts, violations, links }: Report): boolean {
  const wrong = Object.values(violations).reduce((sum, count) => sum + count, 0);
  return (
    counts.replies === counts.requests && counts.replies > 0 && wrong === 0 && links.opened > 0
  );
}

/** Lets each device have one link, and then ends it as a deploy would. */
function oncePerDevice(): Script {
  const gone = new Set<string>();
  return {
    onRequest: (link: Link) => {
      if (gone.has(link.deviceId)) return false;
      gone.add(link.deviceId);
      link.send({ type: TYPE.BYE, reason: 'draining', retryAfter: 50 });
      link.socket.end();
      return true;
    },
  };
}

t.test('ways: TLS 1.2 and 1.3, as asked for', async (t) => {
  for (const version of ['1.2', '1.3']) {
    const seen: (string | null)[] = [];
    const script: Script = {
      onHello: ({ socket }) => {
        seen.push((socket as TLSSocket).getProtocol());
        return false;
      },
    };
    const flags = ['--devices', '5', '--tls-version', version];
    const { report, exitCode, stdout } = await byTls({}, flags, script);

    t.equal(exitCode, 0);
    t.ok(isWhole(report));
    t.same(seen, new Array(5).fill(`TLSv${version}`));
    t.same(report.labelled.handshakes, { full: 5 });
    t.match(stdout, /\n {2}TLS {7}full 5\n/);
  }
});

t.test('ways: a server that cannot prove its name gets no HELLO', async (t) => {
  const flags = ['--devices', '2', '--tls-servername', 'other', '--reconnect', 'never'];
  const { report, exitCode, sockets } = await byTls({}, flags);

  t.equal(exitCode, 69);
  t.equal(report.counts.bytesOut, 0);
  t.same(report.labelled.handshakes, { failed: 2 });
  t.same(report.labelled.connectErrors, { ERR_TLS_CERT_ALTNAME_INVALID: 2 });
  t.ok(sockets.length <= 2);
});

t.test('ways: one certificate for all, or one for each device', async (t) => {
  const pair = ['--devices', '2', '--tls-cert', served.certFile, '--tls-key', served.keyFile];
  const names = new Map<string, string>();
  const script: Script = {
    onHello: ({ socket }, { deviceId }) => {
      names.set(deviceId, String((socket as TLSSocket).getPeerCertificate().subject?.CN));
      return false;
    },
  };
  const mutual = { requestCert: true, rejectUnauthorized: true, ca: authority.ca };
  t.ok(isWhole((await byTls(mutual, pair, script)).report));
  t.same([...names].sort(), [
    ['lg-000000', 'localhost'],
    ['lg-000001', 'localhost'],
  ]);
  const [first, second] = ['lg-000000', 'lg-000001'].map((id) => authority.issue(id));
  const folder = t.testdir({
    ...{ 'lg-000000.pem': first?.cert ?? '', 'lg-000000.key': first?.key ?? '' },
    ...{ 'lg-000001.pem': second?.cert ?? '', 'lg-000001.key': second?.key ?? '' },
  });
  t.ok(isWhole((await byTls(mutual, ['--devices', '2', '--tls-cert', folder], script)).report));
  t.same([...names].sort(), [
    ['lg-000000', 'lg-000000'],
    ['lg-000001', 'lg-000001'],
  ]);
  const flags = ['--target', '127.0.0.1:1', ...BY_TLS];
  for (const [wrong, sentence] of [
    [['--devices', '3', '--tls-cert', folder], /there is no file .*lg-000002\.pem/],
    [['--tls-cert', served.keyFile, '--tls-key', served.keyFile], /OpenSSL|ERR_/],
    [['--tls-cert', '/none.pem', '--tls-key', '/none.key'], /\/none\.pem: ENOENT/],
  ] as const) {
    const { exitCode, stderr } = await runToEnd([...flags, ...wrong]);
    t.equal(exitCode, 64);
    t.match(stderr, sentence);
  }
});

t.test('ways: PSK, by the key of each device', async (t) => {
  const folder = t.testdir({ 'keys.yaml': `a: ${newGroupKey()}\nb: ${newGroupKey()}\n` });
  const file = join(folder, 'keys.yaml');
  chmodSync(file, 0o600);
  const groupKey = readGroupKeys(file).get('b');
  const identities: string[] = [];
  const tokens: unknown[] = [];
  const script: Script = {
    onHello: (_, { token }) => {
      tokens.push(token);
      return false;
    },
  };
  const pskCallback = (_: TLSSocket, identity: string) => {
    identities.push(identity);
    if (groupKey === undefined) return null;
    return devicePskKey(groupKey, identity.slice(2));
  };
  const flags = ['--devices', '3', '--tls-psk', '--keys', file, '--key-id', 'b'];
  for (const version of ['1.2', '1.3']) {
    const ciphers = version === '1.2' ? 'PSK' : 'TLS_AES_128_GCM_SHA256:PSK';
    const options = { pskCallback, ciphers };
    const { report } = await byTls(options, [...flags, '--tls-version', version], script);

    t.ok(isWhole(report), version);
    t.same(report.labelled.handshakes, { psk: 3 });
  }
  t.same([...new Set(identities)].sort(), ['b.lg-000000', 'b.lg-000001', 'b.lg-000002']);
  t.ok(
    tokens.every((token) => token === undefined),
    'the key is proof enough',
  );
  // A server that does not know the keys, and shows its certificate instead.
  const { report } = await byTls({}, [...flags, '--tls-version', '1.3', '--reconnect', 'never']);
  t.same(report.labelled.handshakes, { failed: 3 });
  t.equal(report.counts.welcomes, 0);
});

t.test('ways: the share of reconnects that offer their ticket resume', async (t) => {
  for (const share of ['0', '100%']) {
    for (const version of ['1.2', '1.3']) {
      const flags = ['--devices', '20', '--tls-resume', share, '--tls-version', version];
      // So that some are back before the end on a machine that does other things for a second.
      const more = ['--duration', '2s', '--allow', 'cut'];
      const { report } = await byTls({}, [...flags, ...more], oncePerDevice());

      // On a slow machine not all are back before the end, nor welcomed who is.
      const { full = 0, resumed = 0 } = report.labelled.handshakes ?? {};
      const { ticketsOffered } = report.counts;
      const back = full + resumed - 20;
      const { reconnects } = report.links;
      const seen = `${reconnects} reconnects, ${JSON.stringify(report.labelled.handshakes)}`;
      t.ok(reconnects > 0 && reconnects <= back && back <= 20, seen);
      t.equal(resumed, share === '0' ? 0 : back);
      t.ok(resumed <= ticketsOffered && ticketsOffered <= (share === '0' ? 0 : 20));
    }
  }
});

t.test('ways: PROXY headers give each device an address, below TLS too', async (t) => {
  for (const version of ['v1', 'v2']) {
    for (const isTls of [false, true]) {
      const scripted = new ScriptedServer();
      const secure = tls.createServer({ cert, key }, (socket) => scripted.take(socket));
      const sources: string[] = [];
      const server = net.createServer({ pauseOnConnect: true }, (socket) => {
        socket.once('readable', () => {
          const bytes: Buffer = socket.read();
          const header = readProxyHeader(bytes);
          if (header === 'more') throw new Error('not in one piece');
          sources.push(header.source?.address ?? '');
          const rest = bytes.subarray(header.bytes);
          if (rest.length > 0) socket.unshift(rest);
          if (isTls) secure.emit('connection', socket);
          else scripted.take(socket);
        });
        socket.on('error', () => {});
      });
      const flags = ['--devices', '3', '--workers', '2', '--proxy', version];
      const { report: made } = await report(server, '', isTls ? [...flags, ...BY_TLS] : flags);

      t.ok(isWhole(made), version);
      t.same(sources.sort(), ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    }
  }
});

t.test('ways: the header of each link and device is its own', async (t) => {
  t.same(addressOf(9_999_999), [10, 152, 150, 128]);
  const texts = [0, 1].flatMap((index) =>
    [1, 2].map((link) => JSON.stringify(readProxyHeader(proxyHeader('v2', index, link)))),
  );
  t.equal(new Set(texts).size, 4);
});

t.test('ways: a Unix socket, which a reset ends too', async (t) => {
  const path = join(authority.folder, 's.sock');
  const scripted = new ScriptedServer();
  const server = net.createServer((socket) => scripted.take(socket));
  const flags = ['--devices', '4', '--reboot', '100%@200ms', '--allow', 'cut,lost'];
  const { report: made, stdout } = await report(server, path, flags);

  t.ok(made.counts.replies > 0);
  t.ok(made.links.reconnects > 0);
  t.match(made.labelled.ends, { ours: Number });
  t.match(stdout, `owsla-loadgen: ${path}, 4 devices`);
});

t.test('ways: a server that is not there, below TLS', async (t) => {
  const flags = ['--target', '127.0.0.1:1', ...BY_TLS, '--proxy', 'v2', '--devices', '2'];
  const { report: made } = await runToEnd([...flags, ...LOAD, '--reconnect', 'never']);

  t.same(made?.labelled.connectErrors, { ECONNREFUSED: 2 });
  t.same(made?.labelled.handshakes, {});
});
