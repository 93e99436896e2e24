/** One acceptor as `owsla serve` runs it, in a process that tells its CPU time and memory. */
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { pino } from 'pino';
import { startAcceptor } from '../src/acceptor/acceptor.ts';
import { makeConfig } from '../src/base/config.ts';
import { serve } from './serverMain.ts';

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

await serve(async ({ amqp, prefix }) => {
  const port = await freePort();
  const config = makeConfig({ amqp, prefix, port: String(port) });
  const acceptor = await startAcceptor({
    config,
    // Where no registrar listens.
    folder: tmpdir(),
    index: 1,
    incarnation: `bench-${process.pid}`,
    log: pino({ level: 'silent' }),
    onFatal: (error) => {
      throw error;
    },
  });
  while (acceptor.notReady() !== undefined) await new Promise(setImmediate);
  return port;
});
