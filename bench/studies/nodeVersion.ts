/**
 * NodeVersion: what does another version of Node cost or save, on what a gateway does most?
 * docs/decisions/0001 has the figures of the last change. The versions take turns, and who goes
 * first alternates; the clients always run on the Node that runs this file. Parts: TCP echo with
 * many links (server CPU per message), memory of idle links of a bare server, start, and micro
 * work (frames, MessagePack, a map of UUIDs).
 * `node bench/studies/nodeVersion.ts --nodes NODE,NODE [--runs 5]`: paths of executables.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { pack, unpack } from 'msgpackr';
import { v4 as uuid } from 'uuid';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';

const ECHO_LINKS = 200;
const ECHO_ROUNDS = 100_000;
const WARM_ROUNDS = 20_000;
const IDLE_LINKS = 4_000;
const MESSAGE = Buffer.alloc(32, 7);

type Ask = 'usage' | 'micro';
interface Usage {
  readonly cpuMicros: number;
  readonly rssBytes: number;
}
type Answer = { readonly port: number } | Usage | Readonly<Record<string, number>>;

/** Figures of one run: name (with its unit) to value. */
type Figures = Record<string, number>;

// The measured process: a server that echoes, tells its usage, and can do the micro work.

function serveMeasured(): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('error', () => {});
  });
  const tell = (answer: Answer) => process.send?.(answer);
  process.on('message', (ask: Ask) => tell(ask === 'usage' ? usage() : micro()));
  process.on('disconnect', () => process.exit());
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
    tell({ port: (server.address() as AddressInfo).port });
  });
}

function usage(): Usage {
  globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  return { cpuMicros: user + system, rssBytes: process.memoryUsage.rss() };
}

function micro(): Figures {
  const message = [7, 1234, 'hvac.setpoint', MESSAGE, { seq: 99 }];
  const packed = pack(message);
  const frame = Buffer.concat([Buffer.from([0, 0, 0, packed.length]), packed]);
  const ids = Array.from({ length: 50_000 }, () => uuid());
  const links = new Map(ids.map((id) => [id, { id }]));
  let at = 0;
  let sink = 0;
  const next = () => {
    at = (at + 7919) % ids.length;
    return ids[at] ?? '';
  };
  return {
    'msgpackr pack, ns': nanosOf(() => (sink += pack(message).length)),
    'msgpackr unpack, ns': nanosOf(() => (sink += unpack(packed).length)),
    'frame: length and slice, ns': nanosOf(() => {
      sink += frame.subarray(4, 4 + frame.readUInt32BE(0)).length;
    }),
    'frame: write, ns': nanosOf(() => {
      const out = Buffer.allocUnsafe(4 + packed.length);
      out.writeUInt32BE(packed.length, 0);
      sink += packed.copy(out, 4);
    }),
    'map of 50,000 UUIDs: look up, ns': nanosOf(() => (sink += links.get(next())?.id.length ?? 0)),
    'uuid v4, ns': nanosOf(() => (sink += uuid().length)),
  };
}

function nanosOf(work: () => void): number {
  const times = 1_000_000;
  for (let turn = 0; turn < times / 3; turn += 1) work();
  // CPU time, not the clock's: other processes may be busy.
  const before = process.cpuUsage();
  for (let turn = 0; turn < times; turn += 1) work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / times;
}

// The harness.

async function ask(child: ChildProcess, what: Ask): Promise<Answer> {
  const answered = once(child, 'message');
  child.send(what);
  return (await answered)[0] as Answer;
}

async function start(node: string): Promise<{ child: ChildProcess; port: number; ms: number }> {
  const startedAt = performance.now();
  const child = fork(import.meta.filename, ['measured'], {
    execPath: node,
    execArgv: ['--expose-gc'],
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, port, ms: performance.now() - startedAt };
}

async function stop(child: ChildProcess, sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy();
  const ended = once(child, 'exit');
  child.disconnect();
  await ended;
}

async function open(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(100, count - sockets.length) }, () =>
      connect({ port, host: '127.0.0.1', noDelay: true }),
    );
    await Promise.all(some.map((socket) => once(socket, 'connect')));
    sockets.push(...some);
  }
  return sockets;
}

/** One message under way on each link until `rounds` have come back. */
function rounds(sockets: readonly Socket[], count: number): Promise<void> {
  let sent = 0;
  let back = 0;
  return new Promise((resolve) => {
    const send = (socket: Socket) => {
      if (sent < count) socket.write(MESSAGE);
      sent += 1;
    };
    for (const socket of sockets) {
      socket.removeAllListeners('data');
      let bytes = 0;
      socket.on('data', (chunk) => {
        bytes += chunk.length;
        if (bytes < MESSAGE.length) return;
        bytes = 0;
        back += 1;
        if (back === count) resolve();
        else send(socket);
      });
      send(socket);
    }
  });
}

async function measureEcho(node: string): Promise<Figures> {
  const { child, port } = await start(node);
  const sockets = await open(port, ECHO_LINKS);
  await rounds(sockets, WARM_ROUNDS);
  const before = (await ask(child, 'usage')) as Usage;
  const startedAt = performance.now();
  await rounds(sockets, ECHO_ROUNDS);
  const seconds = (performance.now() - startedAt) / 1000;
  const after = (await ask(child, 'usage')) as Usage;
  await stop(child, sockets);
  return {
    'echo: server CPU per message, µs': (after.cpuMicros - before.cpuMicros) / ECHO_ROUNDS,
    'echo: round trips a second': ECHO_ROUNDS / seconds,
  };
}

async function measureIdle(node: string): Promise<Figures> {
  const { child, port, ms } = await start(node);
  const empty = (await ask(child, 'usage')) as Usage;
  const sockets = await open(port, IDLE_LINKS);
  const full = (await ask(child, 'usage')) as Usage;
  await stop(child, sockets);
  return {
    'idle link: RSS, kB': (full.rssBytes - empty.rssBytes) / IDLE_LINKS / 1000,
    'start: RSS, MB': empty.rssBytes / 1e6,
    'start: until it listens, ms': ms,
  };
}

async function measureMicro(node: string): Promise<Figures> {
  const { child } = await start(node);
  const figures = (await ask(child, 'micro')) as Figures;
  await stop(child, []);
  return figures;
}

async function main(): Promise<void> {
  const given = options({ nodes: process.execPath, runs: 5 });
  const nodes = given.nodes.split(',');
  const all = nodes.map((): Record<string, number[]> => ({}));
  for (let run = 0; run < given.runs; run += 1) {
    const order = nodes.map((_, index) => index);
    if (run % 2 === 1) order.reverse();
    for (const measure of [measureEcho, measureIdle, measureMicro]) {
      for (const index of order) {
        const figures = await measure(nodes[index] ?? '');
        const mine = all[index] ?? {};
        for (const [name, value] of Object.entries(figures)) {
          mine[name] = [...(mine[name] ?? []), value];
        }
      }
    }
  }
  for (const name of Object.keys(all[0] ?? {})) {
    console.log(heading(name));
    for (const [index, node] of nodes.entries()) {
      console.log(row(`  ${node}`, spread(all[index]?.[name] ?? [])));
    }
    for (const [index, node] of nodes.slice(1).entries()) {
      const mine = all[index + 1]?.[name] ?? [];
      console.log(row(`  ratio of ${node.slice(-24)}`, ratios(mine, all[0]?.[name] ?? [])));
    }
  }
}

if (process.argv[2] === 'measured') serveMeasured();
else await main();
