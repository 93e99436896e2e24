/**
 * Exposition: the /metrics page, in the Prometheus text format, by prom-client.
 * From: the figures of nodeStatus.ts, and the kernel's counters of refused connections.
 * To: admin.ts, as text.
 * Bound: rendered at most once per `scrapeMs` however often it is scraped; series come from closed
 * lists times the number of acceptors, never one per device.
 */
import { readFile } from 'node:fs/promises';
import { makeCounters } from '../base/metrics.ts';
import { ALARMS } from '../node/alarmNames.ts';
import { CHILD_ROLES } from '../node/ipc.ts';
import { OWSLA_VERSION } from '../node/version.ts';
import { MESSAGE_TYPES } from '../wire/message.ts';
import {
  CarriedHistogram,
  type Family,
  makeFamily,
  makeSingle,
  type Single,
  setTo,
  snakeCase,
} from './families.ts';
import { GUEST_ENDS, type GuestEnds, NO_GUESTS } from './guests.ts';
import {
  BACKEND_AUTH_LIST,
  COMMAND_LIST,
  type Figures,
  METRIC_LIST,
  merge,
  type NodeStatus,
  PRESENCE_LIST,
  type SpecList,
  valuesOf,
} from './nodeStatus.ts';
import { PROM } from './promClient.ts';
import { ReloadFamilies } from './reloadFamilies.ts';

/** Here a node's figure is that of its worst acceptor, because a sum would mean nothing. */
const WORST_OF: readonly string[] = [
  ...['loopLagP50Seconds', 'loopLagP99Seconds', 'loopLagMaxSeconds', 'heapRatio'],
];
/** And here that of the first; 0: it has none. */
const FIRST_OF: readonly string[] = ['certificateEndSeconds'];

/** Of /proc/net/netstat: connections that the kernel dropped because an accept queue was full. */
const KERNEL_COUNTERS = {
  ListenOverflows: 'Connections that found an accept queue full, on the whole machine.',
  ListenDrops: 'Connections dropped by listening sockets, on the whole machine.',
} as const;

type Families = Map<string, Family>;

const MS_PER_SECOND = 1_000;

/** What each acceptor shows for itself. */
const EACH_LIST = METRIC_LIST.filter(([, { kind }]) => kind !== 'histogram');

export class Exposition {
  readonly #status: NodeStatus;
  readonly #scrapeMs: number;
  readonly #registry = new PROM.Registry();
  readonly #totals: Families;
  readonly #each: Families;
  readonly #presence: Families;
  readonly #commands: Families;
  readonly #backendAuth: Families;
  readonly #kernel = new Map<string, Single>();
  readonly #ready: Single;
  readonly #restarts: Single;
  readonly #reloads: ReloadFamilies;
  readonly #guestEnds: GuestEnds;
  readonly #alarms: Single;
  readonly #alarmsAt: Single;
  readonly #startTime: Single;
  readonly #adminCloses: Single;
  #page: Promise<Buffer> | undefined;
  #renderedAt = Number.NEGATIVE_INFINITY;

