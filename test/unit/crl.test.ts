/** Revocation lists as OpenSSL makes them, and broken ones. */
import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { readCrl } from '../../src/acceptor/identity/crl.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { noOpenssl } from '../helpers/processes/programs.ts';

const DAY_MS = 86_400_000;

t.test('crl', { skip: noOpenssl }, async (t) => {
  const ec = new Authority();
  const rsa = new Authority({ name: 'Another CA', key: 'rsa' });
  /** Its certificates have the same serial numbers as those of `ec`. */
  const twin = new Authority({ name: 'Twin CA' });
  for (const authority of [ec, rsa, twin]) t.teardown(() => authority.remove());
  const certOf = (authority: Authority) => new X509Certificate(authority.issue('door-1').cert);

  t.test('crl: an empty list revokes nobody, and says when the next one comes', async (t) => {
    const list = readCrl(ec.crl);
    t.equal(list.size, 0);
    const inMs = (list.nextUpdate ?? 0) - Date.now();
    t.ok(inMs > 29 * DAY_MS && inMs <= 30 * DAY_MS + 1_000);
    t.notOk(list.isRevoked(certOf(ec)));
  });

  for (const authority of [ec, rsa]) {
    t.test(`crl: of ${authority === ec ? 'EC' : 'RSA'}, two of three are revoked`, async (t) => {
      const issued = [1, 2, 3].map(() => authority.issue('door-1'));
      const [first, second, third] = issued.map(({ cert }) => new X509Certificate(cert));
      authority.revoke(...issued.slice(0, 2));
      const list = readCrl(authority.crl);
      t.equal(list.size, 2);
      t.same(
        [first, second, third].map((cert) => cert && list.isRevoked(cert)),
        [true, true, false],
      );
    });
  }

  t.test('crl: a serial number counts for its own CA only', async (t) => {
    const [here, there] = [ec.issue('door-9'), twin.issue('door-9')];
    while (
      new X509Certificate(there.cert).serialNumber < new X509Certificate(here.cert).serialNumber
    ) {
      Object.assign(there, twin.issue('door-9'));
    }
    t.equal(
      new X509Certificate(there.cert).serialNumber,
      new X509Certificate(here.cert).serialNumber,
    );
    ec.revoke(here);
    t.ok(readCrl(ec.crl).isRevoked(new X509Certificate(here.cert)));
    t.notOk(readCrl(ec.crl).isRevoked(new X509Certificate(there.cert)));
  });

  t.test('crl: two lists in one file, and words around them', async (t) => {
    const lost = rsa.issue('door-2');
    rsa.revoke(lost);
    const both = readCrl(`of the fleet\n${ec.crl}\nof others\n${rsa.crl}`);
    t.equal(both.size, readCrl(ec.crl).size + readCrl(rsa.crl).size);
    t.ok(both.isRevoked(new X509Certificate(lost.cert)));
  });

  t.test('crl: a broken list is refused, and none of it is passed over', async (t) => {
    const good = ec.crl;
    const [head = '', ...lines] = good.trimEnd().split('\n');
    const tail = lines.pop() ?? '';
    const bytes = Buffer.from(lines.join(''), 'base64');
    const pem = (der: Uint8Array) => `${head}\n${Buffer.from(der).toString('base64')}\n${tail}\n`;
    const broken = [
      ...[1, 10, bytes.length - 1].map((length) => pem(bytes.subarray(0, length))),
      pem(Buffer.alloc(0)),
      pem(Buffer.concat([bytes, Buffer.from([0])])),
      good.replace('\n', '\n*'),
      good.replace(tail, ''),
      `${good}${good.replace('\n', '\n*')}`,
      `${good.replace(tail, '')}${good}`,
    ];
    for (const text of broken) t.throws(() => readCrl(text), { message: /that is broken$/ });
    for (const text of ['', ec.ca, good.replaceAll('X509 CRL', 'CRL')]) {
      t.throws(() => readCrl(text), { message: 'holds no revocation list in PEM' });
    }
    t.notOk(readCrl(good).isRevoked({ raw: Buffer.from('no certificate') }));
  });
});
