/**
 * HAProxy: a real one with a configuration of the test's own, and its runtime API.
 * From: the text of a configuration.  To: a process that listens where that says.
 * Bound: it ends with the test that started it, at the latest with this process.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Tied, tieServer } from './tied.ts';

const PROGRAM = ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy', '/opt/homebrew/bin/haproxy'].find(
  existsSync,
);
/** Why there is none here, or `false`. */
export const noHaproxy: string | false =
  PROGRAM === undefined && 'no HAProxy on this machine (Debian: haproxy)';

/** What HAProxy finds wrong with a configuration; '' when nothing is. */
export function faultsOfConfig(file: string): string {
  const { status, stderr } = spawnSync(PROGRAM ?? '', ['-c', '-f', file], { encoding: 'utf8' });
  return status === 0 && !/\[(?:WARNING|ALERT)\]/.test(stderr) ? '' : stderr;
}

async function askRuntime(folder: string, command: string, payload?: string): Promise<string> {
  const socket = createConnection(join(folder, 'runtime'));
  await once(socket, 'connect');
  const pem = payload?.replaceAll(/^\s*\n/gm, '').trimEnd();
  socket.write(pem === undefined ? `${command}\n` : `${command} <<\n${pem}\n\n`);
  return (await text(socket)).trim();
}

export class Haproxy {
  readonly #tied: Tied;
  readonly #folder: string;

  private constructor(tied: Tied, folder: string) {
    this.#tied = tied;
    this.#folder = folder;
  }

  /** Resolves when it listens. Rejects with what it said when it ends instead. */
  static async start(config: string): Promise<Haproxy> {
    const folder = mkdtempSync(join(tmpdir(), 'owsla-haproxy-'));
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(file, `${config}\nglobal\n  stats socket ${folder}/runtime level admin\n`);
    const command = [PROGRAM ?? 'haproxy', '-db', '-f', file];
    const tied = await tieServer(command, folder, async () => {
      return (await askRuntime(folder, 'show version').catch(() => '')) !== '';
    });
    return new Haproxy(tied, folder);
  }

  get pid(): number {
    return this.#tied.pid;
  }

  /** The answer of its runtime API. `payload`: PEM, as `set ssl` takes it. */
  ask(command: string, payload?: string): Promise<string> {
    return askRuntime(this.#folder, command, payload);
  }

  async stop(): Promise<void> {
    await this.#tied.end('SIGTERM');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
