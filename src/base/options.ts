/**
 * Options: every option of `owsla serve` but --config and --set: its default and what it is for.
 * From: config.ts, which checks values.  To: the same; commandLine.ts, for flags and help.
 * Bound: pure.
 */

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** hold: links are kept, and wait. refuse: they are closed, with a time to retry. */
export const LOSS_POLICIES = ['hold', 'refuse'] as const;
export type LossPolicy = (typeof LOSS_POLICIES)[number];

export const EVENT_DELIVERIES = ['persistent', 'transient'] as const;
export type EventDelivery = (typeof EVENT_DELIVERIES)[number];

export const QUEUE_TYPES = ['classic', 'quorum'] as const;
export type QueueType = (typeof QUEUE_TYPES)[number];

/** Look like options, and are not ours: those of tests, orchestrators, the load generator. */
export const FOREIGN_VARIABLES = /^OWSLA_(TEST|LOADGEN|SERVICE)_|^OWSLA_PORT_/;

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
  'mqtt-port': { placeholder: 'PORT', about: 'port that devices connect to by MQTT without TLS' },
  'mqtt-tls-port': { placeholder: 'PORT', about: 'port that devices connect to by MQTT with TLS' },
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
  'allow-from': { placeholder: 'CIDR,CIDR', about: 'only devices of these networks may connect' },
  'deny-from': { placeholder: 'CIDR,CIDR', about: 'no device of these networks may connect' },
  'admin-token-file': {
    placeholder: 'FILE',
    about: 'file, mode 0600, with the token that changes, and questions from elsewhere, need',
  },
  'admin-auth': {
    placeholder: 'none',
    about: 'none: whoever reaches --admin-host may read metrics without a token',
  },
  'admin-hosts': {
    placeholder: 'NAME,NAME',
    about: 'names by which browsers and scrapers may ask the admin port',
  },
  'on-crash': {
    placeholder: 'COMMAND',
    about: 'shell command that gets a report of each crash of a process, as JSON, on its input',
  },
  'wait-for-broker': {
    default: 'false',
    about: 'start although the broker cannot be reached, and wait for it',
  },
  'log-level': { default: 'info', placeholder: 'LEVEL', about: LOG_LEVELS.join(', ') },
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof OPTION_SPECS;
export const OPTION_NAMES = Object.keys(OPTION_SPECS) as readonly OptionName[];
