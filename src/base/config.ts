/**
 * Config: the options of one node, as one frozen object that survives JSON.
 * From: layers of raw options (flags, variables, file) that commandLine.ts has read.
 * To: the supervisor, and every child by IPC; never by argv, because it holds the AMQP password.
 * Bound: everything is checked here, at the start: one StartError names all faults together.
 */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { readAmqpUrl, splitAmqpUrls } from './amqpUrl.ts';
import { EXIT, StartError } from './errors.ts';
import {
  isLimitName,
  LIMIT_NAMES,
  LIMIT_SPECS,
  type LimitName,
  type Limits,
  limitFaults,
  makeLimits,
} from './limits.ts';
import { redact } from './redact.ts';
import { didYouMean, parseDuration, parseSize, parseWhole } from './units.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** hold: links are kept, and wait. refuse: they are closed, with a time to retry. */
export const LOSS_POLICIES = ['hold', 'refuse'] as const;
export type LossPolicy = (typeof LOSS_POLICIES)[number];

export const EVENT_DELIVERIES = ['persistent', 'transient'] as const;
export type EventDelivery = (typeof EVENT_DELIVERIES)[number];

export const QUEUE_TYPES = ['classic', 'quorum'] as const;
export type QueueType = (typeof QUEUE_TYPES)[number];

export interface Config {
  readonly host: string;
  /** 0: preflight.ts picks one and puts it here before any child starts. */
  readonly port: number;
  readonly acceptors: number;
  /** Links of the whole node, shared out evenly; 0: as many as the acceptors take. */
  readonly maxLinks: number;
  /** URLs with user, password and virtual host, of one broker or the nodes of one cluster. */
  readonly amqp: readonly string[];
  readonly onBrokerLoss: LossPolicy;
  readonly eventDelivery: EventDelivery;
  readonly queueType: QueueType;
  readonly prefix: string;
  /** Absolute path of the data that survives the node; '': a folder that is deleted with it. */
  readonly dataDir: string;
  /** Absolute path of the folder for control.sock; '': the node's own folder. */
  readonly runDir: string;
  /** Folder for traces of the presence protocol; '': none. */
  readonly traceDir: string;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly auth: 'none';
  readonly waitForBroker: boolean;
  readonly logLevel: LogLevel;
  readonly limits: Limits;
}

export interface OptionSpec {
  readonly default?: string;
  readonly placeholder?: string;
  readonly about: string;
}

