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
  isLoopback,
  type ListenerConfig,
  type ListenerDefaults,
  makeListeners,
  plainOf,
  readAuth,
  TLS_VERSIONS,
} from './listeners.ts';
import { networkFault } from './networks.ts';
import {
  EVENT_DELIVERIES,
  type EventDelivery,
  LOG_LEVELS,
  LOSS_POLICIES,
  type LogLevel,
  type LossPolicy,
  OPTION_SPECS,
  type OptionName,
  type OptionSpec,
  QUEUE_TYPES,
  type QueueType,
} from './options.ts';
import { redact } from './redact.ts';
import { didYouMean, parseDuration, parseSize, parseWhole } from './units.ts';

export interface Config {
  /** Where devices connect. Port 0: preflight.ts picks one before any child starts. */
  readonly listeners: readonly ListenerConfig[];
  /** Networks of devices: only these; none: all. */
  readonly allowFrom: readonly string[];
  /** Not these. */
  readonly denyFrom: readonly string[];
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
  /** Absolute path; '': none. */
  readonly adminTokenFile: string;
  /** Whoever reaches it may read. */
  readonly isAdminOpen: boolean;
  /** Names, besides its own, by which it may be asked. */
  readonly adminHosts: readonly string[];
  /** Shell command that hears of crashes; '': none. */
  readonly onCrash: string;
  readonly waitForBroker: boolean;
  readonly logLevel: LogLevel;
  readonly limits: Limits;
}

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
    allowFrom: reader.cidrs('allow-from'),
    denyFrom: reader.cidrs('deny-from'),
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
    adminTokenFile: reader.path('admin-token-file'),
    isAdminOpen: reader.adminAuth() === 'none',
    adminHosts: reader.list('admin-hosts'),
    onCrash: reader.text('on-crash', /^[^\0]*$/, 'a shell command'),
    waitForBroker: reader.truth('wait-for-broker'),
    logLevel: reader.word('log-level', LOG_LEVELS),
    limits: reader.limits(),
  };
  if (config.maxLinks !== 0 && config.maxLinks < config.acceptors) {
    reader.faults.push(`max-links ${config.maxLinks} leaves an acceptor without any link`);
  }
  if (!isLoopback(adminHost) && config.adminTokenFile === '' && !config.isAdminOpen) {
    reader.faults.push(
      `admin-host ${adminHost} can be reached from other machines: give admin-token-file, or --admin-auth none`,
    );
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
      mqttPort: this.#given('mqtt-port', () => this.whole('mqtt-port', 0, 65_535)),
      mqttTlsPort: this.#given('mqtt-tls-port', () => this.whole('mqtt-tls-port', 0, 65_535)),
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

  list(name: OptionName): readonly string[] {
    const { raw } = this.#find(name);
    return raw === '' ? [] : raw.split(',').map((text) => text.trim());
  }

  adminAuth(): 'token' | 'none' {
    const { raw, label, isGiven } = this.#find('admin-auth');
    if (isGiven && raw !== 'none') this.faults.push(`${label} must be none, not ${quote(raw)}`);
    return isGiven ? 'none' : 'token';
  }

  cidrs(name: OptionName): readonly string[] {
    const { label } = this.#find(name);
    const cidrs = this.list(name);
    for (const cidr of cidrs.filter(networkFault)) {
      this.faults.push(`${label} has ${quote(cidr)}, which is no address and no CIDR`);
    }
    return cidrs;
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
