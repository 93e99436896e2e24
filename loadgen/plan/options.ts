/**
 * Options: every option of `run` by name, with its help, and a reader of what was given.
 * From: the command line and scenario files, all as text.  To: settings.ts and wayPlan.ts.
 * Bound: what an option means is checked there; here it has a name, a kind and a default.
 */

interface OptionSpec {
  readonly kind: 'text' | 'flag' | 'list';
  readonly default?: string | boolean | readonly string[];
  readonly about: string;
  readonly group: string;
}

const LINKS = 'Links:';
const TLS = 'TLS:';
const LOAD = 'Load:';
const CHECKS = 'Checks:';
const FAULTS = 'Faults on purpose:';
const COMMANDS = 'Commands:';
const DEPLOY = 'A reload in the middle:';
const OUTPUT = 'Output:';
const RUN = 'Run:';

function text(group: string, about: string, fallback?: string): OptionSpec {
  return { kind: 'text', about, group, ...(fallback === undefined ? {} : { default: fallback }) };
}
function flag(group: string, about: string): OptionSpec {
  return { kind: 'flag', about, group, default: false };
}
function list(group: string, about: string): OptionSpec {
  return { kind: 'list', about, group, default: [] };
}

/** Flags are these names in kebab case; keys of a scenario file are these names as they are. */
export const OPTIONS = {
  target: text(RUN, 'HOST:PORT of the server'),
  unix: text(RUN, 'path of a Unix socket, in place of --target'),
  protocol: text(RUN, 'owsla, mqtt (3.1.1), mqtt5, or a module: ./meter.js', 'owsla'),
  workers: text(RUN, 'processes that make the load', '1'),
  seed: text(RUN, 'repeats phases, payloads and choices of a run', '1'),
  duration: text(RUN, 'time of the load; 0: until Ctrl-C', '10s'),
  scenario: text(RUN, 'YAML or JSON file, or one of: stampede, steady-day, door-rush, deploy'),

  devices: text(LINKS, 'links to hold', '100'),
  devicePrefix: text(LINKS, 'first part of every device id', 'lg-'),
  connectRate: text(LINKS, 'connects a second, whatever the server does', '1000'),
  storm: flag(LINKS, 'connect all devices at once'),
  connectTimeout: text(LINKS, 'wait so long for the last first WELCOME', '30s'),
  source: text(LINKS, 'local addresses, in turn: 127.0.0.2-127.0.0.20'),
  keys: text(LINKS, 'group keys, mode 0600: devices make tokens from them, one for each connect'),
  keyId: text(LINKS, 'which of the group keys, if there are several'),
  proxy: text(LINKS, 'v1 or v2: a PROXY header first, each device with an address in 10.0.0.0/8'),
  keepalive: text(LINKS, "the devices' wish in HELLO; default: the server's"),
  will: text(LINKS, 'share of devices that leave a will, looked for over --amqp', '0'),
  reconnect: text(LINKS, 'backoff of a lost link, full jitter, or never', '1s-120s'),
  takenOverWait: text(LINKS, 'shortest wait after BYE taken-over', '60s'),

  tls: flag(TLS, 'links by TLS'),
  tlsCa: text(TLS, "CA of the server's certificate; default: those of Node"),
  tlsServername: text(TLS, "name in the server's certificate; default: the host of --target"),
  tlsVersion: text(TLS, '1.2 or 1.3; default: what both sides can'),
  tlsCert: text(TLS, "the devices' certificate, or a folder with ID.pem for each device"),
  tlsKey: text(TLS, 'its key; default with a folder: ID.key in it'),
  tlsPsk: flag(TLS, 'no certificates: keys of the devices from --keys and --key-id'),
  tlsResume: text(TLS, 'share of reconnects that offer the ticket of the link before', '0'),

  rate: text(LOAD, 'messages a second in all, constant', '0'),
  stage: list(LOAD, '30s@1000, a ramp 30s@0-5000, or a factor on the mix 30s@x2; repeatable'),
  eventShare: text(LOAD, 'share of the rate that are EVENTs, the others REQUESTs', '0'),
  bytes: text(LOAD, 'payload bytes: 64 or 16-1024', '64'),
  topic: text(LOAD, 'topic of REQUESTs', 'door.badge'),
  eventTopic: text(LOAD, 'topic of EVENTs', 'hvac.reading'),
  mix: text(LOAD, 'devices with a life of their own: thermostat=80,door=20'),
  think: text(LOAD, 'closed loop: answer, think so long on average, next REQUEST'),
  loadFrom: text(LOAD, 'start messages when all are connected, or at the start', 'connected'),
  spin: flag(LOAD, 'poll for the exact moment to send; costs a core per worker'),

  commandRate: text(COMMANDS, 'commands a second to the devices, over --amqp', '0'),
  commandTime: text(COMMANDS, 'publish for so long; default: for the whole load'),
  commandKept: text(COMMANDS, 'share kept until the deadline; the others are now or never', '50%'),
  commandDeadline: text(COMMANDS, 'time in which a device may take a command', '10s'),
  commandTopic: text(COMMANDS, 'topic of COMMANDs', 'door.open'),
  commandTo: text(COMMANDS, 'whom they are for: all, awake or asleep', 'all'),
  commandCut: text(COMMANDS, 'share after which the device loses its link unanswered', '0'),
  asleep: text(
    COMMANDS,
    'share of devices that connect and sleep: 20%, or 20%@30s-40s to wake',
    '0',
  ),

  expect: text(CHECKS, 'of replies: echo (same payload), ok (status 0) or any', 'echo'),
  timeout: text(CHECKS, 'age at which an unanswered message is lost', '15s'),
  allow: text(CHECKS, 'violations that do not fail the run: lost,cut,...'),
  failIf: list(CHECKS, "threshold, e.g. 'rt_p99 > 20ms'; crossed: exit code 99; repeatable"),
  allowBottleneck: flag(CHECKS, 'do not fail a run whose figures the tool itself has made'),
  giveUp: text(CHECKS, 'end when no link has been open for so long; 0: never', '10s'),
  amqp: text(CHECKS, 'broker: watch the events exchange, and publish commands'),
  prefix: text(CHECKS, "prefix of the server's AMQP names", 'owsla'),

  halfOpen: text(FAULTS, 'share of links that fall silent without FIN', '0'),
  slowReader: text(FAULTS, 'share of links that stop reading', '0'),
  slowGreeting: text(FAULTS, 'share of connects whose HELLO comes in pieces, late', '0'),
  garbage: text(FAULTS, 'share of links that send garbage frames', '0'),
  faultAfter: text(FAULTS, 'a link behaves for so long, or up to twice that', '5s'),
  reboot: text(FAULTS, 'wave of reboots: SHARE@INTERVAL, e.g. 10%@30s'),

  runDir: text(DEPLOY, 'owsla reload of the node with this run folder, on this machine'),
  reload: text(DEPLOY, 'or a command of yours, for sh -c: it ends with 0 when the reload is done'),
  reloads: text(DEPLOY, 'so often, one after another', '1'),
  newcomers: text(DEPLOY, 'further devices that connect meanwhile, a second', '20'),

  json: text(OUTPUT, 'write the report to this file'),
  html: text(OUTPUT, 'write a report with plots to this file'),
  hdr: text(OUTPUT, 'write a standard HDR histogram log to this file'),
  prometheusPort: text(OUTPUT, 'serve metrics of the run on 127.0.0.1; 0: any free port'),
  quiet: flag(OUTPUT, 'no live line'),
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof OPTIONS;
export type OptionValue = string | boolean | readonly string[];
/** What the user gave; whatever is missing has its default. */
export type Given = Partial<Record<OptionName, OptionValue>>;

export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

/** What was given, or the default. */
export class Reader {
  readonly #given: Given;

  constructor(given: Given) {
    this.#given = given;
  }

  isGiven(name: OptionName): boolean {
    return this.#given[name] !== undefined;
  }

  text(name: OptionName): string {
    const spec: OptionSpec = OPTIONS[name];
    return String(this.#given[name] ?? spec.default ?? '');
  }

  /** The text, or `undefined` when the option was left out or is empty. */
  maybe(name: OptionName): string | undefined {
    const value = this.text(name);
    return value === '' ? undefined : value;
  }

  flag(name: OptionName): boolean {
    return String(this.#given[name] ?? false) === 'true';
  }

  list(name: OptionName): readonly string[] {
    const value = this.#given[name] ?? [];
    return typeof value === 'object' ? value.map(String) : [String(value)];
  }
}
