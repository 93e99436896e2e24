/** Serve: a bare TCP server in a process of its own; tells its parent the port, ends with it. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** As deep as an acceptor's: a storm must not be refused here. */
const BACKLOG = 4_096;

export function serve(onSocket: (socket: Socket) => void): void {
  tellPort(createServer({ noDelay: true }, onSocket));
}

/** The same with a server of one's own. */
export function tellPort(server: Server): void {
  process.on('disconnect', () => process.exit());
  server.listen({ host: '127.0.0.1', port: 0, backlog: BACKLOG }, () => {
    process.send?.({ port: (server.address() as AddressInfo).port });
  });
}
