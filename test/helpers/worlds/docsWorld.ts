/**
 * Docs world: a place in which a reader's commands run as they are written.
 * From: blocks of pages.  To: processes in a scratch checkout, with `owsla` in PATH, at a broker
 * whose virtual host is ours, as one of the two users of docs/amqp.md.
 * What is not as written is in this file, and nowhere else: `placed` (addresses and paths), the
 * variables of `#env`, and LOOKED_UP (what takes too long).
 * Bound: all of it goes with the test that made it.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect } from 'amqplib';
import type { Test } from 'tap';
import { Command } from '../processes/command.ts';
import { leashFolder } from '../processes/leash.ts';
import { at, debianPython } from '../processes/programs.ts';
import { makeVhost, type Vhost } from '../processes/vhost.ts';
import { waitFor } from '../waitFor.ts';

/** Targets of make that would take too long, or run this very test: `make -n` looks them up. */
export const LOOKED_UP: Readonly<Record<string, string>> = {
  test: 'all tests, of which this is one',
  soak: '25 minutes',
  chaos: '10 minutes; test/chaos has tests of its own',
  tla: '2 minutes; test/trace runs TLC',
  'tla-deep': 'hours',
  'tla-mutants': '2 minutes of all cores',
  bench: 'minutes of an idle machine',
  'bench-links': '6 minutes',
  'bench-peers': '15 minutes, and it makes docs/performance.md anew',
  check: 'test/checks.test.ts and test/tidy.test.ts are the same',
  interop: '5 minutes; test/interop has a cut of it in every run',
  release: 'it builds and packs what is committed, after all tests',
};

const TAKEN = 'node_modules/.owsla-ready';

export type User = 'owsla' | 'backend';

export class DocsWorld {
  readonly folder: string;
  readonly vhost: Vhost;
  /** URLs of the two users; a test may have made others by the page's own commands. */
  readonly users: Record<User, string>;
  /** Users that the page's own commands made, to go with the rest. */
  readonly made: string[] = [];
  port = 0;
  adminPort = 0;
  readonly #t: Test;
  #blocks = 0;

  private constructor(t: Test, folder: string, vhost: Vhost) {
    this.#t = t;
    this.folder = folder;
    this.vhost = vhost;
    this.users = { owsla: vhost.owsla, backend: vhost.backend };
  }

  /** `copies` are folders that commands of the page write into: not the real ones. */
  static async make(t: Test, copies: readonly string[] = []): Promise<DocsWorld> {
    // A short path: Unix sockets lie in a folder within.
    const folder = mkdtempSync(join(tmpdir(), 'od-'));
    leashFolder(folder);
    const vhost = await makeVhost();
    makeCheckout(folder, copies);
    for (const name of ['backup', 'tmp', 'var/lib', 'run']) {
      mkdirSync(join(folder, name), { recursive: true });
    }
    const tools = { ...programs(), rabbitmqctl: vhost.rabbitmqctl };
    for (const [name, script] of Object.entries(tools)) write(join(folder, 'bin', name), script);
    const world = new DocsWorld(t, folder, vhost);
    t.teardown(async () => {
      await vhost.remove(world.made);
      rmSync(folder, { recursive: true, force: true });
    });
    return world;
  }

  /** The text with addresses and paths of this world. */
  placed(text: string): string {
    const { folder, port, adminPort, users } = this;
    return text
      .replaceAll('amqp://guest:guest@127.0.0.1:5672', users.backend)
      .replaceAll(/\b127\.0\.0\.1([: ])7000\b/g, `127.0.0.1$1${port}`)
      .replaceAll('connect(7000,', `connect(${port},`)
      .replaceAll(/\b127\.0\.0\.1:9700\b/g, `127.0.0.1:${adminPort}`)
      .replaceAll(/rabbit-(\d)\.internal:5672/g, '127.0.0.$1:1')
      .replaceAll(
        /(?<![\w.])\/(?=etc\/owsla|var\/lib\/owsla|run\/owsla|opt\/owsla\/bin\/owsla)/g,
        `${folder}/`,
      )
      .replaceAll(/(?<![\w.])\/(?=tmp\/device|backup\/)/g, `${folder}/`);
  }

