/**
 * Addresses: where links come from, spread over loopback. Beyond some thousands of links an
 * address, the kernel's search for a free port costs milliseconds. Bound: 254 addresses.
 */
const LINKS_PER_ADDRESS = 2_000;

/** The source of the link with this index, in a net as loopbackNet() gives it. */
export function sourceOf(net: string, index: number): string {
  return `${net}.${1 + Math.floor(index / LINKS_PER_ADDRESS)}`;
}
