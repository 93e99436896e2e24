/**
 * PROXY headers: as proxies send them, and a slow reader of them to compare with.
 * From: the specification, written anew: nothing here is shared with the source.
 * To: tests of the parser, and tests that play a proxy.
 */

export const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
export const TYPE_OF = { alpn: 0x01, crc32c: 0x03, noop: 0x04, uniqueId: 0x05, ssl: 0x20 };
export const SSL_TYPE_OF = { version: 0x21, commonName: 0x22, cipher: 0x23 };
/** Flags of a TLS link: with a certificate in this handshake, or resumed with one before. */
export const CLIENT = { tls: 1, withCert: 7, resumed: 5 };

export function tlv(type: number, value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value as string);
  const head = Buffer.from([type, bytes.length >> 8, bytes.length & 0xff]);
  return Buffer.concat([head, bytes]);
}

export function sslTlv(client: number, verify: number, ...within: Buffer[]): Buffer {
  const head = Buffer.from([client, 0, 0, 0, 0]);
  head.writeUInt32BE(verify, 1);
  return tlv(TYPE_OF.ssl, Buffer.concat([head, ...within]));
}

/** A header of version 2: `block` is addresses, ports and TLVs. */
export function binary(versionCommand: number, family: number, ...block: Buffer[]): Buffer {
  const rest = Buffer.concat(block);
  const head = Buffer.from([...SIGNATURE, versionCommand, family, 0, 0]);
  head.writeUInt16BE(rest.length, 14);
  return Buffer.concat([head, rest]);
}

/** Addresses and ports of AF_INET. */
export function inet(from: string, fromPort: number, to = '127.0.0.1', toPort = 7_000): Buffer {
  const bytes = Buffer.from([...from.split('.').map(Number), ...to.split('.').map(Number)]);
  return Buffer.concat([bytes, ports(fromPort, toPort)]);
}

/** Addresses and ports of AF_INET6. */
export function inet6(from: string, fromPort: number, to = '::1', toPort = 7_000): Buffer {
  const [source, target] = [from, to].map(bytesOfIPv6);
  if (!source || !target) throw new Error('not an IPv6 address');
  return Buffer.concat([source, target, ports(fromPort, toPort)]);
}

function ports(from: number, to: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(from, 0);
  bytes.writeUInt16BE(to, 2);
  return bytes;
}

/** CRC-32C, bit by bit. */
export function slowCrc32c(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1;
  }
  return (sum ^ 0xffffffff) >>> 0;
}

/** The header with a TLV behind the others that holds its right checksum. */
export function withChecksum(header: Buffer): Buffer {
  const whole = Buffer.concat([header, tlv(TYPE_OF.crc32c, Buffer.alloc(4))]);
  whole.writeUInt16BE(whole.length - 16, 14);
  whole.writeUInt32BE(slowCrc32c(whole), whole.length - 4);
  return whole;
}

export interface SlowSsl {
  readonly hasClientCert: boolean;
  readonly isSession: boolean;
  readonly isVerified: boolean;
  readonly version: string | undefined;
  readonly commonName: string | undefined;
}

export interface SlowHeader {
  readonly bytes: number;
  /** Address as its 4 or 16 bytes, in hexadecimal. */
  readonly source: { readonly address: string; readonly port: number } | undefined;
  readonly ssl: SlowSsl | undefined;
}

/** `1.2.3.4` or `::1` as hexadecimal; undefined when it is none. */
export function addressHex(text: string): string | undefined {
  return (text.includes(':') ? bytesOfIPv6(text) : bytesOfIPv4(text))?.toString('hex');
}

function bytesOfIPv4(text: string): Buffer | undefined {
  const parts = text.split('.');
  const isByte = (part: string) => String(Number(part)) === part && Number(part) < 256;
  if (parts.length !== 4 || !parts.every((part) => /^\d+$/.test(part) && isByte(part))) return;
  return Buffer.from(parts.map(Number));
}

/** Bytes of groups with a colon between them, of which the last may be an IPv4 address. */
function bytesOfGroups(text: string): Buffer | undefined {
  if (text === '') return Buffer.alloc(0);
  const parts = text.split(':').map((part, at, { length }) => {
    if (at === length - 1 && part.includes('.')) return bytesOfIPv4(part);
    return /^[0-9a-f]{1,4}$/i.test(part) ? Buffer.from(part.padStart(4, '0'), 'hex') : undefined;
  });
  return parts.includes(undefined) ? undefined : Buffer.concat(parts as Buffer[]);
}

function bytesOfIPv6(text: string): Buffer | undefined {
  const [before = '', after, ...others] = text.split('::');
  if (others.length > 0 || (after !== undefined && before.includes('.'))) return;
  const head = bytesOfGroups(before);
  const tail = bytesOfGroups(after ?? '');
  if (!head || !tail) return;
  const missing = 16 - head.length - tail.length;
  // Two colons stand for one group at least.
  if (after === undefined ? missing !== 0 : missing < 2) return;
  return Buffer.concat([head, Buffer.alloc(missing), tail]);
}

const LINE_SO_FAR = /^(?:P(?:R(?:O(?:X(?:Y(?: [ -~]*\r?)?)?)?)?)?)?$/;
const UNKNOWN_LINE = /^PROXY UNKNOWN(?: [ -~]*)?\r\n/;
const TCP_LINE = /^PROXY TCP([46]) ([^\s]+) ([^\s]+) (0|[1-9]\d*) (0|[1-9]\d*)\r\n/;

