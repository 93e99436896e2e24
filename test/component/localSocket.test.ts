/** A Unix socket whose file is taken away listens again, and who is connected stays. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { LocalSocket } from '../../src/node/localSocket.ts';
import { waitFor } from '../helpers/waitFor.ts';

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'owsla-socket-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Echoes what it is sent. */
async function listening(t: Test, path: string): Promise<LocalSocket> {
  const streams = new Set<Socket>();
  const socket = new LocalSocket(path, (stream) => {
    streams.add(stream.on('error', () => {}));
    stream.pipe(stream);
  });
  await socket.listen();
  t.teardown(async () => {
    for (const stream of streams) stream.destroy();
    await socket.close();
  });
  return socket;
}

async function echoes(stream: Socket): Promise<boolean> {
  stream.write('?');
  const [back] = await once(stream, 'data');
  return String(back) === '?';
}

/** A connection; undefined while nobody listens. */
async function connected(t: Test, path: string): Promise<Socket | undefined> {
  const stream = connect(path);
  try {
    await once(stream, 'connect');
    t.teardown(() => stream.destroy());
    return stream;
  } catch {
    return undefined;
  }
}

const TAKEN: Record<string, (folder: string, path: string) => void> = {
  'its file': (_, path) => rmSync(path),
  'its folder, made again by somebody': (folder) => {
    rmSync(folder, { recursive: true });
    mkdirSync(folder);
  },
  'its file, and another is there': (_, path) => {
    rmSync(path);
    writeFileSync(path, '');
  },
};

for (const [what, take] of Object.entries(TAKEN)) {
  t.test(`socket: ${what} is taken away: it listens again; who is connected stays`, async (t) => {
    const at = folder(t);
    const path = join(at, 'a.sock');
    await listening(t, path);
    const before = await connected(t, path);

    take(at, path);
    let after: Socket | undefined;
    await waitFor('another connection', async () => {
      after = await connected(t, path);
      return after !== undefined;
    });

    t.ok(after && (await echoes(after)));
    t.ok(before && (await echoes(before)));
  });
}

t.test('socket: its folder is away for a while: it listens when that is there', async (t) => {
  const at = folder(t);
  const path = join(at, 'a.sock');
  await listening(t, path);
  // Two looks and more.
  const looks = setTimeout(() => mkdirSync(at), 2_500);
  t.teardown(() => clearTimeout(looks));

  rmSync(at, { recursive: true });

  await waitFor('a connection', async () => (await connected(t, path)) !== undefined);
});

t.test(
  'socket: at the start a file that is left over is removed; no folder is an error',
  async (t) => {
    const at = folder(t);
    const path = join(at, 'a.sock');
    writeFileSync(path, 'left over');
    await listening(t, path);
    t.ok(await connected(t, path));

    await t.rejects(new LocalSocket(join(at, 'no', 'a.sock'), () => {}).listen(), {
      message: /listen/,
    });
  },
);

t.test('socket: a close takes its file away, and does not make it again', async (t) => {
  const at = folder(t);
  const socket = new LocalSocket(join(at, 'a.sock'), () => {});
  await socket.listen();
  t.same(readdirSync(at), ['a.sock']);

  await socket.close();

  t.same(readdirSync(at), []);
});

/** How often a file was not there, as another thread looks without a pause. */
const LOOKS = `
  const { existsSync } = require('node:fs');
  const { parentPort, workerData } = require('node:worker_threads');
  const ended = new Int32Array(workerData.ended);
  let missing = 0;
  parentPort.postMessage('looks');
  while (Atomics.load(ended, 0) === 0) if (!existsSync(workerData.path)) missing += 1;
  parentPort.postMessage(missing);
`;

t.test('socket: one that is left for the next is there at every moment', async (t) => {
  const path = join(folder(t), 'a.sock');
  let socket = new LocalSocket(path, () => {});
  await socket.listen();
  const ended = new SharedArrayBuffer(4);
  const looking = new Worker(LOOKS, { eval: true, workerData: { path, ended } });
  await once(looking, 'message');

  for (let next = 0; next < 200; next += 1) {
    await socket.close({ isFileLeft: true });
    socket = new LocalSocket(path, () => {});
    await socket.listen();
  }
  Atomics.store(new Int32Array(ended), 0, 1);
  const [missing] = await once(looking, 'message');

  t.equal(missing, 0);
  await socket.close();
});
