/** What is written to a broker's socket in one turn leaves together, and nothing is held back. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { coalesce } from '../../src/broker/coalesce.ts';

/** A socket that coalesces, and its other end. */
async function pair(t: Test): Promise<{ near: Socket; far: Socket }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const near = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [[far]] = await Promise.all([once(server, 'connection'), once(near, 'connect')]);
  t.teardown(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  coalesce(near);
  return { near, far: far as Socket };
}

async function textOf(far: Socket): Promise<string> {
  let text = '';
  for await (const chunk of far) text += chunk;
  return text;
}

t.test('coalesce: the writes of a turn wait for its end, and leave in order', async (t) => {
  const { near, far } = await pair(t);
  const text = textOf(far);
  for (const turn of ['a', 'b', 'c']) {
    for (let n = 0; n < 100; n += 1) near.write(turn);
    t.equal(near.writableLength, 100, 'nothing has left');
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(near.writableLength, 0, 'everything has');
  }
  near.end('d');

  t.equal(await text, `${'a'.repeat(100)}${'b'.repeat(100)}${'c'.repeat(100)}d`);
});

t.test('coalesce: end in the same turn loses nothing', async (t) => {
  const { near, far } = await pair(t);
  near.write('a');
  near.write('b');
  near.end('c');

  t.equal(await textOf(far), 'abc');
});

t.test('coalesce: at the high-water mark write says so, and drain follows', async (t) => {
  const { near, far } = await pair(t);
  far.resume();
  const isTaken = near.write(Buffer.alloc(near.writableHighWaterMark));
  t.equal(isTaken, false);
  await once(near, 'drain');

  t.equal(near.writableLength, 0);
});
