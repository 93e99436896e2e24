/**
 * Plan: everything a run is to do, as checked plain values that travel to every worker.
 * From: flags.ts and scenario.ts.  To: manager.ts, worker.ts and all that they build.
 * Bound: built once, frozen, never changed during a run.
 */
import type { DeployPlan } from './deployPlan.ts';
import type { Bytes } from './payload.ts';
import type { RampPiece } from './ramp.ts';

/** What one sort of device does by itself, without a total rate. */
export interface Profile {
  readonly name: string;
  /** Its share among the plan's profiles, by weight. */
  readonly weight: number;
  readonly sends: 'event' | 'request';
  readonly topic: string;
  readonly bytes: Bytes;
  /** Mean interval per device. */
  readonly everyMs: number;
  /**
   * `interval`: exactly every `everyMs`, each device with its own phase. `random`: a Poisson
   * process. `think`: closed loop: send, wait for the answer, think for `everyMs` (+- half).
   */
  readonly when: 'interval' | 'random' | 'think';
}

export type Expect = 'echo' | 'ok' | 'any';

/** What devices speak: Owsla's own protocol, MQTT 3.1.1, MQTT 5. */
export const DEVICE_PROTOCOLS = ['owsla', 'mqtt', 'mqtt5'] as const;
/** `module`: what the plan's module says. */
export type DeviceProtocol = (typeof DEVICE_PROTOCOLS)[number] | 'module';

export interface ReconnectPlan {
  readonly isOn: boolean;
  /** First and longest pause without `retryAfter`; full jitter below it. */
  readonly minMs: number;
  readonly maxMs: number;
  /** Shortest pause after `taken-over`. */
  readonly takenOverMs: number;
}

/** Where tokens come from; the key itself stays in its file. */
export interface TokenPlan {
  readonly keysFile: string;
  /** Undefined: the only key there is. */
  readonly keyId: string | undefined;
}

/** TLS of the devices' links; what is secret stays in its files. Paths are absolute. */
export interface TlsPlan {
  /** What the server's certificate has to say; '': the address that devices connect to. */
  readonly servername: string;
  /** Undefined: the CAs that Node knows. */
  readonly caFile: string | undefined;
  /** PEM files; or folders with ID.pem and ID.key of each device. Undefined: no certificate. */
  readonly certPath: string | undefined;
  readonly keyPath: string | undefined;
  /** Undefined: the best that both sides can. */
  readonly version: '1.2' | '1.3' | undefined;
  /** By keys that follow from the group key of `tokens`, in place of certificates and tokens. */
  readonly isPsk: boolean;
  /** Of the reconnects that have a ticket: how many offer it. */
  readonly resumeShare: number;
}

/** Where devices connect, and what comes there before their first frame. */
export interface WayPlan {
  /** '' and 0 for a Unix socket. */
  readonly host: string;
  readonly port: number;
  /** Absolute path of a Unix socket; undefined: TCP. */
  readonly unix: string | undefined;
  /** Version of the PROXY header. */
  readonly proxy: 'v1' | 'v2' | undefined;
  readonly tls: TlsPlan | undefined;
}

/** Shares of devices that misbehave, and waves of reboots. */
export interface FaultPlan {
  readonly halfOpen: number;
  readonly slowReader: number;
  readonly slowGreeting: number;
  readonly garbage: number;
  /** How long the first of these waits after its link is open; spread up to twice that. */
  readonly afterMs: number;
  readonly rebootShare: number;
  readonly rebootEveryMs: number;
}

/** Commands to the devices, from a backend that the workers play. */
export interface CommandPlan {
  /** Commands a second; Ramp pieces. */
  readonly rate: readonly RampPiece[];
  readonly isOn: boolean;
  /** Share that is kept until its deadline; the others are now or never. */
  readonly keptShare: number;
  readonly deadlineMs: number;
  readonly topic: string;
  readonly to: 'all' | 'awake' | 'asleep';
  /** Share of acts after which the device loses its link before it answers. */
  readonly cutShare: number;
}

/** Devices that connect once, and then sleep. */
export interface SleepPlan {
  readonly share: number;
  /** When they wake, from the start of the load; to 0: never. */
  readonly wakeFromMs: number;
  readonly wakeToMs: number;
}

