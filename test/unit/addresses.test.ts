/** Addresses: networks, links and failures; what is off keeps nothing, and nothing grows. */
import t from 'tap';
import {
  Addresses,
  type AddressesOptions,
  FAILED_ADDRESSES_MAX,
} from '../../src/acceptor/establish/addresses.ts';
import { isListed, readCidrs } from '../../src/base/networks.ts';

const OFF = { linksPerAddressMax: 0, authFailuresMax: 0, authFailuresMs: 60_000 };
const make = (limits: Partial<typeof OFF> = {}, lists: Omit<AddressesOptions, 'limits'> = {}) =>
  new Addresses({ limits: { ...OFF, ...limits }, ...lists });

const A = '192.0.2.7';
const B = '192.0.2.8';

t.test('addresses: with everything off all are allowed, and nothing is kept', async (t) => {
  const addresses = make();

  for (let i = 0; i < 10; i += 1) {
    addresses.opened(A);
    addresses.failed(A, i);
  }

  t.equal(addresses.admits(A, 10), 'allowed');
  t.equal(addresses.size, 0);
  addresses.closed(A);
  t.equal(addresses.size, 0);
});

t.test('addresses: networks that are allowed, and those denied within them', async (t) => {
  const allow = readCidrs(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32']);
  const deny = readCidrs(['10.66.0.0/16', '2001:db8:66::/48']);
  const addresses = make({}, { allow, deny });
  const said = (...of: string[]) => of.map((address) => addresses.admits(address, 0));

  t.same(said('10.0.0.1', '10.255.255.255', A, '2001:db8::1'), Array(4).fill('allowed'));
  t.same(said('11.0.0.1', B, '2001:db9::1', '::1', '::10.0.0.1'), Array(5).fill('denied'));
  t.same(said('10.66.0.1', '2001:db8:66::1'), Array(2).fill('denied'), 'deny comes first');
  t.same(said('::ffff:10.0.0.1', '::FFFF:0a00:0001'), Array(2).fill('allowed'), 'IPv4 in IPv6');
  t.same(said('::ffff:10.66.0.1', '0:0:0:0:0:ffff:a42:1'), Array(2).fill('denied'));
  t.same(said('', '/run/owsla.sock', '10.0.0.1x'), Array(3).fill('denied'), 'what is no address');
});

t.test('addresses: denied networks alone leave all others', async (t) => {
  const addresses = make({}, { deny: readCidrs(['0.0.0.0/0']) });

  t.equal(addresses.admits(A, 0), 'denied');
  t.equal(addresses.admits('2001:db8::1', 0), 'allowed');
  t.equal(addresses.admits('', 0), 'allowed');
});

t.test('addresses: an address has so many links, and no more', async (t) => {
  const addresses = make({ linksPerAddressMax: 2 });

  t.equal(addresses.admits(A, 0), 'allowed');
  addresses.opened(A);
  t.equal(addresses.admits(A, 0), 'allowed');
  addresses.opened(`::ffff:${A}`);
  t.equal(addresses.admits(A, 0), 'too-many-links');
  t.equal(addresses.admits(B, 0), 'allowed');

  addresses.closed(A);
  t.equal(addresses.admits(A, 0), 'allowed');
  addresses.closed(A);
  t.equal(addresses.size, 0, 'an address without links is not kept');
  addresses.closed(A);
  addresses.opened(A);
  addresses.opened(A);
  t.equal(addresses.admits(A, 0), 'too-many-links', 'one end too many frees nothing');
  t.equal(addresses.size, 1);
});

t.test('addresses: IPv6 counts by its /64', async (t) => {
  const addresses = make({ linksPerAddressMax: 1 });
  const isFull = (address: string) => addresses.admits(address, 0) === 'too-many-links';

  addresses.opened('2001:db8:0:1::7');
  t.ok(isFull('2001:db8:0:1:ffff:ffff:ffff:ffff'));
  t.ok(isFull('2001:0DB8:0000:0001::'));
  t.ok(isFull('2001:db8:0:1:0:0:192.0.2.7'));
  t.notOk(isFull('2001:db8:0:2::7'));
  t.notOk(isFull('2001:db8::7'));

  addresses.opened('::1');
  t.ok(isFull('::2'));
  t.ok(isFull('::192.0.2.7'), 'not the IPv4 address, which is ::ffff:192.0.2.7');
  t.notOk(isFull('0:0:0:1::1'));

  addresses.opened('fe80::1%lo');
  t.ok(isFull('fe80::2'));
  addresses.opened('1:2:3:4::');
  t.ok(isFull('1:2:3:4:5:6:7:8'));
  addresses.opened('64:ff9b::192.0.2.7');
  t.ok(isFull('64:ff9b:0:0:1::'));
  t.equal(addresses.size, 5);
});

t.test('addresses: after so many failures none is admitted, until they are old', async (t) => {
  const addresses = make({ authFailuresMax: 3, authFailuresMs: 1_000 });

  addresses.failed(A, 100);
  addresses.failed(A, 200);
  t.equal(addresses.admits(A, 200), 'allowed');
  addresses.failed(A, 900);
  t.equal(addresses.admits(A, 900), 'too-many-failures');
  t.equal(addresses.admits(`::ffff:${A}`, 900), 'too-many-failures');
  t.equal(addresses.admits(B, 900), 'allowed');
  t.equal(addresses.admits(A, 1_099), 'too-many-failures');
  t.equal(addresses.admits(A, 1_100), 'allowed', 'authFailuresMs after the first');

  addresses.failed(A, 1_100);
  t.equal(addresses.admits(A, 1_100), 'allowed', 'they are counted anew');
});

t.test('addresses: a failure says nothing of links, nor a link of failures', async (t) => {
  const addresses = make({ authFailuresMax: 1, linksPerAddressMax: 1 });

  addresses.opened(A);
  addresses.failed(B, 0);

  t.equal(addresses.admits(A, 0), 'too-many-links');
  t.equal(addresses.admits(B, 0), 'too-many-failures');
});

t.test('addresses: old failures are not kept', async (t) => {
  const addresses = make({ authFailuresMax: 3, authFailuresMs: 1_000 });

  for (let i = 0; i < 1_000; i += 1) addresses.failed(`10.0.${i >> 8}.${i & 255}`, i);
  t.equal(addresses.size, 1_000);
  addresses.failed(A, 1_499);

  t.equal(addresses.size, 501);
});

t.test('addresses: at the limit the oldest failures are forgotten', async (t) => {
  const addresses = make({ authFailuresMax: 1 });
  const nth = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;

  for (let i = 0; i < FAILED_ADDRESSES_MAX + 10; i += 1) addresses.failed(nth(i), 0);

  t.equal(addresses.size, FAILED_ADDRESSES_MAX);
  t.equal(addresses.admits(nth(9), 0), 'allowed');
  t.equal(addresses.admits(nth(10), 0), 'too-many-failures');
});

t.test('addresses: what is no address is not counted', async (t) => {
  const addresses = make({ authFailuresMax: 1, linksPerAddressMax: 1 });

  addresses.opened('');
  addresses.failed('', 0);
  addresses.closed('');

  t.equal(addresses.admits('', 0), 'allowed');
  t.equal(addresses.size, 0);
});

t.test('networks: each bit of the prefix counts', async (t) => {
  t.ok(isListed(readCidrs(['10.128.0.0/9']), '10.128.0.1'));
  t.notOk(isListed(readCidrs(['10.128.0.0/9']), '10.127.255.255'));
  t.ok(isListed(readCidrs(['2001:db8:8000::/33']), '2001:db8:ffff::1'));
  t.notOk(isListed(readCidrs(['2001:db8:8000::/33']), '2001:db8:7fff::1'));
  t.ok(isListed(readCidrs(['10.1.2.3/8']), '10.9.9.9'), 'what is behind it does not');
  t.ok(isListed(readCidrs(['::/0']), '2001:db8::1'));
  t.notOk(isListed(readCidrs(['::/0']), A), 'networks of IPv6 hold no IPv4');
  t.ok(isListed(readCidrs(['fe80::/10']), 'fe80::1%lo'));
  t.notOk(isListed(readCidrs([]), A));
});

for (const text of ['', ' ', ' 10.0.0.0/8', '10.0.0/8', '010.0.0.0/8', 'fe80::1%lo', 'lo', '/8']) {
  t.test(`networks: '${text}' is none`, async (t) => {
    const sentence = `'${text}' is not a network such as 10.0.0.0/8 or 2001:db8::/32`;

    t.throws(() => readCidrs(['::1', text]), { message: sentence });
  });
}

for (const [text, bits] of [
  ['10.0.0.0/33', 32],
  ['10.0.0.0/', 32],
  ['10.0.0.0/8 ', 32],
  ['10.0.0.0/08', 32],
  ['10.0.0.0/-1', 32],
  ['10.0.0.0/255.0.0.0', 32],
  ['2001:db8::/129', 128],
] as const) {
  t.test(`networks: '${text}' has a prefix that is none`, async (t) => {
    const message = `'${text}' must have a number from 0 to ${bits} behind its slash`;

    t.throws(() => readCidrs([text]), { message });
  });
}

t.test('networks: two slashes, and IPv4 written as IPv6', async (t) => {
  t.throws(() => readCidrs(['10.0.0.0/8/8']), { message: /is not a network/ });
  t.throws(() => readCidrs(['::ffff:10.0.0.0/104']), { message: /write it as IPv4$/ });
});
