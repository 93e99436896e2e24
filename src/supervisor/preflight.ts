/**
 * Preflight: proves, before any child is forked, that the node can start.
 * From: commandLine.ts, with a checked config.
 * To: the same config with real ports, or one StartError.
 * Bound: `brokerConnectMs` for each step at the brokers, all at once; nothing stays open.
 */
import { randomInt } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { readFiles } from '../acceptor/establish/listenerFiles.ts';
import type { Config } from '../base/config.ts';
import { EXIT, exitOfSystem, StartError } from '../base/errors.ts';
import { FILES_RESERVED } from '../base/limits.ts';
import { addressOf, asksBackend, isModule, type ListenerConfig } from '../base/listeners.ts';
import type { Logger } from '../base/log.ts';
import { connectTo } from '../broker/amqp.ts';
import { brokerAddress, brokerError } from '../broker/brokerErrors.ts';
import { connectOptions, tryOrder } from '../broker/connection.ts';
import {
  declareApart,
  declareAuth,
  declareCommands,
  declarePresence,
  declareUplink,
  names,
} from '../broker/topology.ts';
import { proveModule } from '../kit/proveModule.ts';
import { type LinksConfig, linksMaxOf, linksThatFit, openFilesMax } from '../node/files.ts';
import { isShortEnough, makeRunDir } from '../node/folder.ts';
import { controlSocket } from '../node/ipc.ts';
import { readAdminToken } from '../observer/adminGuard.ts';
import { SqliteFile } from '../registrar/store/sqliteFile.ts';
import { StoreError } from '../registrar/store/store.ts';
import { checkListener, checkPort, codeOf, isAnswered } from './places.ts';

/** A certificate that ends within 14 days needs somebody. */
const SOON_MS = 14 * 86_400_000;

/** One thing that has to be so before a node can start. */
export interface PreflightStep {
  readonly what: string;
  /** A node that runs with this config holds it: it cannot be tried beside one. */
  readonly isHeld?: boolean;
  /** Throws, or rejects with, the StartError that ends a start. */
  readonly check: () => unknown;
}

/**
 * Files, ports, --run-dir, presence store and broker, in this order. What is no fault yet is a
 * warning in `log`; an unreachable broker is one when `waitForBroker` is set. `running`: the config
 * of a node that holds its places, its folder and its store.
 */
export function preflightSteps(config: Config, log: Pick<Logger, 'warn'>, running?: Config) {
  const { adminHost, adminTokenFile } = config;
  const listeners: ListenerConfig[] = [];
  let { adminPort } = config;
  const whatOf = (one: ListenerConfig) => `listener ${one.name} at ${addressOf(one)}`;
  const steps: PreflightStep[] = [
    { what: 'open files', check: () => checkFiles(config, openFilesMax()) },
    ...config.listeners.map((one) => {
      return { what: `${whatOf(one)}: its files`, check: () => checkListenerFiles(one, log) };
    }),
    ...(adminTokenFile === ''
      ? []
      : [{ what: 'admin token', check: () => readAdminToken(adminTokenFile) }]),
    ...config.listeners
      .filter(({ protocol }) => isModule(protocol))
      .map(({ name, protocol }) => {
        const what = `listener ${name}: its protocol ${protocol}`;
        return { what, check: () => checkModule(protocol, config) };
      }),
    ...config.listeners.map((one) => {
      const held = running?.listeners.find((other) => isSamePlace(one, other));
      const inPlace = async () =>
        held ? Object.freeze({ ...one, port: held.port }) : checkListener(one);
      const check = async () => listeners.push(placed(await inPlace()));
      return { what: whatOf(one), isHeld: true, check };
    }),
    {
      what: 'admin port',
      isHeld: true,
      check: async () => {
        const isHeld =
          running?.adminHost === adminHost && [0, running.adminPort].includes(adminPort);
        if (isHeld) adminPort = running.adminPort;
        else adminPort = await checkPort('admin port', adminHost, adminPort);
      },
    },
    ...(running === undefined
      ? [
          { what: 'run-dir', isHeld: true, check: () => checkRunDir(config) },
          { what: 'store', isHeld: true, check: () => checkStore(config, log) },
        ]
      : []),
    { what: 'broker', check: () => checkBroker(config, log) },
  ];
  /** The ports that were free, once all of it was checked. */
  const found = () => ({ listeners: Object.freeze(listeners), adminPort });
  return { steps, found };
}

/** A listener keeps its place; with port 0 it has the one that was picked for it. */
function isSamePlace(one: ListenerConfig, { name, host, port, unix }: ListenerConfig): boolean {
  if (one.unix !== '' || unix !== '') return one.unix === unix;
  return one.host === host && (one.port === port || (one.port === 0 && one.name === name));
}

/** The config with the ports that were free. Throws the StartError of the first step that fails. */
export async function preflight(config: Config, log: Logger, running?: Config): Promise<Config> {
  const { steps, found } = preflightSteps(config, log, running);
  for (const { check } of steps) await check();
  // Acceptors spread over the brokers, each beginning with another one: so do nodes by this.
  const amqp = Object.freeze(tryOrder(config.amqp, randomInt(config.amqp.length)));
  return Object.freeze({ ...config, amqp, ...found() });
}

/** A link to a module is followed now: what restarts later has the version that was proved. */
function placed(listener: ListenerConfig): ListenerConfig {
  const { protocol } = listener;
  return isModule(protocol)
    ? Object.freeze({ ...listener, protocol: realpathSync(protocol) })
    : listener;
}

