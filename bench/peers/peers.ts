/**
 * Peers: who is compared, and how each is started; everything on loopback, ports and data its own.
 * From: run.ts, once for each run.  To: a port, a dialect, the processes whose cost is counted.
 * Bound: each ends with this process, however that ends.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quietPort } from '../../test/helpers/loopback.ts';
import { type Broker, startBroker } from '../../test/helpers/processes/broker.ts';
import { Server } from '../../test/helpers/processes/server.ts';
import { tie } from '../../test/helpers/processes/tied.ts';
import { waitFor } from '../../test/helpers/waitFor.ts';
import type { DialectName } from '../lib/dialects.ts';
import { acceptorPids, FIGURES, OPEN_GATE } from '../lib/fleet.ts';
import { treeOf } from '../lib/machine.ts';
import { Told } from '../lib/told.ts';

/** The processes of a running peer, by what they are for. */
export interface Groups {
  /** On the way of a message. */
  readonly server: readonly number[];
  /** Belong to it, beside that way: supervisor, registrar, observer. */
  readonly aside: readonly number[];
  /** The AMQP broker behind it, where it is not the server itself. */
  readonly broker: readonly number[];
}

export interface Peer {
  readonly port: number;
  readonly version: string;
  readonly groups: Groups;
  /** Arguments of backend.ts; undefined where nobody answers. */
  readonly backend: readonly string[] | undefined;
  stop(): Promise<void>;
}

export interface Contender {
  readonly name: string;
  /** In one line, and shorter, for the report. */
  readonly title: string;
  readonly short: string;
  readonly dialect: DialectName;
  /** It is measured at its full number of links only. */
  readonly isFullOnly?: true;
  /** It takes minutes to end thousands of links: round trips are measured with all of them only. */
  readonly endsSlowly?: true;
  /** `shared` is the AMQP broker of all that need one. */
  start(shared: Broker): Promise<Peer>;
}

const MOSQUITTO = [
  '/usr/sbin/mosquitto',
  '/usr/local/sbin/mosquitto',
  '/opt/homebrew/sbin/mosquitto',
];
const POLL_DEADLINE_MS = 30_000;

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ host: '127.0.0.1', port });
    probe.once('error', () => resolve(false));
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
  });
}

