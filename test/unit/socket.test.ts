/** A link's socket: what Node adds of its own is not there, where it would do nothing. */
import { Socket } from 'node:net';
import t from 'tap';
import type { Endpoint } from '../../src/acceptor/endpoint/endpoint.ts';
import { listenTo } from '../../src/acceptor/endpoint/socket.ts';

t.test('socket: of a half-open one, FIN is told to its endpoint alone', async (t) => {
  const told: string[] = [];
  const endpoint = { receiveFin: () => told.push('fin') } as unknown as Endpoint;
  for (const [allowHalfOpen, listeners] of [
    [true, 1],
    [false, 2],
  ] as const) {
    const socket = new Socket({ allowHalfOpen });
    listenTo(socket, endpoint);
    t.equal(socket.listenerCount('end'), listeners);
    socket.emit('end');
  }
  t.same(told, ['fin', 'fin']);
});
