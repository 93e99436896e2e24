/**
 * TlsMemory: how much memory does an idle link cost, plain, by TLS in each way, and by HAProxy?
 * RSS of the serving process over that of the same process empty, in fresh processes each; beside
 * a bare server of `node:tls` (plain: `net`) with the same options. `haproxy`: mutual TLS ended by
 * HAProxy as in examples/deploy/haproxy.cfg, its RSS and the acceptor's together, behind it.
 * `--base DIR`: plain links of another tree, such as a worktree of an older commit, in place of the
 * bare server.
 * `node bench/studies/tlsMemory.ts [--links 5000] [--runs 3] [--hold 15] [--base DIR]
 *   [--kinds plain,tls12,tls13,mutual,psk,haproxy]`
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { loopbackNet, quietPort } from '../../test/helpers/loopback.ts';
import { Haproxy } from '../../test/helpers/processes/haproxy.ts';
import type { Server, ServerOptions } from '../../test/helpers/processes/server.ts';
import type { TlsAnswer, TlsAsk } from '../lib/clientTls.ts';
import { OPEN_GATE, startNode, tlsPortOf } from '../lib/fleet.ts';
import { loadAverages, rssBytesOf } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';
import { ABOUT, type Kind, makeTlsFiles, serverFlags } from '../lib/tlsKinds.ts';
import { Told } from '../lib/told.ts';
import { serverOf } from '../lib/trees.ts';

const { links, runs, hold, base, kinds } = options({
  ...{ links: 5_000, runs: 3, hold: 15, base: '' },
  kinds: 'plain,tls12,tls13,mutual,psk,haproxy',
});
const BESIDE_MAX = 1.1;
const HAPROXY_BYTES_MAX = 30_000;
/** So many handshakes are under way at a time: a fleet that comes, not a storm. */
const WINDOW = 32;
/** What was just started settles first. */
const SETTLE_MS = 4_000;
const files = makeTlsFiles();

/** Something that devices can connect to. */
interface Place {
  readonly port: number;
  readonly pids: readonly number[];
  readonly speaks: 'owsla' | 'bare';
  stop(): Promise<void>;
}

/** Bytes a link. */
async function measure(kind: Kind, place: Place): Promise<number> {
  const args = [kind, files.folder, String(place.port), place.speaks, loopbackNet()];
  const devices = new Told('clientTls.ts', args);
  try {
    await pause(SETTLE_MS);
    const empty = rssBytesOf(place.pids);
    const ask: TlsAsk = { do: 'open', links, window: WINDOW, greets: true };
    await devices.ask<TlsAnswer>(ask);
    await pause(hold * 1_000);
    return (rssBytesOf(place.pids) - empty) / links;
  } finally {
    await devices.stop();
    await place.stop();
  }
}

async function nodePlace(kind: Kind, more: Partial<ServerOptions> = {}): Promise<Place> {
  const flags = [...serverFlags(kind, files.folder), ...(more.flags ?? [])];
  const node = await startNode({ acceptors: 1, limits: OPEN_GATE, ...more, flags });
  const { server } = node;
  return {
    port: kind === 'plain' ? server.port : tlsPortOf(server),
    pids: [server.childPid('acceptor 1')],
    speaks: 'owsla',
    stop: () => node.stop(),
  };
}

async function barePlace(kind: Kind): Promise<Place> {
  const told = new Told('serverTls.ts', [kind, files.folder]);
  const { port } = await told.next<{ port: number }>();
  return { port, pids: [told.pid], speaks: 'bare', stop: () => told.stop() };
}

async function basePlace(): Promise<Place> {
  const Theirs = (await serverOf(base)) as typeof Server;
  const node = await startNode({ acceptors: 1, limits: OPEN_GATE }, Theirs);
  const pids = [node.server.childPid('acceptor 1')];
  return { port: node.server.port, pids, speaks: 'owsla', stop: () => node.stop() };
}

/** As examples/deploy/haproxy.cfg does it, with this bench's files and one port. */
function haproxyConfig(port: number, unix: string): string {
  const at = (name: string) => join(files.folder, name);
  const certificates = `crt ${at('haproxy.pem')} ca-file ${at('ca.pem')} crl-file ${at('crl.pem')}`;
  return `
global
  maxconn ${links + 100}
  ssl-default-bind-options ssl-min-ver TLSv1.2
  tune.ssl.cachesize 0
defaults
  mode tcp
  timeout connect 5s
  timeout client 15s
  timeout server 15s
  timeout tunnel 95m
frontend devices-mtls
  bind 127.0.0.1:${port} ssl ${certificates} verify required no-tls-tickets
  default_backend owsla
backend owsla
  server owsla unix@${unix} send-proxy-v2-ssl-cn
`;
}

async function haproxyPlace(): Promise<Place> {
  const unix = join(files.folder, 'devices.sock');
  const flags = ['--unix', unix, '--auth', 'none'];
  const inner = await nodePlace('plain', { flags });
  const port = await quietPort();
  const haproxy = await Haproxy.start(haproxyConfig(port, unix));
  return {
    ...{ port, pids: [...inner.pids, haproxy.pid], speaks: 'owsla' },
    stop: async () => {
      await haproxy.stop();
      await inner.stop();
    },
  };
}

function verdict(about: string, value: number, max: number): void {
  const shown = value < 100 ? value.toFixed(2) : value.toFixed(0);
  console.log(`${value <= max ? 'met   ' : 'MISSED'}  ${about}: ${shown} (at most ${max})`);
}

async function beside(kind: Kind): Promise<void> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const sides = [
      async () => ours.push(await measure(kind, await nodePlace(kind))),
      async () => theirs.push(await measure(kind, await (base ? basePlace() : barePlace(kind)))),
    ];
    for (const side of run % 2 === 0 ? sides : sides.reverse()) await side();
  }
  const other = base === '' ? 'bare' : 'base';
  console.log(heading(`${ABOUT[kind]}, ${links} idle links`));
  console.log(row('Owsla', spread(ours), 'bytes a link'));
  console.log(row(other, spread(theirs), 'bytes a link'));
  console.log(row('  ratio', ratios(ours, theirs)));
  verdict(`${ABOUT[kind]} beside ${other}`, ratios(ours, theirs).median, BESIDE_MAX);
}

async function behindHaproxy(): Promise<void> {
  const both: number[] = [];
  for (let run = 0; run < runs; run += 1) both.push(await measure('mutual', await haproxyPlace()));
  console.log(heading(`mutual TLS by HAProxy, ${links} idle links`));
  console.log(row('HAProxy and Owsla together', spread(both), 'bytes a link'));
  verdict('HAProxy and Owsla', spread(both).median, HAPROXY_BYTES_MAX);
}

console.log(`node ${process.version}, load averages ${loadAverages().join(' ')}`);
try {
  for (const kind of kinds.split(',')) {
    if (kind === 'haproxy') await behindHaproxy();
    else await beside(kind as Kind);
  }
} finally {
  files.remove();
}
console.log(`load averages ${loadAverages().join(' ')}`);