  /** Writes a program or a file of a page into the checkout, or to the path that it names. */
  save(file: string, text: string): string {
    const path = file.startsWith('/') ? this.placed(file) : join(this.folder, file);
    write(path, this.placed(text), /\bbin\//.test(file) ? 0o755 : 0o600);
    return path;
  }

  /** `sh -e` runs the block; what it says to stderr is in the output too. */
  run(text: string, user: User = 'backend', env: Record<string, string> = {}): Command {
    this.#blocks += 1;
    const script = this.save(`bin/block-${this.#blocks}.sh`, text);
    const command = ['/bin/sh', '-c', 'exec /bin/sh -e "$0" 2>&1', script];
    return new Command(
      command,
      { ...this.#env(user), ...env },
      { cwd: this.folder, isGroup: true },
    );
  }

  /** The same to its end, which has to be `code`. */
  async ends(t: Test, text: string, code = 0, user: User = 'backend'): Promise<string> {
    const command = this.run(text, user);
    t.equal(await command.exit, code, `${text}\n${command.output}`);
    return command.output;
  }

  /** Runs a block whose last command is `owsla serve`, up to its log line `ready`. */
  async serves(text: string, env: Record<string, string> = {}): Promise<Command> {
    const node = this.run(text, 'owsla', env);
    this.#t.teardown(() => node.end('SIGKILL'));
    await node.prints(/"role":"supervisor".*"msg":"ready"/);
    const line = node.output.split('\n').find((line) => line.includes('"msg":"ready"')) ?? '';
    const { port, adminPort } = JSON.parse(line);
    this.port = port;
    this.adminPort = adminPort;
    return node;
  }

  async isReady(): Promise<void> {
    const url = this.placed('http://127.0.0.1:9700/health/ready');
    await waitFor('ready health', async () => (await fetch(url)).ok);
  }

  /** Until somebody consumes this queue: what it is bound to came before. */
  async untilConsumed(queue: string): Promise<void> {
    const connection = await connect(this.vhost.admin);
    await waitFor(`a consumer of ${queue}`, async () => {
      const channel = await connection.createChannel();
      channel.on('error', () => {});
      const found = await channel.checkQueue(queue).catch(() => undefined);
      if (found !== undefined) await channel.close();
      return (found?.consumerCount ?? 0) > 0;
    });
    await connection.close();
  }

  /** A device of examples/, connected until the test is over. */
  async device(t: Test, id: string): Promise<Command> {
    const device = new Command([process.execPath, at('examples/device.ts'), ...this.peer, id]);
    t.teardown(() => device.end('SIGKILL'));
    await device.prints(/^welcome/m);
    return device;
  }

  get peer(): string[] {
    return ['127.0.0.1', String(this.port)];
  }

  #env(user: User): Record<string, string> {
    const { folder } = this;
    return {
      PATH: [join(folder, 'bin'), at('node_modules/.bin'), process.env.PATH].join(':'),
      TMPDIR: join(folder, 'tmp'),
      OWSLA_AMQP: this.users[user],
      OWSLA_PORT: '0',
      OWSLA_ADMIN_PORT: '0',
      OWSLA_ACCEPTORS: '2',
    };
  }
}

function write(path: string, text: string, mode = 0o755): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode });
}

/** A checkout by links, in which a reader may make files. */
function makeCheckout(folder: string, copies: readonly string[]): void {
  const made = ['.git', 'bin', 'tmp', 'traces'];
  for (const name of readdirSync(at('.')).filter((name) => !made.includes(name))) {
    if (copies.includes(name)) cpSync(at(name), join(folder, name), { recursive: true });
    else symlinkSync(at(name), join(folder, name));
  }
}

/** How package.json starts a program of ours, from any folder; nothing if there is no such one. */
export function scriptOf(name: string): string {
  const { scripts } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
  return String(scripts[name] ?? '')
    .replace(/\S+\.ts$/, (file) => at(file))
    .replace(/(?<==)node_modules\//, (folder) => `${at(folder)}/`);
}

/** What a reader has in PATH: ours as package.json starts them, and make, already set up. */
function programs(): Record<string, string> {
  const started = (name: string) => `#!/bin/sh\nexec env ${scriptOf(name)} "$@"\n`;
  const make = execFileSync('sh', ['-c', 'command -v make'], { encoding: 'utf8' }).trim();
  return {
    owsla: started('owsla'),
    'owsla-loadgen': started('owsla-loadgen'),
    python3: `#!/bin/sh\nexec ${debianPython} "$@"\n`,
    make: `#!/bin/sh
for word in "$@"; do
  case $word in ${Object.keys(LOOKED_UP).join(' | ')}) exec ${make} -o ${TAKEN} -n "$@" ;; esac
done
exec ${make} -o ${TAKEN} "$@"
`,
  };
}
