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
import { ListenerReader } from './listenerReader.ts';
import {
  type AskedFor,
  type AuthMethod,
  CERT_IDS,
  CLIENT_CERTS,
  type ListenerConfig,
  type ListenerDefaults,
  makeListeners,
  plainOf,
  readAuth,
  TLS_VERSIONS,
} from './listeners.ts';
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
  /** Where devices connect. Port 0: preflight.ts picks one before any child starts. */
  readonly listeners: readonly ListenerConfig[];
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
    about: 'port that devices connect to without TLS; 0 picks a free one',
  },
  'tls-port': { placeholder: 'PORT', about: 'port that devices connect to with TLS' },
  unix: {
    placeholder: 'PATH',
    about: 'Unix socket that a proxy on this machine connects to, with a PROXY header',
  },
  'tls-cert': { placeholder: 'FILE', about: 'certificate and its chain, PEM' },
  'tls-key': { placeholder: 'FILE', about: 'its private key, PEM' },
  'tls-client-ca': { placeholder: 'FILE', about: 'CA that signs the certificates of devices, PEM' },
  'tls-client-cert': {
    default: 'none',
    placeholder: 'WORD',
    about: 'certificates of devices: none, request or require',
  },
  'tls-crl': { placeholder: 'FILE', about: 'certificates of devices that are revoked, PEM' },
  'tls-min': { default: '1.2', placeholder: 'VERSION', about: 'lowest version of TLS: 1.2 or 1.3' },
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
    placeholder: 'METHOD,METHOD',
    about:
      'how devices prove who they are: cert, psk, key, jwt, backend; none: anybody may connect; required if --host is not a loopback address',
  },
  'cert-id': {
    default: 'san-uri',
    placeholder: 'WHERE',
    about: 'where in a certificate the device id is: san-uri, san-dns or cn',
  },
  keys: { placeholder: 'FILE', about: 'group keys for --auth key and psk, YAML, mode 0600' },
  'jwt-keys': { placeholder: 'FILE', about: 'public keys for --auth jwt, PEM or JWKS' },
  'jwt-audience': { placeholder: 'TEXT', about: 'audience that a JWT must be for' },
  'tokens-in-clear': {
    default: 'false',
    about: 'let devices send tokens over networks without TLS',
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
  /** Of the file only. */
  readonly listeners?: readonly unknown[];
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
  const adminHost = reader.text('admin-host', /^[^\s/@]+$/, 'a host name or an address');
  const config: Config = {
    listeners: reader.listeners(),
    acceptors: reader.whole('acceptors', 1, 1_024, availableParallelism()),
    maxLinks: reader.whole('max-links', 0, 100_000_000),
    amqp: reader.amqp(),
    onBrokerLoss: reader.word('on-broker-loss', LOSS_POLICIES),
    eventDelivery: reader.word('event-delivery', EVENT_DELIVERIES),
    queueType: reader.word('queue-type', QUEUE_TYPES),
    prefix: reader.text('prefix', /^(?!amq\.)[A-Za-z0-9_.-]{1,64}$/, PREFIX_RULE),
    dataDir: reader.path('data-dir'),
    runDir: reader.path('run-dir'),
    traceDir: reader.path('trace-dir'),
    adminHost,
    adminPort: reader.whole('admin-port', 0, 65_535),
    waitForBroker: reader.truth('wait-for-broker'),
    logLevel: reader.word('log-level', LOG_LEVELS),
    limits: reader.limits(),
  };
  if (config.maxLinks !== 0 && config.maxLinks < config.acceptors) {
    reader.faults.push(`max-links ${config.maxLinks} leaves an acceptor without any link`);
  }
  for (const { host, port } of config.listeners) {
    if (port !== 0 && port === config.adminPort && host === adminHost) {
      reader.faults.push(`port and admin-port are both ${port}; they need one each`);
    }
  }
  if (reader.faults.length > 0) throw new StartError(EXIT.usage, reader.faults.join('; '));
  return Object.freeze(config);
}

const PREFIX_RULE = '1 to 64 of A-Z a-z 0-9 _ . - and not start with "amq."';

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

  /** Of a file or a folder, absolute; '' when it is not given. */
  path(name: OptionName): string {
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

  listeners(): readonly ListenerConfig[] {
    const defaults = this.#listenerDefaults();
    const asked: AskedFor = {
      port: this.#given('port', () => this.whole('port', 0, 65_535)),
      tlsPort: this.#given('tls-port', () => this.whole('tls-port', 0, 65_535)),
      unix: this.#given('unix', () => this.path('unix')),
    };
    const raw = this.#layers.find(({ options }) => options.listeners)?.options.listeners;
    const listed = raw?.flatMap((one, at) => {
      const reader = new ListenerReader(one, `listeners[${at}]`, this.faults);
      return reader.read(plainOf(defaults), defaults.tls) ?? [];
    });
    return makeListeners(asked, listed, defaults, this.faults);
  }

  #listenerDefaults(): ListenerDefaults {
    return {
      host: this.text('host', /^[^\s/@]+$/, 'a host name or an address'),
      tls: {
        cert: this.path('tls-cert'),
        key: this.path('tls-key'),
        clientCa: this.path('tls-client-ca'),
        crl: this.path('tls-crl'),
        clientCert: this.word('tls-client-cert', CLIENT_CERTS),
        min: this.word('tls-min', TLS_VERSIONS),
      },
      auth: this.#given('auth', () => this.#auth()),
      certId: this.word('cert-id', CERT_IDS),
      keys: this.path('keys'),
      jwtKeys: this.path('jwt-keys'),
      jwtAudience: this.#find('jwt-audience').raw,
      tokensInClear: this.truth('tokens-in-clear'),
    };
  }

  #auth(): readonly AuthMethod[] {
    const { raw, label } = this.#find('auth');
    const methods = readAuth(raw.split(','));
    if (typeof methods !== 'string') return methods;
    this.faults.push(`${label} ${methods}`);
    return [];
  }

  /** Undefined when nobody gave it. */
  #given<T>(name: OptionName, read: () => T): T | undefined {
    return this.#find(name).isGiven ? read() : undefined;
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
