/**
 * Idle links: opens N of them, says HELLO on each, tells its parent when all are up, holds them.
 * From: a test, by fork: port, number, and the address that they come from.  To: a node.
 * Bound: WAVE connects at a time; it ends with its parent.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { encode } from '../../../src/wire/v1.ts';
import { hello } from '../fakes/device.ts';

const [port = '0', links = '1000', localAddress = '127.0.0.1'] = process.argv.slice(2);
const WAVE = 200;
process.on('disconnect', () => process.exit());

async function open(link: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress });
  socket.on('error', () => {});
  await once(socket, 'connect');
  const deviceId = `device-${localAddress.replaceAll('.', '-')}-${link}`;
  socket.write(encode(hello(deviceId, { keepalive: 3_600 })));
  await once(socket, 'data');
}

for (let from = 0; from < Number(links); from += WAVE) {
  const wave = Math.min(WAVE, Number(links) - from);
  await Promise.all(Array.from({ length: wave }, (_, i) => open(from + i)));
}
process.send?.({ links: Number(links) });