  constructor(status: NodeStatus, scrapeMs: number, guestEnds: GuestEnds = NO_GUESTS) {
    this.#guestEnds = guestEnds;
    this.#status = status;
    this.#scrapeMs = scrapeMs;
    this.#totals = this.#families(METRIC_LIST, 'owsla_', []);
    this.#each = this.#families(EACH_LIST, 'owsla_acceptor_', ['acceptor']);
    this.#presence = this.#families(PRESENCE_LIST, 'owsla_presence_', []);
    this.#commands = this.#families(COMMAND_LIST, 'owsla_command_', []);
    this.#backendAuth = this.#families(BACKEND_AUTH_LIST, 'owsla_backend_auth_', []);
    for (const [name, help] of Object.entries(KERNEL_COUNTERS)) {
      const snake = `owsla_kernel_${snakeCase(name)}_total`;
      this.#kernel.set(name, this.#single('counter', snake, help, []));
    }
    this.#ready = this.#single('gauge', 'owsla_ready', '1 while the node is ready.', []);
    const help = 'Processes restarted, by role.';
    this.#restarts = this.#single('counter', 'owsla_restarts_total', help, ['role']);
    this.#reloads = new ReloadFamilies(this.#registry);
    this.#alarms = this.#single('gauge', 'owsla_alarm', '1 while it is raised.', ['alarm']);
    const raised = 'When it was raised, in seconds since 1970; 0 while it is not.';
    const alarmAt = 'owsla_alarm_raised_timestamp_seconds';
    this.#alarmsAt = this.#single('gauge', alarmAt, raised, ['alarm']);
    const began = 'When the node was started, in seconds since 1970.';
    this.#startTime = this.#single('gauge', 'owsla_start_time_seconds', began, []);
    const about = 'Always 1: the versions of Owsla and of Node.js, of the observer.';
    const build = this.#single('gauge', 'owsla_build_info', about, ['version', 'node']);
    setTo(build, { version: OWSLA_VERSION, node: process.versions.node }, 1);
    const closes = 'Admin connections closed in favour of others, by reason.';
    this.#adminCloses = this.#single('counter', 'owsla_admin_closes_total', closes, ['reason']);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /**
   * The page as of at most `scrapeMs` ago. All requests in that time share one rendering
   * and its bytes: clients that do not read cost no more memory than that.
   */
  page(now: number): Promise<Buffer> {
    if (!this.#page || now - this.#renderedAt >= this.#scrapeMs) {
      this.#renderedAt = now;
      this.#page = this.#render(now);
    }
    return this.#page;
  }

  async #render(now: number): Promise<Buffer> {
    const acceptors = this.#status.acceptors();
    const total = makeCounters(MESSAGE_TYPES);
    merge(METRIC_LIST, total, this.#status.gone, 'total', combine);
    for (const [index, figures] of acceptors) {
      for (const kind of ['total', 'gauge'] as const) {
        merge(METRIC_LIST, total, figures, kind, combine);
      }
      this.#fill(this.#each, figures, { acceptor: String(index) }, EACH_LIST);
    }
    this.#fill(this.#totals, total, {});
    const registrar = this.#status.registrar(now);
    this.#fill(this.#presence, registrar, {}, PRESENCE_LIST);
    this.#fill(this.#commands, registrar, {}, COMMAND_LIST);
    this.#fill(this.#backendAuth, registrar, {}, BACKEND_AUTH_LIST);
    setTo(this.#ready, {}, this.#status.unready(now).length === 0 ? 1 : 0);
    this.#reloads.fill(this.#status.node?.reload);
    for (const role of CHILD_ROLES) {
      setTo(this.#restarts, { role }, this.#status.restarts()[role]);
    }
    this.#fillAlarms();
    setTo(this.#startTime, {}, (this.#status.node?.startedAt ?? 0) / MS_PER_SECOND);
    const kernel = await kernelCounters();
    for (const [name, family] of this.#kernel) setTo(family, {}, kernel[name] ?? 0);
    for (const reason of GUEST_ENDS) setTo(this.#adminCloses, { reason }, this.#guestEnds[reason]);
    return Buffer.from(await this.#registry.metrics());
  }

  #fillAlarms(): void {
    const raised = new Map(this.#status.alarms.map((one) => [one.alarm, one.raisedAt]));
    for (const alarm of ALARMS) {
      const at = raised.get(alarm);
      setTo(this.#alarms, { alarm }, at === undefined ? 0 : 1);
      setTo(this.#alarmsAt, { alarm }, (at ?? 0) / MS_PER_SECOND);
    }
  }

  #families(specs: SpecList, prefix: string, labels: readonly string[]): Families {
    const families: Families = new Map();
    for (const [name, { kind, help, label, name: shown = snakeCase(name) }] of specs) {
      const full = `${prefix}${shown}${kind === 'counter' ? '_total' : ''}`;
      const own = label === undefined ? [] : [label];
      const labelNames = [...labels, ...own];
      const registers = [this.#registry];
      families.set(name, makeFamily(kind, { name: full, help, labelNames, registers }));
    }
    return families;
  }

  #fill(
    families: Families,
    figures: Figures,
    labels: Record<string, string>,
    specs: SpecList = METRIC_LIST,
  ): void {
    for (const [name, spec] of specs) {
      const family = families.get(name);
      if (family instanceof CarriedHistogram) family.take(figures[name]);
      else
        for (const [value, number] of valuesOf(figures[name] ?? 0)) {
          const own = spec.label === undefined ? {} : { [spec.label]: value };
          if (family) setTo(family, { ...labels, ...own }, number);
        }
    }
  }

  #single(kind: 'counter' | 'gauge', name: string, help: string, labelNames: string[]): Single {
    return makeSingle(kind, { name, help, labelNames, registers: [this.#registry] });
  }
}

function combine(a: number, b: number, name: string): number {
  if (FIRST_OF.includes(name)) return a === 0 || b === 0 ? a + b : Math.min(a, b);
  return WORST_OF.includes(name) ? Math.max(a, b) : a + b;
}

/** Counters of /proc/net/netstat by name; empty where there is no such file. */
export async function kernelCounters(path = '/proc/net/netstat'): Promise<Record<string, number>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return {};
  }
  // Pairs of lines: `TcpExt: Name Name ...` and `TcpExt: 1 2 ...`.
  const [names, values] = text.split('\n').filter((line) => line.startsWith('TcpExt:'));
  const numbers = values?.split(' ') ?? [];
  return Object.fromEntries(names?.split(' ').map((name, at) => [name, Number(numbers[at])]) ?? []);
}
