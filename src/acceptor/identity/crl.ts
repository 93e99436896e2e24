/**
 * Crl: certificates that their CA has revoked, read from the file that OpenSSL reads too.
 * From: PEM of one or more CRLs (RFC 5280, section 5).  To: the method `cert`, which asks at every
 * proof, and for live links when the file was read again: OpenSSL asks at full handshakes only.
 * Bound: a set of serial numbers. The file is the operator's own: its signature, which OpenSSL
 * checks at each handshake, is not checked here.
 */
import { BadDer, bodyOf, elementsOf, only, TAG, timeOf } from './der.ts';

export interface Crl {
  /** nextUpdate of the list that ends first, in ms since 1970; undefined: none says so. */
  readonly nextUpdate: number | undefined;
  readonly size: number;
  isRevoked(certificate: { readonly raw: Uint8Array }): boolean;
}

const BEGIN = '-----BEGIN X509 CRL-----';
const BLOCK = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----/g;

/** Throws an Error of one sentence when `pem` holds no revocation list, or a broken one. */
export function readCrl(pem: string): Crl {
  const blocks = [...pem.matchAll(BLOCK)];
  const begun = pem.split(BEGIN).length - 1;
  if (begun === 0) throw new Error('holds no revocation list in PEM');
  // One that is passed over would let in whom it names.
  if (blocks.length !== begun) throw new Error('holds a revocation list that is broken');
  const revoked = new Set<string>();
  let nextUpdate: number | undefined;
  try {
    for (const [, text = ''] of blocks) {
      const { issuer, serials, next } = partsOf(Buffer.from(text, 'base64'));
      for (const serial of serials) revoked.add(`${issuer} ${serial}`);
      if (next !== undefined) nextUpdate = Math.min(next, nextUpdate ?? next);
    }
  } catch (error) {
    if (error instanceof BadDer) throw new Error('holds a revocation list that is broken');
    throw error;
  }
  const isRevoked = ({ raw }: { readonly raw: Uint8Array }) => revoked.has(nameOf(raw));
  return { nextUpdate, size: revoked.size, isRevoked };
}

/** The TBSCertList: version?, algorithm, issuer, thisUpdate, nextUpdate?, revoked?. */
function partsOf(der: Buffer): { issuer: string; serials: string[]; next: number | undefined } {
  const [toBeSigned] = elementsOf(only(elementsOf(der), TAG.sequence).body);
  const fields = elementsOf(bodyOf(toBeSigned, TAG.sequence));
  if (fields[0]?.tag === TAG.integer) fields.shift();
  const [, issuer, , ...rest] = fields;
  const isTime = rest[0]?.tag === TAG.utcTime || rest[0]?.tag === TAG.generalizedTime;
  const next = isTime ? timeOf(rest.shift()) : undefined;
  const entries = rest[0]?.tag === TAG.sequence ? elementsOf(rest[0].body) : [];
  const serials = entries.map((entry) => {
    const [serial] = elementsOf(bodyOf(entry, TAG.sequence));
    return bodyOf(serial, TAG.integer).toString('hex');
  });
  return { issuer: bodyOf(issuer, TAG.sequence).toString('base64'), serials, next };
}

/** Issuer and serial number, which together name one certificate. '' when they cannot be read. */
function nameOf(raw: Uint8Array): string {
  try {
    const der = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
    const [toBeSigned] = elementsOf(only(elementsOf(der), TAG.sequence).body);
    const fields = elementsOf(bodyOf(toBeSigned, TAG.sequence));
    if (fields[0]?.tag === TAG.version) fields.shift();
    const [serial, , issuer] = fields;
    const issuerName = bodyOf(issuer, TAG.sequence).toString('base64');
    return `${issuerName} ${bodyOf(serial, TAG.integer).toString('hex')}`;
  } catch (error) {
    if (error instanceof BadDer) return '';
    throw error;
  }
}
