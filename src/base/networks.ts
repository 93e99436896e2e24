/**
 * Networks: addresses and networks as people write them, and whether one is in the others. Pure.
 * From: the config; addresses of sockets and of PROXY headers.  To: config.ts, which refuses what
 * is no network; the acceptor, which asks for each link.
 * Bound: Node's BlockList, one entry for each network of the config.
 */
import { BlockList, isIP, SocketAddress } from 'node:net';

/** Apart: Node takes an IPv4 address for one of `::/0`, and of all networks with ::ffff:0:0. */
export interface Networks {
  readonly ipv4: BlockList;
  readonly ipv6: BlockList;
}

const MAPPED = '::ffff:';

/** `192.0.2.7:4711`, `[2001:db8::7]:4711`. */
export function withPort(address: string, port: number | string | undefined): string {
  // A link keeps it: `join` makes one flat string, where a template would keep its parts as well.
  return [address.includes(':') ? `[${address}]` : address, port].join(':');
}

/** What is wrong with `text` as a network, in one sentence; undefined: it is one. */
export function networkFault(text: string): string | undefined {
  const { address, prefix, rest, version } = partsOf(text);
  if (version === 0 || rest.length > 0) {
    return `'${text}' is not a network such as 10.0.0.0/8 or 2001:db8::/32`;
  }
  if (version === 6 && shortest(address).startsWith(MAPPED)) {
    return `'${text}' is an IPv4 network written as IPv6: write it as IPv4`;
  }
  const bits = bitsOf(version);
  if (prefix === undefined || (/^(?:0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= bits)) {
    return undefined;
  }
  return `'${text}' must have a number from 0 to ${bits} behind its slash`;
}

/**
 * Networks as in `10.0.0.0/8` or `2001:db8::/32`; one address alone is a network of itself.
 * Throws an Error whose sentence names the first that is none.
 */
export function readCidrs(texts: readonly string[]): Networks {
  const networks = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const text of texts) {
    const fault = networkFault(text);
    if (fault !== undefined) throw new Error(fault);
    const { address, prefix, version } = partsOf(text);
    const family = version === 4 ? 'ipv4' : 'ipv6';
    networks[family].addSubnet(address, Number(prefix ?? bitsOf(version)), family);
  }
  return networks;
}

/** Is the address in one of the networks? */
export function isListed({ ipv4, ipv6 }: Networks, address: string): boolean {
  const plain = plainAddress(address);
  if (plain === undefined) return false;
  return plain.includes(':') ? ipv6.check(plain, 'ipv6') : ipv4.check(plain, 'ipv4');
}

/** The address in its one spelling, IPv4 where it is that; undefined when it is no address. */
export function plainAddress(address: string): string | undefined {
  const version = isIP(address);
  if (version !== 6) return version === 4 ? address : undefined;
  const short = shortest(address);
  return short.startsWith(MAPPED) && short.includes('.') ? short.slice(MAPPED.length) : short;
}

function partsOf(text: string) {
  const [address = '', prefix, ...rest] = text.split('/');
  return { address, prefix, rest, version: address.includes('%') ? 0 : isIP(address) };
}

function bitsOf(version: number): number {
  return version === 4 ? 32 : 128;
}

/** As RFC 5952 writes it, without a zone. */
function shortest(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}
