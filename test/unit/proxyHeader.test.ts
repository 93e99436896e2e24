/** PROXY headers, each by hand: what is read, what is incomplete, what is refused and why. */
import t from 'tap';
import {
  PROXY_BYTES_MAX,
  PROXY_FAULTS,
  PROXY_LINE_BYTES_MAX,
  type ProxyFault,
  type ProxyHeader,
  ProxyHeaderError,
  readProxyHeader,
} from '../../src/acceptor/establish/proxyHeader.ts';
import {
  binary,
  CLIENT,
  inet,
  inet6,
  SSL_TYPE_OF,
  slowCrc32c,
  sslTlv,
  TYPE_OF,
  tlv,
  withChecksum,
} from '../helpers/proxyHeaders.ts';

const PROXY = 0x21;
const LOCAL = 0x20;
const INET = 0x11;
const INET6 = 0x21;
const UNIX = 0x31;
const UNSPEC = 0x00;

const text = (line: string) => Buffer.from(line, 'latin1');
const hex = (digits: string) => Buffer.from(digits.replaceAll(' ', ''), 'hex');

type Read = Omit<ProxyHeader, 'bytes'>;
const NOTHING: Read = { source: undefined, ssl: undefined };
const from = (address: string, port: number): Read => ({ ...NOTHING, source: { address, port } });
const SOURCE = inet('192.0.2.7', 40_001);
const VERSION = tlv(SSL_TYPE_OF.version, 'TLSv1.3');
const CN = tlv(SSL_TYPE_OF.commonName, 'pump-17');
const TLS = {
  hasClientCert: true,
  isSession: false,
  isVerified: true,
  version: 'TLSv1.3',
  commonName: 'pump-17',
};
const withSsl = (ssl: Read['ssl']): Read => ({ ...from('192.0.2.7', 40_001), ssl });

const IPV6_MAX = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';

