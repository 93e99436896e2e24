/**
 * Withdrawn: is what a link was let in by still good, now that files were read again?
 * From: identities.ts: open links, and what was read before and is now.  To: the same: yes or no.
 * Bound: CHAIN_MAX certificates of a link; what is costly only where an authority was removed.
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { isSameKey } from '../../base/deviceKeys.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { FilesRead } from '../establish/listenerFiles.ts';

/** A device's own, and those of the authorities between it and ours. */
const CHAIN_MAX = 8;

/** Its certificate is revoked, the authority of it or the group key of its device is gone. */
export class Withdrawn {
  readonly #now: FilesRead;
  readonly #isFewer: boolean;
  /** Group keys that were asked about. */
  readonly #isKept = new Map<KeyObject, boolean>();

  constructor(before: FilesRead, now: FilesRead) {
    this.#now = now;
    const left = now.tls?.authorities ?? [];
    const isLeft = ({ raw }: X509Certificate) => left.some((one) => one.raw.equals(raw));
    this.#isFewer = before.tls !== undefined && !before.tls.authorities.every(isLeft);
  }

  has({ proof, origin }: Pick<Endpoint, 'proof' | 'origin'>): boolean {
    const groupKey = proof?.groupKey;
    if (groupKey !== undefined) return !this.#hasKey(groupKey);
    const certificate = origin?.pskIdentity === undefined && this.#certificateOf(origin);
    if (!certificate) return false;
    if (this.#now.tls?.revoked?.isRevoked(certificate)) return true;
    return this.#isFewer && !this.#isIssued(certificate);
  }

  #certificateOf(origin: Endpoint['origin']): X509Certificate | undefined {
    // To look at it costs some µs, for each of maybe many links.
    const isAsked = this.#isFewer || this.#now.tls?.revoked !== undefined;
    return isAsked ? origin?.secured?.getPeerX509Certificate() : undefined;
  }

  #hasKey(groupKey: KeyObject): boolean {
    const known = this.#isKept.get(groupKey);
    if (known !== undefined) return known;
    const isKept = [...(this.#now.keys?.values() ?? [])].some((one) => isSameKey(one, groupKey));
    this.#isKept.set(groupKey, isKept);
    return isKept;
  }

  /** By an authority that is left? Names do not say: a new key may have an old name. */
  #isIssued(leaf: X509Certificate): boolean {
    const left = this.#now.tls?.authorities ?? [];
    let one: X509Certificate | undefined = leaf;
    for (let depth = 0; one !== undefined && depth < CHAIN_MAX; depth += 1) {
      const certificate: X509Certificate = one;
      const isBy = (ca: X509Certificate) =>
        certificate.checkIssued(ca) && certificate.verify(ca.publicKey);
      if (left.some(isBy)) return true;
      one = certificate.issuerCertificate;
    }
    return false;
  }
}