/** Every option of `owsla serve` but --config and --set, by the name of its flag. */
export const OPTION_SPECS = {
  host: { default: '127.0.0.1', placeholder: 'ADDRESS', about: 'address that devices connect to' },
  port: {
    default: '7000',
    placeholder: 'PORT',
    about: 'port that devices connect to; 0 picks a free one',
  },
  acceptors: { placeholder: 'N', about: 'acceptor processes; by default one per processor' },
  'max-links': {
    default: '0',
    placeholder: 'N',
    about: 'links of the node, an equal share per acceptor; 0: what the open-file limit allows',
  },
  amqp: {
    default: 'amqp://guest:guest@127.0.0.1:5672',
    placeholder: 'URL,URL',
    about:
      'broker, or nodes of a cluster; with a password, use OWSLA_AMQP or the file: ps shows flags',
  },
  'on-broker-loss': {
    default: 'hold',
    placeholder: 'POLICY',
    about: 'while the broker is unavailable, hold: keep links; refuse: close them after a while',
  },
  'event-delivery': {
    default: 'persistent',
    placeholder: 'MODE',
    about:
      'persistent: EVENTs survive a restart of the broker; transient: they do not, but are faster',
  },
  'queue-type': {
    default: 'classic',
    placeholder: 'TYPE',
    about: 'type of the queues that Owsla declares: classic or quorum',
  },
  prefix: { default: 'owsla', placeholder: 'WORD', about: 'first word of all names at the broker' },
  'data-dir': {
    placeholder: 'FOLDER',
    about:
      'folder for what survives a restart: presence and durable commands; without it, both are lost',
  },
  'run-dir': {
    placeholder: 'FOLDER',
    about: 'folder of control.sock, where owsla status asks; without it a private one in TMPDIR',
  },
  'trace-dir': {
    placeholder: 'FOLDER',
    about: 'folder for a trace of each step of the presence protocol, for checks against tla/',
  },
  keepalive: { placeholder: 'DURATION', about: 'short for --set keepaliveMs=DURATION' },
  'admin-host': {
    default: '127.0.0.1',
    placeholder: 'ADDRESS',
    about: 'address of health and metrics',
  },
  'admin-port': {
    default: '9700',
    placeholder: 'PORT',
    about: 'port of health and metrics; 0 picks a free one',
  },
  auth: {
    placeholder: 'none',
    about: 'none: anybody may connect; required if --host is not a loopback address',
  },
  'wait-for-broker': {
    default: 'false',
    about: 'start although the broker cannot be reached, and wait for it',
  },
  'log-level': { default: 'info', placeholder: 'LEVEL', about: LOG_LEVELS.join(', ') },
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof OPTION_SPECS;
export const OPTION_NAMES = Object.keys(OPTION_SPECS) as readonly OptionName[];

type Raw = string | number | boolean;

/** Raw options of one source. Values may be text, or what YAML made of it. */
export type Options = { readonly [N in OptionName]?: Raw } & {
  readonly set?: Readonly<Record<string, Raw>>;
};

/** One source of options; `nameOf` names one as its writer knows it (`--port`, `OWSLA_PORT`). */
export interface Layer {
  readonly options: Options;
  nameOf(name: string): string;
}

/**
 * The config that `layers` make, the first one winning.
 * Throws one StartError (usage) with every fault in it.
 */
export function makeConfig(...layers: readonly (Layer | Options)[]): Config {
  const reader = new Reader(layers.map(asLayer));
  const host = reader.text('host', /^[^\s/@]+$/, 'a host name or an address');
  const adminHost = reader.text('admin-host', /^[^\s/@]+$/, 'a host name or an address');
  const config: Config = {
    host,
    port: reader.whole('port', 0, 65_535),
    acceptors: reader.whole('acceptors', 1, 1_024, availableParallelism()),
    maxLinks: reader.whole('max-links', 0, 100_000_000),
    amqp: reader.amqp(),
    onBrokerLoss: reader.word('on-broker-loss', LOSS_POLICIES),
    eventDelivery: reader.word('event-delivery', EVENT_DELIVERIES),
    queueType: reader.word('queue-type', QUEUE_TYPES),
    prefix: reader.text('prefix', /^(?!amq\.)[A-Za-z0-9_.-]{1,64}$/, PREFIX_RULE),
    dataDir: reader.folder('data-dir'),
    runDir: reader.folder('run-dir'),
    traceDir: reader.folder('trace-dir'),
    adminHost,
    adminPort: reader.whole('admin-port', 0, 65_535),
    auth: reader.auth(host),
    waitForBroker: reader.truth('wait-for-broker'),
    logLevel: reader.word('log-level', LOG_LEVELS),
    limits: reader.limits(),
  };
  if (config.maxLinks !== 0 && config.maxLinks < config.acceptors) {
    reader.faults.push(`max-links ${config.maxLinks} leaves an acceptor without any link`);
  }
  if (config.port !== 0 && config.port === config.adminPort && host === adminHost) {
    reader.faults.push(`port and admin-port are both ${config.port}; they need one each`);
  }
  if (reader.faults.length > 0) throw new StartError(EXIT.usage, reader.faults.join('; '));
  return Object.freeze(config);
}

const PREFIX_RULE = '1 to 64 of A-Z a-z 0-9 _ . - and not start with "amq."';

/** Only this machine can reach it: 127.0.0.0/8, ::1, or localhost. */
export function isLoopback(host: string): boolean {
  return /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host) || host === '::1' || host === 'localhost';
}

function asLayer(source: Layer | Options): Layer {
  if ('nameOf' in source && typeof source.nameOf === 'function') return source as Layer;
  return { options: source as Options, nameOf: (name) => name };
}

/** Takes options out of layers, checks each, and gathers what is wrong. */
class Reader {
  readonly faults: string[] = [];
  readonly #layers: readonly Layer[];

  constructor(layers: readonly Layer[]) {
    this.#layers = layers;
  }

  text(name: OptionName, shape: RegExp, rule: string): string {
    const { raw, label } = this.#find(name);
    if (!shape.test(raw)) this.faults.push(`${label} must be ${rule}, not ${quote(raw)}`);
    return raw;
  }