/** Each header exactly as it comes, and what it says. */
const GOOD: Readonly<Record<string, readonly [Buffer, Read]>> = {
  'the example of the specification': [
    text('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n'),
    from('192.168.0.1', 56_324),
  ],
  'the longest TCP4 line': [
    text('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n'),
    from('255.255.255.255', 65_535),
  ],
  'the longest TCP6 line': [
    text(`PROXY TCP6 ${IPV6_MAX} ${IPV6_MAX} 65535 65535\r\n`),
    from(IPV6_MAX, 65_535),
  ],
  'port 0': [text('PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n'), from('1.2.3.4', 0)],
  'TCP6, its spelling made short': [
    text('PROXY TCP6 2001:0DB8:0:0:0:0:0:1 ::1 1 2\r\n'),
    from('2001:db8::1', 1),
  ],
  'TCP6 of an IPv4 device': [
    text('PROXY TCP6 ::FFFF:192.0.2.7 ::ffff:7f00:1 1 2\r\n'),
    from('::ffff:192.0.2.7', 1),
  ],
  'UNKNOWN, short': [text('PROXY UNKNOWN\r\n'), NOTHING],
  'UNKNOWN at its longest: 107 bytes': [
    text(`PROXY UNKNOWN ${IPV6_MAX} ${IPV6_MAX} 65535 65535\r\n`),
    NOTHING,
  ],
  'UNKNOWN with words that mean nothing': [text('PROXY UNKNOWN  what ever\r\n'), NOTHING],
  'TCP over IPv4, byte by byte': [
    hex('0d0a0d0a 000d0a51 5549540a 21 11 000c c0000207 7f000001 9c41 1b58'),
    from('192.0.2.7', 40_001),
  ],
  'TCP over IPv6, byte by byte': [
    hex(
      `0d0a0d0a 000d0a51 5549540a 21 21 0024
      20010db8 00000000 00000000 00000007 00000000 00000000 00000000 00000001 9c41 1b58`.replaceAll(
        '\n',
        '',
      ),
    ),
    from('2001:db8::7', 40_001),
  ],
  'IPv6 of an IPv4 device': [
    binary(PROXY, INET6, inet6('::ffff:192.0.2.7', 1)),
    from('::ffff:192.0.2.7', 1),
  ],
  'Unix: no address': [binary(PROXY, UNIX, Buffer.alloc(216, 'x')), NOTHING],
  'Unix with a certificate': [
    binary(PROXY, UNIX, Buffer.alloc(216), sslTlv(CLIENT.withCert, 0, VERSION, CN)),
    { source: undefined, ssl: TLS },
  ],
  'unspecified: the block is ignored': [binary(PROXY, UNSPEC, hex('01 02 03 04 05')), NOTHING],
  'LOCAL: a health check': [binary(LOCAL, UNSPEC), NOTHING],
  'LOCAL: family and block are ignored': [binary(LOCAL, 0xff, hex('20 ff')), NOTHING],
  'LOCAL: addresses are ignored': [binary(LOCAL, INET, SOURCE), NOTHING],
  'TLVs that nobody needs': [
    binary(PROXY, INET, SOURCE, tlv(TYPE_OF.alpn, 'x'), tlv(0xe0, ''), tlv(TYPE_OF.noop, 'abc')),
    from('192.0.2.7', 40_001),
  ],
  'unknown TLVs may come twice': [
    binary(PROXY, INET, SOURCE, tlv(TYPE_OF.noop, ''), tlv(TYPE_OF.noop, '')),
    from('192.0.2.7', 40_001),
  ],
  'a checksum': [withChecksum(binary(PROXY, INET, SOURCE)), from('192.0.2.7', 40_001)],
  'a checksum before other TLVs': [
    hex('0d0a0d0a 000d0a51 5549540a 21 11 0016 c0000207 7f000001 9c41 1b58 030004 740b64a6 040000'),
    from('192.0.2.7', 40_001),
  ],
  'HAProxy 2.6.12, recorded: a checksum': [
    hex('0d0a0d0a000d0a515549540a 21 11 0013 7f000001 7f4d4237 d476 1b59 030004 760f4a76'),
    from('127.0.0.1', 54_390),
  ],
  'HAProxy 2.6.12, recorded: TLS fields of a link without TLS': [
    hex(
      '0d0a0d0a000d0a515549540a 21 11 001b 7f000001 7f4d4237 d4a4 1b59 030004 5e525a7f ' +
        '200005 00 00000000',
    ),
    from('127.0.0.1', 54_436),
  ],
  'a verified certificate': [
    binary(PROXY, INET, SOURCE, sslTlv(CLIENT.withCert, 0, VERSION, CN)),
    withSsl(TLS),
  ],
  'a certificate of a TLS link that this one resumes': [
    binary(PROXY, INET, SOURCE, sslTlv(CLIENT.resumed, 0, VERSION, CN)),
    withSsl({ ...TLS, isSession: true }),
  ],
  'TLS without a certificate: verify 0 proves nothing': [
    binary(PROXY, INET, SOURCE, sslTlv(CLIENT.tls, 0, VERSION)),
    withSsl({ ...TLS, hasClientCert: false, isVerified: false, commonName: undefined }),
  ],
  'verify 0 and a name, but no certificate': [
    binary(PROXY, INET, SOURCE, sslTlv(CLIENT.tls, 0, VERSION, CN)),
    withSsl({ ...TLS, hasClientCert: false, isVerified: false }),
  ],
  'a certificate that was not verified': [
    binary(PROXY, INET, SOURCE, sslTlv(CLIENT.withCert, 10, VERSION, CN)),
    withSsl({ ...TLS, isVerified: false }),
  ],
  'verify in each of its bytes': [
    binary(PROXY, INET, SOURCE, sslTlv(CLIENT.withCert, 0x0100_0000, VERSION, CN)),
    withSsl({ ...TLS, isVerified: false }),
  ],
  'flags of a certificate, but no TLS': [
    binary(PROXY, INET, SOURCE, sslTlv(CLIENT.withCert - CLIENT.tls, 0, VERSION, CN)),
    withSsl(undefined),
  ],
  'unknown flags and TLVs of TLS are ignored': [
    binary(PROXY, INET, SOURCE, sslTlv(0xff, 0, tlv(SSL_TYPE_OF.cipher, 'x'), CN, VERSION)),
    withSsl(TLS),
  ],
  'TLS of which nothing is said': [
    binary(PROXY, INET, SOURCE, sslTlv(CLIENT.withCert, 0)),
    withSsl({ ...TLS, version: undefined, commonName: undefined }),
  ],
  'a name in UTF-8': [
    binary(PROXY, INET, SOURCE, sslTlv(7, 0, VERSION, tlv(SSL_TYPE_OF.commonName, 'pompe-é'))),
    withSsl({ ...TLS, commonName: 'pompe-é' }),
  ],
  'a name that holds a NUL is not cut there': [
    binary(PROXY, INET, SOURCE, sslTlv(7, 0, VERSION, tlv(SSL_TYPE_OF.commonName, 'pump-17\0x'))),
    withSsl({ ...TLS, commonName: 'pump-17\0x' }),
  ],
  'a name that begins with a byte order mark keeps it': [
    binary(PROXY, INET, SOURCE, sslTlv(7, 0, VERSION, tlv(0x22, '\ufeffpump-17'))),
    withSsl({ ...TLS, commonName: '\ufeffpump-17' }),
  ],
  'a name that is not UTF-8 is none': [
    binary(PROXY, INET, SOURCE, sslTlv(7, 0, VERSION, tlv(0x22, hex('70 75 6d 70 e9')))),
    withSsl({ ...TLS, commonName: undefined }),
  ],
  'an empty name is none': [
    binary(PROXY, INET, SOURCE, sslTlv(7, 0, VERSION, tlv(0x22, ''))),
    withSsl({ ...TLS, commonName: undefined }),
  ],
  'the longest header': [
    binary(PROXY, INET, SOURCE, tlv(TYPE_OF.noop, Buffer.alloc(PROXY_BYTES_MAX - 16 - 12 - 3))),
    from('192.0.2.7', 40_001),
  ],
};

