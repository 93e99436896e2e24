/**
 * Who may not connect: each hostile client ends before WELCOME and with the right word, changes no
 * presence, and takes nothing from the device that it says it is, which is connected all along.
 */
import { createPublicKey, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { devicePskKey, deviceTokenKey, makeToken, newGroupKey } from '../../src/base/deviceKeys.ts';
import type { AuthReason } from '../../src/base/errors.ts';
import type { BlockAnswer } from '../../src/registrar/blockedDevices.ts';
import type { Message } from '../../src/wire/message.ts';
import { Device, event, hello, request } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { Authority, type Issued } from '../helpers/processes/authority.ts';
import { askOnce } from '../helpers/processes/node.ts';
import { noOpenssl } from '../helpers/processes/programs.ts';
import {
  binary,
  CLIENT,
  inet,
  SSL_TYPE_OF,
  sslTlv,
  tlv,
  withChecksum,
} from '../helpers/proxyHeaders.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { AuthWorld, goodJwt, ISSUER, jwtOf, pemOf, STRANGER } from '../helpers/worlds/authWorld.ts';

/** Whom all of them say they are. */
const VICTIM = 'door-1';
const KEPT_OUT = 'door-9';

/** `silence`: no frame at all, as there is no device yet that could read one. */
type End = AuthReason | 'silence' | 'frame-too-long' | 'unexpected' | 'bad-device-id';

interface Case {
  readonly name: string;
  readonly end: End;
  readonly socket: () => Duplex | Promise<Duplex>;
  /** What the device sends; its HELLO as the victim when not given. */
  readonly says?: readonly Message[];
}

const skip = noOpenssl;
const world = skip
  ? undefined
  : await AuthWorld.begin({ limits: { proxyMs: 400, refusalLinesMax: 1_000, authAskMs: 500 } });
t.teardown(() => world?.end());
// SIGHUP reads certificates, lists and keys again, and then no reload takes the links away.
if (world) writeFileSync(world.configFile, 'no-such-key: 1\n');

const withToken = (token: string) => [hello(VICTIM, { token })];
const seconds = () => Math.floor(Date.now() / 1_000);
const day = 86_400_000;
/** As openssl writes times. */
const timeOf = (ms: number) => `${new Date(ms).toISOString().replace(/[-:T]|\..*/g, '')}Z`;

/** Tokens for the listener of `key`. */
function keyCases({ groupKey, plain }: { groupKey: AuthWorld['groupKey']; plain: Plain }): Case[] {
  const good = makeToken(groupKey, 'g1', VICTIM, 0);
  const ended = makeToken(groupKey, 'g1', VICTIM, seconds() - 1);
  const signature = good.slice(good.lastIndexOf('.') + 1);
  const flipped = good.replace(signature, (text) => (text[0] === 'A' ? 'B' : 'A') + text.slice(1));
  const wider = `${good.slice(0, -1)}${String.fromCharCode(good.charCodeAt(good.length - 1) + 1)}`;
  const tokens: readonly (readonly [string, string, End])[] = [
    ['of another device', makeToken(groupKey, 'g1', 'door-2', 0), 'bad-signature'],
    ['that has ended', ended, 'expired'],
    ['that has ended, made to last', ended.replace(/\.\d+\./, '.0.'), 'bad-signature'],
    ['that has ended, made longer', ended.replace(/\.\d+\./, '.99999999999.'), 'bad-signature'],
    ['of an unknown key', makeToken(groupKey, 'g2', VICTIM, 0), 'unknown-key'],
    ['of a key with a name that objects have', `k1.__proto__.0.${signature}`, 'unknown-key'],
    ['with one bit changed', flipped, 'bad-signature'],
    ['with bits to spare', wider, 'malformed'],
    ['cut by one character', good.slice(0, -1), 'malformed'],
    ['with padding', `${good}=`, 'malformed'],
    ['with a blank', `${good} `, 'malformed'],
    ['with a line end', `${good}\n`, 'malformed'],
    ['without a signature', 'k1.g1.0.', 'malformed'],
    ['of 7 KiB', `${good}${'A'.repeat(7_000)}`, 'malformed'],
    ['of another version', good.replace('k1', 'k2'), 'no-proof'],
    ['that is the group’s secret itself', groupKey.export().toString('base64'), 'no-proof'],
    [
      'that is the device’s key',
      deviceTokenKey(groupKey, VICTIM).toString('base64url'),
      'no-proof',
    ],
    ['that is empty', '', 'no-proof'],
    ['of the method jwt', goodJwt(VICTIM), 'no-proof'],
  ];
  return [
    ...tokens.map(([name, token, end]) => ({
      ...{ name: `key: a token ${name}`, end },
      ...{ socket: () => plain('by-key'), says: withToken(token) },
    })),
    { name: 'key: no token', end: 'no-proof', socket: () => plain('by-key') },
    {
      ...{ name: 'key: the token in a second HELLO', end: 'no-proof' },
      ...{ socket: () => plain('by-key'), says: [hello(VICTIM), ...withToken(good)] },
    },
    {
      ...{ name: 'key: an EVENT before the HELLO', end: 'unexpected' },
      ...{ socket: () => plain('by-key'), says: [event(1), ...withToken(good)] },
    },
    {
      ...{ name: 'key: a HELLO above 8 KiB', end: 'frame-too-long' },
      ...{ socket: () => plain('by-key'), says: withToken('A'.repeat(8_300)) },
    },
    {
      ...{ name: 'key: a device id with a dot', end: 'bad-device-id' },
      ...{ socket: () => plain('by-key'), says: [hello('door.1', { token: good })] },
    },
  ];
}

type Plain = AuthWorld['plain'];

function jwtCases({ groupKey, plain }: { groupKey: AuthWorld['groupKey']; plain: Plain }): Case[] {
  const claims = { sub: VICTIM, aud: 'owsla', exp: seconds() + 600 };
  const good = goodJwt(VICTIM);
  const [head = '', body = '', signature = ''] = good.split('.');
  const other = Buffer.from(JSON.stringify({ ...claims, sub: 'door-2' })).toString('base64url');
  const { RS256, ES256 } = ISSUER;
  const pem = pemOf(RS256.publicKey);
  const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
  const jwk = STRANGER.publicKey.export({ format: 'jwk' });
  const withHeader = (more: object) => jwtOf(claims, { alg: 'ES256', ...more }, ES256.privateKey);
  const tokens: readonly (readonly [string, string, End])[] = [
    ['of another device', goodJwt('door-2'), 'other-device'],
    ['of a device in other letters', goodJwt('Door-1'), 'other-device'],
    ['of a device and a blank', goodJwt(`${VICTIM} `), 'other-device'],
    ['of two devices', goodJwt('', { sub: [VICTIM] }), 'other-device'],
    ['of nobody', goodJwt('', { sub: undefined }), 'missing-claim'],
    ['that has ended', goodJwt(VICTIM, { exp: seconds() - 1 }), 'expired'],
    ['that never ends', goodJwt(VICTIM, { exp: undefined }), 'missing-claim'],
    ['that ends with a text', goodJwt(VICTIM, { exp: `${seconds() + 600}` }), 'malformed'],
    ['that begins later', goodJwt(VICTIM, { nbf: seconds() + 600 }), 'not-yet-valid'],
    ['for another audience', goodJwt(VICTIM, { aud: 'elsewhere' }), 'wrong-audience'],
    ['for no audience', goodJwt(VICTIM, { aud: undefined }), 'wrong-audience'],
    ['that nobody signed', jwtOf(claims, { alg: 'none' }), 'bad-algorithm'],
    ['that nobody signed, in other letters', jwtOf(claims, { alg: 'NoNe' }), 'bad-algorithm'],
    ['signed with our public key as PEM', jwtOf(claims, { alg: 'HS256' }, pem), 'bad-algorithm'],
    ['signed with our public key as DER', jwtOf(claims, { alg: 'HS256' }, der), 'bad-algorithm'],
    [
      'that says RS256 and is of HMAC with the public key',
      jwtOf(claims, { alg: 'RS256' }, pem),
      'bad-signature',
    ],
    ['of a stranger', jwtOf(claims, { alg: 'ES256' }, STRANGER.privateKey), 'bad-signature'],
    [
      'of a stranger who brings the key',
      jwtOf(claims, { alg: 'ES256', jwk }, STRANGER.privateKey),
      'bad-signature',
    ],
    ['of RSA that says ES256', jwtOf(claims, { alg: 'ES256' }, RS256.privateKey), 'bad-signature'],
    [
      'with a signature of zeros',
      `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
      'bad-signature',
    ],
    [
      'of another device with the signature of this',
      `${head}.${other}.${signature}`,
      'bad-signature',
    ],
    ['with a part that must be understood', withHeader({ crit: ['x'], x: 1 }), 'malformed'],
    ['that is cut', good.slice(0, -4), 'bad-signature'],
    ['that is cut in two', `${head}.${body}`, 'no-proof'],
    ['of 7 KiB', goodJwt(VICTIM, { more: 'x'.repeat(5_000) }), 'too-long'],
    ['of the method key', makeToken(groupKey, 'g1', VICTIM, 0), 'no-proof'],
  ];
  return tokens.map(([name, token, end]) => ({
    ...{ name: `jwt: a token ${name}`, end },
    ...{ socket: () => plain('by-jwt'), says: withToken(token) },
  }));
}

const URI = `URI:urn:device:${VICTIM}`;

function certCases({ authority, impostor, lab, tls, groupKey }: AuthWorld): Case[] {
  const revoked = authority.issue(VICTIM, { san: URI });
  authority.revoke(revoked);
  world?.server.signal('SIGHUP');
  const holder = authority.issue('door-2', { san: 'URI:urn:device:door-2' });
  const [now, before] = [Date.now(), timeOf(Date.now() - 2 * day)];
  const shown: readonly (readonly [string, Issued, End])[] = [
    ['of another device', holder, 'other-device'],
    ['of a CA with the same name', impostor.issue(VICTIM, { san: URI }), 'unverified-certificate'],
    ['that is revoked', revoked, 'unverified-certificate'],
    ['without a SAN', authority.issue(VICTIM), 'no-id'],
    ['with the id as a DNS name', authority.issue(VICTIM, { san: `DNS:${VICTIM}` }), 'no-id'],
    ['with two ids', authority.issue('x', { san: `${URI},URI:urn:device:door-2` }), 'ambiguous-id'],
    ['with the same id twice', authority.issue('x', { san: `${URI},${URI}` }), 'ambiguous-id'],
    ['with more behind the id', authority.issue('x', { san: `${URI}/x` }), 'no-id'],
    ['with a query', authority.issue('x', { san: `${URI}?x` }), 'no-id'],
    [
      'that has ended',
      authority.issue(VICTIM, { san: URI, from: before, to: timeOf(now - day) }),
      'unverified-certificate',
    ],
    [
      'that begins later',
      authority.issue(VICTIM, { san: URI, from: timeOf(now + day), to: timeOf(now + 2 * day) }),
      'unverified-certificate',
    ],
    [
      'that is for servers',
      authority.issue(VICTIM, { san: URI, more: ['extendedKeyUsage=serverAuth'] }),
      'unverified-certificate',
    ],
    [
      'that another device has signed',
      authority.issue(VICTIM, { san: URI, by: holder }),
      'unverified-certificate',
    ],
    ['that it signed itself', selfSigned(impostor), 'unverified-certificate'],
  ];
  const token = makeToken(groupKey, 'g1', VICTIM, 0);
  const versions = ['TLSv1.2', 'TLSv1.3'] as const;
  const of = ({ cert, key }: Issued) => ({ cert, key });
  const atCert = shown.flatMap(([name, issued, end]) =>
    versions.map((maxVersion) => ({
      ...{ name: `cert: one ${name}, ${maxVersion}`, end },
      socket: () => tls('by-cert', { ...of(issued), maxVersion }),
    })),
  );
  // The methods of this listener are cert, psk, key and jwt: the first that applies decides.
  const beside = shown.map(([name, issued, end]) => ({
    ...{ name: `cert: one ${name}, and a good token`, end },
    ...{ socket: () => tls('by-any', of(issued)), says: withToken(token) },
  }));
  const atLab = of(lab.issue(VICTIM, { san: URI }));
  return [
    ...atCert,
    ...beside,
    ...versions.map((maxVersion) => ({
      ...{ name: `cert: none, ${maxVersion}`, end: 'no-certificate' as const },
      ...{ socket: () => tls('by-cert', { maxVersion }), says: withToken(token) },
    })),
    ...versions.map((maxVersion) => ({
      name: `cert: a ticket of a listener with another CA, ${maxVersion}`,
      end: 'unverified-certificate' as const,
      socket: async () => {
        const session = await sessionOf(tls('by-lab', { ...atLab, maxVersion }));
        return tls('by-cert', { ...atLab, maxVersion, session });
      },
    })),
  ];
}

function selfSigned(impostor: AuthWorld['impostor']): Issued {
  const [certFile, keyFile] = [impostor.caFile, impostor.at('ca.key')];
  return { certFile, keyFile, cert: impostor.ca, key: impostor.read('ca.key') };
}

/** The session of a link that is refused: by its answer, it is there. */
async function sessionOf(socket: ReturnType<AuthWorld['tls']>): Promise<Buffer> {
  let session: Buffer | undefined;
  socket.on('session', (one) => {
    session = one;
  });
  const device = new Device(socket);
  device.send(hello('nobody'));
  await device.next();
  device.close();
  if (session === undefined) throw new Error('no session');
  return session;
}

function pskCases({ tls, groupKey }: AuthWorld): Case[] {
  const token = makeToken(groupKey, 'g1', VICTIM, 0);
  const of = (identity: string, psk: Buffer, ciphers: string): ConnectionOptions => ({
    ...{ pskCallback: () => ({ psk, identity }), checkServerIdentity: () => undefined },
    ...{ ciphers, ...(ciphers === 'PSK' ? { maxVersion: 'TLSv1.2' } : {}) },
  });
  const right = (device: string) => devicePskKey(groupKey, device);
  const [old, now] = ['PSK', 'TLS_AES_128_GCM_SHA256:PSK'];
  const misfit = 'TLS_AES_256_GCM_SHA384:PSK';
  const good = `g1.${VICTIM}`;
  // In TLS 1.3 an unknown key is passed over: the link is one that has shown nothing.
  const shown: readonly (readonly [string, string, Buffer, string, End])[] = [
    ['of another device', 'g1.door-2', right('door-2'), now, 'other-device'],
    ['of another device, TLS 1.2', 'g1.door-2', right('door-2'), old, 'other-device'],
    ['with a wrong key', good, randomBytes(32), now, 'silence'],
    ['with a wrong key, TLS 1.2', good, randomBytes(32), old, 'silence'],
    ['with the key of another device', good, right('door-2'), now, 'silence'],
    ['with the key that signs tokens', good, deviceTokenKey(groupKey, VICTIM), now, 'silence'],
    ['with the group’s key', good, groupKey.export(), now, 'silence'],
    ['that does not fit the cipher, wrong key', good, randomBytes(32), misfit, 'no-proof'],
    ['that does not fit the cipher, right key', good, right(VICTIM), misfit, 'no-proof'],
    ['of an unknown key id', `g2.${VICTIM}`, right(VICTIM), now, 'no-proof'],
    ['of an unknown key id, TLS 1.2', `g2.${VICTIM}`, right(VICTIM), old, 'silence'],
    ['of a malformed device', 'g1.door 1', right('door 1'), now, 'no-proof'],
    ['of a malformed device, TLS 1.2', 'g1.door 1', right('door 1'), old, 'silence'],
    ['without a key id', VICTIM, right(VICTIM), now, 'no-proof'],
    ['that is too long', `g1.${'x'.repeat(100)}`, right('x'.repeat(100)), now, 'no-proof'],
  ];
  return [
    ...shown.map(([name, identity, psk, ciphers, end]) => ({
      ...{ name: `psk: one ${name}`, end },
      socket: () => tls('by-psk', of(identity, psk, ciphers)),
    })),
    {
      ...{ name: 'psk: of another device, and a good token', end: 'other-device' as const },
      socket: () => tls('by-any', of('g1.door-2', right('door-2'), now)),
      says: withToken(token),
    },
    {
      ...{ name: 'psk: a token instead', end: 'no-proof' as const },
      ...{ socket: () => tls('by-psk'), says: withToken(token) },
    },
    {
      name: 'psk: a session of one that was good',
      end: 'no-proof',
      socket: async () => {
        const first = tls('by-psk', of('g1.door-2', right('door-2'), now));
        return tls('by-psk', { session: await sessionOf(first) });
      },
    },
  ];
}

const FROM = inet('192.0.2.7', 4_711);
const name = (text: string) => tlv(SSL_TYPE_OF.commonName, text);
const v2 = (...block: Buffer[]) => binary(0x21, 0x11, FROM, ...block);
const V1 = Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 4711 7000\r\n');
const VERIFIED = v2(sslTlv(CLIENT.withCert, 0, name(VICTIM)));

function proxyCases({ tls, plain, groupKey }: AuthWorld): Case[] {
  const token = makeToken(groupKey, 'g1', VICTIM, 0);
  const sum = withChecksum(VERIFIED);
  sum[sum.length - 1] = (sum.at(-1) ?? 0) ^ 1;
  const cn = name(VICTIM);
  const headers: readonly (readonly [string, Buffer, End])[] = [
    ['verify 0 and no certificate', v2(sslTlv(CLIENT.tls, 0, cn)), 'no-proof'],
    ['verify 0 and not even TLS', v2(sslTlv(0, 0, cn)), 'no-proof'],
    ['a certificate without TLS', v2(sslTlv(6, 0, cn)), 'no-proof'],
    ['nothing of TLS', v2(), 'no-proof'],
    ['version 1', V1, 'no-proof'],
    ['a certificate not verified', v2(sslTlv(CLIENT.withCert, 20, cn)), 'unverified-certificate'],
    [
      'one of a session, not verified',
      v2(sslTlv(CLIENT.resumed, 10, cn)),
      'unverified-certificate',
    ],
    ['another device', v2(sslTlv(CLIENT.withCert, 0, name('door-2'))), 'other-device'],
    ['the name and a zero', v2(sslTlv(CLIENT.withCert, 0, name(`${VICTIM}\0`))), 'other-device'],
    ['a certificate without a name', v2(sslTlv(CLIENT.withCert, 0)), 'no-id'],
    ['two names', v2(sslTlv(CLIENT.withCert, 0, name('door-2'), cn)), 'silence'],
    ['TLS twice', v2(sslTlv(CLIENT.withCert, 0, cn), sslTlv(CLIENT.tls, 0)), 'silence'],
    ['a wrong checksum', sum, 'silence'],
    ['no header', Buffer.alloc(0), 'silence'],
    ['LOCAL', binary(0x20, 0x11, FROM, sslTlv(CLIENT.withCert, 0, cn)), 'silence'],
    ['no address', binary(0x21, 0x00, sslTlv(CLIENT.withCert, 0, cn)), 'silence'],
    ['datagrams', binary(0x21, 0x12, FROM, sslTlv(CLIENT.withCert, 0, cn)), 'silence'],
    ['another version', binary(0x11, 0x11, FROM, sslTlv(CLIENT.withCert, 0, cn)), 'silence'],
    ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), 'silence'],
    ['a line that ends with LF', Buffer.from(V1.toString().replace('\r', '')), 'silence'],
    ['a line of HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'silence'],
    ['two headers', Buffer.concat([v2(), VERIFIED]), 'frame-too-long'],
    ['two lines', Buffer.concat([V1, V1]), 'frame-too-long'],
  ];
  const after = (socket: ReturnType<Plain>, header: Buffer) => {
    socket.write(header);
    return socket;
  };
  const good = withToken(token);
  return [
    ...headers.map(([name, header, end]) => ({
      ...{ name: `proxy: ${name}`, end, socket: () => after(plain('by-proxy'), header) },
    })),
    {
      ...{ name: 'proxy: not verified, and a good token', end: 'unverified-certificate' as const },
      socket: () => after(plain('by-proxy'), v2(sslTlv(CLIENT.withCert, 20, cn))),
      says: good,
    },
    {
      ...{ name: 'proxy: verified, but TLS of its own without', end: 'no-proof' as const },
      socket: () => tls('by-proxy-tls', {}, VERIFIED),
    },
    {
      ...{ name: 'proxy: none before TLS', end: 'silence', says: good },
      socket: () => tls('by-proxy-tls'),
    },
    {
      ...{ name: 'proxy: from who is no proxy', end: 'silence' },
      socket: () => after(plain('by-proxy-tcp'), V1),
    },
    {
      ...{ name: 'proxy: without a header, from one that is', end: 'silence' },
      socket: () => plain('by-proxy-tcp', '127.0.0.2'),
    },
    { name: 'tls: at the plain listener', end: 'frame-too-long', socket: () => tlsBytes(plain) },
  ];
}

/** Whom an operator keeps out, and those about whom there is nobody to ask. */
function refusedCases({ plain, groupKey }: AuthWorld): Case[] {
  const good = makeToken(groupKey, 'g1', KEPT_OUT, 0);
  return [
    {
      ...{ name: 'block: with a good token', end: 'blocked', socket: () => plain('by-key') },
      says: [hello(KEPT_OUT, { token: good })],
    },
    {
      ...{ name: 'block: by a proxy', end: 'blocked' },
      socket: () => {
        const socket = plain('by-proxy');
        socket.write(v2(sslTlv(CLIENT.withCert, 0, name(KEPT_OUT))));
        return socket;
      },
      says: [hello(KEPT_OUT)],
    },
    {
      ...{ name: 'block: its name and another’s token', end: 'bad-signature' },
      socket: () => plain('by-key'),
      says: [hello(KEPT_OUT, { token: makeToken(groupKey, 'g1', VICTIM, 0) })],
    },
    ...['', 'x'].map((token) => ({
      ...{ name: `backend: nobody to ask, token ${token}`, end: 'unavailable' as const },
      ...{ socket: () => plain('by-backend'), says: withToken(token) },
    })),
  ];
}

/** A ClientHello, and then what the server says to it, as frames. */
function tlsBytes(plain: Plain): Duplex {
  const socket = plain('by-key');
  socket.write(Buffer.from(`160301020001${'00'.repeat(500)}`, 'hex'));
  return socket;
}

/** What comes before the end of the link. */
async function restOf(socket: Duplex, says: readonly Message[]): Promise<Message[]> {
  const device = new Device(socket);
  device.send(...says);
  const rest = await device.rest();
  device.close();
  return rest;
}

/** Not its fault: BYE and no ERROR. */
const ONLY_BYE: Readonly<Partial<Record<End, string>>> = {
  blocked: 'blocked',
  unavailable: 'auth-unavailable',
};
const UNAUTHENTIC: readonly End[] = ['silence', 'frame-too-long', 'unexpected', 'bad-device-id'];

async function meet(t: Test, one: Case): Promise<void> {
  const heard = await restOf(await one.socket(), one.says ?? [hello(VICTIM)]);
  const words = heard.map((message) =>
    message.type === 'error'
      ? message.code
      : message.type === 'bye'
        ? message.reason
        : message.type,
  );
  const only = ONLY_BYE[one.end];
  const code = UNAUTHENTIC.includes(one.end) ? one.end : 'auth-failed';
  t.same(words, only ? [only] : code === 'silence' ? [] : [code, code], one.name);
}

t.test('hostile clients', { skip }, async (t) => {
  const at = world as AuthWorld;
  const { server, broker, prefix, groupKey } = at;
  at.plain = at.plain.bind(at);
  at.tls = at.tls.bind(at);
  const presence = await Subscriber.start(broker.url, prefix);
  t.teardown(() => presence.close());
  const holder = new Device(at.plain('by-key'));
  holder.send(...withToken(makeToken(groupKey, 'g1', VICTIM, 0)));
  await holder.expect('welcome');
  await waitFor('the holder to be seen', () => presence.heard.length === 1);
  const cases = [
    ...[...keyCases(at), ...jwtCases(at), ...certCases(at), ...pskCases(at), ...proxyCases(at)],
    ...refusedCases(at),
  ];
  t.ok(cases.length >= 60, `${cases.length} cases`);
  await waitFor('the revocation list to be read', () => readAgain(at, 'by-any') === 2);

  const blocked = await askOnce<BlockAnswer>(at.runDir, 'block', { device: KEPT_OUT });
  t.strictSame('late' in blocked && blocked.late, [], 'all acceptors know whom they keep out');
  for (const one of cases) await meet(t, one);

  t.test('hostile clients: a PROXY header that is cut at every byte', async (t) => {
    const faults: string[] = [];
    const frame = [hello(VICTIM, { token: makeToken(groupKey, 'g1', VICTIM, 0) })];
    const cut = async (header: Buffer, bytes: number, how: 'FIN' | 'HELLO' | 'silence') => {
      const socket = at.plain('by-proxy');
      socket.write(header.subarray(0, bytes));
      if (how === 'FIN') socket.end();
      const heard = await restOf(socket, how === 'HELLO' ? frame : []);
      // What follows may make the header whole; it is no HELLO any more.
      const words = heard.map(({ type }) => type);
      if (how === 'HELLO' ? words.includes('welcome') : words.length > 0) {
        faults.push(`${how} at ${bytes}: ${words}`);
      }
    };
    for (const header of [V1, VERIFIED]) {
      const at = [...header.keys()];
      for (const how of ['FIN', 'HELLO', 'silence'] as const) {
        await Promise.all(at.map((bytes) => cut(header, bytes, how)));
      }
    }
    t.same(faults, []);
  });

  t.test('hostile clients: frames at the TLS listener are not answered with any', async (t) => {
    const socket = at.plain('by-any');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    new Device(at.plain('by-any')).send(...withToken('x'));
    socket.write(Buffer.from('0000000593010101a16100', 'hex'));
    await once(socket, 'close');
    const heard = Buffer.concat(chunks);
    t.ok(heard.length === 0 || heard[0] === 0x15, 'an alert of TLS at most');
  });

  t.test('hostile clients: whoever they said they are has noticed nothing', async (t) => {
    const last = new Device(at.plain('by-topic'));
    last.send(hello('last'));
    await last.expect('welcome');
    await waitFor('the last to be seen', () => presence.heard.some((one) => one.device === 'last'));
    const events = presence.heard.map(({ device, online }) => ({ device, online }));
    t.same(
      events,
      [VICTIM, 'last'].map((device) => ({ device, online: true })),
    );
    holder.send({ type: 'ping' } as Message);
    t.equal((await holder.expect('pong')).type, 'pong');
    holder.close();
    last.close();
  });

  t.test('hostile clients: each is counted by its reason', async (t) => {
    const reasons = new Map<string, number>();
    for (const { end } of cases.filter((one) => !UNAUTHENTIC.includes(one.end))) {
      reasons.set(end, (reasons.get(end) ?? 0) + 1);
    }
    t.equal(await server.metricNow('owsla_establishing'), 0);
    // Those that fetch a session first are refused there, too.
    const fetched = cases.filter(({ name }) => /ticket|session of/.test(name)).length;
    reasons.set('other-device', (reasons.get('other-device') ?? 0) + fetched);
    for (const [reason, count] of reasons) {
      const series = `reason="${reason}"`;
      t.equal(await server.metric('owsla_auth_failures_total', series), count, reason);
    }
  });
});

/** The node reads its files again. */
async function renew(at: AuthWorld): Promise<void> {
  const isDone = ({ msg, listener }: { msg: string; listener?: unknown }) =>
    listener === 'by-any' && msg.startsWith('files ');
  const before = at.server.log.filter(isDone).length;
  at.server.signal('SIGHUP');
  await waitFor('files', () => at.server.log.filter(isDone).length === before + 2);
}

t.test('live links whose proof ends', { skip }, async (t) => {
  const at = world as AuthWorld;
  const { authority, broker, prefix, groupKey } = at;
  const presence = await Subscriber.start(broker.url, prefix);
  t.teardown(() => presence.close());
  const ended = (device: string) =>
    presence.heard.find((one) => one.device === device && !one.online);
  const opened = async (socket: Duplex, id: string, token?: string) => {
    const device = new Device(socket);
    device.send(hello(id, token === undefined ? {} : { token }));
    await device.expect('welcome');
    t.teardown(() => device.close());
    return device;
  };

  t.test('live links: a token ends, and so does its link, read or not', async (t) => {
    const expires = seconds() + 2;
    const of = (id: string) => makeToken(groupKey, 'g1', id, expires);
    const jwt = goodJwt('ends-3', { exp: expires });
    const reads = await opened(at.plain('by-key'), 'ends-1', of('ends-1'));
    const deaf = await opened(at.plain('by-key'), 'ends-2', of('ends-2'));
    const signed = await opened(at.plain('by-jwt'), 'ends-3', jwt);
    deaf.socket.pause();
    for (const device of [reads, signed]) {
      t.match(await device.expect('bye'), { reason: 'auth-expired' });
      const lateMs = Date.now() - expires * 1_000;
      t.ok(lateMs >= 0 && lateMs < 1_000, `${lateMs} ms late`);
    }
    await waitFor('the deaf one to be seen', () => ended('ends-2') !== undefined);
    const { at: endedAt = 0, reason } = ended('ends-2') ?? {};
    t.equal(reason, 'auth-expired');
    t.ok(endedAt >= expires * 1_000 && endedAt < expires * 1_000 + 1_000, `at ${endedAt}`);
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    t.test(`live links: a revoked certificate ends its link, ${maxVersion}`, async (t) => {
      const id = `lost-${maxVersion.replace('.', '-')}`;
      const { cert, key, ...issued } = authority.issue(id, { san: `URI:urn:device:${id}` });
      const socket = at.tls('by-cert', { cert, key, maxVersion });
      let session: Buffer | undefined;
      socket.on('session', (one) => {
        session = one;
      });
      const device = await opened(socket, id);
      const again = at.tls('by-cert', { cert, key, maxVersion, session });
      await once(again, 'secureConnect');
      t.ok(again.isSessionReused(), 'until then it resumes');
      authority.revoke({ cert, key, ...issued });
      await renew(at);
      const readAt = Date.now();
      t.match(await device.expect('bye'), { reason: 'auth-expired' });
      t.ok(Date.now() - readAt < 1_000);

      const said = await restOf(again, [hello(id)]);
      t.match(said, [{ message: /revoked/ }, { reason: 'auth-failed' }], 'done with its handshake');
      const later = at.tls('by-cert', { cert, key, maxVersion, session });
      const refused = await restOf(later, [hello(id)]);
      t.match(refused, [{ message: /not verified/ }, { reason: 'auth-failed' }]);
      t.notOk(later.isSessionReused(), 'its ticket is void');
    });
  }

  t.test('live links: a group key or an authority that is removed ends its links', async (t) => {
    const { lab } = at;
    const added = newGroupKey();
    authority.save('keys.yaml', `${at.keysText}g9: ${added}\n`);
    const other = new Authority({ name: 'Old CA' });
    t.teardown(() => other.remove());
    const labCa = lab.ca;
    lab.save('ca.pem', labCa + other.ca);
    await renew(at);
    const key9 = createSecretKey(Buffer.from(added, 'base64'));
    const by9 = makeToken(key9, 'g9', 'moves-1', 0);
    const psk = (id: string, key: KeyObject, keyId: string) => ({
      pskCallback: () => ({ psk: devicePskKey(key, id), identity: `${keyId}.${id}` }),
      ...{ checkServerIdentity: () => undefined, ciphers: 'TLS_AES_128_GCM_SHA256:PSK' },
    });
    const certOf = (by: Authority, id: string) => {
      const { cert, key } = by.issue(id, { san: `URI:urn:device:${id}` });
      return { cert, key };
    };
    const going = [
      await opened(at.plain('by-key'), 'moves-1', by9),
      await opened(at.tls('by-psk', psk('moves-2', key9, 'g9')), 'moves-2'),
      await opened(at.tls('by-lab', certOf(other, 'moves-3')), 'moves-3'),
    ];
    const staying = [
      await opened(at.plain('by-key'), 'stays-1', makeToken(groupKey, 'g1', 'stays-1', 0)),
      await opened(at.tls('by-psk', psk('stays-2', groupKey, 'g1')), 'stays-2'),
      await opened(at.tls('by-lab', certOf(lab, 'stays-3')), 'stays-3'),
    ];
    authority.save('keys.yaml', at.keysText);
    lab.save('ca.pem', labCa);
    await renew(at);
    for (const one of going) t.match(await one.expect('bye'), { reason: 'auth-expired' });
    for (const one of staying) {
      one.send({ type: 'ping' });
      await one.expect('pong');
    }
  });

  t.test('live links: an acceptor starts also while a file is broken', async (t) => {
    const before = authority.read('keys.yaml');
    const token = makeToken(groupKey, 'g1', 'keeps', 0);
    authority.save('keys.yaml', 'g1: c2VjcmV0LXdvcmQ=');
    const ready = () => at.server.log.filter(({ msg }) => msg === 'child ready').length;
    for (let at1 = 1; at1 <= 2; at1 += 1) {
      const seen = ready();
      process.kill(at.server.childPid(`acceptor ${at1}`), 'SIGKILL');
      await waitFor('another acceptor', () => ready() > seen);
    }
    const line = at.server.log.findLast(({ msg }) => msg === 'older files are in use');
    t.match(line, { level: 'error', reason: /keys\.yaml/ });
    t.notMatch(JSON.stringify(line), /c2VjcmV0/, 'none of what is in it');
    for (let links = 0; links < 4; links += 1) {
      (await opened(at.plain('by-key'), 'keeps', token)).close();
    }
    await waitFor('degraded', async () =>
      (await at.server.page('/health/ready')).includes('keys.yaml'),
    );
    authority.save('keys.yaml', before);
    await renew(at);
    await waitFor('whole', async () => !(await at.server.page('/health/ready')).includes('files'));
  });

  t.test('live links: a broken file leaves all in use that were', async (t) => {
    const token = makeToken(groupKey, 'g1', 'keeps', 0);
    const crl = authority.crl;
    for (const [file, broken] of [
      ['keys.yaml', 'g1: c2VjcmV0LXdvcmQ='],
      ['crl.pem', '-----BEGIN X509 CRL-----\nc2VjcmV0\n-----END X509 CRL-----\n'],
    ] as const) {
      const before = authority.read(file);
      authority.save(file, broken);
      await renew(at);
      const line = at.server.log.findLast(({ msg }) => /not read again/.test(msg));
      t.match(line, { level: 'error', listener: /^by-/, reason: new RegExp(file) });
      t.notMatch(JSON.stringify(line), /c2VjcmV0/, 'none of what is in it');
      (await opened(at.plain('by-key'), 'keeps', token)).close();
      authority.save(file, before);
    }
    await renew(at);
    t.equal(authority.crl, crl);
    (await opened(at.plain('by-key'), 'keeps', token)).close();
  });

  t.test('live links: topics that a device may not publish to', async (t) => {
    const device = await opened(at.plain('by-topic'), 'talks');
    device.send(event(1, 'door.badge'), event(2, 'room'), request(3, 'door.badge'), event(0, 'x'));
    device.send(event(4, 'room.temperature'), event(5, 'rooms.temperature'));
    const said: unknown[] = [];
    for (let count = 0; count < 5; count += 1) said.push(await device.next());
    const about = (id: number) => said.find((one) => (one as { id?: number }).id === id);
    t.match(about(1), { type: 'error', code: 'not-allowed' });
    t.match(about(2), { type: 'ack' }, '# is no word, too');
    t.match(about(3), { type: 'reply', status: 3 });
    t.match(about(4), { type: 'ack' });
    t.match(about(5), { type: 'error', code: 'not-allowed' });
    t.equal(device.waiting, 0, 'and nothing of an EVENT without an id');
  });
});

/** How often the files of a listener were read again by its acceptors. */
function readAgain({ server }: AuthWorld, listener: string): number {
  return server.log.filter((line) => line.msg === 'files read again' && line.listener === listener)
    .length;
}
