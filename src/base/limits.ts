/**
 * Limits: every number that bounds something, with its unit, range and meaning, in one list.
 * From: this file's defaults, overridden by `--set name=value` or the config file (config.ts).
 * To: every module that has a queue, map, timer or retry; it gets the frozen `Limits` object.
 * Bound: a value outside its range, or two that contradict each other, is refused at the start.
 */

export type LimitUnit = 'bytes' | 'ms' | 'count';

interface LimitSpec {
  readonly value: number;
  readonly unit: LimitUnit;
  readonly min: number;
  readonly max: number;
  readonly about: string;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function bytes(value: number, min: number, max: number, about: string): LimitSpec {
  return { value, unit: 'bytes', min, max, about };
}
function ms(value: number, min: number, max: number, about: string): LimitSpec {
  return { value, unit: 'ms', min, max, about };
}
function count(value: number, min: number, max: number, about: string): LimitSpec {
  return { value, unit: 'count', min, max, about };
}

export const LIMIT_SPECS = {
  // One device link.
  frameBytesMax: bytes(64 * KiB, 256, 16 * MiB, 'largest frame taken from a device'),
  greetingMs: ms(10 * SECOND, 100, 10 * MINUTE, 'time a new link has to send HELLO'),
  keepaliveMs: ms(60 * SECOND, SECOND, HOUR, 'keepalive of a device that asks for none'),
  keepaliveMinMs: ms(10 * SECOND, SECOND, HOUR, 'shortest keepalive a device may ask for'),
  keepaliveMaxMs: ms(HOUR, SECOND, 24 * HOUR, 'longest keepalive a device may ask for'),
  inFlightMax: count(256, 1, 65_536, 'unanswered REQUESTs and unACKed EVENTs of one link'),
  linkMessagesPerSecond: count(1_000, 1, 1_000_000, 'messages read from one link, on average'),
  linkMessagesBurst: count(100, 1, 1_000_000, 'messages read from one link at once'),
  linkFairPerSecond: count(16, 1, 1_000_000, 'messages one link may send in an overload, at least'),
  linkBytesPerSecond: bytes(4 * MiB, KiB, 1_024 * MiB, 'bytes read from one link, on average'),
  linkElementsPerSecond: count(65_536, 100, 1e9, 'array elements, map keys and values, on average'),
  requestMs: ms(10 * SECOND, 50, 10 * MINUTE, 'time a REQUEST has to be answered'),
  outboxSoftBytes: bytes(64 * KiB, KiB, 64 * MiB, 'outbox size above which reading stops'),
  outboxHardBytes: bytes(256 * KiB, 2 * KiB, 256 * MiB, 'outbox size at which a link closes'),
  stallMs: ms(10 * SECOND, 100, HOUR, 'time a device may read nothing while data waits'),
  lingerMs: ms(SECOND, 10, MINUTE, 'time to read and discard after BYE'),
  willBytesMax: bytes(4 * KiB, 0, 65_536, 'topic and payload of a will; a longer one is refused'),
  willDelayMaxMs: ms(DAY, 0, 30 * DAY, 'delay of a will; a longer one is shortened to it'),

  // One acceptor.
  linksMax: count(0, 0, 1_000_000, 'links per acceptor; 0: open-file limit minus 256'),
  linksBytesMax: bytes(256 * MiB, MiB, 64 * 1_024 * MiB, 'outboxes and unhandled input, all links'),
  refusingMax: count(128, 1, 207, 'refused links lingering at once; more are reset'),
  connectsPerSecond: count(600, 1, 1_000_000, 'new links admitted per second, per acceptor'),
  connectBurst: count(100, 1, 1_000_000, 'new links admitted at once after a quiet time'),
  connectQueueMax: count(16_384, 0, 1_000_000, 'links waiting for admission; 0: refuse at once'),
  connectWaitMs: ms(20 * SECOND, 10, HOUR, 'time a new link may wait for admission; then refused'),
  greetingsMax: count(2_048, 1, 1_000_000, 'admitted links whose device is not known yet'),
  proxyMs: ms(3 * SECOND, 100, MINUTE, 'time for the PROXY header, once a link was admitted'),
  handshakeMs: ms(10 * SECOND, 100, HOUR, 'time for the TLS handshake'),
  helloBytesMax: bytes(8 * KiB, 512, 65_536, 'longest first frame: its device is not known yet'),
  linksPerAddressMax: count(0, 0, 1_000_000, 'links of one address, per acceptor; 0: any number'),
  authFailuresMax: count(0, 0, 1_000_000, 'failed proofs of one address, per acceptor; 0: any'),
  authFailuresMs: ms(MINUTE, SECOND, DAY, 'time over which authFailuresMax counts'),
  authRetryMs: ms(30 * SECOND, 0, HOUR, 'spread of retryAfter while nobody knows a device'),
  backlog: count(4_096, 1, 65_535, 'accept queue of an acceptor, all its sockets together'),
  refusalLinesMax: count(20, 0, 1_000_000, 'log lines about refused devices, for each reason'),
  refusalLinesMs: ms(MINUTE, SECOND, DAY, 'interval over which refusalLinesMax counts'),
  listenSockets: count(16, 1, 64, 'listening sockets per acceptor; one accept each per loop turn'),
  sweepTickMs: ms(32, 1, 1_000, 'interval of checks; each covers 4 of the 256 registry shards'),

  // One AMQP connection.
  publishWindowMax: count(4_096, 1, 1_000_000, 'messages published and not yet confirmed'),
  publishWindowBytes: bytes(16 * MiB, 64 * KiB, 1_024 * MiB, 'payload bytes not yet confirmed'),
  confirmQuietMs: ms(SECOND, 50, HOUR, 'time without an answer after which publishing pauses'),
  nackRetryMs: ms(250, 10, MINUTE, 'first pause before a nacked message is retried, then doubled'),
  nackRetryMaxMs: ms(30 * SECOND, 10, HOUR, 'longest pause before a nacked message is retried'),
  nackTriesMax: count(8, 0, 1_000, 'retries of a nacked message before it is dropped'),
  prefetch: count(1_024, 1, 65_535, 'replies delivered and not yet acked'),
  heartbeatMs: ms(10 * SECOND, SECOND, 10 * MINUTE, 'AMQP heartbeat requested from the broker'),
  brokerConnectMs: ms(10 * SECOND, 100, 10 * MINUTE, 'time one connection attempt may take'),
  reconnectMinMs: ms(100, 1, MINUTE, 'first pause between connection attempts, doubled each time'),
  reconnectMaxMs: ms(5 * SECOND, 10, HOUR, 'longest pause between connection attempts'),

  topologyMs: ms(MINUTE, SECOND, HOUR, 'interval at which queues and exchanges are declared again'),

  // A broker that remains unavailable, with --on-broker-loss refuse.
  brokerLossMs: ms(30 * SECOND, 0, 24 * HOUR, 'time without a broker before links are closed'),
  brokerLossPaceMs: ms(30 * SECOND, 0, HOUR, 'time over which their BYEs are spread'),
  brokerLossRetryMs: ms(MINUTE, 0, HOUR, 'spread of retryAfter during a broker loss'),

  // Queues at the broker.
  replyQueueMax: count(100_000, 1, 100_000_000, 'replies waiting for one acceptor'),
  replyQueueExpiresMs: ms(5 * MINUTE, SECOND, 24 * HOUR, 'idle time before a reply queue expires'),
  unroutedMax: count(100_000, 1, 1_000_000_000, 'events kept for which no backend has a binding'),
  unroutedAgeMs: ms(24 * HOUR, SECOND, 365 * 24 * HOUR, 'time such an event is kept'),

  // The end of a process.
  drainMs: ms(15 * SECOND, 0, HOUR, 'time to finish confirms, replies and outboxes at a stop'),
  drainPaceMs: ms(5 * SECOND, 0, HOUR, 'time over which the BYEs of a stop are spread'),
  drainRetryMs: ms(30 * SECOND, 0, HOUR, 'spread of retryAfter in the BYEs of a stop'),
  serverFullRetryMs: ms(30 * SECOND, 0, HOUR, 'spread of retryAfter when an acceptor is full'),

  // A reload: each acceptor's links move to its successor.
  moveWindow: count(32, 1, 1_000, 'links on their way to a successor at once'),
  reloadQuietMs: ms(
    5 * SECOND,
    0,
    HOUR,
    'time a busy link is waited for before it is read no more',
  ),
  reloadMs: ms(30 * SECOND, 0, HOUR, 'time after which a link that cannot move gets BYE'),
  reloadRetryMs: ms(SECOND, 0, HOUR, 'spread of retryAfter in these BYEs'),

  // The supervisor and its children.
  childReadyMs: ms(
    30 * SECOND,
    SECOND,
    HOUR,
    'time a child has to get ready, or to say that it waits',
  ),
  childSilenceMs: ms(15 * SECOND, 2 * SECOND, HOUR, 'silence after which a child is killed'),
  heartbeatChildMs: ms(SECOND, 100, MINUTE, 'interval of the heartbeats of a child'),
  restartsMax: count(0, 0, 100_000, 'restarts in restartWindowMs; 0: 5 + ceil(log2(acceptors))'),
  restartWindowMs: ms(10 * SECOND, SECOND, HOUR, 'window in which restarts are counted'),
  restartPauseMaxMs: ms(5 * SECOND, 0, MINUTE, 'longest pause before a child is restarted'),
  crashReportsMax: count(4, 1, 100, '--on-crash commands at once; more crashes are only counted'),
  crashReportMs: ms(10 * SECOND, 100, MINUTE, 'time of an --on-crash command; then it is killed'),
  helperPauseMaxMs: ms(30 * SECOND, 100, HOUR, 'the same for the registrar or the observer'),

  // Presence.
  presenceBatchMax: count(1_000, 1, 100_000, 'presence changes in one transaction'),
  presenceBatchMs: ms(40, 0, SECOND, 'time between transactions; commands do not wait for it'),
  presenceQueueMax: count(10_000, 1, 1_000_000, 'presence changes read and not yet recorded'),
  presenceStreamBytes: bytes(64 * KiB, KiB, 16 * MiB, 'changes sent, not read by the registrar'),
  presenceOutboxMax: count(100_000, 1, 100_000_000, 'presence events kept; above: newest only'),
  presenceKeepMs: ms(90 * DAY, SECOND, 3_650 * DAY, 'time an offline device is remembered'),
  presencePageMax: count(1_000, 1, 10_000, 'devices in one page of a presence query'),
  presenceQueriesMax: count(16, 1, 1_000, 'presence queries answered at once'),
  presenceRetryMs: ms(SECOND, 10, HOUR, 'pause before a failed store is retried'),
  storeWalBytesMax: bytes(64 * MiB, 256 * KiB, 16_384 * MiB, 'size of the store’s write-ahead log'),
  storeReserveBytes: bytes(8 * MiB, 64 * KiB, 1_024 * MiB, 'disk reserved for merging that log'),
  presenceClaimMs: ms(MINUTE, 0, HOUR, 'time to wait for another registrar to release the prefix'),
  willsBytesMax: bytes(256 * MiB, KiB, 64 * 1_024 * MiB, 'wills kept, and those not yet published'),
  willEndsMax: count(10_000, 1, 1_000_000, 'ends of links with a will, not known as recorded'),
  takeoversMax: count(5, 1, 1_000_000, 'takeovers of one device before they are delayed'),
  takeoverWindowMs: ms(5 * MINUTE, SECOND, DAY, 'time without a takeover that resets this count'),
  deviceFlapsMax: count(20, 1, 1_000_000, 'links of one device in deviceFlapWindowMs: it flaps'),
  deviceFlapWindowMs: ms(5 * MINUTE, SECOND, DAY, 'time over which deviceFlapsMax counts'),
  takeoverDampMs: ms(10 * SECOND, 0, HOUR, 'shortest time between two delayed takeovers'),

  // Devices that are kept out.
  blockedMax: count(100_000, 0, 1_000_000, 'devices on the block list'),

  // Questions to the backend that knows devices, with --auth backend.
  authAskMs: ms(3 * SECOND, 50, MINUTE, 'time the backend has to say who may connect'),
  authQuestionsMax: count(1_000, 1, 100_000, 'devices about which it is asked at once'),
  authCacheMax: count(100_000, 10, 10_000_000, 'its answers that are kept; a tenth may be no'),
  authCacheMs: ms(MINUTE, 0, DAY, 'time for which it is not asked the same again'),
  authStaleMs: ms(HOUR, 0, 30 * DAY, 'time for which its answer counts while it is silent'),

  // Commands.
  commandPrefetch: count(2_048, 1, 65_535, 'commands taken from the broker and not yet settled'),
  commandsOpenMax: count(32_768, 1, 1_000_000, 'transient commands sent and not yet answered'),
  commandQueueMax: count(100_000, 1, 100_000_000, 'commands waiting at the broker'),
  commandBytesMax: bytes(64 * KiB, 0, 16 * MiB, 'largest payload of a command'),
  commandResultMs: ms(30 * SECOND, 50, DAY, 'time a device has for RESULT once it has a COMMAND'),
  commandAgeMaxMs: ms(30 * DAY, SECOND, 3_650 * DAY, 'furthest deadline of a durable command'),
  commandsPerDeviceMax: count(100, 1, 100_000, 'durable commands of one device'),
  commandsKeptMax: count(250_000, 1, 100_000_000, 'durable commands of all devices'),
  commandWindowMax: count(8, 1, 15, 'durable commands sent to a device and not yet answered'),
  commandsPerSecond: count(2_000, 10, 1_000_000, 'waiting durable commands sent per second'),
  commandRetryMs: ms(SECOND, 10, HOUR, 'pause before a durable command is retried on a busy link'),
  commandRememberMs: ms(10 * MINUTE, SECOND, DAY, 'time an ended durable command is remembered'),

  // Questions of a node's processes to each other, and of people on control.sock.
  questionMs: ms(SECOND, 50, 5 * SECOND, 'time that a question has to be answered'),
  questionsMax: count(64, 1, 10_000, 'questions open on one connection, each way'),
  questionBytesMax: bytes(MiB, 64 * KiB, 16 * MiB, 'largest question, answer or report'),
  answersUnreadBytes: bytes(4 * MiB, 64 * KiB, 256 * MiB, 'answers that a connection has not read'),
  linksPageMax: count(500, 1, 10_000, 'links, or ended ones, in one answer'),
  closedLinksMax: count(10_000, 10, 1_000_000, 'ended links a node remembers; never opened: a 4th'),
  controlConnectionsMax: count(32, 1, 1_000, 'on control.sock; above, the most idle is closed'),

  // Traces of single devices.
  tracesMax: count(50, 1, 1_000, 'traces of devices at once, of a node'),
  traceMs: ms(HOUR, SECOND, DAY, 'longest time that a trace may be asked for'),
  traceEntriesMax: count(1_000_000, 1, 1e9, 'entries that a trace may be asked for'),
  traceBufferBytes: bytes(256 * KiB, 32 * KiB, 64 * MiB, 'of one trace, not read yet, by process'),
  tracePayloadBytes: bytes(KiB, 0, 16 * KiB, 'of a payload that a trace shows, if asked to'),

  // The observer.
  reportMs: ms(SECOND, 100, MINUTE, 'interval of the acceptors’ reports to the observer'),
  alarmRaiseMs: ms(3 * SECOND, 0, HOUR, 'time that a fault lasts before its alarm is raised'),
  alarmClearMs: ms(10 * SECOND, 0, HOUR, 'time that it is over before its alarm is cleared'),
  adminConnectionsMax: count(
    256,
    1,
    65_535,
    'admin HTTP connections; above, the most idle is closed',
  ),
  adminPipelinedMax: count(8, 1, 1_000, 'requests waiting on one admin connection; more close it'),
  adminStallMs: ms(10 * SECOND, 100, HOUR, 'time without reading an answer, or a first request'),
  scrapeMs: ms(SECOND, 100, MINUTE, 'time for which a rendered /metrics page is reused'),
} as const satisfies Record<string, LimitSpec>;

export type LimitName = keyof typeof LIMIT_SPECS;
export type Limits = Readonly<Record<LimitName, number>>;

export const LIMIT_NAMES = Object.keys(LIMIT_SPECS) as readonly LimitName[];

/**
 * Those that are arguments of a queue that outlives every process, and which: RabbitMQ keeps it as
 * it was declared first, so another value needs a new queue. All others count from a start on.
 */
export const QUEUE_LIMITS: Readonly<Partial<Record<LimitName, string>>> = {
  unroutedMax: 'unrouted',
  unroutedAgeMs: 'unrouted',
  presenceQueueMax: 'presence.query',
  commandQueueMax: 'commands',
};

/** The open files an acceptor keeps for everything but device links. */
export const FILES_RESERVED = 256;

/** Those of them for the process itself, the broker, the observer and the registrar. */
const FILES_OWN = 48;

/** Shards of the registry; a connection id's first byte picks one. */
export const SHARDS = 256;
/** Swept per tick: an idle process pays for its wake-ups, hardly for the work in them. */
export const SHARDS_PER_TICK = 4;

/** Smallest `frameBytesMax` a device can declare; a smaller wish counts as this. */
export const DEVICE_FRAME_BYTES_MIN = 256;

/** Silence beyond this many keepalives closes a link. */
export const KEEPALIVE_GRACE = 1.5;

export function isLimitName(name: string): name is LimitName {
  return Object.hasOwn(LIMIT_SPECS, name);
}

/** The defaults with `overrides` on top, frozen. Ranges are for `limitFaults` to check. */
export function makeLimits(overrides: Partial<Record<LimitName, number>> = {}): Limits {
  const limits = {} as Record<LimitName, number>;
  for (const name of LIMIT_NAMES) limits[name] = overrides[name] ?? LIMIT_SPECS[name].value;
  return Object.freeze(limits);
}

/** What is wrong with these limits, one sentence each; empty when they fit each other. */
export function limitFaults(limits: Limits): string[] {
  const faults: string[] = [];
  for (const name of LIMIT_NAMES) {
    const { min, max, unit } = LIMIT_SPECS[name];
    const value = limits[name];
    if (!Number.isInteger(value) || value < min || value > max) {
      faults.push(`${name} must be a whole number from ${min} to ${max} (${unit}), not ${value}`);
    }
  }
  const { refusingMax, listenSockets } = limits;
  if (refusingMax + listenSockets + FILES_OWN > FILES_RESERVED) {
    faults.push(
      `refusingMax (${refusingMax}) and listenSockets (${listenSockets}) must fit together into ` +
        `${FILES_RESERVED - FILES_OWN} open files`,
    );
  }
  const ordered: [LimitName, LimitName][] = [
    ['keepaliveMinMs', 'keepaliveMs'],
    ['keepaliveMs', 'keepaliveMaxMs'],
    ['outboxSoftBytes', 'outboxHardBytes'],
    ['reconnectMinMs', 'reconnectMaxMs'],
    ['nackRetryMs', 'nackRetryMaxMs'],
    ['heartbeatChildMs', 'childSilenceMs'],
    ['reloadQuietMs', 'reloadMs'],
    ['frameBytesMax', 'publishWindowBytes'],
    ['frameBytesMax', 'outboxHardBytes'],
    ['questionBytesMax', 'answersUnreadBytes'],
    ['authCacheMs', 'authStaleMs'],
  ];
  for (const [low, high] of ordered) {
    if (limits[low] > limits[high]) {
      faults.push(`${low} (${limits[low]}) must not be above ${high} (${limits[high]})`);
    }
  }
  return faults;
}
