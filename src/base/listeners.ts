/**
 * Listeners: where devices connect, what is spoken there, and how they prove who they are.
 * From: config.ts: what the flags make, and the list `listeners` of the config file.
 * To: preflight.ts and every acceptor, in the config.
 * Bound: pure; each fault is one sentence of the list that config.ts gathers.
 */
import { isTopicPattern } from './names.ts';
import { networkFault, withPort } from './networks.ts';
import { didYouMean } from './units.ts';

/** In which a device may prove who it is. The first of a listener's that applies decides alone. */
export const AUTH_METHODS = ['cert', 'psk', 'key', 'jwt', 'backend', 'none'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/** Where in a certificate the device id is. */
export const CERT_IDS = ['san-uri', 'san-dns', 'cn'] as const;
export type CertId = (typeof CERT_IDS)[number];

export const CLIENT_CERTS = ['none', 'request', 'require'] as const;
export const TLS_VERSIONS = ['1.2', '1.3'] as const;

/** What devices may speak there. */
export const PROTOCOL_WORDS = ['owsla', 'mqtt', 'mqtt-ws'] as const;
export type ProtocolWord = (typeof PROTOCOL_WORDS)[number];
/** The same for figures: all modules are one word. */
export const SPOKEN = [...PROTOCOL_WORDS, 'module'] as const;

export function spokenAt({ protocol }: { readonly protocol: string }): (typeof SPOKEN)[number] {
  return PROTOCOL_WORDS.find((word) => word === protocol) ?? 'module';
}

export interface TlsConfig {
  /** Absolute paths of PEM files; '': none. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
  readonly crl: string;
  readonly clientCert: (typeof CLIENT_CERTS)[number];
  readonly min: (typeof TLS_VERSIONS)[number];
}

export interface ListenerConfig {
  readonly name: string;
  /** '' for a Unix socket. */
  readonly host: string;
  /** 0 for a Unix socket; or preflight.ts picks one and puts it here. */
  readonly port: number;
  /** Absolute path of a Unix socket; '': TCP. */
  readonly unix: string;
  /** Mode of the Unix socket. */
  readonly mode: number;
  /** A word for what is built in; or, of a module of the operator's own, its absolute path. */
  readonly protocol: string;
  readonly tls?: TlsConfig;
  readonly proxyProtocol: 'none' | 'require';
  /** CIDRs of those who may send a PROXY header over TCP. */
  readonly proxyFrom: readonly string[];
  readonly auth: readonly AuthMethod[];
  readonly certId: CertId;
  /** Absolute paths; '': none. */
  readonly keys: string;
  readonly jwtKeys: string;
  readonly jwtAudience: string;
  /** AMQP patterns of what its devices may publish; empty: everything. */
  readonly topics: readonly string[];
  readonly tokensInClear: boolean;
}

/** Is it the path of a module? */
export function isModule(protocol: string): boolean {
  return protocol.includes('/');
}

/** The settings that all listeners share unless the file says otherwise for one. */
export interface ListenerDefaults {
  readonly host: string;
  readonly tls: TlsConfig;
  /** Undefined: nobody said; then it is `none` where only this machine can connect. */
  readonly auth: readonly AuthMethod[] | undefined;
  readonly certId: CertId;
  readonly keys: string;
  readonly jwtKeys: string;
  readonly jwtAudience: string;
  readonly tokensInClear: boolean;
}

/** What the flags ask for. Undefined: not given. */
export interface AskedFor {
  readonly port: number | undefined;
  readonly tlsPort: number | undefined;
  readonly mqttPort: number | undefined;
  readonly mqttTlsPort: number | undefined;
  readonly unix: string | undefined;
}

/** When neither flags nor file ask for any listener. */
export const DEFAULT_PORT = 7_000;
/** Mode of a Unix socket: its owner and its group, which is the proxy's. */
export const UNIX_MODE = 0o660;
/** `sun_path` has 108 bytes on Linux and 104 elsewhere, with the zero at its end. */
const UNIX_PATH_MAX = 103;

/** Only this machine can reach it: 127.0.0.0/8, ::1, or localhost. */
export function isLoopback(host: string): boolean {
  return /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host) || host === '::1' || host === 'localhost';
}

