/** A bare net client: N links that say nothing; tells its parent when all are up and settled. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [port = '0', links = '1000'] = process.argv.slice(2);
const WAVE = 200;
const SETTLE_MS = 5_000;
process.on('disconnect', () => process.exit());

const kept = [];
for (let from = 0; from < Number(links); from += WAVE) {
  const wave = Array.from({ length: Math.min(WAVE, Number(links) - from) }, (_, i) => {
    const localAddress = `127.0.0.${2 + ((from + i) % 4)}`;
    const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress });
    socket.on('data', () => {});
    socket.on('error', () => {});
    return socket;
  });
  kept.push(...wave);
  await Promise.all(wave.map((socket) => once(socket, 'connect')));
}
await sleep(SETTLE_MS);
process.send?.(kept.length);
