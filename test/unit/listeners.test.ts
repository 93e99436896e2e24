/** Listeners: what may not be said together, each fault in one sentence of its own. */
import t from 'tap';
import { makeConfig, type Options } from '../../src/base/config.ts';
import { StartError } from '../../src/base/errors.ts';
import { isLoopback } from '../../src/base/listeners.ts';
import { networkFault } from '../../src/base/networks.ts';

type One = Readonly<Record<string, unknown>>;

/** The faults of a config: one sentence each. */
function faultsOf(options: Options): string[] {
  try {
    makeConfig(options);
    return [];
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return error.message.split(/; (?!did you mean)/);
  }
}
const ofOne = (one: unknown, more: Options = {}) => faultsOf({ ...more, listeners: [one] });
const named = (one: One): One => ({ name: 'doors', port: 7_000, ...one });

const TLS = { cert: '/c.pem', key: '/c.key' };
const WITH_CA = { ...TLS, 'client-ca': '/ca.pem' };

t.test('listeners: what is well said has no fault', async (t) => {
  const good: readonly One[] = [
    named({}),
    named({ host: '192.0.2.1', auth: ['none'] }),
    named({ host: '192.0.2.1', auth: 'key', keys: '/k', 'tokens-in-clear': true }),
    named({
      host: '192.0.2.1',
      auth: ['cert', 'none'],
      tls: { ...WITH_CA, 'client-cert': 'request' },
    }),
    named({ auth: ['psk'], keys: '/k', tls: {} }),
    { name: 'unix', unix: '/run/o.sock', mode: '0600', auth: ['cert'], 'cert-id': 'cn' },
    named({ auth: ['none'], 'proxy-protocol': 'require', 'proxy-from': ['10.0.0.0/8', '::1'] }),
    named({ topics: ['room.#', '*', 'a.*.b'] }),
    named({ protocol: 'mqtt' }),
    named({ protocol: 'mqtt-ws' }),
  ];
  for (const one of good) t.same(ofOne(one), [], JSON.stringify(one));
});

/** Each is one fault, and this is its sentence. */
const FAULTS: readonly (readonly [unknown, RegExp])[] = [
  // How it is written: listenerReader.ts.
  ['devices', /must be a map, such as/],
  [[], /must be a map/],
  [null, /must be a map/],
  [{ port: 1 }, /needs a name of 1 to 32/],
  [named({ name: 'Doors' }), /needs a name/],
  [named({ name: 'x'.repeat(33) }), /needs a name/],
  [{ name: 'doors' }, /needs a port from 0 to 65535, or unix/],
  [named({ port: 65_536 }), /needs a port/],
  [named({ port: '7000' }), /needs a port/],
  [named({ host: 7 }), /has a host that is no text/],
  [named({ keys: 7 }), /has a keys that is no text/],
  [named({ mode: 660 }), /has a mode that is none/],
  [named({ mode: '0999' }), /has a mode that is none/],
  [named({ 'tokens-in-clear': 'yes' }), /tokens-in-clear, which must be true or false/],
  [named({ 'proxy-protocol': 'v2' }), /has a proxy-protocol that is none of none, require/],
  [named({ 'cert-id': 'serial' }), /has a cert-id that is none of san-uri/],
  [named({ topics: 7 }), /has a topics that is no list of texts/],
  [named({ topics: [7] }), /has a topics that is no list of texts/],
  [named({ topics: [] }), /has an empty list as topics/],
  [named({ auth: [] }), /has an empty list as auth/],
  [named({ auth: '' }), /has auth, which must be a list of cert, psk/],
  [named({ auth: ['keys'] }), /not "keys"; did you mean key\?|not "keys".*key/],
  [named({ auth: ['key', 'key'], keys: '/k' }), /has auth, which names key twice/],
  [named({ protocol: 'codec.ts' }), /write a module of your own with its path, \.\/codec\.ts/],
  [named({ protocol: 'owsl' }), /has the unknown protocol "owsl".*owsla/],
  [named({ ports: 7_000 }), /has the unknown key "ports".*port/],
  [named({ tls: 7 }), /\.tls must be a map/],
  [named({ tls: { ...TLS, min: '1.1' } }), /\.tls has a min that is none of 1.2, 1.3/],
  [named({ tls: { ...TLS, 'client-cert': 'maybe' } }), /\.tls has a client-cert that is none/],
  [named({ tls: { ...TLS, ca: '/ca.pem' } }), /\.tls has the unknown key "ca"/],
  // What it means: listeners.ts.
  [named({ host: '192.0.2.1' }), /can be reached from other machines/],
  [{ name: 'unix', unix: '/run/o.sock' }, /a proxy passes on other machines/],
  [
    named({ 'proxy-protocol': 'require', 'proxy-from': '127.0.0.1' }),
    /a proxy passes on other machines/,
  ],
  [named({ auth: ['none'], 'proxy-protocol': 'require' }), /proxy-from must say which addresses/],
  [
    named({ auth: ['none'], 'proxy-protocol': 'require', 'proxy-from': ['10.0.0.0/33'] }),
    /proxy-from has "10.0.0.0\/33", which is no address/,
  ],
  [
    { name: 'unix', unix: `/${'x'.repeat(103)}`, auth: ['none'] },
    /is longer than the 103 bytes that a socket/,
  ],
  [named({ topics: ['room.>'] }), /topics has "room.>", which is not dotted words/],
  [named({ topics: ['room..x'] }), /topics has "room..x"/],
  [named({ topics: '' }), /topics has ""/],
  [named({ tls: {} }), /TLS needs a certificate/],
  [named({ tls: { cert: '/c.pem' } }), /tls-cert and tls-key belong together/],
  [named({ tls: { ...TLS, 'client-cert': 'require' } }), /require needs the CA that signs them/],
  [named({ tls: { ...TLS, crl: '/crl.pem' } }), /tls-crl needs tls-client-ca/],
  [named({ auth: ['none', 'key'], keys: '/k' }), /auth none applies to all: put it last/],
  [named({ auth: ['key'] }), /need group keys/],
  [named({ auth: ['psk', 'none'] }), /need group keys/],
  [named({ auth: ['jwt'] }), /auth jwt needs the keys of its issuer/],
  [{ name: 'unix', unix: '/run/o.sock', auth: ['cert'] }, /cert-id must be cn/],
  [named({ auth: ['cert'] }), /of auth cert nothing applies there/],
  [named({ auth: ['cert'], tls: TLS }), /of auth cert nothing applies there/],
  [named({ auth: ['psk'], keys: '/k' }), /of auth psk nothing applies there/],
  [
    named({ host: '192.0.2.1', auth: ['jwt'], 'jwt-keys': '/j' }),
    /tokens would be sent unencrypted/,
  ],
];

