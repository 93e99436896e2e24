/**
 * Metrics: every figure an acceptor keeps, its name, kind, label and meaning, in one list.
 * From: endpoint, broker and route modules add to a `Counters`.  To: report.ts takes snapshots.
 * Bound: labels come from closed lists; never a device, a topic or an address.
 */
import {
  AUTH_REASONS,
  CLOSE_REASONS,
  ERROR_CODES,
  ESTABLISH_FAILURES,
  EXPIRIES,
  OUTCOMES,
  PRESENCE_REASONS,
  REFUSALS,
  STATUS,
} from './errors.ts';
import { type Histogram, makeHistogram } from './histogram.ts';
import { AUTH_METHODS, SPOKEN } from './listeners.ts';
import { TRACE_DROPS } from './traceContext.ts';

export interface MetricSpec {
  /** A histogram is of the node only: no acceptor has one of its own on the page. */
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** Where it is not the figure's own in snake case: units stand last. */
  readonly name?: string;
  readonly label?: string;
  /** The closed list of the label's values: each is reported from the start, as 0. */
  readonly values?: readonly string[];
}

/** Filled in by `acceptorMetrics`, from the names of the message types. */
const MESSAGE_TYPES: readonly string[] = [];
const KINDS = ['event', 'request'];

/** Fates of a delivery from the reply queue. */
export const REPLY_FATES = ['sent', 'late', 'no-link', 'garbage', 'too-long'] as const;
export type ReplyFate = (typeof REPLY_FATES)[number];

/**
 * Why a message was dropped: its queue refused it too often; too many others were refused as well;
 * the broker closed the channel because of it, several times; or it does not fit into a frame.
 */
export const DROP_REASONS = ['refused', 'crowded', 'poisonous', 'unsendable'] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/**
 * Fates of a presence query; `nowhere`: it named no queue for the answer; `dropped`: that queue
 * would not take it.
 */
export const QUERY_FATES = ['answered', 'bad', 'unavailable', 'nowhere', 'dropped'] as const;
export type QueryFate = (typeof QUERY_FATES)[number];

/**
 * Fates of a question to the backend that knows devices; `malformed`: its answer was none;
 * `unroutable`: no queue is bound; `unanswered`: until `authAskMs`; `unsent`: too many are under
 * way, or there is no broker.
 */
export const ASK_FATES = [
  'allowed',
  'denied',
  'malformed',
  'unroutable',
  'unanswered',
  'unsent',
] as const;
export type AskFate = (typeof ASK_FATES)[number];

/**
 * Fates of a will in a greeting; `not-allowed`: its device may not publish to its topic; `full`:
 * those of all links hold too much.
 */
export const WILL_FATES = ['kept', 'not-allowed', 'full'] as const;

/**
 * What becomes of a will on record; `goodbye`: its device left of itself; `cancelled`: the device
 * has a new link; `full`: there was no room to keep it.
 */
export const WILL_ENDS = ['published', 'goodbye', 'cancelled', 'full'] as const;
export type WillEnd = (typeof WILL_ENDS)[number];

/** A counter for each of a label's values. */
function countedBy<Values extends readonly string[]>(label: string, values: Values, help: string) {
  return { kind: 'counter', help, label, values } as const satisfies MetricSpec;
}

function histogram(help: string) {
  return { kind: 'histogram', help } as const satisfies MetricSpec;
}

/** Of a process; `whose` is not said of an acceptor's own. */
function processMetrics(whose: '' | ' the registrar') {
  const delay = `Event-loop delay${whose && ` of${whose}`} over the last report interval`;
  return {
    loopLagP50Seconds: { kind: 'gauge', help: `${delay}, median.` },
    loopLagP99Seconds: { kind: 'gauge', help: `${delay}, 99th percentile.` },
    loopLagMaxSeconds: { kind: 'gauge', help: `${delay}, longest.` },
    rssBytes: { kind: 'gauge', help: `Resident memory${whose && ` of${whose}`}.` },
    heapRatio: {
      kind: 'gauge',
      help: `Heap${whose && ` of${whose}`} in use, of what V8 allows it, 0 to 1.`,
    },
    openFiles: { kind: 'gauge', help: `Open files${whose && ` of${whose}`}.` },
    openFilesMax: { kind: 'gauge', help: `Open files that${whose || ' it'} may have.` },
    cpuSeconds: { kind: 'counter', help: `Processor time${whose} used.` },
  } as const satisfies Record<string, MetricSpec>;
}

