/** aedes on plain `net`, everything at its defaults; told its port, ends with its parent. */
import { createServer } from 'node:net';
import { Aedes } from 'aedes';

process.on('disconnect', () => process.exit());
const broker = await Aedes.createBroker();
const server = createServer({ noDelay: true }, broker.handle);
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.send?.({ port: (server.address() as { port: number }).port });
});
