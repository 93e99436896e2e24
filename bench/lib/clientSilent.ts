/**
 * N devices that say HELLO with a keepalive and then nothing more. Tells, for each, how many
 * milliseconds after HELLO its BYE `keepalive-timeout` came.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import { hello } from '../../test/helpers/fakes/device.ts';

export interface Silences {
  readonly endedMs: readonly number[];
}

const [port = '0', links = '1000', keepalive = '10', localAddress = '127.0.0.3'] =
  process.argv.slice(2);
/** One device after the other, so that their ends fall anywhere in the sweep's round. */
const BETWEEN_MS = 4;

async function silence(link: number): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress });
  await once(socket, 'connect');
  const reader = new V1Reader(65_536);
  const next = async (): Promise<Message> => {
    for (;;) {
      const message = reader.next();
      if (message) return message;
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      reader.push(chunk);
    }
  };
  socket.write(encode(hello(`silent-${link}`, { keepalive: Number(keepalive) })));
  const saidAt = performance.now();
  const welcome = await next();
  if (welcome.type !== TYPE.WELCOME || welcome.keepalive !== Number(keepalive)) {
    throw new Error(`not the WELCOME asked for: ${JSON.stringify(welcome)}`);
  }
  const bye = await next();
  const endedMs = performance.now() - saidAt;
  if (bye.type !== TYPE.BYE || bye.reason !== 'keepalive-timeout') {
    throw new Error(`not the end expected: ${JSON.stringify(bye)}`);
  }
  socket.end();
  return endedMs;
}

const silences: Promise<number>[] = [];
for (let link = 0; link < Number(links); link += 1) {
  silences.push(silence(link));
  await pause(BETWEEN_MS);
}
process.send?.({ endedMs: await Promise.all(silences) } satisfies Silences);
