/**
 * DER: the few forms of ASN.1 that certificates and revocation lists are made of (X.690). Pure.
 * From: certId.ts and crl.ts.  To: elements, which are views into the bytes given.
 * Bound: each byte is looked at once; what is not DER throws BadDer.
 */

export const TAG = {
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  integer: 0x02,
  oid: 0x06,
  octetString: 0x04,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
  uri: 0x86,
} as const;

export interface Element {
  readonly tag: number;
  readonly body: Buffer;
}

export class BadDer extends Error {}

/** Years of two digits are 1950 to 2049 (RFC 5280, section 4.1.2.5). Both end in seconds and Z. */
export function timeOf(element: Element | undefined): number {
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

export function only(elements: readonly Element[], tag: number): Element {
  const [element] = elements;
  if (element === undefined || elements.length !== 1 || element.tag !== tag) throw new BadDer();
  return element;
}

export function bodyOf(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new BadDer();
  return element.body;
}

/** What stands one behind the other in `bytes`, to their end; each tag is one byte. */
export function elementsOf(bytes: Buffer): Element[] {
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
