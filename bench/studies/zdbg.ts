/**
 * Handshakes: what does a full TLS handshake cost an acceptor, beside bare `node:tls`?
 * A node with one acceptor and a bare server with the same certificate (EC, P-256) and the same
 * cipher are up at once and work in short turns, one after the other; ratios are of a turn's pair.
 * Processor time of the serving process alone, as handshakes a second that one core can do: once
 * for the handshake, and once up to WELCOME (bare: 40 bytes and back).
 * `node bench/studies/handshakes.ts [--turns 9] [--warm 4] [--links 1000] [--window 64]
 *   [--kinds tls13,mutual]`: of tls12, tls13, mutual and psk. The --warm turns do not count.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { loopbackNet } from '../../test/helpers/loopback.ts';
import type { TlsAnswer, TlsAsk } from '../lib/clientTls.ts';
import { OPEN_GATE, startNode, tlsPortOf } from '../lib/fleet.ts';
import { cpuUsOf, loadAverages } from '../lib/machine.ts';
import { options } from '../lib/options.ts';
import { heading, ratios, row, spread } from '../lib/stats.ts';
import { ABOUT, type Kind, makeTlsFiles, serverFlags } from '../lib/tlsKinds.ts';
import { Told } from '../lib/told.ts';

const { turns, warm, links, window, kinds } = options({
  ...{ turns: 9, warm: 4, links: 1_000, window: 64, kinds: 'tls13,mutual' },
});
const GOAL = 0.85;
const US_PER_S = 1_000_000;
/** What a turn leaves behind, such as closed sockets, is not the next one's. */
const REST_MS = 250;
const files = makeTlsFiles();

interface Side {
  readonly name: string;
  readonly pid: number;
  readonly client: Told;
  /** Handshakes a second a core, a turn each. */
  readonly shakes: number[];
  readonly greetings: number[];
}

function sideOf(name: string, kind: Kind, pid: number, port: number): Side {
  const args = [kind, files.folder, String(port), name, loopbackNet()];
  return { name, pid, client: new Told('clientTls.ts', args), shakes: [], greetings: [] };
}

async function turn({ pid, client }: Side, greets: boolean): Promise<number> {
  await pause(REST_MS);
  const before = cpuUsOf([pid]);
  const ask: TlsAsk = { do: 'open', links, window, greets };
  await client.ask<TlsAnswer>(ask);
  await pause(REST_MS);
  const us = cpuUsOf([pid]) - before;
  await client.ask<TlsAnswer>({ do: 'close' } satisfies TlsAsk);
  return (links * US_PER_S) / us;
}

async function measure(kind: Kind): Promise<void> {
  // All of a turn's links may be without a HELLO at once.
  const limits = { ...OPEN_GATE, greetingsMax: 100_000, greetingMs: 60_000 };
  const flags = serverFlags(kind, files.folder);
  const node = await startNode({ acceptors: 1, limits, flags });
  const bare = new Told('serverTls.ts', [kind, files.folder]);
  const { port } = await bare.next<{ port: number }>();
  const pid = node.server.childPid('acceptor 1');
  const ours = sideOf('owsla', kind, pid, tlsPortOf(node.server));
  const theirs = sideOf('bare', kind, bare.pid, port);
  try {
    for (let at = 0; at < warm + turns; at += 1) {
      for (const side of at % 2 === 0 ? [ours, theirs] : [theirs, ours]) {
        const [shakes, greetings] = [await turn(side, false), await turn(side, true)];
        if (at < warm) continue;
        side.shakes.push(shakes);
        side.greetings.push(greetings);
      }
    }
    const { cipher } = await ours.client.ask<TlsAnswer>({ do: 'close' } satisfies TlsAsk);
    const other = await theirs.client.ask<TlsAnswer>({ do: 'close' } satisfies TlsAsk);
    if (cipher !== other.cipher) throw new Error(`${cipher} beside ${other.cipher}`);
    report(`${ABOUT[kind]}: ${cipher}`, ours, theirs);
  } finally {
    console.error(
      node.server.log.slice(-8),
      await node.server.page('/metrics').then((p) =>
        p
          .split('\n')
          .filter((l) => /establish|refus|accept/.test(l) && !/ 0$|^#/.test(l))
          .join('\n'),
      ),
    );
    await Promise.all([ours.client.stop(), theirs.client.stop(), bare.stop()]);
    await node.stop();
  }
}

function report(title: string, ours: Side, theirs: Side): void {
  console.log(heading(title));
  const ratio = ratios(ours.shakes, theirs.shakes);
  console.log(row('handshakes a second a core, Owsla', spread(ours.shakes)));
  console.log(row('handshakes a second a core, bare', spread(theirs.shakes)));
  console.log(row(`  ratio (goal: ${GOAL})`, ratio));
  console.log(row('up to WELCOME, Owsla', spread(ours.greetings)));
  console.log(row('40 bytes and back, bare', spread(theirs.greetings)));
  console.log(row('  ratio', ratios(ours.greetings, theirs.greetings)));
  console.log(`${ratio.median >= GOAL ? 'met   ' : 'MISSED'}  handshakes beside bare node:tls`);
}

console.log(`node ${process.version}, ${links} links a turn, load ${loadAverages().join(' ')}`);
try {
  for (const kind of kinds.split(',')) await measure(kind as Kind);
} finally {
  files.remove();
}
console.log(`load averages ${loadAverages().join(' ')}`);
