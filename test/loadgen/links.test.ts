/** Connecting, keeping alive and coming back: what the server sees of the fleet. */
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import t from 'tap';
import { newGroupKey, readGroupKeys, verifyToken } from '../../src/base/deviceKeys.ts';
import { TYPE } from '../../src/wire/message.ts';
import type { Link, Script } from './scriptedServer.ts';
import { runToEnd } from './spawn.ts';
import { watched } from './watched.ts';

function bye(link: Link, reason: string, retryAfter?: number): boolean {
  link.send({ type: TYPE.BYE, reason, retryAfter });
  link.socket.end();
  return true;
}

t.test('links: connects come at their rate, over all workers together', async (t) => {
  const flags = ['--devices', '200', '--connect-rate', '100', '--workers', '2'];
  const { hellos, report } = await watched({}, [...flags, '--duration', '100ms']);

  const times = [...hellos.values()].flat().sort((a, b) => a - b);
  // Device k is planned at k / rate: half of them after half the time. That no worker counts for
  // itself alone would show as half or twice of it; schedule.test.ts is about the moments.
  const half = times[100] ?? 0;
  t.equal(times.length, 200);
  t.ok(half > 700 && half < 1_600, `the 100th after ${Math.round(half)} ms`);
  t.ok(Math.abs(report.links.connectRate - 100) < 40, `${report.links.connectRate} connects/s`);
});

t.test('links: a storm is all at once, from the source addresses in turn', async (t) => {
  const sources = new Map<string, number>();
  const script: Script = {
    onHello: ({ socket }) => {
      const source = socket.remoteAddress ?? '';
      sources.set(source, (sources.get(source) ?? 0) + 1);
      return false;
    },
  };
  const flags = ['--devices', '300', '--storm', '--source', '127.0.0.2-127.0.0.4'];
  const { report } = await watched(script, [...flags, '--duration', '100ms', '--workers', '2']);

  t.same([...sources].sort(), [
    ['127.0.0.2', 100],
    ['127.0.0.3', 100],
    ['127.0.0.4', 100],
  ]);
  t.equal(report.links.openAtEnd, 300);
});

t.test('links: after a BYE a device waits retryAfter, then comes back', async (t) => {
  const gone = new Set<string>();
  const script: Script = {
    onRequest: (link) => {
      if (gone.has(link.deviceId)) return false;
      gone.add(link.deviceId);
      return bye(link, 'draining', 700);
    },
  };
  const flags = ['--devices', '4', '--rate', '20', '--duration', '2s', '--allow', 'cut'];
  const { hellos, report, exitCode } = await watched(script, flags);

  t.equal(exitCode, 0);
  t.equal(report.links.reconnects, 4);
  t.match(report.labelled.ends, { 'bye:draining': 4 });
  t.equal(report.violations.cut, 4);
  for (const [first = 0, second = 0] of hellos.values()) t.ok(second - first >= 700);
});

t.test('links: without retryAfter the backoff is jittered and doubles', async (t) => {
  const script: Script = {
    onHello: (link) => link.deviceId !== 'lg-000000' && bye(link, 'server-full'),
  };
  const flags = ['--devices', '100', '--reconnect', '200ms-60s', '--duration', '3s'];
  const ours = monitorEventLoopDelay();
  ours.enable();
  const { hellos, report } = await watched(script, flags);
  ours.disable();

  hellos.delete('lg-000000');
  // What the machine kept either side waiting is no backoff; each is waited for twice.
  const theirsMs = Math.max(...report.selfCheck.workers.map(({ lagMaxMs }) => lagMaxMs));
  const lateMs = 2 * (theirsMs + ours.max / 1e6);
  const tries = [...hellos.values()];
  const waits = (n: number) =>
    tries
      .flatMap((times) => (times[n] ?? 0) - (times[n - 1] ?? 0))
      .filter((ms) => ms > 0)
      .sort((a, b) => a - b);
  const [first, third] = [waits(1), waits(3)];
  const half = `half of them within ${first[49]} ms, up to ${lateMs} of them late`;
  t.ok((first[49] ?? 0) < 400 + lateMs, `up to 200 ms at first: ${half}`);
  t.ok((third.at(-1) ?? 0) > 400, `up to 800 ms then: at most ${third.at(-1)} ms`);
  t.ok(new Set(third.map((ms) => Math.round(ms / 20))).size > 5, 'spread');
  t.equal(report.labelled.connectErrors['bye:server-full'], report.counts.connectFailures);
});

t.test('links: a device that was taken over stays away for at least its wait', async (t) => {
  let taken = 0;
  const script: Script = {
    onRequest: (link) => {
      taken += 1;
      return taken === 1 ? bye(link, 'taken-over') : false;
    },
  };
  const flags = ['--devices', '1', '--rate', '4', '--duration', '2500ms', '--allow', 'cut'];
  const { hellos } = await watched(script, [
    ...flags,
    ...['--taken-over-wait', '1s', '--reconnect', '10ms-20ms'],
  ]);

  const [first = 0, second = 0] = hellos.get('lg-000000') ?? [];
  t.ok(second - first >= 1_000, `${second - first} ms`);
});

t.test('links: an idle device keeps alive with PINGs, as WELCOME asks', async (t) => {
  const flags = ['--devices', '3', '--duration', '3s'];
  const { server, report } = await watched({ keepaliveS: 1 }, flags);

  // Every 0.75 s for 3 s: four each at most, less what the start, the end and the machine cut off.
  t.ok(server.counts.pings >= 6 && server.counts.pings <= 13, `${server.counts.pings} PINGs`);
  const { pings = 0, pongs = 0 } = report.counts;
  t.ok(pongs <= pings && pongs >= pings - 3, 'all are answered but the last of each, at the end');
});

t.test('links: with a group key each device proves itself, at each connect', async (t) => {
  const folder = t.testdir({ 'keys.yaml': `a: ${newGroupKey()}\nb: ${newGroupKey()}\n` });
  const file = join(folder, 'keys.yaml');
  chmodSync(file, 0o600);
  const keys = readGroupKeys(file);
  const tokens: (string | undefined)[] = [];
  const gone = new Set<string>();
  const script: Script = {
    onHello: (_, { deviceId, token }) => {
      t.same(verifyToken(token ?? '', deviceId, keys, Date.now()), {}, deviceId);
      tokens.push(token);
      return false;
    },
    onRequest: (link) => {
      if (gone.has(link.deviceId)) return false;
      gone.add(link.deviceId);
      return bye(link, 'draining', 50);
    },
  };
  const load = ['--devices', '4', '--workers', '2', '--rate', '20', '--duration', '1s'];
  const flags = [...load, '--allow', 'cut', '--keys', file];
  const { report } = await watched(script, [...flags, '--key-id', 'b']);

  t.equal(tokens.length, 8);
  t.equal(new Set(tokens).size, 4, 'one of each device, the same again');
  t.ok(tokens.every((token) => token?.startsWith('k1.b.0.')));
  const secret = readFileSync(file, 'utf8').slice(3, 20);
  const written = JSON.stringify(report);
  t.notOk(written.includes(secret) || tokens.some((token) => written.includes(token ?? '')));
  for (const wrong of [
    ['--keys', `${file}.none`],
    ['--keys', file],
    [...flags, '--key-id', 'c'],
  ]) {
    const { exitCode, stderr } = await runToEnd(['--target', '127.0.0.1:1', ...wrong]);
    t.equal(exitCode, 64);
    t.match(stderr, /^owsla-loadgen: --keys: .*(?:cannot be opened|say which key|no such key)/);
  }
});
