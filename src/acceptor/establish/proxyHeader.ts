/**
 * PROXY header: what a proxy in front says of the link that it passes on (PROXY protocol, versions
 * 1 and 2: https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt). Pure.
 * From: all bytes of a link so far; only where a listener requires the header, never by guessing.
 * To: the device's address, and what the proxy found of its TLS.
 * Bound: 107 bytes for version 1, PROXY_BYTES_MAX for version 2, each byte of which is looked at a
 * few times at most. What is not exactly as the specification has it throws ProxyHeaderError and
 * costs the link: a proxy makes no mistakes, and whoever is no proxy must not be one by chance.
 */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';

/** Longest header of version 2 that is taken; the protocol's own limit is 65,551. */
export const PROXY_BYTES_MAX = 4_096;
/** Longest line of version 1, its CRLF included: the protocol's own limit. */
export const PROXY_LINE_BYTES_MAX = 107;

/** Why a header was refused. */
export const PROXY_FAULTS = [
  'not-proxy',
  'too-long',
  'bad-line',
  'bad-command',
  'bad-family',
  'bad-address',
  'bad-length',
  'bad-tlv',
  'bad-checksum',
] as const;
export type ProxyFault = (typeof PROXY_FAULTS)[number];

const SENTENCES: Readonly<Record<ProxyFault, string>> = {
  'not-proxy': 'no PROXY header comes first',
  'too-long': 'the PROXY header is too long',
  'bad-line': 'the PROXY line is not of printable words with one space between them and a CRLF',
  'bad-command': 'the PROXY header is of another version, or its command is unknown',
  'bad-family': 'the PROXY header is not of TCP or Unix streams',
  'bad-address': 'the PROXY line has an address or port that is none',
  'bad-length': 'the PROXY header has no room for its addresses',
  'bad-tlv': 'the PROXY header has a TLV that is cut short, of a wrong form, or there twice',
  'bad-checksum': 'the checksum of the PROXY header is wrong',
};

/** The header is refused: costs the link. The sentence has no word of what was sent. */
export class ProxyHeaderError extends Error {
  readonly reason: ProxyFault;

  constructor(reason: ProxyFault) {
    super(SENTENCES[reason]);
    this.name = 'ProxyHeaderError';
    this.reason = reason;
  }
}

/** The TLS link that the proxy has with the device, as the proxy tells it. */
export interface ProxySsl {
  /** The device showed a certificate, in this connection or in one that this one resumes. */
  readonly hasClientCert: boolean;
  /** It did so in an earlier connection only, whose TLS this one resumes. */
  readonly isSession: boolean;
  /** It showed one, and the proxy found it verified (verify 0, which alone would also say none). */
  readonly isVerified: boolean;
  /** As in `TLSv1.3`. */
  readonly version: string | undefined;
  /** The certificate's CN; undefined where it has none, or one that is not UTF-8. */
  readonly commonName: string | undefined;
}

export interface ProxyHeader {
  /** Its length; what follows is the device's. */
  readonly bytes: number;
  /** The device. Undefined: no address is known (LOCAL, as in health checks; UNKNOWN; Unix). */
  readonly source: { readonly address: string; readonly port: number } | undefined;
  /** Undefined where the device does not speak TLS to the proxy, or the proxy does not say. */
  readonly ssl: ProxySsl | undefined;
}

const LINE_START = Buffer.from('PROXY ', 'latin1');
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TILDE = 0x7e;
const PORT = /^(?:0|[1-9]\d{0,4})$/;
const PORT_MAX = 65_535;

/** Of version 2: the signature, version and command, family, and the length of the rest. */
const HEAD_BYTES = 16;
const COMMAND = { local: 0x20, proxy: 0x21 } as const;
/** Family and transport in one byte, and the bytes of the addresses. Datagrams are refused. */
const FAMILY = { unspec: 0x00, inet: 0x11, inet6: 0x21, unix: 0x31 } as const;
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [FAMILY.unspec, 0],
  [FAMILY.inet, 12],
  [FAMILY.inet6, 36],
  [FAMILY.unix, 216],
]);

const TLV_HEAD_BYTES = 3;
const TLV = { crc32c: 0x03, ssl: 0x20 } as const;
const SSL_TLV = { version: 0x21, commonName: 0x22 } as const;
/** Flags and verify, before the TLVs within. */
const SSL_HEAD_BYTES = 5;
const SSL_FLAG = { ssl: 0x01, certOfConnection: 0x02, certOfSession: 0x04 } as const;
const VERSION_TEXT = /^[\x21-\x7e]{1,32}$/;

