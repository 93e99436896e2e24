/**
 * Mochi: packets of mochi-mqtt's table, as a device sends them.
 * From: go/packets, a packet a line.  To: mochi.test.ts: what the server made of each, as a line.
 * Bound: one link for each packet. Its decoder is given less or more bytes than a packet's length
 * says, as its length was read before: here the length is made to fit, so that the fault is the one
 * that is meant. Those without bytes are values that only mochi's own code can have.
 */
import { connectPacket, exchange, isWhole, wordOf } from './rawLink.ts';

export interface MochiPacket {
  readonly kind: number;
  readonly case: number;
  readonly name: string;
  readonly version: number;
  readonly raw: string;
}

const CONNECT = 1;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

function fitting(raw: Buffer): Buffer {
  if (isWhole(raw)) return raw;
  const body = raw.subarray(2);
  return Buffer.concat([raw.subarray(0, 1), varint(body.length), body]);
}

/** `KIND.CASE outcome words`, and the packet's name. */
export async function fatesOf(port: number, packets: readonly MochiPacket[]): Promise<string[]> {
  const fates: string[] = [];
  for (const { kind, case: number, name, version, raw } of packets) {
    const level = version === 5 ? 5 : 4;
    const bytes = Buffer.from(raw, 'hex');
    let fate = 'no bytes';
    if (bytes.length > 0) {
      const connect = connectPacket(level, `mochi-${kind}-${number}`);
      const before = kind === CONNECT ? [] : [connect];
      const { packets, isOpen } = await exchange(port, level, ...before, fitting(bytes));
      const said = packets.slice(before.length).map(wordOf);
      fate = [isOpen ? 'open' : 'closed', ...said].join(', ');
    }
    fates.push(`${kind}.${number} ${fate}: ${name}`);
  }
  return fates;
}