/** Nobody on a wire can read what is said there. */
export function isPrivate({ unix, host, tls }: ListenerConfig): boolean {
  return unix !== '' || tls !== undefined || isLoopback(host);
}

/** Some devices are known to a backend only. */
export function asksBackend(listeners: readonly ListenerConfig[]): boolean {
  return listeners.some(({ auth }) => auth.includes('backend'));
}

/** How people see it: `127.0.0.1:7000`, or the path. */
export function addressOf({ unix, host, port }: ListenerConfig): string {
  return unix === '' ? withPort(host, port) : unix;
}

/** For process titles: `:7000`, `:7000,7443`, or the name of a Unix socket. */
export function placesOf(listeners: readonly ListenerConfig[]): string {
  const ports = listeners.filter(({ unix }) => unix === '').map(({ port }) => port);
  return ports.length > 0 ? `:${ports}` : (listeners[0]?.name ?? '');
}

/**
 * The listeners. What is wrong is added to `faults`. A plain TCP listener is there when it is asked
 * for, or nothing else is: who asks for TLS only does not get an open door beside it.
 */
export function makeListeners(
  asked: AskedFor,
  listed: readonly ListenerConfig[] | undefined,
  defaults: ListenerDefaults,
  faults: string[],
): readonly ListenerConfig[] {
  const base = plainOf(defaults);
  const found: ListenerConfig[] = [];
  const add = (one: Partial<ListenerConfig> & Pick<ListenerConfig, 'name'>) => {
    found.push({ ...base, ...one });
  };
  const { port, tlsPort, mqttPort, mqttTlsPort, unix } = asked;
  const others = [tlsPort, mqttPort, mqttTlsPort, unix, listed];
  const isAlone = others.every((other) => other === undefined);
  if (port !== undefined || isAlone) add({ name: 'devices', port: port ?? DEFAULT_PORT });
  if (tlsPort !== undefined) add({ name: 'devices-tls', port: tlsPort, tls: defaults.tls });
  if (unix !== undefined) {
    add({ name: 'devices-unix', host: '', port: 0, unix, proxyProtocol: 'require' });
  }
  const mqtt = { protocol: 'mqtt' } as const;
  if (mqttPort !== undefined) add({ ...mqtt, name: 'mqtt', port: mqttPort });
  if (mqttTlsPort !== undefined) {
    add({ ...mqtt, name: 'mqtt-tls', port: mqttTlsPort, tls: defaults.tls });
  }
  found.push(...(listed ?? []));
  // One that could not be read has its own fault.
  const isEmpty = found.length === 0 && !faults.some((fault) => fault.startsWith('listeners['));
  if (isEmpty) faults.push('listeners is empty: devices have nowhere to connect');
  const settled = found.map((listener) => settle(listener, faults));
  checkTogether(settled, faults);
  return Object.freeze(settled);
}

const PLAIN = {
  port: 0,
  unix: '',
  mode: UNIX_MODE,
  protocol: 'owsla',
  proxyProtocol: 'none',
  proxyFrom: [],
  topics: [],
} as const satisfies Partial<ListenerConfig>;

/** A listener of which nothing is said but what holds for all. */
export function plainOf({ tls: _, auth = [], ...shared }: ListenerDefaults): Unnamed {
  return { ...shared, ...PLAIN, auth };
}

export type Unnamed = Omit<ListenerConfig, 'name'>;

/** Fill in who may connect, and check that the settings of one listener fit together. */
function settle(listener: ListenerConfig, faults: string[]): ListenerConfig {
  const { name, host, unix, proxyProtocol, proxyFrom } = listener;
  const isHere = unix !== '' || isLoopback(host);
  const isOpen = listener.auth.length === 0;
  if (isOpen && !isHere) {
    faults.push(
      `${host} can be reached from other machines, so say who may connect: --auth none admits every device`,
    );
  }
  const auth: readonly AuthMethod[] = listener.auth.length === 0 ? ['none'] : listener.auth;
  const settled = Object.freeze({ ...listener, auth });
  const say = (fault: string) => faults.push(`listener ${name}: ${fault}`);
  if (isOpen && isHere && proxyProtocol === 'require') {
    say('a proxy passes on other machines, so say who may connect: auth none admits every device');
  }
  if (proxyProtocol === 'require' && unix === '' && proxyFrom.length === 0) {
    say('proxy-from must say which addresses may send a PROXY header');
  }
  for (const cidr of proxyFrom.filter(networkFault)) {
    say(`proxy-from has ${JSON.stringify(cidr)}, which is no address and no CIDR`);
  }
  if (Buffer.byteLength(unix) > UNIX_PATH_MAX) {
    say(`the path ${unix} is longer than the ${UNIX_PATH_MAX} bytes that a socket's may have`);
  }
  for (const pattern of listener.topics.filter((text) => !isTopicPattern(text))) {
    say(`topics has ${JSON.stringify(pattern)}, which is not dotted words, * and #`);
  }
  checkTls(settled, say);
  checkAuth(settled, say);
  return settled;
}