/** Devices of a protocol module. */
export interface ModulePlan {
  /** Absolute. */
  readonly path: string;
  /** The module's own name for its protocol. */
  readonly name: string;
  /** Undefined: any will do. */
  readonly ids: { readonly prefix: string; readonly length: number } | undefined;
  /** How often they show that they are there; 0: they need not. */
  readonly keepaliveS: number;
  /** A login is answered. */
  readonly isWelcomed: boolean;
  readonly acknowledges: boolean;
  /** Our bytes can be found in what a backend gets, and in what it replies. */
  readonly carriesEvents: boolean;
  readonly carriesReplies: boolean;
}

export interface Plan extends WayPlan {
  readonly run: number;
  readonly seed: number;
  readonly workers: number;
  readonly devices: number;
  readonly devicePrefix: string;
  readonly keepaliveS: number | undefined;
  readonly protocol: DeviceProtocol;
  /** Absolute path of the protocol module. */
  readonly moduleFile: string | undefined;
  /** What is known of it, once it has been tried. */
  readonly module: ModulePlan | undefined;
  /** Undefined: HELLO has no token. */
  readonly tokens: TokenPlan | undefined;
  /** Connects a second; 0: all at once. */
  readonly connectRate: number;
  readonly connectTimeoutMs: number;
  /** Share of the devices that leave a will. */
  readonly willShare: number;
  /** Local addresses, used in turn; empty: the kernel chooses. */
  readonly sources: readonly string[];
  readonly reconnect: ReconnectPlan;
  /** Total messages a second; Ramp pieces. Empty or all 0: no such load. */
  readonly rate: readonly RampPiece[];
  /** Factor on the profiles' speed over time. Same length in time as `rate`. */
  readonly speed: readonly RampPiece[];
  /** 0: until interrupted. */
  readonly durationMs: number;
  /** Do messages wait until every device has had its first answer (or gave up)? */
  readonly loadFrom: 'connected' | 'start';
  readonly eventShare: number;
  readonly topic: string;
  readonly eventTopic: string;
  readonly bytes: Bytes;
  readonly profiles: readonly Profile[];
  readonly expect: Expect;
  /** Age at which an unanswered message counts as lost. */
  readonly timeoutMs: number;
  /** End the run when no link has been open for so long. 0: never. */
  readonly giveUpMs: number;
  /** Poll instead of sleeping the last millisecond: more exact sends for a whole core. */
  readonly spin: boolean;
  readonly faults: FaultPlan;
  readonly commands: CommandPlan;
  readonly sleep: SleepPlan;
  /** Undefined: the server is not reloaded. */
  readonly deploy: DeployPlan | undefined;
}

/** An answer may come so long after the load has ended. */
export function answersMs({ timeoutMs, commands }: Plan): number {
  return timeoutMs + (commands.isOn ? commands.deadlineMs : 0);
}

/** `127.0.0.1:7000`, or the path of the Unix socket: for people. */
export function targetOf({ unix, host, port }: WayPlan): string {
  return unix ?? `${host}:${port}`;
}

/** Messages without an answer that one device may have; above it, it is passed over. */
export const IN_FLIGHT_MAX = 4_096;

/** A message sent later than this after its planned time is a late send. */
export const LATE_MS = 5;

/** The largest frame taken from a server. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** Index of the profile of device `index`, or -1: contiguous blocks, by weight. */
export function profileOf(plan: Plan, index: number): number {
  const total = plan.profiles.reduce((sum, { weight }) => sum + weight, 0);
  let upTo = 0;
  for (const [at, { weight }] of plan.profiles.entries()) {
    upTo += weight;
    if (index < Math.round((plan.devices * upTo) / total)) return at;
  }
  return plan.profiles.length - 1;
}

/** The device id of device `index`: the same in every run with the same plan. */
export function deviceId(plan: Plan, index: number): string {
  const { ids } = plan.module ?? {};
  if (ids !== undefined) {
    return `${ids.prefix}${String(index).padStart(ids.length - ids.prefix.length, '0')}`;
  }
  const profile = plan.profiles[profileOf(plan, index)];
  const kind = profile === undefined ? '' : `${profile.name}-`;
  return `${plan.devicePrefix}${kind}${String(index).padStart(6, '0')}`;
}