/** In a thread of its own, as it may do anything. */
async function checkModule(path: string, { limits }: Config): Promise<void> {
  const sentence = await proveModule({ path, bytesMax: limits.frameBytesMax });
  if (sentence !== undefined) throw new StartError(EXIT.config, sentence);
}

/** Certificates, revocation lists, keys; what ends soon is only a warning. */
function checkListenerFiles(listener: ListenerConfig, log: Pick<Logger, 'warn'>): void {
  const now = Date.now();
  const { tls } = readFiles(listener, now);
  const { name } = listener;
  if (tls?.endsAt !== undefined && tls.endsAt - now < SOON_MS) {
    const endsAt = new Date(tls.endsAt).toISOString();
    log.warn({ listener: name, endsAt }, 'the certificate ends soon');
  }
  const nextUpdate = tls?.revoked?.nextUpdate;
  if (nextUpdate !== undefined && nextUpdate <= now) {
    const reason = 'behind its nextUpdate OpenSSL verifies no certificate';
    log.warn({ listener: name, reason }, 'the revocation list is too old');
  }
}

/** Throws unless `filesMax` leaves room for the links that were asked for, at least for one. */
export function checkFiles(config: LinksConfig, filesMax: number): void {
  const { limits, maxLinks, acceptors } = config;
  let wanted = 'an acceptor';
  if (maxLinks !== 0) wanted = `max-links=${maxLinks} over ${acceptors} acceptors`;
  if (limits.linksMax !== 0) wanted = `linksMax=${limits.linksMax}`;
  // The first acceptor's share is the largest.
  const isAsked = limits.linksMax !== 0 || maxLinks !== 0;
  const links = isAsked ? linksMaxOf(config, 1, Number.POSITIVE_INFINITY) : 1;
  if (linksThatFit(filesMax) >= links) return;
  const needed = links + FILES_RESERVED;
  throw new StartError(
    EXIT.config,
    `${wanted} needs ${needed} open files, ${FILES_RESERVED} of them for Owsla itself, but the limit is ${filesMax}; raise it (ulimit -n, LimitNOFILE=)`,
  );
}

/** Throws unless control.sock can lie there, and no other node has its own there. */
async function checkRunDir({ runDir }: Config): Promise<void> {
  if (runDir === '') return;
  if (!isShortEnough(runDir)) {
    throw new StartError(EXIT.config, `${runDir} is too long a path for sockets (--run-dir)`);
  }
  try {
    makeRunDir(runDir);
  } catch (error) {
    const code = codeOf(error);
    const sentence = `the folder ${runDir} (--run-dir) cannot be used (${code})`;
    throw new StartError(exitOfSystem(code), sentence);
  }
  if (await isAnswered(controlSocket(runDir))) {
    const sentence = `another node has its control.sock in ${runDir}; each needs a --run-dir of its own`;
    throw new StartError(EXIT.unavailable, sentence);
  }
}

/** Throws unless the presence store can be opened and written, and no other node uses it. */
function checkStore({ dataDir, limits }: Config, log: Pick<Logger, 'warn'>): void {
  if (dataDir === '') {
    const reason = 'without --data-dir, presence and durable commands are lost at each start';
    log.warn({ reason }, 'presence is not stored on disk');
    return;
  }
  try {
    new SqliteFile(dataDir, Date.now(), { limits }).close();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new StartError(error.fault === 'full' ? EXIT.unavailable : EXIT.config, error.message);
  }
}

/**
 * Try each broker once: name, password, vhost, permissions and topology. One that can be reached is
 * enough to start; one that refuses is reported now, before it is needed.
 */
async function checkBroker(config: Config, log: Pick<Logger, 'warn'>): Promise<void> {
  const { amqp, waitForBroker } = config;
  const met = await Promise.allSettled(amqp.map((url) => declareOnce(config, url)));
  const faults = met.flatMap((result, at) => {
    const url = amqp[at] as string;
    if (result.status === 'fulfilled') return [];
    return [{ broker: brokerAddress(url), fault: brokerError(result.reason, url) }];
  });
  const refused = faults.find(({ fault }) => fault.exitCode !== EXIT.unavailable);
  if (refused) throw refused.fault;
  const isNoneThere = faults.length === amqp.length;
  if (isNoneThere && !waitForBroker) {
    throw new StartError(EXIT.unavailable, faults.map(({ fault }) => fault.message).join('; '));
  }
  for (const { broker, fault } of faults) {
    const reason = fault.message;
    log.warn({ broker, reason }, isNoneThere ? 'waiting for broker' : 'broker not reached');
  }
}

async function declareOnce(config: Config, url: string): Promise<void> {
  const { prefix, limits, queueType } = config;
  const connection = await connectTo(connectOptions(url, limits), {
    timeout: limits.brokerConnectMs,
  });
  try {
    connection.on('error', () => {});
    const at = names(prefix);
    const declared = declareApart(connection, async (channel) => {
      await declareUplink(channel, at, limits, queueType);
      // To no queue: only to learn whether presence queries may be answered.
      channel.publish('', `${at.presenceQuery}.nobody`, Buffer.alloc(0));
      await declarePresence(channel, at, limits, queueType);
      await declareCommands(channel, at, limits, queueType);
      if (asksBackend(config.listeners)) await declareAuth(channel, at);
    });
    await withinMs(limits.brokerConnectMs, declared);
  } finally {
    await withinMs(limits.brokerConnectMs, connection.close()).catch(() => {});
  }
}

async function withinMs<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('connect ETIMEDOUT')), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