function checkTls({ tls, auth }: ListenerConfig, say: (fault: string) => void): void {
  if (tls === undefined) return;
  const isPskOnly = auth.every((method) => method === 'psk');
  if (tls.cert === '' && !isPskOnly) say('TLS needs a certificate (tls-cert)');
  if ((tls.cert === '') !== (tls.key === '')) say('tls-cert and tls-key belong together');
  if (tls.clientCert !== 'none' && tls.clientCa === '') {
    say(`tls-client-cert ${tls.clientCert} needs the CA that signs them (tls-client-ca)`);
  }
  if (tls.crl !== '' && tls.clientCa === '') say('tls-crl needs tls-client-ca');
}

/** The methods that can apply to a link of this listener. */
function checkAuth(listener: ListenerConfig, say: (fault: string) => void): void {
  const { auth, keys, jwtKeys, certId, tls, proxyProtocol, tokensInClear } = listener;
  if (auth.includes('none') && auth.at(-1) !== 'none') say('auth none applies to all: put it last');
  const needsKeys = auth.some((method) => method === 'key' || method === 'psk');
  if (needsKeys && keys === '') say('auth key and psk need group keys (keys)');
  if (auth.includes('jwt') && jwtKeys === '')
    say('auth jwt needs the keys of its issuer (jwt-keys)');
  const byCert = tls !== undefined && tls.clientCert !== 'none';
  const byProxy = tls === undefined && proxyProtocol === 'require';
  if (byProxy && auth.includes('cert') && certId !== 'cn') {
    say('behind a proxy, auth cert knows the common name only: cert-id must be cn');
  }
  const can: Readonly<Record<AuthMethod, boolean>> = {
    ...{ cert: byCert || byProxy, psk: tls !== undefined },
    ...{ key: true, jwt: true, backend: true, none: true },
  };
  if (!auth.some((method) => can[method])) {
    say(`of auth ${auth.join()} nothing applies there: no device could connect`);
  }
  const hasTokens = auth.some((method) => TOKEN_METHODS.has(method));
  if (hasTokens && !isPrivate(listener) && !tokensInClear) {
    say('tokens would be sent unencrypted: use TLS, or say tokens-in-clear: true');
  }
}

const TOKEN_METHODS: ReadonlySet<AuthMethod> = new Set(['key', 'jwt', 'backend']);

function checkTogether(listeners: readonly ListenerConfig[], faults: string[]): void {
  const names = new Set<string>();
  const places = new Set<string>();
  for (const listener of listeners) {
    const { name, port, unix } = listener;
    if (names.has(name)) faults.push(`two listeners are named ${name}`);
    names.add(name);
    if (unix === '' && port === 0) continue;
    const place = addressOf(listener);
    if (places.has(place)) faults.push(`two listeners are at ${place}`);
    places.add(place);
  }
}

/** The methods; or, as a string, what is wrong. */
export function readAuth(words: readonly string[]): readonly AuthMethod[] | string {
  const methods: AuthMethod[] = [];
  for (const word of words.map((one) => one.trim())) {
    const method = AUTH_METHODS.find((known) => known === word);
    if (method === undefined) {
      const near = didYouMean(word, AUTH_METHODS);
      return `must be a list of ${AUTH_METHODS.join(', ')}, not ${JSON.stringify(word)}${near}`;
    }
    if (methods.includes(method)) return `names ${method} twice`;
    methods.push(method);
  }
  return methods;
}