/** Names are `owsla_<name>` in snake case, seconds and bytes last; counters end in `_total`. */
const METRICS = {
  links: { kind: 'gauge', help: 'Links that are greeting or open.' },
  greetings: { kind: 'gauge', help: 'Links that have not sent HELLO yet.' },
  establishing: { kind: 'gauge', help: 'New links in their PROXY header or TLS handshake.' },
  establishFailures: countedBy(
    'reason',
    ESTABLISH_FAILURES,
    'Links that ended before their first frame, by reason.',
  ),
  handshakes: countedBy('kind', ['full', 'resumed', 'psk'], 'TLS handshakes that were done.'),
  opens: countedBy('protocol', SPOKEN, 'Links that were opened, by what they speak.'),
  proofs: countedBy('method', AUTH_METHODS, 'Devices that proved who they are, by method.'),
  authFailures: countedBy('reason', AUTH_REASONS, 'Devices that did not, by reason.'),
  traceDrops: countedBy('reason', TRACE_DROPS, 'Parts of trace contexts left out, by reason.'),
  notAllowed: { kind: 'counter', help: 'Messages to topics that their device may not publish.' },
  wills: countedBy('fate', WILL_FATES, 'Wills in greetings, by what became of them.'),
  willEndDrops: {
    kind: 'counter',
    help: 'Ends of links with a will that had to be forgotten before they were recorded.',
  },
  connectsWaiting: { kind: 'gauge', help: 'New links waiting for admission.' },
  sockets: {
    kind: 'gauge',
    help: 'Device sockets, lingering ones included; with owsla_connects_waiting, open files.',
  },
  linksMax: { kind: 'gauge', help: 'Links that this acceptor accepts at most.' },
  pausedLinks: { kind: 'gauge', help: 'Links not read, because something is full.' },
  throttled: { kind: 'counter', help: 'Times that a link was paused for exceeding its rate.' },
  overloads: { kind: 'counter', help: 'Times that an overload lowered the rate of links.' },
  heavyLinks: { kind: 'gauge', help: 'Links that hold 8 KiB or more, lingering ones included.' },
  heavyBytes: {
    kind: 'gauge',
    help: 'Memory of their unread output and unhandled input.',
  },
  greedy: {
    kind: 'counter',
    help: 'Times that a link was paused because all links together use too much memory.',
  },
  lingering: { kind: 'gauge', help: 'Links that were sent BYE and wait for the device to close.' },
  accepts: { kind: 'counter', help: 'Links accepted.' },
  connectSeconds: histogram('Time from accept to WELCOME.'),
  moves: countedBy('way', ['in', 'out'], 'Links that came from another process, or went to one.'),
  closes: countedBy('reason', CLOSE_REASONS, 'Links ended, by reason.'),
  errors: countedBy('code', ERROR_CODES, 'ERROR frames sent, by code.'),
  messagesIn: countedBy('type', MESSAGE_TYPES, 'Messages from devices, by type.'),
  messagesOut: countedBy('type', MESSAGE_TYPES, 'Messages to devices, by type.'),
  bytesIn: { kind: 'counter', name: 'received_bytes', help: 'Bytes read from devices.' },
  bytesOut: { kind: 'counter', name: 'sent_bytes', help: 'Bytes handed to device sockets.' },
  strayAcks: { kind: 'counter', help: 'ACKs from devices for no message that was sent.' },
  strayResults: { kind: 'counter', help: 'RESULTs from devices for no command that is open.' },
  publishes: countedBy('kind', KINDS, 'Messages published to the broker, retries included.'),
  resends: { kind: 'counter', help: 'Messages published again.' },
  confirms: {
    kind: 'counter',
    help: 'Publisher confirms, and REQUESTs that the broker is known to have.',
  },
  confirmSeconds: histogram('Time from publishing an EVENT first to its confirm.'),
  nacks: { kind: 'counter', help: 'Publishes that the broker refused.' },
  publishDrops: countedBy('reason', DROP_REASONS, 'Messages dropped, by reason.'),
  returns: { kind: 'counter', help: 'REQUESTs for which no queue was bound.' },
  confirmsWaiting: { kind: 'gauge', help: 'Messages published and not yet confirmed.' },
  confirmBytesWaiting: {
    kind: 'gauge',
    name: 'confirms_waiting_bytes',
    help: 'Payload bytes published and not yet confirmed.',
  },
  requestsOpen: { kind: 'gauge', help: 'REQUESTs not yet answered.' },
  requestSeconds: histogram(
    'Time from reading a REQUEST to the backend’s REPLY, or to its deadline.',
  ),
  deliveries: countedBy(
    'fate',
    REPLY_FATES,
    'Deliveries from the reply queue, by what became of them.',
  ),
  ownReplies: countedBy('status', Object.keys(STATUS), 'REPLYs that Owsla made itself, by status.'),
  brokerUp: {
    kind: 'gauge',
    help: '1 while the AMQP connection is up.',
    label: 'link',
    values: ['publish', 'consume'],
  },
  brokerBlocked: { kind: 'gauge', help: '1 while the broker blocks publishing.' },
  brokerConnects: { kind: 'counter', help: 'AMQP connections made.' },
  brokerLosses: { kind: 'counter', help: 'AMQP connections lost.' },
  certificateEndSeconds: {
    kind: 'gauge',
    name: 'certificate_end_timestamp_seconds',
    help: 'When the certificate that ends first does; 0: there is none.',
  },
  ...processMetrics(''),
} as const satisfies Record<string, MetricSpec>;

