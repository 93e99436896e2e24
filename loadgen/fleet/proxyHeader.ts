/**
 * ProxyHeader: what a proxy says of a device, which a Unix socket or a proxied port wants first.
 * From: dialer.ts.  To: the first bytes of a link.
 * Bound: IPv4 only; each of 2^24 - 2 devices has an address of its own in 10.0.0.0/8.
 */

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Version 2, command PROXY; TCP over IPv4; 12 bytes of addresses and ports. */
const V2_TCP4 = Buffer.from([0x21, 0x11, 0, 12]);
/** Where the proxy took the link, it says. */
const PROXY_ADDRESS = [10, 255, 255, 254] as const;
const PROXY_PORT = 7_000;
const PORT_MIN = 1_024;
const PORTS = 65_536 - PORT_MIN;

/** 10.0.0.1 for device 0, and so on. */
export function addressOf(index: number): readonly [number, number, number, number] {
  const at = index + 1;
  return [10, (at >> 16) & 0xff, (at >> 8) & 0xff, at & 0xff];
}

/** The header of device `index` for its link number `link`: each link has another port. */
export function proxyHeader(version: 'v1' | 'v2', index: number, link: number): Buffer {
  const from = addressOf(index);
  const port = PORT_MIN + (link % PORTS);
  if (version === 'v1') {
    const [source, target] = [from.join('.'), PROXY_ADDRESS.join('.')];
    return Buffer.from(`PROXY TCP4 ${source} ${target} ${port} ${PROXY_PORT}\r\n`, 'latin1');
  }
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(port, 0);
  ports.writeUInt16BE(PROXY_PORT, 2);
  return Buffer.concat([SIGNATURE, V2_TCP4, Buffer.from([...from, ...PROXY_ADDRESS]), ports]);
}
