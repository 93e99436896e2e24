/** Opens N idle links, says HELLO on each when asked, tells when all are up, and holds them. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { TYPE } from '../src/wire/message.ts';
import { encode } from '../src/wire/v1.ts';

const [mode = 'bare', port = '0', links = '1000', localAddress = '127.0.0.1'] =
  process.argv.slice(2);
const WAVE = 200;
process.on('disconnect', () => process.exit());

async function open(link: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress });
  socket.on('error', () => {});
  await once(socket, 'connect');
  const deviceId = `device-${localAddress.replaceAll('.', '-')}-${link}`;
  const options = { token: undefined, keepalive: 3_600, frameBytesMax: undefined };
  const hello = encode({ type: TYPE.HELLO, version: 1, deviceId, ...options });
  socket.write(mode === 'frames' ? hello : Buffer.alloc(40));
  await once(socket, 'data');
}

for (let from = 0; from < Number(links); from += WAVE) {
  const wave = Math.min(WAVE, Number(links) - from);
  await Promise.all(Array.from({ length: wave }, (_, i) => open(from + i)));
}
process.send?.({ links: Number(links) });