/** The registrar's, of which a node has one: `owsla_presence_<name>`. */
export const PRESENCE_METRICS = {
  changes: countedBy('reason', PRESENCE_REASONS, 'Changes of a device’s presence, by reason.'),
  takeovers: { kind: 'counter', help: 'Links closed because their device has a newer one.' },
  clones: {
    kind: 'counter',
    help: 'Repeated takeovers of one device id: more than takeoversMax without a quiet time.',
  },
  held: { kind: 'gauge', help: 'Links that wait because of such repeated takeovers.' },
  waiting: { kind: 'gauge', help: 'Changes read from acceptors and not yet recorded.' },
  outbox: { kind: 'gauge', help: 'Events recorded and not yet confirmed by the broker.' },
  publishes: { kind: 'counter', help: 'Events published to the broker, retries included.' },
  confirms: { kind: 'counter', help: 'Publisher confirms of events.' },
  drops: countedBy(
    'reason',
    DROP_REASONS,
    'Events dropped, by reason: a subscriber’s queue did not accept them.',
  ),
  queries: countedBy('fate', QUERY_FATES, 'Presence queries, by what became of them.'),
  willEnds: countedBy('fate', WILL_ENDS, 'Wills on record, by what became of them.'),
  willDrops: countedBy(
    'reason',
    DROP_REASONS,
    'Wills dropped, by reason: a queue that is bound for them did not accept them.',
  ),
  wills: { kind: 'gauge', help: 'Wills of links on record, and those that wait for their delay.' },
  willsWaiting: { kind: 'gauge', help: 'Those of them whose link has ended.' },
  willOutbox: { kind: 'gauge', help: 'Wills to be published, not confirmed by the broker yet.' },
  willBytes: { kind: 'gauge', help: 'What all these wills hold in the store.' },
  blocked: { kind: 'gauge', help: 'Devices that are kept out by `owsla block`.' },
  streams: { kind: 'gauge', help: 'Acceptors connected to the registrar.' },
  brokerUp: { kind: 'gauge', help: '1 while the registrar’s AMQP connection is up.' },
  walBytes: {
    kind: 'gauge',
    help: 'The store’s write-ahead log on disk; it grows while another program reads the store.',
  },
  degraded: { kind: 'gauge', help: '1 while changes are not recorded: the log gives the reason.' },
  storeDown: { kind: 'gauge', help: '1 while the store cannot be read or written.' },
  ...processMetrics(' the registrar'),
} as const satisfies Record<string, MetricSpec>;

