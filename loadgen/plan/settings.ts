/**
 * Settings: every option of `run`, as text, and how they become a checked Plan.
 * From: the command line (cli.ts) over a scenario file (scenario.ts) over these defaults.
 * To: Plan for the workers, Output for the manager.
 * Bound: what does not fit together throws a UsageError, before anything is started.
 */
import { resolve } from 'node:path';
import { parseThreshold, type Threshold } from '../measure/thresholds.ts';
import { VIOLATION_NAMES, type Violation } from '../measure/violations.ts';
import { PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN } from './payload.ts';
import type { Expect, Plan, Profile } from './plan.ts';
import { parseProfiles } from './profiles.ts';
import type { RampPiece } from './ramp.ts';
import {
  addresses,
  duration,
  durations,
  hostPort,
  number,
  share,
  UsageError,
  whole,
  wholes,
} from './units.ts';

interface OptionSpec {
  readonly kind: 'text' | 'flag' | 'list';
  readonly default?: string | boolean | readonly string[];
  readonly about: string;
  readonly group: string;
}

const LINKS = 'Links:';
const LOAD = 'Load:';
const CHECKS = 'Checks:';
const FAULTS = 'Faults on purpose:';
const COMMANDS = 'Commands:';
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
  workers: text(RUN, 'processes that make the load', '1'),
  seed: text(RUN, 'repeats phases, payloads and choices of a run', '1'),
  duration: text(RUN, 'time of the load; 0: until Ctrl-C', '10s'),
  scenario: text(RUN, 'YAML or JSON file, or one of: stampede, steady-day, door-rush'),

  devices: text(LINKS, 'links to hold', '100'),
  devicePrefix: text(LINKS, 'first part of every device id', 'lg-'),
  connectRate: text(LINKS, 'connects a second, whatever the server does', '1000'),
  storm: flag(LINKS, 'connect all devices at once'),
  connectTimeout: text(LINKS, 'wait so long for the last first WELCOME', '30s'),
  source: text(LINKS, 'local addresses, in turn: 127.0.0.2-127.0.0.20'),
  keys: text(LINKS, 'group keys, mode 0600: devices make tokens from them, one for each connect'),
  keyId: text(LINKS, 'which of the group keys, if there are several'),
  keepalive: text(LINKS, "the devices' wish in HELLO; default: the server's"),
  reconnect: text(LINKS, 'backoff of a lost link, full jitter, or never', '1s-120s'),
  takenOverWait: text(LINKS, 'shortest wait after BYE taken-over', '60s'),

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

/** What the manager, not the workers, does. */
export interface Output {
  readonly jsonFile: string | undefined;
  readonly htmlFile: string | undefined;
  readonly hdrFile: string | undefined;
  readonly prometheusPort: number | undefined;
  readonly isQuiet: boolean;
  readonly thresholds: readonly Threshold[];
  readonly allowed: ReadonlySet<Violation>;
  /** A run in which the tool was the bottleneck may pass. */
  readonly isBottleneckAllowed: boolean;
  readonly amqp: string | undefined;
  readonly prefix: string;
}

