/**
 * Syscalls: what does one round trip, or one connect, ask of the kernel and of the heap?
 * System calls of the acceptor (and the registrar) by name, from `strace -c`, and bytes that V8
 * allocates, by its own count. strace makes all of it slow, so heap and calls are counted one after
 * the other. Needs strace.
 * `node bench/studies/syscalls.ts [--rate 500] [--connect-rate 200] [--seconds 5]`
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { waitFor } from '../../test/helpers/waitFor.ts';
import { Fleet, startNode } from '../lib/fleet.ts';
import { options } from '../lib/options.ts';

const { rate, connectRate, seconds } = options({ rate: 500, connectRate: 200, seconds: 5 });
/** Until V8 has compiled. */
const WARM = 20_000;
const TOP = 8;

// At SIGUSR2 a process of the node writes how many bytes it has allocated so far.
const folder = mkdtempSync(join(tmpdir(), 'owsla-heap-'));
const source = `import v8 from 'node:v8'; import fs from 'node:fs';
process.on('SIGUSR2', () => fs.writeFileSync('${folder}/' + process.pid,
String(v8.getHeapStatistics().total_allocated_bytes)));`;
const watch = `--import=data:text/javascript,${encodeURIComponent(source)}`;

async function allocatedOf(pid: number): Promise<number> {
  const file = join(folder, String(pid));
  rmSync(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  let text = '';
  await waitFor('its heap', () => {
    try {
      text = readFileSync(file, 'utf8');
    } catch {
      return false;
    }
    return text !== '';
  });
  return Number(text);
}

/** Calls in `seconds`, by name, the most frequent first. */
async function callsOf(pid: number): Promise<[string, number][]> {
  const args = [String(seconds), 'strace', '-f', '-c', '-q', '-S', 'calls', '-p', String(pid)];
  const told = await promisify(execFile)('timeout', args).catch((error) => error);
  const lines = String(told.stderr).split('\n');
  return lines.flatMap((line) => {
    const [share = '', , , calls = '', ...rest] = line.trim().split(/\s+/);
    const name = rest.at(-1) ?? '';
    return /^[\d.]+$/.test(share) && name !== 'total' ? [[name, Number(calls)]] : [];
  });
}

const node = await startNode({ acceptors: 1, env: { NODE_OPTIONS: watch } });
const { server } = node;
const figure = (value: number) => value.toFixed(value < 10 ? 2 : 0);

async function measure(what: string, child: string, done: () => Promise<number>): Promise<void> {
  const pid = server.childPid(child);
  const [bytes, at] = [await allocatedOf(pid), await done()];
  await pause(seconds * 1_000);
  const allocated = ((await allocatedOf(pid)) - bytes) / ((await done()) - at);
  const from = await done();
  const calls = await callsOf(pid);
  const count = (await done()) - from;
  const top = calls.slice(0, TOP).map(([name, times]) => `${name} ${figure(times / count)}`);
  const all = calls.reduce((sum, [, times]) => sum + times, 0) / count;
  console.log(`\n${child}, one ${what}: ${figure(allocated)} bytes allocated`);
  console.log(`  ${figure(all)} system calls: ${top.join(', ')}`);
}

try {
  const flags = ['--devices', '200', '--duration', '1h'];
  const rounds = () => server.metric('owsla_deliveries_total', 'fate="sent"');
  const fast = new Fleet(server, [...flags, '--rate', '2000']);
  await waitFor('V8 to have compiled', async () => (await rounds()) > WARM);
  await fast.end();
  const talkers = new Fleet(server, [...flags, '--rate', String(rate)]);
  const before = await rounds();
  await waitFor('round trips', async () => (await rounds()) > before + rate);
  await measure(`round trip, at ${rate} a second`, 'acceptor 1', rounds);
  await talkers.end();

  const coming = ['--connect-rate', String(connectRate), '--rate', '0', '--duration', '1h'];
  const idle = new Fleet(server, ['--devices', '15000', ...coming]);
  const hellos = () => server.metric('owsla_messages_in_total', 'type="hello"');
  const met = await hellos();
  await waitFor('V8 to have compiled', async () => (await hellos()) > met + WARM / 10);
  const connects = `connect, at ${connectRate} a second`;
  await measure(connects, 'acceptor 1', hellos);
  await measure(connects, 'registrar', hellos);
  await idle.end();
} finally {
  await node.stop();
  rmSync(folder, { recursive: true });
}
