/**
 * PROXY headers of any content read as they were meant, and bytes of any kind as a slow reader of
 * the specification reads them, however they are cut: no crash, and nothing taken that is none.
 * 100,000 changed headers; OWSLA_SOAK=1: 10,000,000. SEED= repeats a run.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { Random } from '../../loadgen/plan/random.ts';
import {
  PROXY_BYTES_MAX,
  PROXY_FAULTS,
  type ProxyFault,
  type ProxyHeader,
  ProxyHeaderError,
  readProxyHeader,
} from '../../src/acceptor/establish/proxyHeader.ts';
import {
  addressHex,
  binary,
  inet,
  inet6,
  type SlowHeader,
  SSL_TYPE_OF,
  slowProxyHeader,
  sslTlv,
  TYPE_OF,
  tlv,
  withChecksum,
} from '../helpers/proxyHeaders.ts';

const INPUTS = process.env.OWSLA_SOAK === undefined ? 100_000 : 10_000_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** What came of it; an error that is none of ours is thrown on. */
function outcomeOf(bytes: Buffer): ProxyHeader | 'more' | ProxyFault {
  try {
    return readProxyHeader(bytes);
  } catch (error) {
    if (!(error instanceof ProxyHeaderError)) throw error;
    return error.reason;
  }
}

/** The header with its address as bytes, which have one spelling. */
function inHex(header: ProxyHeader): SlowHeader {
  const { source } = header;
  if (source === undefined) return { ...header, source };
  return { ...header, source: { ...source, address: addressHex(source.address) ?? 'none' } };
}

interface Sample {
  readonly header: Buffer;
  readonly source: { readonly address: string; readonly port: number } | undefined;
  readonly ssl: ProxyHeader['ssl'];
}

const port = fc.integer({ min: 0, max: 65_535 });
const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const ends = <T>(address: fc.Arbitrary<T>) =>
  fc.record({ from: address, to: address, fromPort: port, toPort: port });

const line: fc.Arbitrary<Sample> = fc
  .oneof(
    fc.tuple(fc.constant('TCP4'), ends(fc.ipV4())),
    fc.tuple(fc.constant('TCP6'), ends(fc.ipV6())),
  )
  .map(([family, { from, to, fromPort, toPort }]) => ({
    header: Buffer.from(`PROXY ${family} ${from} ${to} ${fromPort} ${toPort}\r\n`),
    source: { address: from, port: fromPort },
    ssl: undefined,
  }))
  .filter(({ header }) => header.length <= 107);

const others = fc.array(
  fc.tuple(
    fc.constantFrom(0x00, 0x01, 0x02, 0x04, 0x05, 0x21, 0x22, 0x30, 0xe0, 0xff),
    fc.uint8Array({ maxLength: 30 }),
  ),
  { maxLength: 4 },
);
const tls = fc.record({
  now: fc.boolean(),
  before: fc.boolean(),
  verify: fc.constantFrom(0, 0, 0, 1, 10, 0xff, 0xffffffff),
  version: maybe(fc.constantFrom('TLSv1.2', 'TLSv1.3')),
  commonName: maybe(word),
});

const ofVersion2: fc.Arbitrary<Sample> = fc
  .record({
    isIPv4: fc.boolean(),
    v4: ends(fc.ipV4()),
    v6: ends(fc.ipV6()),
    others,
    tls: maybe(tls),
    isChecked: fc.boolean(),
  })
  .map(({ isIPv4, v4, v6, others, tls, isChecked }) => {
    const of = isIPv4 ? v4 : v6;
    const addresses = (isIPv4 ? inet : inet6)(of.from, of.fromPort, of.to, of.toPort);
    const tlvs = others.map(([type, value]) => tlv(type, value));
    if (tls !== undefined) tlvs.splice(tlvs.length >> 1, 0, tlsTlv(tls));
    const plain = binary(0x21, isIPv4 ? 0x11 : 0x21, addresses, ...tlvs);
    return {
      header: isChecked ? withChecksum(plain) : plain,
      source: { address: of.from, port: of.fromPort },
      ssl: tls && meaningOf(tls),
    };
  });

type Tls = typeof tls extends fc.Arbitrary<infer T> ? T : never;