/** The registrar's too, about commands: `owsla_command_<name>`. No name is in both lists. */
export const COMMAND_METRICS = {
  received: countedBy(
    'kind',
    ['transient', 'kept'],
    'Commands received from the broker, repeated ones included.',
  ),
  sent: { kind: 'counter', help: 'COMMANDs handed to acceptors, repeated ones included.' },
  outcomes: countedBy('type', OUTCOMES, 'What became of commands.'),
  refusals: countedBy('reason', REFUSALS, 'Commands refused, by reason.'),
  expiries: countedBy('reason', EXPIRIES, 'Commands expired, by reason.'),
  outcomeDrops: countedBy(
    'reason',
    DROP_REASONS,
    'Outcomes dropped, by reason: the queue in reply_to did not accept them.',
  ),
  undecided: {
    kind: 'counter',
    help: 'Commands dropped because of an error in Owsla: the log has it.',
  },
  traceDrops: countedBy(
    'reason',
    TRACE_DROPS,
    'Parts of trace contexts of commands left out, by reason.',
  ),
  lateAnswers: { kind: 'counter', help: 'ACKs and RESULTs for commands that had ended.' },
  kept: { kind: 'gauge', help: 'Durable commands that have not ended.' },
  open: { kind: 'gauge', help: 'Transient commands sent and not yet answered.' },
  outcomesWaiting: { kind: 'gauge', help: 'Outcomes that the broker has not confirmed.' },
  transientSeconds: histogram(
    'Time from taking a transient command to its result, or to its end without one.',
  ),
  keptSeconds: histogram('The same of durable ones: they may wait for their device.'),
} as const satisfies Record<string, MetricSpec>;

/** The registrar's too, about `--auth backend`: `owsla_backend_auth_<name>`; names as above. */
export const BACKEND_AUTH_METRICS = {
  questions: countedBy('fate', ASK_FATES, 'Questions to the backend, by what became of them.'),
  strayVerdicts: { kind: 'counter', help: 'Answers to no question that is open: late, or twice.' },
  staleVerdicts: { kind: 'counter', help: 'Old answers that counted because none came.' },
  asking: { kind: 'gauge', help: 'Questions under way.' },
  cached: { kind: 'gauge', help: 'Answers that are kept.' },
} as const satisfies Record<string, MetricSpec>;

type Specs = Readonly<Record<string, MetricSpec>>;

/** Figures by their specs: a number each, a number per label value, or a histogram. */
type Figures<S extends Specs> = {
  -readonly [N in keyof S]: S[N] extends { values: readonly string[] }
    ? Record<string, number>
    : S[N] extends { kind: 'histogram' }
      ? Histogram
      : number;
};

export type MetricName = keyof typeof METRICS;

/** One acceptor's figures. */
export type Counters = Figures<typeof METRICS>;
export type PresenceCounters = Figures<typeof PRESENCE_METRICS>;
export type CommandCounters = Figures<typeof COMMAND_METRICS>;
export type BackendAuthCounters = Figures<typeof BACKEND_AUTH_METRICS>;
/** All that the registrar reports. */
export type RegistrarCounters = PresenceCounters & CommandCounters & BackendAuthCounters;

/** A snapshot as it travels to the observer. */
export type Snapshot = Readonly<Counters>;

function makeFigures<S extends Specs>(specs: S): Figures<S> {
  const figures: Record<string, number | Record<string, number> | Histogram> = {};
  for (const [name, { kind, values }] of Object.entries(specs)) {
    if (kind === 'histogram') figures[name] = makeHistogram();
    else figures[name] = values ? Object.fromEntries(values.map((value) => [value, 0])) : 0;
  }
  return figures as Figures<S>;
}

/** An acceptor's list, with the names of the message types that it counts. */
export function acceptorMetrics(
  messageTypes: readonly string[],
): Readonly<Record<MetricName, MetricSpec>> {
  const values = { values: messageTypes };
  const { messagesIn, messagesOut } = METRICS;
  return {
    ...METRICS,
    messagesIn: { ...messagesIn, ...values },
    messagesOut: { ...messagesOut, ...values },
  };
}

/** All figures of an acceptor at zero. */
export function makeCounters(messageTypes: readonly string[]): Counters {
  return makeFigures(acceptorMetrics(messageTypes)) as Counters;
}

export function makePresenceCounters(): PresenceCounters {
  return makeFigures(PRESENCE_METRICS);
}

export function makeCommandCounters(): CommandCounters {
  return makeFigures(COMMAND_METRICS);
}

export function makeBackendAuthCounters(): BackendAuthCounters {
  return makeFigures(BACKEND_AUTH_METRICS);
}

/** All figures of the registrar at zero. */
export function makeRegistrarCounters(): RegistrarCounters {
  return { ...makePresenceCounters(), ...makeCommandCounters(), ...makeBackendAuthCounters() };
}

/** Add one to the figure of a label value. The value must be on the metric's closed list. */
export function bump(figures: Record<string, number>, value: string): void {
  figures[value] = (figures[value] ?? 0) + 1;
}