const CHECKSUM_BYTES = 4;
const CHECKSUM_ZEROS = Buffer.alloc(CHECKSUM_BYTES);
/** CRC-32C (Castagnoli, reflected), by bytes. */
const CRC32C = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = (rest >>> 1) ^ (rest & 1 ? 0x82f63b78 : 0);
  return rest;
});

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The header that `bytes`, all that came of a link, begin with; 'more' when its end is not among
 * them. Throws ProxyHeaderError at the first byte that no header can have there.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | 'more' {
  if (bytes.length === 0) return 'more';
  if (bytes[0] === SIGNATURE[0]) return readBinary(bytes);
  return readLine(bytes);
}

/** Is all of `start` there? Throws when it is not what `bytes` begin with. */
function begins(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length);
  if (bytes.compare(start, 0, length, 0, length) !== 0) throw new ProxyHeaderError('not-proxy');
  return length === start.length;
}

function readLine(bytes: Buffer): ProxyHeader | 'more' {
  if (!begins(bytes, LINE_START)) return 'more';
  const end = lineEnd(bytes);
  if (end === undefined) return 'more';
  const [family = '', ...words] = bytes.toString('latin1', LINE_START.length, end).split(' ');
  const bytesRead = end + 2;
  // What else an UNKNOWN line says is to be ignored.
  if (family === 'UNKNOWN') return { bytes: bytesRead, source: undefined, ssl: undefined };
  if (family !== 'TCP4' && family !== 'TCP6') throw new ProxyHeaderError('bad-family');
  if (words.length !== 4) throw new ProxyHeaderError('bad-line');
  const [from = '', to = '', fromPort = '', toPort = ''] = words;
  const isAddress = family === 'TCP4' ? isIPv4 : isPlainIPv6;
  if (!isAddress(from) || !isAddress(to) || !isPort(fromPort) || !isPort(toPort)) {
    throw new ProxyHeaderError('bad-address');
  }
  const address = family === 'TCP4' ? from : shortest(from);
  return { bytes: bytesRead, source: { address, port: Number(fromPort) }, ssl: undefined };
}

/** Where the CRLF of the line stands; undefined when it is still to come. */
function lineEnd(bytes: Buffer): number | undefined {
  const last = Math.min(bytes.length, PROXY_LINE_BYTES_MAX) - 1;
  for (let at = LINE_START.length; at <= last; at += 1) {
    const byte = bytes[at] as number;
    if (byte >= SPACE && byte <= TILDE) continue;
    if (byte !== CR) throw new ProxyHeaderError('bad-line');
    if (at < last && bytes[at + 1] !== LF) throw new ProxyHeaderError('bad-line');
    if (at < last) return at;
  }
  if (last === PROXY_LINE_BYTES_MAX - 1) throw new ProxyHeaderError('too-long');
  return undefined;
}