function tlsTlv({ now, before, verify, version, commonName }: Tls): Buffer {
  const within = [
    ...(version === undefined ? [] : [tlv(SSL_TYPE_OF.version, version)]),
    ...(commonName === undefined ? [] : [tlv(SSL_TYPE_OF.commonName, commonName)]),
  ];
  return sslTlv(1 + (now ? 2 : 0) + (before ? 4 : 0), verify, ...within);
}

function meaningOf({ now, before, verify, version, commonName }: Tls): ProxyHeader['ssl'] {
  const hasClientCert = now || before;
  const isVerified = hasClientCert && verify === 0;
  return { hasClientCert, isSession: before && !now, isVerified, version, commonName };
}

t.test('proxy header: what a proxy means is what is read, however it is cut', async (t) => {
  const tail = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(fc.oneof(line, ofVersion2), tail, fc.nat(), ({ header, source, ssl }, tail, at) => {
      const read = outcomeOf(Buffer.concat([header, tail]));
      assert.ok(typeof read === 'object', String(read));
      const address = source && addressHex(source.address);
      assert.deepEqual(inHex(read), { bytes: header.length, source: { ...source, address }, ssl });
      assert.equal(outcomeOf(header.subarray(0, at % header.length)), 'more');
      assert.deepEqual(outcomeOf(header), read);
    }),
    { numRuns: 3_000 },
  );
  t.pass('held for every run');
});

t.test('proxy header: any bytes read alike byte by byte and at once', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 80 });
  const start = fc.constantFrom('', 'PROXY ', 'PROXY TCP4 ', '\r\n\r\n\0\r\nQUIT\n', '\r\n\r\n\0');
  fc.assert(
    fc.property(start, bytes, (start, rest) => {
      const input = Buffer.concat([Buffer.from(start, 'latin1'), rest]);
      const whole = outcomeOf(input);
      const byByte = Array.from({ length: input.length + 1 }, (_, n) =>
        outcomeOf(input.subarray(0, n)),
      ).find((outcome) => outcome !== 'more');
      assert.deepEqual(byByte ?? 'more', whole);
    }),
    { numRuns: 5_000 },
  );
  t.pass('held for every run');
});

const text = (line: string) => Buffer.from(line, 'latin1');
const V4 = inet('192.0.2.7', 40_001);
const V6 = inet6('2001:db8::7', 40_002);
const SSL = sslTlv(7, 0, tlv(SSL_TYPE_OF.version, 'TLSv1.3'), tlv(SSL_TYPE_OF.commonName, 'pump'));
const NOOP = tlv(TYPE_OF.noop, 'noop');