class Reader {
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

/** A run of 31 years stands for one without an end: a ramp's sums stay finite. */
const ENDLESS_MS = 1e12;

/** Stages as pieces of rate and of speed. */
function ramps(read: Reader): { rate: RampPiece[]; speed: RampPiece[]; durationMs: number } {
  const stages = read.list('stage');
  const steady = number('--rate', read.text('rate'));
  if (stages.length === 0) {
    const durationMs = duration('--duration', read.text('duration'));
    const piece = { durationMs: durationMs === 0 ? ENDLESS_MS : durationMs };
    const rate = [{ ...piece, from: steady, to: steady }];
    return { rate, speed: [{ ...piece, from: 1, to: 1 }], durationMs };
  }
  if (read.isGiven('duration')) {
    throw new UsageError('--duration and --stage: the stages have their durations');
  }
  const rate: RampPiece[] = [];
  const speed: RampPiece[] = [];
  for (const stage of stages) {
    const match = /^([^@]+)@(x?)([\d.]+)(?:-([\d.]+))?$/.exec(stage.trim());
    if (!match) throw new UsageError(`--stage: '${stage}' is not 30s@1000, 30s@0-5000 or 30s@x2`);
    const durationMs = duration('--stage', match[1] ?? '');
    const from = number('--stage', match[3] ?? '');
    const to = number('--stage', match[4] ?? match[3] ?? '');
    if (durationMs === 0) throw new UsageError(`--stage: '${stage}' takes no time`);
    const isSpeed = match[2] === 'x';
    rate.push(isSpeed ? { durationMs, from: steady, to: steady } : { durationMs, from, to });
    speed.push(isSpeed ? { durationMs, from, to } : { durationMs, from: 1, to: 1 });
  }
  const durationMs = rate.reduce((sum, piece) => sum + piece.durationMs, 0);
  return { rate, speed, durationMs };
}

function reconnect(read: Reader): Plan['reconnect'] {
  const wish = read.text('reconnect');
  const takenOverMs = duration('--taken-over-wait', read.text('takenOverWait'));
  if (wish === 'never') return { isOn: false, minMs: 0, maxMs: 0, takenOverMs };
  const { min, max } = durations('--reconnect', wish);
  return { isOn: true, minMs: min, maxMs: max, takenOverMs };
}

function faults(read: Reader): Plan['faults'] {
  const [rebootShare = '0', every, more] = read.text('reboot').split('@');
  if (read.maybe('reboot') !== undefined && (every === undefined || more !== undefined)) {
    throw new UsageError(`--reboot: '${read.text('reboot')}' is not SHARE@INTERVAL, e.g. 10%@30s`);
  }
  const plan = {
    halfOpen: share('--half-open', read.text('halfOpen')),
    slowReader: share('--slow-reader', read.text('slowReader')),
    slowGreeting: share('--slow-greeting', read.text('slowGreeting')),
    garbage: share('--garbage', read.text('garbage')),
    afterMs: duration('--fault-after', read.text('faultAfter')),
    rebootShare: every === undefined ? 0 : share('--reboot', rebootShare),
    rebootEveryMs: every === undefined ? 0 : duration('--reboot', every),
  };
  if (plan.halfOpen + plan.slowReader + plan.garbage > 1) {
    throw new UsageError('--half-open, --slow-reader and --garbage share the links: at most 1');
  }
  if (every !== undefined && plan.rebootEveryMs === 0) {
    throw new UsageError('--reboot: the interval must not be 0');
  }
  return plan;
}

function commands(read: Reader, durationMs: number): Plan['commands'] {
  const perSecond = number('--command-rate', read.text('commandRate'));
  const loadMs = durationMs === 0 ? ENDLESS_MS : durationMs;
  const wish = read.maybe('commandTime');
  const wishMs = wish === undefined ? loadMs : duration('--command-time', wish);
  return {
    rate: [{ durationMs: Math.min(loadMs, wishMs), from: perSecond, to: perSecond }],
    isOn: perSecond > 0,
    keptShare: share('--command-kept', read.text('commandKept')),
    deadlineMs: duration('--command-deadline', read.text('commandDeadline')),
    topic: read.text('commandTopic'),
    to: oneOf('--command-to', read.text('commandTo'), ['all', 'awake', 'asleep'] as const),
    cutShare: share('--command-cut', read.text('commandCut')),
  };
}

function sleep(read: Reader): Plan['sleep'] {
  const [ofDevices = '', wake, more] = read.text('asleep').split('@');
  const wakeUp = wake === undefined ? { min: 0, max: 0 } : durations('--asleep', wake);
  const plan = {
    share: share('--asleep', ofDevices),
    wakeFromMs: wakeUp.min,
    wakeToMs: wakeUp.max,
  };
  if (more !== undefined || (wake !== undefined && plan.wakeToMs === 0)) {
    throw new UsageError(`--asleep: '${read.text('asleep')}' is not SHARE or SHARE@FROM-TO`);
  }
  if (plan.share === 1) throw new UsageError('--asleep: some devices have to stay awake');
  return plan;
}

function tokens(read: Reader): Plan['tokens'] {
  const [file, keyId] = [read.maybe('keys'), read.maybe('keyId')];
  if (file === undefined && keyId !== undefined) {
    throw new UsageError('--key-id: it is one of the keys in --keys FILE');
  }
  if (file === undefined) return undefined;
  return { keysFile: resolve(file), keyId };
}

function profiles(read: Reader, given: readonly Profile[]): readonly Profile[] {
  const think = read.maybe('think');
  const mix = read.maybe('mix');
  if (think === undefined) return mix === undefined ? given : parseProfiles(mix, given);
  if (mix !== undefined) throw new UsageError('--think and --mix: a scenario file can have both');
  const everyMs = duration('--think', think);
  const bytes = wholes('--bytes', read.text('bytes'), PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX);
  const topic = read.text('topic');
  return [{ name: 'thinker', weight: 1, sends: 'request', topic, bytes, everyMs, when: 'think' }];
}

function oneOf<T extends string>(name: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new UsageError(`${name}: '${value}' is not ${choices.join(', ')}`);
  return found;
}

/** The plan of a run. `own` are profiles that a scenario file defines. Throws UsageError. */
export function makePlan(given: Given, own: readonly Profile[], run: number): Plan {
  const read = new Reader(given);
  const target = read.maybe('target');
  if (target === undefined) throw new UsageError('--target HOST:PORT is needed');
  const keepalive = read.maybe('keepalive');
  const source = read.maybe('source');
  const devices = whole('--devices', read.text('devices'), 1, 10_000_000);
  const load = ramps(read);
  const plan: Plan = {
    ...hostPort('--target', target),
    run,
    seed: whole('--seed', read.text('seed'), 0, 0xffff_ffff),
    workers: Math.min(devices, whole('--workers', read.text('workers'), 1, 256)),
    devices,
    devicePrefix: read.text('devicePrefix'),
    keepaliveS: keepalive === undefined ? undefined : duration('--keepalive', keepalive) / 1_000,
    tokens: tokens(read),
    connectRate: read.flag('storm') ? 0 : number('--connect-rate', read.text('connectRate'), 0.01),
    connectTimeoutMs: duration('--connect-timeout', read.text('connectTimeout')),
    sources: source === undefined ? [] : addresses('--source', source),
    reconnect: reconnect(read),
    ...load,
    loadFrom: oneOf('--load-from', read.text('loadFrom'), ['connected', 'start'] as const),
    eventShare: share('--event-share', read.text('eventShare')),
    topic: read.text('topic'),
    eventTopic: read.text('eventTopic'),
    bytes: wholes('--bytes', read.text('bytes'), PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX),
    profiles: profiles(read, own),
    expect: oneOf<Expect>('--expect', read.text('expect'), ['echo', 'ok', 'any']),
    timeoutMs: duration('--timeout', read.text('timeout')),
    giveUpMs: duration('--give-up', read.text('giveUp')),
    spin: read.flag('spin'),
    faults: faults(read),
    commands: commands(read, load.durationMs),
    sleep: sleep(read),
  };
  if (!/^[A-Za-z0-9_-]{0,40}$/.test(plan.devicePrefix)) {
    throw new UsageError('--device-prefix: at most 40 of A-Z a-z 0-9 _ -');
  }
  if (plan.keepaliveS !== undefined && !Number.isInteger(plan.keepaliveS)) {
    throw new UsageError('--keepalive: whole seconds only');
  }
  return Object.freeze(plan);
}

function allowed(textOfList: string | undefined): ReadonlySet<Violation> {
  const found = new Set<Violation>();
  for (const word of textOfList?.split(',') ?? []) {
    found.add(oneOf('--allow', word.trim(), VIOLATION_NAMES));
  }
  return found;
}

/** What to print and write, and when the run counts as failed. Throws UsageError. */
export function makeOutput(given: Given): Output {
  const read = new Reader(given);
  const port = read.maybe('prometheusPort');
  return {
    jsonFile: read.maybe('json'),
    htmlFile: read.maybe('html'),
    hdrFile: read.maybe('hdr'),
    prometheusPort: port === undefined ? undefined : whole('--prometheus-port', port, 0, 65_535),
    isQuiet: read.flag('quiet'),
    thresholds: read.list('failIf').map(parseThreshold),
    allowed: allowed(read.maybe('allow')),
    isBottleneckAllowed: read.flag('allowBottleneck'),
    amqp: read.maybe('amqp'),
    prefix: read.text('prefix'),
  };
}
