/**
 * What comes before a link: PROXY header and TLS, by a clock that only the test moves. Whatever a
 * client does, its socket is counted once and forgotten once.
 */
import { createSecretKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { Admission } from '../../src/acceptor/endpoint/admission.ts';
import type { Origin } from '../../src/acceptor/endpoint/origin.ts';
import { Addresses } from '../../src/acceptor/establish/addresses.ts';
import { Entrance } from '../../src/acceptor/establish/entrance.ts';
import { ListenerFiles } from '../../src/acceptor/establish/listenerFiles.ts';
import { makeConfig } from '../../src/base/config.ts';
import { devicePskKey } from '../../src/base/deviceKeys.ts';
import { type LimitName, makeLimits } from '../../src/base/limits.ts';
import type { ListenerConfig } from '../../src/base/listeners.ts';
import { makeCounters } from '../../src/base/metrics.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { noOpenssl } from '../helpers/processes/programs.ts';
import { binary, CLIENT, inet, SSL_TYPE_OF, sslTlv, tlv } from '../helpers/proxyHeaders.ts';
import { settle, until } from '../helpers/worlds/endpoints.ts';

const plain = makeConfig({}).listeners[0] as ListenerConfig;
const V1 = Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 4711 7000\r\n');
const NAMED = sslTlv(CLIENT.withCert, 0, tlv(SSL_TYPE_OF.commonName, 'door-1'));
const V2 = binary(0x21, 0x11, inet('192.0.2.7', 4_711), NAMED);
/** The begin of a TLS record with a ClientHello in it. */
const CLIENT_HELLO = Buffer.from('16030100ff010000fb0303', 'hex');

interface Ready {
  readonly socket: Socket;
  readonly origin: Origin;
}

type Kind = 'plain' | 'proxy' | 'tls' | 'proxy-tls' | 'psk-tls';

type Tls = NonNullable<ListenerConfig['tls']>;

/** An entrance of one listener, and its clients. */
class Door {
  readonly clock = new FakeClock();
  readonly counters = makeCounters(MESSAGE_TYPES);
  readonly ready: Ready[] = [];
  readonly failures: string[] = [];
  readonly limits;
  readonly entrance: Entrance;
  readonly admission: Admission<Socket>;
  readonly #server;
  readonly #accepted: Socket[] = [];
  readonly #clients: Socket[] = [];

  constructor(tls: Tls, kind: Kind, limits: Limited = {}, keys = '') {
    const isProxied = kind.startsWith('proxy');
    const listener: ListenerConfig = {
      ...{ ...plain, auth: kind === 'psk-tls' ? ['psk'] : ['none'], keys },
      ...{ proxyProtocol: isProxied ? 'require' : 'none' },
      ...(kind.endsWith('tls') ? { tls } : {}),
      proxyFrom: isProxied ? ['127.0.0.1'] : [],
    };
    this.limits = makeLimits(limits);
    const { clock, counters } = this;
    this.entrance = new Entrance({
      ...{ limits: this.limits, counters, clock, listeners: [listener] },
      files: new ListenerFiles([listener], () => Date.now()),
      addresses: new Addresses({ limits: this.limits }),
      ticketKey: randomBytes(48),
      onReady: (socket, _, origin) => {
        socket.on('error', () => {});
        this.ready.push({ socket, origin });
      },
      onFailure: (_, failure) => this.failures.push(failure),
    });
    this.admission = new Admission<Socket>({
      ...{ limits: this.limits, counters, clock },
      room: () => 1_000,
      admit: (socket, acceptedUs) => this.entrance.begin(listener, socket, acceptedUs),
      refuse: (socket) => socket.destroy(),
    });
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      this.#accepted.push(socket);
      this.admission.arrive(socket);
    });
  }

  async open(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return this;
  }

  /** A client whose socket was accepted. */
  async client(bytes?: Uint8Array): Promise<Socket> {
    const { port } = this.#server.address() as AddressInfo;
    const before = this.#accepted.length;
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }).on('error', () => {});
    this.#clients.push(socket);
    socket.resume();
    await until(() => this.#accepted.length > before);
    if (bytes !== undefined) socket.write(bytes);
    await settle();
    return socket;
  }

  pass(ms: number): void {
    this.clock.advance(ms);
    this.entrance.tick(this.clock.now());
  }

  /** Nothing is on its way, and no socket is left but those that were handed on. */
  async isEmpty(): Promise<void> {
    const handed = new Set(this.ready.map(({ socket }) => socket));
    const { counters } = this;
    await until(() => counters.establishing === 0 && counters.sockets === 0);
    const isTls = this.ready.some(({ origin }) => origin.secured !== undefined);
    await until(() => this.#accepted.every((one) => one.destroyed || handed.has(one) || isTls));
  }

  close(): void {
    this.admission.close();
    for (const { socket } of this.ready) socket.destroy();
    for (const socket of [...this.#clients, ...this.#accepted]) socket.destroy();
    this.#server.close();
  }
}

type Limited = Partial<Record<LimitName, number>>;

t.test('establish', { skip: noOpenssl }, async (t) => {
  const authority = new Authority();
  t.teardown(() => authority.remove());
  const { certFile, keyFile } = authority.issue('localhost', { san: 'DNS:localhost' });
  const tls = {
    ...({ cert: certFile, key: keyFile, clientCa: '', crl: '' } as const),
    ...({ clientCert: 'none', min: '1.2' } as const),
  };
  const groupKey = createSecretKey(randomBytes(32));
  const keys = authority.save('keys.yaml', `g1: ${groupKey.export().toString('base64')}\n`);
  chmodSync(keys, 0o600);
  const doorOf = async (t: Test, kind: Kind, limits?: Limited) => {
    const door = await new Door(tls, kind, limits, keys).open();
    t.teardown(() => door.close());
    return door;
  };

  const MUTE: readonly (readonly [string, Kind, Uint8Array | undefined, LimitName])[] = [
    ['before its PROXY header', 'proxy', undefined, 'proxyMs'],
    ['within its PROXY header', 'proxy', V2.subarray(0, 20), 'proxyMs'],
    ['before its ClientHello', 'tls', undefined, 'handshakeMs'],
    ['within its ClientHello', 'tls', CLIENT_HELLO, 'handshakeMs'],
    ['with one byte of it', 'tls', CLIENT_HELLO.subarray(0, 1), 'handshakeMs'],
    ['between PROXY header and ClientHello', 'proxy-tls', V1, 'handshakeMs'],
    ['within both', 'proxy-tls', Buffer.concat([V2, CLIENT_HELLO]), 'handshakeMs'],
  ];
  for (const [where, kind, bytes, limit] of MUTE) {
    t.test(`establish: mute ${where}, it is over after ${limit}`, async (t) => {
      const door = await doorOf(t, kind, { proxyMs: 300, handshakeMs: 500 });
      const socket = await door.client(bytes);
      door.pass(door.limits[limit] - 1);
      t.same(door.failures, []);
      t.equal(door.counters.establishing, 1);
      t.equal(door.counters.sockets, 1);
      door.pass(1);
      t.same(door.failures, ['timeout']);
      t.equal(door.counters.establishFailures.timeout, 1);
      t.equal(door.counters.accepts, 1);
      if (!socket.closed) await once(socket, 'close');
      await door.isEmpty();
      t.same(door.ready, []);
    });
  }

  t.test('establish: a header that comes byte by byte has no more time', async (t) => {
    const door = await doorOf(t, 'proxy', { proxyMs: 1_000 });
    const socket = await door.client();
    for (const byte of V2.subarray(0, 10)) {
      socket.write(Buffer.from([byte]));
      await settle();
      door.pass(100);
    }
    t.same(door.failures, ['timeout']);
    await door.isEmpty();
  });

  for (const [where, kind, bytes] of MUTE) {
    for (const how of ['FIN', 'reset'] as const) {
      t.test(`establish: ${how} ${where}`, async (t) => {
        const door = await doorOf(t, kind);
        const socket = await door.client(bytes);
        t.equal(door.counters.establishing, 1);
        if (how === 'FIN') socket.end();
        else socket.resetAndDestroy();
        await door.isEmpty();
        t.same(door.failures, ['peer-gone']);
        t.equal(door.counters.establishFailures['peer-gone'], 1);
        t.equal(door.counters.accepts, 1);
        t.same(door.ready, []);
      });
    }
  }

  t.test('establish: a PSK that is wrong counts as a failure of its address', async (t) => {
    const door = await doorOf(t, 'psk-tls', { authFailuresMax: 3 });
    const guess = async (identity: string, psk: Buffer) => {
      const socket = connectTls({
        ...{ socket: await door.client(), checkServerIdentity: () => undefined },
        ...{ pskCallback: () => ({ psk, identity }), ciphers: 'TLS_AES_128_GCM_SHA256:PSK' },
      });
      const seen = door.failures.length + door.ready.length;
      socket.on('error', () => {});
      await until(() => door.failures.length + door.ready.length > seen);
      socket.destroy();
    };
    const right = devicePskKey(groupKey, 'door-1');
    await guess('g1.door-1', right);
    t.equal(door.ready.length, 1);
    const wrong = ['g1.door-1', 'g1.door-1', 'g2.door-1'];
    for (const identity of wrong) await guess(identity, randomBytes(32));
    t.same(door.failures.slice(0, 2), ['tls-handshake', 'tls-handshake']);
    await door.client();
    await until(() => door.failures.length === 4);
    t.equal(door.failures[3], 'address-failures', 'three are enough');
  });

  t.test('establish: what is no TLS fails at once', async (t) => {
    const door = await doorOf(t, 'tls');
    await door.client(Buffer.from('0000000593010101a16100', 'hex'));
    await door.isEmpty();
    t.same(door.failures, ['tls-handshake']);
  });

  t.test('establish: a health check is closed, and is no failure', async (t) => {
    for (const kind of ['proxy', 'proxy-tls'] as const) {
      const door = await doorOf(t, kind);
      const checks = [
        Buffer.from('PROXY UNKNOWN\r\n'),
        Buffer.from('PROXY UNKNOWN ffff::1 ffff::1 1 2\r\n'),
        binary(0x20, 0x00),
        binary(0x20, 0x11, inet('192.0.2.7', 1)),
        binary(0x21, 0x00),
      ];
      for (const bytes of checks) {
        const socket = await door.client(bytes);
        if (!socket.closed) await once(socket, 'close');
      }
      await door.isEmpty();
      t.same([door.failures, door.ready, door.counters.accepts], [[], [], 0], kind);
      const { establishFailures } = door.counters;
      t.ok(Object.values(establishFailures).every((count) => count === 0));
    }
  });

  t.test('establish: greetingsMax counts those on their way', async (t) => {
    const door = await doorOf(t, 'tls', { greetingsMax: 2 });
    const first = await door.client();
    await door.client();
    await door.client();
    await settle();
    t.equal(door.counters.establishing, 2);
    t.equal(door.admission.size, 1, 'the third waits');
    first.destroy();
    await until(() => door.admission.size === 0);
    t.equal(door.counters.establishing, 2);
  });

  t.test('establish: all end when the acceptor stops', async (t) => {
    const door = await doorOf(t, 'proxy-tls');
    for (const bytes of [undefined, V2.subarray(0, 3), V1, Buffer.concat([V1, CLIENT_HELLO])]) {
      await door.client(bytes);
    }
    t.equal(door.counters.establishing, 4);
    door.entrance.close();
    await door.isEmpty();
    t.same(door.failures, ['timeout', 'timeout', 'timeout', 'timeout']);
  });

  t.test('establish: links of one address are bounded, were they all on their way', async (t) => {
    const door = await doorOf(t, 'tls', { linksPerAddressMax: 2 });
    const sockets = await Promise.all([1, 2, 3, 4].map(() => door.client()));
    for (const socket of sockets) {
      connectTls({ socket, servername: 'localhost', rejectUnauthorized: false }).on(
        'error',
        () => {},
      );
    }
    await until(() => door.ready.length + door.failures.length === 4);
    t.equal(door.ready.length, 2);
    t.same(door.failures, ['address-links', 'address-links']);
    await door.isEmpty();
  });

  for (const [name, header] of [
    ['version 1', V1],
    ['version 2', V2],
  ] as const) {
    t.test(`establish: what follows a header is the device’s, cut anywhere, ${name}`, async (t) => {
      const door = await doorOf(t, 'proxy', { connectBurst: 10_000 });
      const rest = randomBytes(64);
      const whole = Buffer.concat([header, rest]);
      for (const cut of [...whole.keys(), whole.length]) {
        const socket = await door.client(whole.subarray(0, cut));
        socket.end(whole.subarray(cut));
        await until(() => door.ready.length === cut + 1);
        const one = door.ready.at(-1) as Ready;
        const read = Buffer.concat(await one.socket.toArray());
        if (!read.equals(rest)) t.fail(`cut at ${cut}: ${read.length} bytes`);
        if (one.origin.peer !== '192.0.2.7:4711') t.fail(`cut at ${cut}: ${one.origin.peer}`);
        one.socket.destroy();
      }
      t.same(door.failures, []);
      t.equal(door.ready.length, whole.length + 1);
      await door.isEmpty();
    });

    t.test(`establish: TLS follows a header, cut anywhere, ${name}`, async (t) => {
      const door = await doorOf(t, 'proxy-tls', { connectBurst: 10_000 });
      const cuts = [
        ...header.keys(),
        ...[0, 1, 2, 3, 4, 5, 6, 9, 40, 200].map((n) => header.length + n),
      ];
      for (const cut of cuts) {
        const seen = door.ready.length;
        const secured = connectTls({
          ...{ socket: cutting(await door.client(), header, cut), servername: 'localhost' },
          rejectUnauthorized: false,
        });
        secured.on('error', (error) => t.fail(`cut at ${cut}: ${error.message}`));
        secured.end('hello');
        await until(() => door.ready.length > seen);
        const { socket, origin } = door.ready.at(-1) as Ready;
        const read = Buffer.concat(await socket.toArray()).toString();
        if (read !== 'hello' || origin.peer !== '192.0.2.7:4711') t.fail(`cut at ${cut}: ${read}`);
        socket.destroy();
        secured.destroy();
      }
      t.same(door.failures, []);
      t.equal(door.ready.length, cuts.length);
      await door.isEmpty();
    });
  }
});

/** A stream to `socket` that begins with the header; its first bytes go in two parts. */
function cutting(socket: Socket, header: Buffer, cut: number): Duplex {
  const [ours, theirs] = duplexPair();
  let isFirst = true;
  theirs.on('data', async (chunk: Buffer) => {
    if (!isFirst) {
      socket.write(chunk);
      return;
    }
    isFirst = false;
    theirs.pause();
    const whole = Buffer.concat([header, chunk]);
    socket.write(whole.subarray(0, cut));
    for (let turns = 0; turns < 6; turns += 1) await turn();
    socket.write(whole.subarray(cut));
    theirs.resume();
  });
  theirs.on('end', () => socket.end());
  socket.on('data', (chunk) => theirs.write(chunk));
  socket.on('close', () => theirs.destroy());
  return ours;
}
