/** The device id of a certificate: of those that OpenSSL makes, hostile names among them. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { certIdOf } from '../../src/acceptor/identity/certId.ts';
import type { CertId } from '../../src/base/listeners.ts';
import { noOpenssl } from '../helpers/processes/programs.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-certs-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
writeFileSync(join(folder, 'key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));

/** A certificate with these lines of OpenSSL's `req` as subject and as extensions. */
function certificate(subject: string, extensions: string, days = 30): X509Certificate {
  const config = `[req]
prompt = no
string_mask = utf8only
utf8 = yes
distinguished_name = subject
x509_extensions = extensions
[subject]
${subject}
[extensions]
${extensions}
`;
  writeFileSync(join(folder, 'req.cnf'), config);
  const out = join(folder, 'cert.pem');
  const args = ['req', '-x509', '-new', '-config', join(folder, 'req.cnf')];
  const files = ['-key', join(folder, 'key.pem'), '-out', out, '-days', String(days)];
  execFileSync('openssl', [...args, ...files], { stdio: 'pipe' });
  return new X509Certificate(readFileSync(out));
}

const O = 'O = Fleet';

/** `subjectAltName` of these names, each with its kind, whatever bytes are in it. */
function san(...names: readonly (readonly [kind: 'URI' | 'DNS', name: string])[]): string {
  return `subjectAltName = DER:${sanBytes(names)}`;
}

function sanBytes(names: readonly (readonly [kind: 'URI' | 'DNS', name: string])[]): string {
  const tags = { URI: 0x86, DNS: 0x82 };
  const bodies = names.map(([kind, name]) => element(tags[kind], Buffer.from(name, 'latin1')));
  return element(0x30, Buffer.concat(bodies)).toString('hex');
}