/** Node's own check takes a zone (`fe80::1%eth0`), which is of one machine only. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function isPort(text: string): boolean {
  return PORT.test(text) && Number(text) <= PORT_MAX;
}

/** An IPv6 address as RFC 5952 writes it: one spelling for both versions of the header. */
function shortest(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

function readBinary(bytes: Buffer): ProxyHeader | 'more' {
  if (!begins(bytes, SIGNATURE)) return 'more';
  const [command, family] = bytes.subarray(SIGNATURE.length);
  if (command === undefined) return 'more';
  if (command !== COMMAND.local && command !== COMMAND.proxy) {
    throw new ProxyHeaderError('bad-command');
  }
  if (family === undefined) return 'more';
  // Of a LOCAL header the specification wants everything ignored but its length.
  const addressBytes = command === COMMAND.local ? 0 : ADDRESS_BYTES.get(family);
  if (addressBytes === undefined) throw new ProxyHeaderError('bad-family');
  if (bytes.length < HEAD_BYTES) return 'more';
  const end = HEAD_BYTES + bytes.readUInt16BE(HEAD_BYTES - 2);
  if (end > PROXY_BYTES_MAX) throw new ProxyHeaderError('too-long');
  if (end < HEAD_BYTES + addressBytes) throw new ProxyHeaderError('bad-length');
  if (bytes.length < end) return 'more';
  if (command === COMMAND.local || family === FAMILY.unspec) {
    return { bytes: end, source: undefined, ssl: undefined };
  }
  const header = bytes.subarray(0, end);
  const ssl = readTlvs(header, HEAD_BYTES + addressBytes);
  return { bytes: end, source: sourceOf(header, family), ssl };
}

function sourceOf(header: Buffer, family: number): ProxyHeader['source'] {
  if (family === FAMILY.inet) {
    const address = header.subarray(HEAD_BYTES, HEAD_BYTES + 4).join('.');
    return { address, port: header.readUInt16BE(HEAD_BYTES + 8) };
  }
  if (family === FAMILY.inet6) {
    const groups = header.toString('hex', HEAD_BYTES, HEAD_BYTES + 16).match(/.{4}/g) ?? [];
    return { address: shortest(groups.join(':')), port: header.readUInt16BE(HEAD_BYTES + 32) };
  }
  return undefined;
}

/** Walk the TLVs behind the addresses. Unknown ones are skipped, NOOP among them. */
function readTlvs(header: Buffer, start: number): ProxySsl | undefined {
  const found = valuesOf(header, start, header.length, [TLV.crc32c, TLV.ssl]);
  const checksum = found.get(TLV.crc32c);
  if (checksum !== undefined) verifyChecksum(header, checksum);
  const ssl = found.get(TLV.ssl);
  return ssl === undefined ? undefined : readSsl(header, ssl);
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where the values of the TLVs of these types are. One that is there twice is refused. */
function valuesOf(
  header: Buffer,
  start: number,
  end: number,
  types: readonly number[],
): ReadonlyMap<number, Span> {
  const found = new Map<number, Span>();
  for (let at = start; at < end; ) {
    const valueAt = at + TLV_HEAD_BYTES;
    if (valueAt > end) throw new ProxyHeaderError('bad-tlv');
    const type = header[at] as number;
    const valueEnd = valueAt + header.readUInt16BE(at + 1);
    if (valueEnd > end) throw new ProxyHeaderError('bad-tlv');
    if (types.includes(type)) {
      if (found.has(type)) throw new ProxyHeaderError('bad-tlv');
      found.set(type, { start: valueAt, end: valueEnd });
    }
    at = valueEnd;
  }
  return found;
}

function verifyChecksum(header: Buffer, { start, end }: Span): void {
  if (end - start !== CHECKSUM_BYTES) throw new ProxyHeaderError('bad-tlv');
  // It was computed with zeros where it stands now.
  let sum = crc32c(0xffff_ffff, header.subarray(0, start));
  sum = crc32c(sum, CHECKSUM_ZEROS);
  sum = crc32c(sum, header.subarray(end));
  if (~sum >>> 0 !== header.readUInt32BE(start)) throw new ProxyHeaderError('bad-checksum');
}

function crc32c(before: number, bytes: Buffer): number {
  let sum = before;
  for (const byte of bytes) sum = (sum >>> 8) ^ (CRC32C[(sum ^ byte) & 0xff] as number);
  return sum;
}

function readSsl(header: Buffer, { start, end }: Span): ProxySsl | undefined {
  if (end - start < SSL_HEAD_BYTES) throw new ProxyHeaderError('bad-tlv');
  const types = [SSL_TLV.version, SSL_TLV.commonName];
  const found = valuesOf(header, start + SSL_HEAD_BYTES, end, types);
  const text = (span: Span | undefined) => span && header.subarray(span.start, span.end);
  const version = text(found.get(SSL_TLV.version))?.toString('latin1');
  if (version !== undefined && !VERSION_TEXT.test(version)) throw new ProxyHeaderError('bad-tlv');
  const flags = header[start] as number;
  if ((flags & SSL_FLAG.ssl) === 0) return undefined;
  const isOfConnection = (flags & SSL_FLAG.certOfConnection) !== 0;
  const isOfSession = (flags & SSL_FLAG.certOfSession) !== 0;
  const hasClientCert = isOfConnection || isOfSession;
  return {
    hasClientCert,
    isSession: isOfSession && !isOfConnection,
    isVerified: hasClientCert && header.readUInt32BE(start + 1) === 0,
    version,
    commonName: decodeName(text(found.get(SSL_TLV.commonName))),
  };
}

/** The name is the device's, not the proxy's: one that is not UTF-8 is none, and no fault. */
function decodeName(bytes: Buffer | undefined): string | undefined {
  if (bytes === undefined || bytes.length === 0) return undefined;
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