for (const [name, [header, said]] of Object.entries(GOOD)) {
  t.test(`proxy header: ${name}`, async (t) => {
    const read = { ...said, bytes: header.length };

    t.strictSame(readProxyHeader(header), read);
    t.strictSame(readProxyHeader(Buffer.concat([header, header])), read, 'what follows stays');
    const early = Array.from({ length: header.length }, (_, length) => length).filter(
      (length) => readProxyHeader(header.subarray(0, length)) !== 'more',
    );
    t.strictSame(early, [], 'each beginning of it is incomplete');
  });
}

t.test('proxy header: the vectors are what they say', async (t) => {
  t.equal(slowCrc32c(text('123456789')), 0xe3069283, 'the check value of CRC-32C');
  t.equal(GOOD['UNKNOWN at its longest: 107 bytes']?.[0].length, PROXY_LINE_BYTES_MAX);
  t.equal(GOOD['the longest header']?.[0].length, PROXY_BYTES_MAX);
});

const LINE = 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n';
const cutTlv = (bytes: string) => binary(PROXY, INET, SOURCE, hex(bytes));
const ssl = (value: string) => binary(PROXY, INET, SOURCE, tlv(TYPE_OF.ssl, hex(value)));
const changed = (header: Buffer, at: number, value: number) => {
  const copy = Buffer.from(header);
  copy[at] = value;
  return copy;
};
const CHECKED = withChecksum(binary(PROXY, INET, SOURCE));