t.test('listeners: a module of the operator’s own is known by its path', async (t) => {
  t.same(ofOne(named({ protocol: '/etc/owsla/scp.js' })), []);
  t.same(ofOne(named({ protocol: './scp.js' })), []);
});

t.test('listeners: each fault is one sentence', async (t) => {
  for (const [one, sentence] of FAULTS) {
    const faults = ofOne(one);
    t.equal(faults.length, 1, `${JSON.stringify(one)}: ${faults.join(' | ')}`);
    t.match(faults[0], sentence);
  }
});

t.test('listeners: all of them together', async (t) => {
  t.match(faultsOf({ listeners: [] }), [/listeners is empty/]);
  t.match(faultsOf({ listeners: [named({}), named({ port: 7_001 })] }), [
    /two listeners are named doors/,
  ]);
  t.match(faultsOf({ listeners: [named({}), { name: 'b', port: 7_000 }] }), [
    /two listeners are at 127.0.0.1:7000/,
  ]);
  t.same(faultsOf({ listeners: [named({ port: 0 }), { name: 'b', port: 0 }] }), []);
  t.match(faultsOf({ unix: '/run/o.sock' }), [/devices-unix: a proxy passes on/]);
});

t.test('listeners: who asks for TLS only gets no open door beside it', async (t) => {
  const tls = { 'tls-cert': '/c.pem', 'tls-key': '/c.key', auth: 'none' };
  const names = (options: Options) => makeConfig(options).listeners.map(({ name }) => name);
  t.same(names({ ...tls, 'tls-port': 7_443 }), ['devices-tls']);
  t.same(names({ auth: 'none', unix: '/run/o.sock' }), ['devices-unix']);
  t.same(names({ listeners: [named({})] }), ['doors']);
  t.same(names({ ...tls, 'tls-port': 7_443, port: 7_000 }), ['devices', 'devices-tls']);
});

const isCidr = (text: string) => networkFault(text) === undefined;

t.test('listeners: addresses', async (t) => {
  for (const text of ['127.0.0.1', '127.255.0.1', '::1', 'localhost']) t.ok(isLoopback(text), text);
  for (const text of ['0.0.0.0', '::', '128.0.0.1', '127.0.0.1.x', 'localhost.x', '::ffff:1']) {
    t.notOk(isLoopback(text), text);
  }
  for (const text of ['10.0.0.0/8', '10.0.0.1', '::/0', 'fe80::/10', '0.0.0.0/0']) {
    t.ok(isCidr(text), text);
  }
  for (const text of ['', '10/8', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8/8', '::/129', 'x/8']) {
    t.notOk(isCidr(text), text);
  }
});

t.test('listeners: what no acceptor could read as a network is refused at the start', async (t) => {
  const proxied = { auth: ['none'], 'proxy-protocol': 'require' };
  for (const text of ['::ffff:10.0.0.0/104', '10.0.0.0/08', 'fe80::1%lo']) {
    const sentence = `has ${JSON.stringify(text)}, which is no address and no CIDR`;
    t.match(ofOne(named({ ...proxied, 'proxy-from': [text] })), [`proxy-from ${sentence}`]);
    for (const name of ['allow-from', 'deny-from']) {
      t.match(faultsOf({ [name]: text }), [`${name} ${sentence}`]);
    }
  }
});