function element(tag: number, body: Buffer): Buffer {
  const { length } = body;
  const size = length < 128 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const idOf = (cert: X509Certificate, field: CertId) => {
  const found = certIdOf(cert, field);
  return 'reason' in found ? found.reason : found.deviceId;
};

t.test(
  'the id stands in one SAN URI, one SAN DNS name, or one CN',
  { skip: noOpenssl },
  async (t) => {
    const cert = certificate(
      `${O}\nCN = door-cn`,
      'subjectAltName = URI:urn:device:door-uri,DNS:door-dns,IP:127.0.0.1,email:a@b.example',
    );

    t.equal(idOf(cert, 'san-uri'), 'door-uri');
    t.equal(idOf(cert, 'san-dns'), 'door-dns');
    t.equal(idOf(cert, 'cn'), 'door-cn');
    const found = certIdOf(cert, 'cn');
    t.same(found, { deviceId: 'door-cn', notAfter: Date.parse(cert.validTo) });
  },
);

t.test('the end of a certificate is read on both sides of 2050', { skip: noOpenssl }, async (t) => {
  for (const days of [1, 3_650, 20_000]) {
    const cert = certificate('CN = d', '', days);
    t.match(certIdOf(cert, 'cn'), { notAfter: Date.parse(cert.validTo) }, cert.validTo);
  }
});

t.test(
  'the id is up to 64 characters, and other URIs do not count',
  { skip: noOpenssl },
  async (t) => {
    const id = `${'d'.repeat(62)}-_`;
    const cert = certificate(
      O,
      `subjectAltName = URI:spiffe://fleet/door,URI:urn:device:${id},URI:urn:dev:mac:0`,
    );

    t.equal(idOf(cert, 'san-uri'), id);
    t.equal(idOf(certificate(O, san(['URI', 'URN:Device:Door'])), 'san-uri'), 'Door');
    t.equal(idOf(certificate(O, san(['URI', `urn:device:${id}x`])), 'san-uri'), 'no-id');
  },
);

t.test(
  'a certificate without the name that counts names nobody',
  { skip: noOpenssl },
  async (t) => {
    const uri = certificate(O, 'subjectAltName = URI:urn:device:door');
    const plain = certificate('CN = door', '');

    t.equal(idOf(uri, 'san-dns'), 'no-id');
    t.equal(idOf(uri, 'cn'), 'no-id');
    t.equal(idOf(plain, 'san-uri'), 'no-id');
    t.equal(idOf(plain, 'san-dns'), 'no-id');
  },
);

t.test('two names are one too many, be they alike', { skip: noOpenssl }, async (t) => {
  const two = certificate(
    '0.CN = door\n1.CN = gate',
    'subjectAltName = URI:urn:device:door,URI:urn:device:gate,DNS:door,DNS:gate',
  );
  const alike = certificate(
    '0.CN = d\n1.O = x\n2.CN = d',
    san(['URI', 'urn:device:d'], ['URI', 'URN:device:d']),
  );
  const oneSet = certificate('CN = door\n+CN = gate', '');
  const oneBad = certificate(O, san(['DNS', 'door'], ['DNS', 'a.b']));

  for (const field of ['san-uri', 'san-dns', 'cn'] as const) {
    t.equal(idOf(two, field), 'ambiguous-id', field);
  }
  t.equal(idOf(alike, 'san-uri'), 'ambiguous-id');
  t.equal(idOf(alike, 'cn'), 'ambiguous-id');
  t.equal(idOf(oneSet, 'cn'), 'ambiguous-id');
  t.equal(idOf(oneBad, 'san-dns'), 'ambiguous-id');
});

t.test('two SAN extensions are two names as well', { skip: noOpenssl }, async (t) => {
  const cert = certificate(
    O,
    `${san(['DNS', 'door'])}\n2.5.29.99 = DER:${sanBytes([['DNS', 'x']])}`,
  );
  const raw = Buffer.from(cert.raw);
  t.same(idOf(cert, 'san-dns'), 'door');
  // OpenSSL writes no second one, so another extension becomes it.
  raw[raw.indexOf(Buffer.from([0x55, 0x1d, 99])) + 2] = 17;

  t.same(certIdOf({ raw }, 'san-dns'), { reason: 'ambiguous-id' });
});

t.test('a name that holds other names, or ends early, is no id', { skip: noOpenssl }, async (t) => {
  const hostile = [
    'door, DNS:gate',
    'door,DNS:gate',
    'door", DNS:"gate',
    '"door"',
    'door\0',
    'door\0.gate',
    '\0door',
    'door\n',
    'door\r\nDNS:gate',
    'door ',
    '*',
    'd*',
    'door.',
    'door.example.com',
    'd\xf6r',
    'd\xc3\xb6r',
    '../door',
    '%64oor',
    '',
  ];
  for (const name of hostile) {
    const cert = certificate(O, san(['DNS', name], ['URI', `urn:device:${name}`]));
    t.equal(idOf(cert, 'san-dns'), 'no-id', JSON.stringify(name));
    t.equal(idOf(cert, 'san-uri'), 'no-id', JSON.stringify(name));
  }
  for (const uri of ['urn:device:', 'urn:device', 'xurn:device:door', ' urn:device:door', 'door']) {
    t.equal(idOf(certificate(O, san(['URI', uri])), 'san-uri'), 'no-id', uri);
  }
  const disguised = certificate(O, san(['URI', 'http://x/, URI:urn:device:gate']));
  t.equal(idOf(disguised, 'san-uri'), 'no-id');
  for (const name of ['door/CN=gate', 'door\\, CN = gate', 'door\\nCN=gate', 'dör']) {
    t.equal(idOf(certificate(`CN = ${name}`, ''), 'cn'), 'no-id', name);
  }
});

t.test('a name in an odd kind of text is no id', { skip: noOpenssl }, async (t) => {
  const config = 'O = Fleet\nCN = door';
  const good = certificate(config, '');
  const at = Buffer.from(good.raw).lastIndexOf(Buffer.from('door')) - 2;

  t.equal(idOf(good, 'cn'), 'door');
  for (const tag of [0x14, 0x1e, 0x1c, 0x04]) {
    const raw = Buffer.from(good.raw);
    raw[at] = tag;
    t.same(certIdOf({ raw }, 'cn'), { reason: 'no-id' }, `tag ${tag}`);
  }
});

t.test(
  'bytes that are cut or wrong name nobody else, and never throw',
  { skip: noOpenssl },
  async (t) => {
    const cert = certificate('CN = door', san(['DNS', 'door'], ['URI', 'urn:device:door']));
    const { raw } = cert;
    const fields = ['cn', 'san-dns', 'san-uri'] as const;
    const named = new Set<string>();
    const look = (bytes: Buffer) => {
      for (const field of fields) {
        const found = certIdOf({ raw: bytes }, field);
        if ('deviceId' in found) {
          named.add(found.deviceId);
          if (!Number.isFinite(found.notAfter)) named.add('no time');
        }
      }
    };

    for (let length = 0; length < raw.length; length++) look(Buffer.from(raw.subarray(0, length)));
    t.same([...named], [], 'cut anywhere');
    for (let at = 0; at < raw.length; at++) {
      for (const bit of [1, 2, 4, 8, 16, 32, 64, 128]) {
        const bytes = Buffer.from(raw);
        bytes[at] = (bytes[at] ?? 0) ^ bit;
        look(bytes);
      }
    }
    t.ok(named.has('door'));
    t.notOk(named.has('no time'));
    const near = [...named].filter((name) => Buffer.from(name).length !== 4);
    t.same(near, [], 'one bit changes a letter at most');
  },
);
