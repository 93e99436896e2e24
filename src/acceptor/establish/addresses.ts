/**
 * Addresses: which ones may connect, by networks, by the links they have, and by their failures.
 * From: a link's real address, as soon as it is known (PROXY header or socket); links that open and
 * close; identities that were not proved; `now` in monotonic ms.
 * To: establish, which goes on with a link or refuses it.
 * Bound: an address of links is kept while it has one, so no more are than links; of failures
 * FAILED_ADDRESSES_MAX are, each for `authFailuresMs`, and the oldest goes when there are more.
 * Nothing is kept of what is off (0).
 *
 * An IPv6 address counts by its /64, which one device or one home has for itself. An IPv4 address
 * in IPv6 (`::ffff:192.0.2.7`) is that IPv4 address. What is no address (a Unix socket) is in no
 * network and is not counted.
 */
import type { Config } from '../../base/config.ts';
import { isListed, type Networks, plainAddress, readCidrs } from '../../base/networks.ts';

/** Addresses whose failures are remembered. */
export const FAILED_ADDRESSES_MAX = 65_536;

export interface AddressesOptions {
  readonly limits: {
    /** Links of one address; 0: any number. */
    readonly linksPerAddressMax: number;
    /** Failures of one address in `authFailuresMs`, from its first one on; 0: any number. */
    readonly authFailuresMax: number;
    readonly authFailuresMs: number;
  };
  /** Only these; undefined: all. */
  readonly allow?: Networks | undefined;
  /** Not these, even if they are allowed. */
  readonly deny?: Networks | undefined;
}

export type Admittance = 'allowed' | 'denied' | 'too-many-links' | 'too-many-failures';

interface Failures {
  count: number;
  /** They count until then. */
  readonly endsAt: number;
}

/** Groups of 16 bits in a /64. */
const NET_GROUPS = 4;
const GROUPS = 8;

export class Addresses {
  readonly #options: AddressesOptions;
  /** Open links, by address; none of 0. */
  readonly #links = new Map<string, number>();
  /** By address, in the order in which they end. */
  readonly #failures = new Map<string, Failures>();

  constructor(options: AddressesOptions) {
    this.#options = options;
  }

  /** May a link of this address open? Changes nothing. */
  admits(address: string, now: number): Admittance {
    const { limits, allow, deny } = this.#options;
    const { linksPerAddressMax, authFailuresMax } = limits;
    if (deny !== undefined && isListed(deny, address)) return 'denied';
    if (allow !== undefined && !isListed(allow, address)) return 'denied';
    if (linksPerAddressMax === 0 && authFailuresMax === 0) return 'allowed';
    const key = keyOf(address);
    if (key === undefined) return 'allowed';
    const failures = this.#failures.get(key);
    if (failures !== undefined && failures.count >= authFailuresMax && now < failures.endsAt) {
      return 'too-many-failures';
    }
    const links = linksPerAddressMax > 0 ? (this.#links.get(key) ?? 0) : 0;
    return links > 0 && links >= linksPerAddressMax ? 'too-many-links' : 'allowed';
  }

  /** A link of this address opened. Call `closed` exactly once for it. */
  opened(address: string): void {
    if (this.#options.limits.linksPerAddressMax === 0) return;
    const key = keyOf(address);
    if (key !== undefined) this.#links.set(key, (this.#links.get(key) ?? 0) + 1);
  }

  closed(address: string): void {
    if (this.#options.limits.linksPerAddressMax === 0) return;
    const key = keyOf(address);
    if (key === undefined) return;
    const left = (this.#links.get(key) ?? 0) - 1;
    if (left > 0) this.#links.set(key, left);
    else this.#links.delete(key);
  }

  /** A device there did not prove who it is. */
  failed(address: string, now: number): void {
    const { authFailuresMax, authFailuresMs } = this.#options.limits;
    if (authFailuresMax === 0) return;
    const key = keyOf(address);
    if (key === undefined) return;
    this.#forgetEnded(now);
    const failures = this.#failures.get(key);
    if (failures !== undefined) {
      failures.count += 1;
      return;
    }
    if (this.#failures.size >= FAILED_ADDRESSES_MAX) this.#forgetOldest();
    this.#failures.set(key, { count: 1, endsAt: now + authFailuresMs });
  }

  /** Addresses that are kept, of links and of failures. */
  get size(): number {
    return this.#links.size + this.#failures.size;
  }

  /** All last equally long, so the ended ones are the first. */
  #forgetEnded(now: number): void {
    for (const [key, { endsAt }] of this.#failures) {
      if (now < endsAt) return;
      this.#failures.delete(key);
    }
  }

  #forgetOldest(): void {
    for (const key of this.#failures.keys()) {
      this.#failures.delete(key);
      return;
    }
  }
}

/** What an address is counted by: IPv4 as it is, IPv6 by the four groups of its /64. */
function keyOf(address: string): string | undefined {
  const plain = plainAddress(address);
  if (!plain?.includes(':')) return plain;
  const [before = '', after] = plain.split('::');
  const groups = before === '' ? [] : before.split(':');
  if (after !== undefined) {
    // The last 32 bits may be written as IPv4, which makes two groups of one; they do not count.
    const behind = after === '' ? [] : after.replace(/\d+\.[\d.]+$/, '0:0').split(':');
    groups.push(...Array<string>(GROUPS - groups.length - behind.length).fill('0'), ...behind);
  }
  return `${groups.slice(0, NET_GROUPS).join(':')}::/64`;
}

/** As the config says. */
export function addressesOf({
  limits,
  allowFrom,
  denyFrom,
}: Pick<Config, 'limits' | 'allowFrom' | 'denyFrom'>): Addresses {
  const networksOf = (cidrs: readonly string[]) =>
    cidrs.length === 0 ? undefined : readCidrs(cidrs);
  return new Addresses({ limits, allow: networksOf(allowFrom), deny: networksOf(denyFrom) });
}