const BAD: Readonly<Record<ProxyFault, Readonly<Record<string, Buffer>>>> = {
  'not-proxy': {
    'one byte of HELLO': hex('00'),
    'one byte of TLS': hex('16'),
    'the first byte of HTTP': text('G'),
    'another word': text('PROXI'),
    'small letters': text('proxy TCP4'),
    'a blank before it': text(` ${LINE}`),
    'no blank behind the word': text('PROXY\tTCP4'),
    'HTTP with a P': text('POST / HTTP/1.1\r\n'),
    'a CRLF and then something else': text('\r\nPROXY'),
    'a signature with its last byte changed': hex('0d0a0d0a000d0a515549540b'),
    'a line behind half a signature': Buffer.concat([hex('0d0a0d0a'), text(LINE)]),
  },
  'too-long': {
    'a line of 107 bytes without an end': text(`PROXY UNKNOWN ${'x'.repeat(93)}`),
    'a line of 108 bytes': text(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`),
    'a block of one byte too much': binary(PROXY, INET, Buffer.alloc(PROXY_BYTES_MAX - 15)),
    'the longest block, announced only': hex('0d0a0d0a000d0a515549540a 21 11 ffff'),
    'LOCAL, announced only': hex('0d0a0d0a000d0a515549540a 20 00 ffff'),
  },
  'bad-line': {
    'LF alone': text('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n'),
    'CR alone': text('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rx'),
    'two CRs': text('PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r\n'),
    'a NUL': text('PROXY TCP4 1.2.3.4\0'),
    'a tab': text('PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n'),
    'a byte above ASCII': text('PROXY UNKNOWN \xe9\r\n'),
    'two blanks': text('PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n'),
    'a blank at the end': text('PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n'),
    'a word too few': text('PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n'),
    'a word too many': text('PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n'),
    'nothing but TCP4': text('PROXY TCP4\r\n'),
  },
  'bad-family': {
    UDP4: text('PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n'),
    'small letters': text('PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n'),
    'UNKNOWN and more letters': text('PROXY UNKNOWNX\r\n'),
    nothing: text('PROXY \r\n'),
    'two blanks before it': text('PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n'),
    'UDP over IPv4': binary(PROXY, 0x12, SOURCE),
    'UDP over IPv6': binary(PROXY, 0x22, Buffer.alloc(36)),
    'Unix datagrams': binary(PROXY, 0x32, Buffer.alloc(216)),
    'IPv4 of no transport': binary(PROXY, 0x10, SOURCE),
    'a transport of no family': binary(PROXY, 0x01),
    'a family that is not defined': binary(PROXY, 0x41, Buffer.alloc(300)),
    'its byte alone': binary(PROXY, 0xff).subarray(0, 14),
  },
  'bad-address': {
    'a leading zero': text('PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n'),
    'three numbers': text('PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n'),
    '256': text('PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n'),
    hexadecimal: text('PROXY TCP4 0x1.2.3.4 5.6.7.8 1 2\r\n'),
    'IPv6 in TCP4': text('PROXY TCP4 ::1 5.6.7.8 1 2\r\n'),
    'IPv4 in TCP6': text('PROXY TCP6 1.2.3.4 ::1 1 2\r\n'),
    'a zone': text('PROXY TCP6 fe80::1%lo ::1 1 2\r\n'),
    brackets: text('PROXY TCP6 [::1] ::1 1 2\r\n'),
    'two shortenings': text('PROXY TCP6 1::2::3 ::1 1 2\r\n'),
    'a name': text('PROXY TCP4 localhost 5.6.7.8 1 2\r\n'),
    'another target': text('PROXY TCP4 1.2.3.4 5.6.7.8.9 1 2\r\n'),
    'port 65536': text('PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n'),
    'a target port of 65536': text('PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n'),
    'a port with a leading zero': text('PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n'),
    'a port 00': text('PROXY TCP4 1.2.3.4 5.6.7.8 00 2\r\n'),
    'a negative port': text('PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n'),
    'a port with a sign': text('PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n'),
    'a port in another notation': text('PROXY TCP4 1.2.3.4 5.6.7.8 1e3 2\r\n'),
  },
  'bad-command': {
    'version 1 in binary': binary(0x11, INET, SOURCE),
    'version 3': binary(0x31, INET, SOURCE),
    'command 2': binary(0x22, INET, SOURCE),
    'its byte alone': binary(0x2f, INET).subarray(0, 13),
  },
  'bad-length': {
    'IPv4 of 11 bytes': binary(PROXY, INET, SOURCE.subarray(1)),
    'IPv4 of none, announced only': binary(PROXY, INET),
    'IPv6 of 35 bytes': binary(PROXY, INET6, Buffer.alloc(35)),
    'Unix of 215 bytes': binary(PROXY, UNIX, Buffer.alloc(215)),
  },
  'bad-tlv': {
    'a type alone': cutTlv('04'),
    'half a length': cutTlv('04 00'),
    'a value that runs over the end': cutTlv('04 00 01'),
    'one that would run into the device’s bytes': cutTlv('04 ff ff'),
    'TLS too short for its flags': ssl('01 00 00 00'),
    'TLS with a TLV cut short': ssl('01 00000000 21 00'),
    'TLS with a TLV longer than itself': ssl('01 00000000 22 0002 61'),
    'TLS twice': binary(PROXY, INET, SOURCE, sslTlv(1, 0), sslTlv(7, 0, CN)),
    'two names': binary(PROXY, INET, SOURCE, sslTlv(7, 0, CN, CN)),
    'two versions': binary(PROXY, INET, SOURCE, sslTlv(7, 0, VERSION, VERSION)),
    'a version of no text': ssl('01 00000000 21 0001 0a'),
    'an empty version': ssl('01 00000000 21 0000'),
    'a checksum of 3 bytes': cutTlv('03 0003 000000'),
    'a checksum of 5 bytes': cutTlv('03 0005 0000000000'),
    'two checksums': withChecksum(CHECKED),
  },
  'bad-checksum': {
    'one of zeros': cutTlv('03 0004 00000000'),
    'a bit of the address changed': changed(CHECKED, 16, 0xc1),
    'a bit of the port changed': changed(CHECKED, 25, 0x40),
    'a bit of itself changed': changed(CHECKED, CHECKED.length - 1, ~(CHECKED.at(-1) ?? 0)),
  },
};

/** What came of these bytes: the fault as a word. */
function faultOf(bytes: Buffer): ProxyFault | 'more' | 'read' {
  try {
    return readProxyHeader(bytes) === 'more' ? 'more' : 'read';
  } catch (error) {
    if (!(error instanceof ProxyHeaderError)) throw error;
    return error.reason;
  }
}

for (const reason of PROXY_FAULTS) {
  for (const [name, bytes] of Object.entries(BAD[reason])) {
    t.test(`proxy header: ${reason}: ${name}`, async (t) => {
      const lengths = Array.from({ length: bytes.length + 1 }, (_, length) => length);
      const faults = lengths.map((length) => faultOf(bytes.subarray(0, length)));

      t.equal(faults.at(-1), reason);
      t.strictSame([...new Set(faults)], ['more', reason], 'the same, however it is cut');
      t.equal(faultOf(Buffer.concat([bytes, bytes])), reason, 'whatever follows');
    });
  }
}

t.test('proxy header: what can be neither version is not waited for', async (t) => {
  const waited = Array.from({ length: 256 }, (_, byte) => byte).filter(
    (byte) => faultOf(Buffer.from([byte])) !== 'not-proxy',
  );

  t.strictSame(waited, [0x0d, 'P'.charCodeAt(0)]);
});

t.test('proxy header: a fault is told in fixed words', async (t) => {
  const sentences = PROXY_FAULTS.map((reason) => new ProxyHeaderError(reason).message);

  t.equal(new Set(sentences).size, PROXY_FAULTS.length);
  t.ok(sentences.every((sentence) => /^[a-zA-Z ,-]+$/.test(sentence)));
});