function slowLine(text: string): SlowHeader | 'more' | 'refused' {
  const line = text.slice(0, 107);
  if (text.length < 107 && LINE_SO_FAR.test(line)) return 'more';
  const unknown = UNKNOWN_LINE.exec(line)?.[0];
  if (unknown !== undefined) return { bytes: unknown.length, source: undefined, ssl: undefined };
  const [whole, version, from = '', to = '', fromPort, toPort] = TCP_LINE.exec(line) ?? [];
  if (whole === undefined || Number(fromPort) > 65_535 || Number(toPort) > 65_535) return 'refused';
  const [source, target] = [from, to].map(addressHex);
  const length = version === '4' ? 8 : 32;
  if (source?.length !== length || target?.length !== length) return 'refused';
  const of = { address: source, port: Number(fromPort) };
  return { bytes: whole.length, source: of, ssl: undefined };
}

function slowTlvs(bytes: Buffer): [number, Buffer][] | undefined {
  if (bytes.length === 0) return [];
  if (bytes.length < 3) return undefined;
  const end = 3 + bytes.readUInt16BE(1);
  const rest = end > bytes.length ? undefined : slowTlvs(bytes.subarray(end));
  return rest && [[bytes[0] ?? 0, bytes.subarray(3, end)], ...rest];
}

/** The only value of this type; 'refused' when it is there twice. */
function only(tlvs: [number, Buffer][], type: number): Buffer | undefined | 'refused' {
  const values = tlvs.filter(([of]) => of === type).map(([, value]) => value);
  return values.length > 1 ? 'refused' : values[0];
}

function slowSsl(value: Buffer): SlowSsl | undefined | 'refused' {
  const within = value.length < 5 ? undefined : slowTlvs(value.subarray(5));
  const version = within && only(within, SSL_TYPE_OF.version);
  const name = within && only(within, SSL_TYPE_OF.commonName);
  if (within === undefined || version === 'refused' || name === 'refused') return 'refused';
  if (version && !/^[!-~]{1,32}$/.test(version.toString('latin1'))) return 'refused';
  const [flags = 0, ...verify] = value.subarray(0, 5);
  if (flags % 2 === 0) return undefined;
  const text = name?.toString('utf8') ?? '';
  const isName = name !== undefined && name.length > 0 && Buffer.from(text).equals(name);
  const [hasNow, hasBefore] = [(flags & 2) !== 0, (flags & 4) !== 0];
  return {
    hasClientCert: hasNow || hasBefore,
    isSession: hasBefore && !hasNow,
    isVerified: (hasNow || hasBefore) && verify.every((byte) => byte === 0),
    version: version?.toString('latin1'),
    commonName: isName ? text : undefined,
  };
}

const BLOCK_BYTES: Readonly<Record<number, number>> = { 0: 0, 17: 12, 33: 36, 49: 216 };

function slowBinary(bytes: Buffer): SlowHeader | 'more' | 'refused' {
  const [command, family = -1] = bytes.subarray(12);
  if (command === undefined) return 'more';
  if (command !== 0x20 && command !== 0x21) return 'refused';
  if (command === 0x21 && family >= 0 && !(family in BLOCK_BYTES)) return 'refused';
  if (bytes.length < 16) return 'more';
  const length = bytes.readUInt16BE(14);
  const known = command === 0x20 ? 0 : (BLOCK_BYTES[family] ?? 0);
  if (length > 4_080 || length < known) return 'refused';
  if (bytes.length < 16 + length) return 'more';
  const whole = bytes.subarray(0, 16 + length);
  const nothing = { bytes: whole.length, source: undefined, ssl: undefined };
  if (known === 0) return nothing;
  const tlvs = slowTlvs(whole.subarray(16 + known));
  const checksum = tlvs && only(tlvs, TYPE_OF.crc32c);
  const sslValue = tlvs && only(tlvs, TYPE_OF.ssl);
  if (tlvs === undefined || checksum === 'refused' || sslValue === 'refused') return 'refused';
  if (checksum !== undefined) {
    const at = checksum.byteOffset - whole.byteOffset;
    const zeroed = Buffer.from(whole).fill(0, at, at + checksum.length);
    if (checksum.length !== 4 || slowCrc32c(zeroed) !== checksum.readUInt32BE()) return 'refused';
  }
  const ssl = sslValue && slowSsl(sslValue);
  if (ssl === 'refused') return 'refused';
  if (family === 0x31) return { ...nothing, ssl };
  const size = family === 0x11 ? 4 : 16;
  const address = whole.subarray(16, 16 + size).toString('hex');
  return { ...nothing, ssl, source: { address, port: whole.readUInt16BE(16 + 2 * size) } };
}

/** What the specification says of these bytes, read slowly and another way than the source does. */
export function slowProxyHeader(bytes: Buffer): SlowHeader | 'more' | 'refused' {
  const start = bytes.subarray(0, SIGNATURE.length);
  if (start.equals(SIGNATURE.subarray(0, start.length))) return slowBinary(bytes);
  return slowLine(bytes.toString('latin1'));
}