/** What an npm package of ours or below node_modules says of itself. */
function versionOf(file: string): string {
  const text = readFileSync(join(import.meta.dirname, file), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

let starts = 0;
function nextPrefix(): string {
  starts += 1;
  return `bench-${process.pid}-${starts}`;
}

function owsla(acceptors: number, listener?: 'mqtt'): Contender['start'] {
  return async (shared) => {
    const prefix = nextPrefix();
    const limits = { ...FIGURES, ...OPEN_GATE };
    const flags = listener === 'mqtt' ? ['--mqtt-port', '0'] : [];
    const server = await Server.start({ amqp: shared.url, prefix, acceptors, limits, flags });
    const onPath = acceptorPids(server, acceptors);
    const aside = treeOf(server.pid).filter((pid) => !onPath.includes(pid));
    return {
      port: listener === undefined ? server.port : server.portOf(listener),
      version: versionOf('../../package.json'),
      groups: { server: onPath, aside, broker: [shared.pid] },
      backend: ['amqp', 'owsla', shared.url, prefix],
      stop: () => server.stop(),
    };
  };
}

/** One of our own server files, in a process of its own. */
async function forkServer(file: string, args: readonly string[] = []) {
  const told = new Told(file, args);
  const { port } = await told.next<{ port: number }>();
  return { port, pid: told.pid, stop: () => told.stop() };
}

async function bare(): Promise<Peer> {
  const { port, pid, stop } = await forkServer('serverBare.ts');
  const groups = { server: [pid], aside: [], broker: [] };
  return { port, version: process.version, groups, backend: undefined, stop };
}

async function floor(shared: Broker): Promise<Peer> {
  const prefix = nextPrefix();
  const { port, pid, stop } = await forkServer('serverFloor.ts', [shared.url, prefix]);
  return {
    port,
    version: `amqplib ${versionOf('../../node_modules/amqplib/package.json')}`,
    groups: { server: [pid], aside: [], broker: [shared.pid] },
    backend: ['amqp', 'owsla', shared.url, prefix],
    stop,
  };
}

async function aedes(): Promise<Peer> {
  const { port, pid, stop } = await forkServer(join(import.meta.dirname, 'serverAedes.ts'));
  return {
    port,
    version: versionOf('../../node_modules/aedes/package.json'),
    groups: { server: [pid], aside: [], broker: [] },
    backend: ['mqtt', String(port)],
    stop,
  };
}

async function mosquitto(): Promise<Peer> {
  const file = MOSQUITTO.find((path) => existsSync(path));
  if (file === undefined) throw new Error('mosquitto is not installed');
  const folder = mkdtempSync(join(tmpdir(), 'owsla-mosquitto-'));
  const port = await quietPort();
  const conf = join(folder, 'mosquitto.conf');
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence false',
    'set_tcp_nodelay true',
    // Without these it drops for a subscriber that is a thousand messages behind.
    'max_inflight_messages 0',
    'max_queued_messages 0',
    'log_type error',
  ];
  writeFileSync(conf, `${lines.join('\n')}\n`);
  const log = join(folder, 'out.log');
  const tied = await tie([file, '-c', conf], { env: { PATH: process.env.PATH }, log, folder });
  const isUp = async () => {
    if (tied.hasEnded()) throw new Error(`mosquitto ended: ${readFileSync(log, 'utf8')}`);
    return isListening(port);
  };
  await waitFor('mosquitto', isUp, POLL_DEADLINE_MS);
  return {
    port,
    version: /version (\S+)/.exec(helpOf(file))?.[1] ?? 'unknown',
    groups: { server: [tied.pid], aside: [], broker: [] },
    backend: ['mqtt', String(port)],
    stop: async () => {
      await tied.end('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Prints its version with its help, and ends with 1 or 3 for it. */
function helpOf(file: string): string {
  try {
    return execFileSync(file, ['-h'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
}

async function rabbitmq(): Promise<Peer> {
  const port = await quietPort();
  const conf = [
    `mqtt.listeners.tcp.default = 127.0.0.1:${port}`,
    'mqtt.allow_anonymous = true',
    'mqtt.tcp_listen_options.nodelay = true',
    'mqtt.tcp_listen_options.backlog = 4096',
    // What RabbitMQ's guide to many connections asks for: 4 KiB where it would take far more.
    'mqtt.tcp_listen_options.sndbuf = 4096',
    'mqtt.tcp_listen_options.recbuf = 4096',
    'mqtt.tcp_listen_options.buffer = 4096',
    'vm_memory_high_watermark.relative = 0.8',
  ];
  const broker = await startBroker({ conf });
  const enable = `ok = rabbit:await_startup(), F = rabbit_plugins:enabled_plugins_file(),
    ok = file:write_file(F, <<"[rabbitmq_mqtt].">>), {ok, _, _} = rabbit_plugins:ensure(F),
    rabbit_misc:version().`;
  const said = await broker.eval(enable);
  await waitFor('the MQTT plugin', () => isListening(port), POLL_DEADLINE_MS);
  return {
    port,
    version: /[\d.]+/.exec(said)?.[0] ?? 'unknown',
    groups: { server: [broker.pid], aside: [], broker: [] },
    backend: ['amqp', 'mqtt', broker.url],
    stop: () => broker.kill(),
  };
}

export const CONTENDERS: readonly Contender[] = [
  {
    name: 'bare',
    title: 'bare `net`, no broker behind it',
    short: 'bare net',
    dialect: 'bare',
    start: bare,
  },
  {
    name: 'floor',
    title: 'the floor: bare `net` and bare amqplib in one process',
    short: 'floor',
    dialect: 'bare',
    start: floor,
  },
  {
    name: 'owsla',
    title: 'Owsla, one acceptor',
    short: 'Owsla',
    dialect: 'owsla',
    start: owsla(1),
  },
  {
    name: 'owsla-2',
    title: 'Owsla, 2 acceptors',
    short: 'Owsla, 2 acceptors',
    dialect: 'owsla',
    isFullOnly: true,
    start: owsla(2),
  },
  {
    name: 'owsla-4',
    title: 'Owsla, 4 acceptors',
    short: 'Owsla, 4 acceptors',
    dialect: 'owsla',
    isFullOnly: true,
    start: owsla(4),
  },
  {
    name: 'owsla-mqtt',
    title: 'Owsla by MQTT, one acceptor',
    short: 'Owsla by MQTT',
    dialect: 'owsla-mqtt',
    start: owsla(1, 'mqtt'),
  },
  {
    name: 'mosquitto',
    title: 'Mosquitto, in C',
    short: 'Mosquitto',
    dialect: 'mqtt',
    start: mosquitto,
  },
  {
    name: 'aedes',
    title: 'aedes on plain `net`',
    short: 'aedes',
    dialect: 'mqtt',
    start: aedes,
  },
  {
    name: 'rabbitmq',
    title: 'RabbitMQ’s MQTT plugin',
    short: 'RabbitMQ MQTT',
    dialect: 'mqtt',
    endsSlowly: true,
    start: rabbitmq,
  },
];