/** What the changed headers are made from. */
const CORPUS: readonly Buffer[] = [
  text('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n'),
  text('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n'),
  text('PROXY TCP6 2001:db8::7 ::ffff:192.0.2.7 1 0\r\n'),
  text(`PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`),
  text('PROXY UNKNOWN\r\n'),
  text(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`),
  binary(0x21, 0x11, V4),
  binary(0x21, 0x21, V6),
  binary(0x21, 0x31, Buffer.alloc(216), SSL),
  binary(0x21, 0x00, V4),
  binary(0x20, 0x00),
  binary(0x20, 0x11, V4, NOOP),
  binary(0x21, 0x11, V4, NOOP, SSL, NOOP),
  binary(0x21, 0x21, V6, SSL, tlv(TYPE_OF.uniqueId, Buffer.alloc(128, 7))),
  binary(0x21, 0x11, V4, sslTlv(5, 10, tlv(SSL_TYPE_OF.cipher, 'TLS_AES_128_GCM_SHA256'))),
  binary(0x21, 0x11, V4, sslTlv(1, 0, tlv(SSL_TYPE_OF.version, 'TLSv1.2'))),
  withChecksum(binary(0x21, 0x11, V4)),
  withChecksum(binary(0x21, 0x21, V6, SSL, NOOP)),
  binary(0x21, 0x11, V4, tlv(TYPE_OF.noop, Buffer.alloc(PROXY_BYTES_MAX - 31))),
];
const WORDS = [
  ...[' ', '  ', '\r', '\n', '\r\n', '\0', '0', '00', ':', '::', '.', '%', '65536', 'f', 'TCP4'],
  ...[
    'UNKNOWN',
    'PROXY ',
    '\r\n\r\n\0\r\nQUIT\n',
    '\x20\0\x05\x07\0\0\0\0',
    '\x22\0\x01x',
    '\x04\0\0',
  ],
].map(text);
const BYTES = [0, 1, 2, 3, 4, 5, 7, 0x0a, 0x0d, 0x11, 0x20, 0x21, 0x22, 0x30, 0x31, 0x7f, 0xff];

class Mutator {
  readonly #random: Random;
  constructor(random: Random) {
    this.#random = random;
  }

  #below(count: number): number {
    return this.#random.below(count);
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#below(of.length)] as T;
  }

  /** A header with none to four changes; half of them have their length or checksum put right. */
  next(): Buffer {
    let bytes: Buffer = Buffer.from(this.#pick(CORPUS));
    for (let changes = this.#below(5); changes > 0; changes -= 1) bytes = this.#change(bytes);
    if (bytes.length >= 16 && bytes[0] === 0x0d && this.#below(2) === 0) {
      const isEnding = this.#below(3) === 0;
      bytes.writeUInt16BE(Math.min(bytes.length - 16, 0xffff), 14);
      if (isEnding) bytes = Buffer.concat([withChecksum(bytes), this.#pick(WORDS)]);
    }
    return bytes;
  }

  #change(bytes: Buffer): Buffer {
    const at = this.#below(bytes.length + 1);
    const rest = bytes.subarray(at);
    const start = bytes.subarray(0, at);
    const some = rest.subarray(0, this.#below(Math.min(rest.length + 1, 24)));
    switch (this.#below(8)) {
      case 0:
        return start.length === 0 ? bytes : start;
      case 1:
        return Buffer.concat([start, this.#pick(WORDS), rest]);
      case 2:
        return Buffer.concat([start, rest.subarray(some.length)]);
      case 3:
        return Buffer.concat([start, some, rest]);
      case 4:
        return Buffer.concat([start, this.#pick(CORPUS).subarray(0, 300)]);
      case 5:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#below(8));
        return bytes;
      default:
        if (at < bytes.length) bytes[at] = this.#pick(BYTES);
        return bytes;
    }
  }
}

function isSame(read: ProxyHeader, slow: SlowHeader): boolean {
  const { source, ssl, bytes } = read;
  if (bytes !== slow.bytes || (ssl === undefined) !== (slow.ssl === undefined)) return false;
  if ((source === undefined) !== (slow.source === undefined)) return false;
  if (source !== undefined && addressHex(source.address) !== slow.source?.address) return false;
  return (
    source?.port === slow.source?.port &&
    ssl?.hasClientCert === slow.ssl?.hasClientCert &&
    ssl?.isSession === slow.ssl?.isSession &&
    ssl?.isVerified === slow.ssl?.isVerified &&
    ssl?.version === slow.ssl?.version &&
    ssl?.commonName === slow.ssl?.commonName
  );
}

/** Is this what the slow reader says of it? */
function agrees(outcome: ProxyHeader | 'more' | ProxyFault, bytes: Buffer): boolean {
  const slow = slowProxyHeader(bytes);
  if (typeof outcome === 'object') return typeof slow === 'object' && isSame(outcome, slow);
  return outcome === 'more' ? slow === 'more' : slow === 'refused';
}

/** A part that is cut off says 'more', or what the whole says. */
function fits(part: ProxyHeader | 'more' | ProxyFault, whole: typeof part): boolean {
  if (part === 'more' || part === whole) return true;
  return typeof part === 'object' && typeof whole === 'object' && part.bytes === whole.bytes;
}

t.test(`proxy header: ${INPUTS} changed headers, SEED=${seed}`, async (t) => {
  const random = new Random(seed);
  const mutator = new Mutator(random);
  const seen = new Map<string, number>();
  const wrong: string[] = [];
  for (let count = 0; count < INPUTS && wrong.length < 10; count += 1) {
    const bytes = mutator.next();
    const outcome = outcomeOf(bytes);
    const part = outcomeOf(bytes.subarray(0, random.below(bytes.length + 1)));
    if (!agrees(outcome, bytes) || !fits(part, outcome)) wrong.push(bytes.toString('hex'));
    const kind = typeof outcome === 'object' ? 'read' : outcome;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
  }

  t.same(wrong, []);
  const rare = ['read', 'more', ...PROXY_FAULTS].filter((kind) => (seen.get(kind) ?? 0) < 100);
  t.same(rare, [], 'each kind of outcome comes about');
  t.comment(Object.fromEntries(seen));
});