  folder(name: OptionName): string {
    const { raw, isGiven } = this.#find(name);
    return isGiven && raw !== '' ? resolve(raw) : '';
  }

  whole(name: OptionName, min: number, max: number, otherwise?: number): number {
    const { raw, label, isGiven } = this.#find(name);
    if (!isGiven && otherwise !== undefined) return otherwise;
    const value = parseWhole(raw);
    if (value !== undefined && value >= min && value <= max) return value;
    this.faults.push(`${label} must be a whole number from ${min} to ${max}, not ${quote(raw)}`);
    return min;
  }

  truth(name: OptionName): boolean {
    const { raw, label } = this.#find(name);
    if (raw !== 'true' && raw !== 'false') {
      this.faults.push(`${label} must be true or false, not ${quote(raw)}`);
    }
    return raw === 'true';
  }

  word<W extends string>(name: OptionName, words: readonly W[]): W {
    const { raw, label } = this.#find(name);
    const found = words.find((word) => word === raw);
    if (found !== undefined) return found;
    const near = didYouMean(raw, words);
    this.faults.push(`${label} must be one of ${words.join(', ')}, not ${quote(raw)}${near}`);
    return words[0] as W;
  }

  amqp(): readonly string[] {
    const { raw, label } = this.#find('amqp');
    const urls = splitAmqpUrls(raw);
    const faults = urls.map(readAmqpUrl).filter((read) => typeof read === 'string');
    // Not the value itself: where the shape is broken, the password cannot be found to hide it.
    const each = urls.length > 1 ? `, in each of its ${urls.length} comma-separated parts` : '';
    for (const fault of new Set(faults)) this.faults.push(`${label} ${fault}${each}`);
    return Object.freeze(urls);
  }

  auth(host: string): 'none' {
    const { raw, label, isGiven } = this.#find('auth');
    if (!isGiven && !isLoopback(host)) {
      this.faults.push(
        `${host} can be reached from other machines, so say who may connect: --auth none admits every device`,
      );
    }
    if (isGiven && raw !== 'none') {
      this.faults.push(`${label} must be none, the only value there is so far, not ${quote(raw)}`);
    }
    return 'none';
  }

  limits(): Limits {
    const overrides: Partial<Record<LimitName, number>> = {};
    const before = this.faults.length;
    for (const layer of this.#layers.toReversed()) {
      const { keepalive, set = {} } = layer.options;
      for (const [name, raw] of Object.entries(set)) {
        if (isLimitName(name))
          overrides[name] = this.#limit(layer.nameOf(`set ${name}`), name, raw);
        else this.faults.push(`there is no limit ${quote(name)}${didYouMean(name, LIMIT_NAMES)}`);
      }
      if (keepalive === undefined) continue;
      const label = layer.nameOf('keepalive');
      if (set.keepaliveMs !== undefined) {
        this.faults.push(`${label} and keepaliveMs are the same limit; give one of them`);
      }
      overrides.keepaliveMs = this.#limit(label, 'keepaliveMs', String(keepalive), true);
    }
    const limits = makeLimits(overrides);
    if (this.faults.length === before) this.faults.push(...limitFaults(limits));
    return limits;
  }

  #limit(label: string, name: LimitName, raw: Raw, needsUnit = false): number {
    const { unit, value } = LIMIT_SPECS[name];
    const text = String(raw);
    const withUnit =
      unit === 'ms' ? parseDuration(text) : unit === 'bytes' ? parseSize(text) : undefined;
    const number = withUnit ?? (needsUnit ? undefined : parseWhole(text));
    if (number !== undefined) return number;
    const rule = {
      ms: 'a duration such as 500ms, 10s, 5m or 1h',
      bytes: 'a size such as 65536, 64KiB or 1MiB',
      count: 'a whole number',
    }[unit];
    this.faults.push(`${label} must be ${rule}, not ${quote(text)}`);
    return value;
  }

  #find(name: OptionName): { raw: string; label: string; isGiven: boolean } {
    for (const layer of this.#layers) {
      const raw = layer.options[name];
      if (raw !== undefined) return { raw: String(raw), label: layer.nameOf(name), isGiven: true };
    }
    const spec: OptionSpec = OPTION_SPECS[name];
    return { raw: spec.default ?? '', label: `--${name}`, isGiven: false };
  }
}

function quote(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return JSON.stringify(redact(short));
}
