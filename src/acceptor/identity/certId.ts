/**
 * CertId: the device id that a verified certificate names, read from its DER. Pure.
 * From: a client certificate that OpenSSL has verified.  To: the proof of the method `cert`.
 * Bound: the certificate's own bytes, once. What is not as X.509 has it names nobody.
 *
 * Node also tells names as text, which has to be escaped and taken apart again: a name with a comma
 * or a quote in it was taken for two more than once (CVE-2021-44532, CVE-2021-44533).
 */
import type { CertId } from '../../base/listeners.ts';
import { DEVICE_ID } from '../../base/names.ts';

/** `no-id`: no such name, or not a device id. `ambiguous-id`: more than one, be they alike. */
export const CERT_ID_REASONS = ['no-id', 'ambiguous-id'] as const;
export type CertIdReason = (typeof CERT_ID_REASONS)[number];

export interface CertIdentity {
  readonly deviceId: string;
  /** notAfter, in ms since 1970. */
  readonly notAfter: number;
}

/** A scheme and a namespace are the same in any case (RFC 8141, section 3.1); the id is not. */
const URN = /^urn:device:/i;

const TAG = {
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  oid: 0x06,
  octetString: 0x04,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
  uri: 0x86,
} as const;

/** 2.5.4.3 and 2.5.29.17. */
const COMMON_NAME = Buffer.from([0x55, 0x04, 0x03]);
const SUBJECT_ALT_NAME = Buffer.from([0x55, 0x1d, 0x11]);

/** Printable, IA5 and UTF-8: a device id has the same bytes in all three. */
const TEXTS: readonly number[] = [TAG.utf8String, TAG.printableString, TAG.ia5String];

interface Element {
  readonly tag: number;
  readonly body: Buffer;
}

class BadDer extends Error {}

/**
 * The device that `cert` names: by its only SAN URI `urn:device:<id>`, its only SAN DNS name, or
 * its only common name. `cert` is a PeerCertificate or an X509Certificate of Node.
 */
export function certIdOf(
  cert: { readonly raw: Uint8Array },
  field: CertId,
): CertIdentity | { readonly reason: CertIdReason } {
  try {
    const { subject, notAfter, extensions } = partsOf(cert.raw);
    const names = field === 'cn' ? commonNames(subject) : altNames(extensions, field);
    if (names.length > 1) return { reason: 'ambiguous-id' };
    const [deviceId = ''] = names;
    return DEVICE_ID.test(deviceId) ? { deviceId, notAfter } : { reason: 'no-id' };
  } catch (error) {
    if (error instanceof BadDer) return { reason: 'no-id' };
    throw error;
  }
}

/** The parts of the TBSCertificate that we read (RFC 5280, section 4.1). */
function partsOf(raw: Uint8Array): { subject: Element; notAfter: number; extensions: Element[] } {
  const whole = elementsOf(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength));
  const [toBeSigned] = elementsOf(only(whole, TAG.sequence).body);
  const fields = elementsOf(bodyOf(toBeSigned, TAG.sequence));
  if (fields[0]?.tag === TAG.version) fields.shift();
  const [, , , validity, subject, , ...optional] = fields;
  const [, notAfter] = elementsOf(bodyOf(validity, TAG.sequence));
  if (subject?.tag !== TAG.sequence) throw new BadDer();
  const extensions = optional.filter(({ tag }) => tag === TAG.extensions);
  return {
    subject,
    notAfter: timeOf(notAfter),
    extensions: extensions.flatMap(({ body }) =>
      elementsOf(only(elementsOf(body), TAG.sequence).body),
    ),
  };
}

/** Every common name, wherever in the subject it stands. */
function commonNames(subject: Element): string[] {
  const attributes = elementsOf(subject.body).flatMap((rdn) => elementsOf(bodyOf(rdn, TAG.set)));
  return attributes.flatMap((attribute) => {
    const [type, value] = elementsOf(bodyOf(attribute, TAG.sequence));
    if (!bodyOf(type, TAG.oid).equals(COMMON_NAME)) return [];
    // Another kind of text counts as a name, and is no id.
    return [value !== undefined && TEXTS.includes(value.tag) ? value.body.toString('latin1') : ''];
  });
}

/** The names of one kind in the extension subjectAltName; were there two such, those of both. */
function altNames(extensions: readonly Element[], field: 'san-uri' | 'san-dns'): string[] {
  const names = extensions.flatMap((extension) => {
    const [oid, ...rest] = elementsOf(bodyOf(extension, TAG.sequence));
    if (!bodyOf(oid, TAG.oid).equals(SUBJECT_ALT_NAME)) return [];
    const value = bodyOf(rest.at(-1), TAG.octetString);
    return elementsOf(only(elementsOf(value), TAG.sequence).body);
  });
  // ASCII by definition (IA5String): as latin1 no byte is lost or made.
  const texts = (tag: number) =>
    names.filter((name) => name.tag === tag).map(({ body }) => body.toString('latin1'));
  if (field === 'san-dns') return texts(TAG.dnsName);
  return texts(TAG.uri)
    .filter((uri) => URN.test(uri))
    .map((uri) => uri.replace(URN, ''));
}

/** Years of two digits are 1950 to 2049 (RFC 5280, section 4.1.2.5). Both end in seconds and Z. */
function timeOf(element: Element | undefined): number {
  const text = element?.body.toString('latin1') ?? '';
  const year = element?.tag === TAG.utcTime ? (text < '50' ? `20${text}` : `19${text}`) : text;
  if (element?.tag !== TAG.utcTime && element?.tag !== TAG.generalizedTime) throw new BadDer();
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(year);
  if (!match) throw new BadDer();
  const [, y, month, day, hours, minutes, seconds] = match;
  const time = Date.parse(`${y}-${month}-${day}T${hours}:${minutes}:${seconds}Z`);
  if (Number.isNaN(time)) throw new BadDer();
  return time;
}

function only(elements: readonly Element[], tag: number): Element {
  const [element] = elements;
  if (element === undefined || elements.length !== 1 || element.tag !== tag) throw new BadDer();
  return element;
}

function bodyOf(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new BadDer();
  return element.body;
}

/** What stands one behind the other in `bytes`, to their end; each tag is one byte. */
function elementsOf(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] ?? 0;
    let length = bytes[at + 1] ?? 0;
    let start = at + 2;
    if ((tag & 0x1f) === 0x1f) throw new BadDer();
    if (length > 0x7f) {
      // 0x80, a length that is not told, is not DER.
      const count = length & 0x7f;
      if (count < 1 || count > 4 || start + count > bytes.length) throw new BadDer();
      length = bytes.readUIntBE(start, count);
      start += count;
    }
    if (start + length > bytes.length) throw new BadDer();
    elements.push({ tag, body: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return elements;
}
