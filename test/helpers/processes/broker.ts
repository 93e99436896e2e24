/**
 * Broker: a private RabbitMQ for one test file, or the one that is already there.
 * From: tests, examples, benches.  To: the machine's installed rabbitmq-server.
 * A private one has its own AMQP, distribution and epmd ports on loopback, its own node name,
 * cookie and data in a temporary folder, and ends with this process, however that ends.
 * Bound: START_DEADLINE_MS to answer an AMQP login; then one sentence with the log's last lines.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connect } from 'amqplib';
import { quietPort } from '../loopback.ts';
import { addUser, inOrder, permit } from './brokerWords.ts';
import { type Tied, tie } from './tied.ts';

/** Generous: it only tells a hang from a wait. */
const START_DEADLINE_MS = 120_000;
const LOGIN_DEADLINE_MS = 2_000;
const STOP_DEADLINE_MS = 5_000;
const POLL_MS = 50;
const DEFAULT_URL = 'amqp://guest:guest@127.0.0.1:5672';
const SCRIPT_FOLDERS = ['/usr/lib/rabbitmq/bin', '/opt/homebrew/sbin', '/usr/local/sbin'];
/** Where a node that starts for the first time looks for a cluster to join. */
const PEERS = 'cluster_formation.classic_config.nodes';
/** A folder with another RabbitMQ in it, as .ci/rabbitmq.sh makes one; /tmp is seen there too. */
const ROOT = process.env.OWSLA_TEST_RABBITMQ ?? '';
const OUT_OF_REACH = 'rabbitmqctl cannot reach a broker that is not ours';
const SETUP = join(import.meta.dirname, '../../../.ci/setup.sh');

const run = promisify(execFile);

export interface BrokerOptions {
  /** Further lines of rabbitmq.conf, such as `heartbeat = 5`. */
  readonly conf?: readonly string[];
  /** A private broker whose cluster this one joins; see cluster.ts. */
  readonly beside?: Broker;
}

/** Regular expressions over the names that a user may touch in the vhost `/`. */
export interface Permissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

export interface Broker {
  /** With user and password: the administrator guest, on loopback. */
  readonly url: string;
  readonly port: number;
  /** The Erlang VM's pid while it runs, else 0. 0 for a broker that is not ours. */
  readonly pid: number;
  /** Only a private broker can be stopped, killed, paused and started; a shared one throws. */
  readonly isPrivate: boolean;
  /** The same address for another user. */
  urlFor(name: string, password: string): string;
  /** Ends the node gracefully; what is durable stays for `start`. No-op if shared. */
  stop(): Promise<void>;
  /** SIGKILL to the whole node; data stays as it was on disk. */
  kill(): Promise<void>;
  /** Starts the node again on the same ports and data; resolves when a login succeeds. */
  start(): Promise<void>;
  /** SIGSTOP: sockets stay open and nothing answers, until `resume`. */
  pause(): void;
  resume(): void;
  /** Runs rabbitmqctl against the node and gives its output; rejects with what it printed. */
  ctl(...args: string[]): Promise<string>;
  /** The same for Erlang's words, which it works out itself: no other Erlang VM is started. */
  eval(words: string): Promise<string>;
  /** Adds a user with these permissions on vhost `/`, or changes them; gives that user's url. */
  addUser(name: string, password: string, permissions: Permissions): Promise<string>;
}

/** What another process needs to reach the same private broker. */
export interface Home {
  readonly folder: string;
  readonly scripts: string;
  /** Where the programs see their files; '': as we do. */
  readonly root: string;
  readonly port: number;
  /** The first node of a cluster runs it for all, and lends them room in its folder. */
  readonly hasEpmd: boolean;
  readonly env: Record<string, string>;
}

/** Starts a private broker; resolves when a login succeeds (about 6 s on an idle machine). */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const broker = new PrivateBroker(await makeHome(options));
  await broker.start();
  return broker;
}

/**
 * The broker to use when any will do: the one that OWSLA_TEST_AMQP names; else a private one of the
 * release in OWSLA_TEST_RABBITMQ, a folder; else one on
 * 127.0.0.1:5672 that accepts the guest login; else a private one, after installing
 * rabbitmq-server where that is possible. Share it: take a random prefix for every name.
 * Rejects with one sentence when none can be had.
 */
export async function findBroker(): Promise<Broker> {
  const wanted = process.env.OWSLA_TEST_AMQP;
  if (wanted !== undefined && wanted !== '') {
    if (await canLogIn(wanted)) return sharedBroker(wanted);
    throw new Error(`no AMQP login at OWSLA_TEST_AMQP (${withoutPassword(wanted)})`);
  }
  if (ROOT === '' && (await canLogIn(DEFAULT_URL))) return sharedBroker(DEFAULT_URL);
  if (ROOT === '' && findScripts() === undefined) await installBroker();
  return startBroker();
}

