/**
 * Settings: how the options of `run` become a checked Plan.
 * From: the command line (commandLine.ts) over a scenario file (scenario.ts) over the defaults of
 * options.ts.
 * To: Plan for the workers, Output for the manager.
 * Bound: what does not fit together throws a UsageError, before anything is started.
 */
import { resolve } from 'node:path';
import { parseThreshold, type Threshold } from '../measure/thresholds.ts';
import { VIOLATION_NAMES, type Violation } from '../measure/violations.ts';
import { readDeploy } from './deployPlan.ts';
import { type Given, Reader } from './options.ts';
import { PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN } from './payload.ts';
import { DEVICE_PROTOCOLS, type Expect, type Plan, type Profile } from './plan.ts';
import { parseProfiles } from './profiles.ts';
import type { RampPiece } from './ramp.ts';
import {
  addresses,
  duration,
  durations,
  number,
  share,
  UsageError,
  whole,
  wholes,
} from './units.ts';
import { readWay } from './wayPlan.ts';

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

/** A run of 31 years stands for one without an end: a ramp's sums stay finite. */
const ENDLESS_MS = 1e12;

interface Load {
  readonly rate: RampPiece[];
  readonly speed: RampPiece[];
  readonly durationMs: number;
  readonly deploy: Plan['deploy'];
}

/** Stages as pieces of rate and of speed. */
function ramps(read: Reader): Load {
  const stages = read.list('stage');
  const steady = number('--rate', read.text('rate'));
  if (stages.length === 0) {
    const around = duration('--duration', read.text('duration'));
    const deploy = readDeploy(read, around);
    // Nobody knows how long a reload takes: the manager ends such a load.
    const durationMs = deploy === undefined ? around : 0;
    const piece = { durationMs: durationMs === 0 ? ENDLESS_MS : durationMs };
    const rate = [{ ...piece, from: steady, to: steady }];
    return { rate, speed: [{ ...piece, from: 1, to: 1 }], durationMs, deploy };
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
  return { rate, speed, durationMs, deploy: readDeploy(read, durationMs) };
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

/** A word, or the path of a module, which run.ts tries. */
function protocol(word: string): Pick<Plan, 'protocol' | 'moduleFile' | 'module'> {
  const known = DEVICE_PROTOCOLS.find((one) => one === word);
  if (known !== undefined) return { protocol: known, moduleFile: undefined, module: undefined };
  if (!/[./]/.test(word)) {
    const choices = DEVICE_PROTOCOLS.join(', ');
    throw new UsageError(`--protocol: '${word}' is not ${choices}, or the path of a module`);
  }
  return { protocol: 'module', moduleFile: resolve(word), module: undefined };
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
  const keepalive = read.maybe('keepalive');
  const source = read.maybe('source');
  const devices = whole('--devices', read.text('devices'), 1, 10_000_000);
  const load = ramps(read);
  const plan: Plan = {
    ...readWay(read),
    run,
    seed: whole('--seed', read.text('seed'), 0, 0xffff_ffff),
    workers: Math.min(devices, whole('--workers', read.text('workers'), 1, 256)),
    devices,
    devicePrefix: read.text('devicePrefix'),
    keepaliveS: keepalive === undefined ? undefined : duration('--keepalive', keepalive) / 1_000,
    ...protocol(read.text('protocol')),
    tokens: tokens(read),
    connectRate: read.flag('storm') ? 0 : number('--connect-rate', read.text('connectRate'), 0.01),
    connectTimeoutMs: duration('--connect-timeout', read.text('connectTimeout')),
    willShare: share('--will', read.text('will')),
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
