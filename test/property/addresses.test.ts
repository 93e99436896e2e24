/** Addresses of any spelling: those of one /64, or one IPv4 address, count as one; no others do. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { Addresses } from '../../src/acceptor/establish/addresses.ts';
import { addressHex } from '../helpers/proxyHeaders.ts';

const LIMITS = { linksPerAddressMax: 1, authFailuresMax: 1, authFailuresMs: 1_000 };
const MAPPED = `${'0000'.repeat(5)}ffff`;

/** What an address counts by, from its bytes. */
function countedBy(address: string): string {
  const hex = addressHex(address) ?? 'none';
  if (hex.length === 8) return hex;
  return hex.startsWith(MAPPED) ? hex.slice(MAPPED.length) : hex.slice(0, 16);
}

/** 16 bytes as one of the spellings that they have. */
function spell(bytes: Uint8Array, how: number): string {
  const hex = Buffer.from(bytes).toString('hex');
  const groups = hex.match(/.{4}/g) ?? [];
  const written = groups.map((group) =>
    how & 1 ? group : Number.parseInt(group, 16).toString(16),
  );
  if (how & 2) written.splice(6, 2, Buffer.from(bytes).subarray(12).join('.'));
  const text = how & 4 ? written.join(':').toUpperCase() : written.join(':');
  return how & 8 ? text.replace(/(?:^|:)(?:0+(?::|$)){2,}/, '::') : text;
}

const how = fc.nat({ max: 15 });
const byte = fc.constantFrom(0, 0, 0, 1, 0xff);
const bytes = fc.array(byte, { minLength: 16, maxLength: 16 }).map((of) => Uint8Array.from(of));
const mapped = fc
  .array(byte, { minLength: 4, maxLength: 4 })
  .map((of) => Uint8Array.from([...Buffer.from(MAPPED, 'hex'), ...of]));
const ipv6 = fc.tuple(fc.oneof(bytes, mapped), how).map(([of, how]) => spell(of, how));
const ipv4 = fc.array(byte, { minLength: 4, maxLength: 4 }).map((of) => of.join('.'));
const address = fc.oneof(ipv6, ipv4, fc.ipV6(), fc.ipV4());

t.test('addresses: what counts as one is one, however it is written', async (t) => {
  let same = 0;
  fc.assert(
    fc.property(address, address, (one, other) => {
      const links = new Addresses({ limits: LIMITS });
      const failures = new Addresses({ limits: LIMITS });
      links.opened(one);
      failures.failed(one, 0);
      const isSame = countedBy(one) === countedBy(other);
      if (isSame) same += 1;
      assert.equal(links.admits(one, 0), 'too-many-links');
      assert.equal(links.admits(other, 0), isSame ? 'too-many-links' : 'allowed');
      assert.equal(failures.admits(other, 0), isSame ? 'too-many-failures' : 'allowed');
      links.closed(one);
      assert.equal(links.size, 0);
    }),
    { numRuns: 20_000 },
  );
  t.ok(same > 20, `${same} pairs were one`);
});