/** Environment that makes `findBroker` in a child process find this broker. */
export function shareBroker(broker: Broker): {
  OWSLA_TEST_AMQP: string;
  OWSLA_TEST_BROKER: string;
} {
  const home = broker instanceof PrivateBroker ? broker.home.folder : '';
  return { OWSLA_TEST_AMQP: broker.url, OWSLA_TEST_BROKER: home };
}

class PrivateBroker implements Broker {
  readonly home: Home;
  readonly isPrivate = true;
  #epmd: Tied | undefined;
  #node: Tied | undefined;

  constructor(home: Home) {
    this.home = home;
  }

  get url(): string {
    return this.urlFor('guest', 'guest');
  }

  get port(): number {
    return this.home.port;
  }

  get pid(): number {
    return this.#node === undefined || this.#node.hasEnded() ? 0 : this.#node.pid;
  }

  urlFor(name: string, password: string): string {
    return urlAt(`amqp://127.0.0.1:${this.home.port}`, name, password);
  }

  async start(): Promise<void> {
    if (this.pid !== 0) return;
    const { folder } = this.home;
    const options = {
      env: nodeEnv(this.home),
      log: join(folder, 'out.log'),
      folder,
    };
    // Our own epmd, in the foreground: Erlang would start one that stays behind as a daemon. It
    // outlives the node, up to our own end, and then its tie removes the folder.
    if (this.home.hasEpmd) this.#epmd ??= await tie(seenFrom(this.home.root, 'epmd'), options);
    const node = await tie(scriptOf(this.home, 'rabbitmq-server'), options);
    this.#node = node;
    const giveUpAt = Date.now() + START_DEADLINE_MS;
    while (!(await canLogIn(this.url))) {
      if (node.hasEnded() || Date.now() > giveUpAt) {
        const why = node.hasEnded() ? 'ended at once' : 'did not answer in time';
        const said = lastLines(options.log);
        await this.kill();
        throw new Error(`the private RabbitMQ ${why}: ${said}`);
      }
      await delay(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    await this.#node?.end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.#node?.end('SIGKILL');
  }

  pause(): void {
    const { pid } = this.#running();
    process.kill(pid, 'SIGSTOP');
    // The signal is under way when `kill` returns: a thread may still answer somebody.
    const giveUpAt = Date.now() + STOP_DEADLINE_MS;
    while (!isStopped(pid)) {
      if (Date.now() > giveUpAt) throw new Error('the broker does not stop');
    }
  }

  resume(): void {
    process.kill(this.#running().pid, 'SIGCONT');
  }

  ctl(...args: string[]): Promise<string> {
    return ctl(this.home, args);
  }

  eval(words: string): Promise<string> {
    return evaluate(this.home, words);
  }

  addUser(name: string, password: string, permissions: Permissions): Promise<string> {
    return makeUser(this, name, password, permissions);
  }

  #running(): Tied {
    if (this.#node === undefined || this.#node.hasEnded()) throw new Error('the broker is down');
    return this.#node;
  }
}

/** All of its threads; Linux shows that. */
function isStopped(pid: number): boolean {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return true;
  return readdirSync(tasks).every((task) => {
    // One that has just ended has no more than its folder's name.
    const file = `${tasks}/${task}/stat`;
    const stat = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
}

/** A broker that somebody else started. With OWSLA_TEST_BROKER, rabbitmqctl reaches it too. */
function sharedBroker(url: string): Broker {
  const folder = process.env.OWSLA_TEST_BROKER ?? '';
  const home = folder === '' ? undefined : readHome(folder);
  const refuse = (): never => {
    throw new Error('this broker is shared: only one from startBroker() can be ended or paused');
  };
  const broker: Broker = {
    url,
    port: Number(new URL(url).port || 5672),
    pid: 0,
    isPrivate: false,
    urlFor: (name, password) => urlAt(url, name, password),
    stop: async () => {},
    kill: async () => refuse(),
    start: async () => refuse(),
    pause: refuse,
    resume: refuse,
    ctl: async (...args) => ctl(home, args),
    eval: async (words) => evaluate(home, words),
    addUser: (name, password, permissions) => makeUser(broker, name, password, permissions),
  };
  return broker;
}

async function makeHome(options: BrokerOptions): Promise<Home> {
  const scripts = findScripts();
  if (scripts === undefined) throw new Error('rabbitmq-server is not installed');
  const { beside, conf = [] } = options;
  const first = beside instanceof PrivateBroker ? beside.home : undefined;
  const folder = mkdtempSync(join(first?.folder ?? tmpdir(), 'owsla-broker-'));
  const [port, distPort, epmdPort] = [await quietPort(), await quietPort(), await quietPort()];
  const at = (name: string) => join(folder, name);
  const home: Home = {
    folder,
    scripts,
    root: ROOT,
    port,
    hasEpmd: first === undefined,
    env: {
      HOME: folder,
      // A VM whose folder goes under it would leave a dump where this process was started.
      ERL_CRASH_DUMP_SECONDS: '0',
      RABBITMQ_NODENAME: `owsla-${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: `${port}`,
      RABBITMQ_DIST_PORT: `${distPort}`,
      ERL_EPMD_PORT: first?.env.ERL_EPMD_PORT ?? `${epmdPort}`,
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_MNESIA_BASE: at('data'),
      RABBITMQ_LOG_BASE: at('log'),
      RABBITMQ_ENABLED_PLUGINS_FILE: at('enabled_plugins'),
      RABBITMQ_PLUGINS_EXPAND_DIR: at('plugins'),
      RABBITMQ_GENERATED_CONFIG_DIR: at('generated'),
      RABBITMQ_CONFIG_FILE: at('rabbitmq.conf'),
      RABBITMQ_CONFIG_FILES: at('conf.d'),
      RABBITMQ_ADVANCED_CONFIG_FILE: at('advanced.config'),
      RABBITMQ_CONF_ENV_FILE: at('rabbitmq-env.conf'),
      RABBITMQ_PID_FILE: at('pid'),
    },
  };
  const ours = ['log.file.level = warning', 'disk_free_limit.absolute = 1MB'];
  const peers = first === undefined ? [] : [`${PEERS}.1 = ${first.env.RABBITMQ_NODENAME}`];
  writeFileSync(at('rabbitmq.conf'), `${[...ours, ...peers, ...conf].join('\n')}\n`);
  writeFileSync(at('enabled_plugins'), '[].\n');
  writeFileSync(at('.erlang.cookie'), `owsla${first?.port ?? port}`, { mode: 0o400 });
  writeFileSync(at('home.json'), JSON.stringify(home));
  return home;
}

export function readHome(folder: string): Home {
  return JSON.parse(readFileSync(join(folder, 'home.json'), 'utf8')) as Home;
}

function nodeEnv(home: Home): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    LANG: 'C.UTF-8',
    ...home.env,
    // Makes the start script become the VM, so that its pid is the node's.
    detached: '1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };
}

async function ctl(home: Home | undefined, args: readonly string[]): Promise<string> {
  if (home === undefined) throw new Error(OUT_OF_REACH);
  const env = { PATH: process.env.PATH, LANG: 'C.UTF-8', ...home.env };
  const [program = '', ...before] = scriptOf(home, 'rabbitmqctl');
  const { stdout } = await run(program, [...before, '--quiet', ...args], { env });
  return stdout;
}

let evaluations = 0;

async function evaluate(home: Home | undefined, words: string): Promise<string> {
  if (home === undefined) throw new Error(OUT_OF_REACH);
  const { root, folder, env } = home;
  const [program = '', ...before] = seenFrom(root, 'erl_call');
  const cookie = readFileSync(join(folder, '.erlang.cookie'), 'utf8');
  evaluations += 1;
  // Several may ask at once, each by a name that nobody else has: -r would choose by the second.
  const mine = ['-h', `owsla-${process.pid}-${evaluations}`];
  const args = [...mine, '-n', env.RABBITMQ_NODENAME ?? '', '-c', cookie, '-e'];
  const call = run(program, [...before, ...args], { env: { PATH: process.env.PATH, ...env } });
  // One that ends before it has read says why itself.
  call.child.stdin?.on('error', () => {}).end(`${words}\n`);
  const { stdout, stderr } = await call;
  const result = /^\{ok, (.*)\}\s*$/s.exec(stdout)?.[1];
  if (result === undefined) throw new Error(`${words} ${stdout}${stderr}`);
  return result;
}

async function makeUser(
  broker: Broker,
  name: string,
  password: string,
  permissions: Permissions,
): Promise<string> {
  await broker.eval(inOrder(addUser(name, password), permit(name, permissions)));
  return broker.urlFor(name, password);
}

async function canLogIn(url: string): Promise<boolean> {
  try {
    const link = await connect(url, { timeout: LOGIN_DEADLINE_MS });
    await link.close();
    return true;
  } catch {
    return false;
  }
}

async function installBroker(): Promise<void> {
  try {
    await run(SETUP, ['broker']);
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    const last = said.split('\n').at(-1);
    throw new Error(`no AMQP broker, and rabbitmq-server cannot be installed: ${last}`);
  }
}

function findScripts(): string | undefined {
  return SCRIPT_FOLDERS.find((folder) => existsSync(join(ROOT, folder, 'rabbitmq-server')));
}

/** Its command line, such as `rabbitmqctl`; the pid is the program's. */
export function scriptOf({ root, scripts }: Home, name: string): string[] {
  return seenFrom(root, join(scripts, name));
}

function seenFrom(root: string, program: string): string[] {
  return root === '' ? [program] : ['chroot', root, program];
}

function urlAt(base: string, name: string, password: string): string {
  const url = new URL(base);
  url.username = encodeURIComponent(name);
  url.password = encodeURIComponent(password);
  return url.href;
}

function withoutPassword(text: string): string {
  const url = new URL(text);
  url.password = '';
  return url.href;
}

function lastLines(file: string): string {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return text.trim().split('\n').slice(-5).join(' | ');
}
