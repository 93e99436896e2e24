/** The proxy that the chaos suite cuts: what passes, what does not, and who is told. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';

interface Joined {
  readonly proxy: ToxicProxy;
  /** A new connection by way of the proxy, both its ends. */
  readonly join: () => Promise<{ near: Socket; far: Socket }>;
}

async function joined(t: Test): Promise<Joined> {
  const target = createServer();
  target.listen(0, '127.0.0.1');
  await once(target, 'listening');
  const proxy = await ToxicProxy.start((target.address() as AddressInfo).port);
  t.teardown(() => {
    proxy.stop();
    target.close();
  });
  const join = async () => {
    const arrived = once(target, 'connection');
    const near = connect(proxy.port, '127.0.0.1');
    near.on('error', () => {});
    await once(near, 'connect');
    const [far] = (await arrived) as [Socket];
    far.on('error', () => {});
    t.teardown(() => {
      near.destroy();
      far.destroy();
    });
    return { near, far };
  };
  return { proxy, join };
}

async function heard(socket: Socket): Promise<string> {
  const [bytes] = await once(socket, 'data');
  return String(bytes);
}

t.test('proxy: bytes pass both ways, and so does the end', async (t) => {
  const { join } = await joined(t);
  const { near, far } = await join();
  near.write('to the broker');
  t.equal(await heard(far), 'to the broker');
  far.write('and back');
  t.equal(await heard(near), 'and back');
  near.resume().end();

  await once(far.resume(), 'end');
});

t.test('proxy: cut, neither bytes nor FIN pass, and a new connection waits', async (t) => {
  const { proxy, join } = await joined(t);
  const { near, far } = await join();
  proxy.cut();
  const told: string[] = [];
  for (const what of ['data', 'end', 'close'] as const) far.on(what, () => told.push(what));
  near.end('lost');
  const waiting = join();
  proxy.heal();
  const later = await waiting;
  later.near.write('through');

  t.equal(await heard(later.far), 'through', 'what came meanwhile goes through');
  t.same(told, [], 'the old connection stays silent');
});

t.test('proxy: resumed, a cut connection goes on where it stopped', async (t) => {
  const { proxy, join } = await joined(t);
  const { near, far } = await join();
  proxy.cut();
  near.write('held');
  proxy.resume();

  t.equal(await heard(far), 'held');
});
