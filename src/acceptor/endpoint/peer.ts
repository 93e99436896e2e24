/**
 * Peer: where a link comes from, written in one way whatever the listener is bound to.
 * From: an accepted socket.  To: message headers, log lines.
 * Bound: pure; nothing is kept.
 */
import type { Socket } from 'node:net';
import { withPort } from '../../base/networks.ts';

/** An IPv4 address as a dual-stack socket has it (RFC 4291, 2.5.5.2). */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * Remote address and port, as text: `192.0.2.7:4711`, `[2001:db8::7]:4711`. Empty when the socket
 * is closed or was reset: it no longer knows.
 */
export function peerOf(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined) return '';
  const address = MAPPED.exec(remoteAddress)?.[1] ?? remoteAddress;
  return withPort(address, remotePort);
}

/** The address of such a text. */
export function addressOfPeer(peer: string): string {
  return peer.slice(0, Math.max(0, peer.lastIndexOf(':'))).replace(/^\[|\]$/g, '');
}
