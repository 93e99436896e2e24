/** Signals: none that is not meant to stop a node ends it, and none opens a debugger in it. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import t from 'tap';
import { IGNORED_SIGNALS } from '../../src/base/signals.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { type Cli, childrenOf, isThere } from '../helpers/processes/cli.ts';
import { endBroker, isReady, listening, serve } from '../helpers/processes/serve.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
t.teardown(() => endBroker(broker));

/** SIGUSR1 is not even heard. */
const TOLD = IGNORED_SIGNALS.filter((signal) => signal !== 'SIGUSR1');

/** Node's own default is one port for the whole machine. */
async function debugPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(false)).on('error', () => resolve(true));
    socket.on('connect', () => socket.destroy());
  });
}

const toldOf = (cli: Cli, pid: number, name: string) =>
  cli.line((line) => line.pid === pid && line.signal === name && line.msg === 'signal ignored');

t.test('a node goes on after every signal that is not to stop it, and says which', async (t) => {
  const port = await debugPort();
  const cli = serve(t, broker.url, [], { env: { NODE_OPTIONS: `--inspect-port=${port}` } });
  await isReady(cli);
  const pids = [cli.pid, ...cli.children()];
  t.equal(pids.length, 5);

  for (const pid of pids) for (const signal of IGNORED_SIGNALS) process.kill(pid, signal);
  // The supervisor reloads the node at this one: reload.test.ts.
  for (const pid of pids.slice(1)) process.kill(pid, 'SIGHUP');
  for (const pid of pids) process.kill(pid, 'SIGPIPE');

  for (const pid of pids) {
    // One line a second: the rest is told behind it.
    for (const signal of TOLD) await toldOf(cli, pid, signal);
  }
  t.same([cli.pid, ...cli.children()].toSorted(), pids.toSorted(), 'the same processes');
  t.notMatch(cli.stderr, /Debugger/);
  t.ok(await isRefused(port), 'nothing listens for a debugger');
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('while a node is proving its broker, such signals end nothing', async (t) => {
  const port = await debugPort();
  const { server, port: silent } = await listening(t);
  const url = `amqp://guest:guest@127.0.0.1:${silent}`;
  const asked = once(server, 'connection');
  const cli = serve(t, url, [], { env: { NODE_OPTIONS: `--inspect-port=${port}` } });
  await asked;

  for (const signal of IGNORED_SIGNALS) process.kill(cli.pid, signal);

  for (const signal of TOLD) await toldOf(cli, cli.pid, signal);
  t.notMatch(cli.stderr, /Debugger/);
  t.ok(await isRefused(port), 'nothing listens for a debugger');
});

/** The kernel's word on what a process does with a signal: proc(5). */
function isDeafTo(pid: number, number: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bits = ['SigBlk', 'SigIgn'].map((name) => {
    const [, mask = '0'] = new RegExp(`^${name}:\\s+(\\w+)`, 'm').exec(status) ?? [];
    return BigInt(`0x${mask}`);
  });
  return bits.some((mask) => ((mask >> BigInt(number - 1)) & 1n) === 1n);
}

t.test('SIGUSR1 opens no debugger in a child, however early it comes', async (t) => {
  const port = await debugPort();
  const flags = ['--set', 'restartsMax=1000'];
  const env = { NODE_OPTIONS: `--disable-sigusr1 --inspect-port=${port}` };
  const cli = serve(t, broker.url, flags, { env });
  const sent = new Map<number, number>();
  let isOver = false;
  const ready = cli.said('ready').finally(() => {
    isOver = true;
  });
  await waitFor(
    'a ready node',
    () => {
      for (const pid of childrenOf(cli.pid)) {
        sent.set(pid, (sent.get(pid) ?? 0) + 1);
        if (isThere(pid)) process.kill(pid, 'SIGUSR1');
      }
      return isOver;
    },
    30_000,
    1,
  );
  await ready;

  t.ok(sent.size >= 4, `${sent.size} children met it`);
  for (const pid of [cli.pid, ...cli.children()]) t.ok(isDeafTo(pid, 10), `${pid}`);
  t.notMatch(cli.stderr, /Debugger/);
  t.ok(await isRefused(port), 'nothing listens for a debugger');
});

t.test('under nohup the end of the terminal ends nothing', async (t) => {
  const before = 'set -- nohup "$@"';
  const cli = serve(t, broker.url, [], { before, isGroup: true });
  await isReady(cli);

  process.kill(-cli.pid, 'SIGHUP');

  await cli.line(({ msg, by }) => msg === 'reload done' && by === 'SIGHUP');
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('SIGQUIT, as Ctrl-\\ sends it, drains and stops', async (t) => {
  const cli = serve(t, broker.url, [], { isGroup: true });
  await isReady(cli);

  process.kill(-cli.pid, 'SIGQUIT');

  t.match(await cli.said('stopping'), { signal: 'SIGQUIT' });
  t.same(await cli.exited, { code: 0, signal: null });
});
