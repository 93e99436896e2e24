/**
 * BrokerConnection: an AMQP connection that comes back by itself, to the next URL that answers.
 * From: acceptorBroker.ts, which says what to declare and open on it.  To: amqplib.
 * Bound: pauses from `reconnectMinMs` doubling to `reconnectMaxMs`, with full jitter, for ever;
 * `brokerConnectMs` for a connect, and again for what is set up on it; CLOSE_MS for a goodbye.
 * What the broker refuses for good (other arguments, no permission) ends the process instead.
 *
 *   pausing --> connecting --connect, declare, open--> up --close, heartbeat missed--> pausing
 */
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import { parseAmqpUrl } from '../base/amqpUrl.ts';
import { EXIT, type StartError } from '../base/errors.ts';
import type { Limits } from '../base/limits.ts';
import { type AmqpModel, type ConnectOptions, connectTo } from './amqp.ts';
import { brokerAddress, brokerError } from './brokerErrors.ts';
import { connectionOf, writeDirectly } from './directWriter.ts';

export interface BrokerConnectionOptions {
  /** `publish` or `consume`: the connection's name at the broker, and in metrics and logs. */
  readonly name: string;
  /** In the order in which they are tried, round and round. */
  readonly urls: readonly string[];
  readonly limits: Limits;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /**
   * What has to exist: before `open`, and again every `topologyMs` while it is up; a refusal
   * then is only logged, until the next connect.
   */
  readonly declare: (model: AmqpModel) => Promise<void>;
  /** Open channels, begin. A rejection closes the connection and tries again later. */
  readonly open: (model: AmqpModel) => Promise<void>;
  readonly onUp: () => void;
  readonly onDown: () => void;
  /** The broker blocks publishes (memory or disk alarm), or accepts them again. */
  readonly onBlocked: (isBlocked: boolean) => void;
  readonly onFatal: (error: StartError) => void;
}

/** 2 to this is beyond any `reconnectMaxMs`. */
const DOUBLINGS_MAX = 20;
/** How long the broker has to answer a close. */
const CLOSE_MS = 1_000;
/** Bytes that amqplib may hold for the kernel: what a busy turn brings. Node's 64 KiB are less. */
const SOCKET = { writableHighWaterMark: 1_048_576 };

/** What to connect with: the URL's parts, with our heartbeat unless the URL has its own. */
export function connectOptions(url: string, limits: Limits): ConnectOptions {
  const { heartbeat = Math.ceil(limits.heartbeatMs / 1_000), ...at } = parseAmqpUrl(url);
  return { ...at, heartbeat };
}

/**
 * The order in which one acceptor tries `urls`: the `index`th comes first (counted round and
 * round), which spreads acceptors evenly; the rest by chance, which spreads those of a lost node.
 */
export function tryOrder(
  urls: readonly string[],
  index: number,
  random: () => number = Math.random,
): string[] {
  const first = index % urls.length;
  const lots = urls.map((url, at) => ({ url, lot: at === first ? -1 : random() }));
  return lots.sort((a, b) => a.lot - b.lot).map(({ url }) => url);
}

export class BrokerConnection {
  readonly #options: BrokerConnectionOptions;
  readonly #ending = new AbortController();
  #model: AmqpModel | undefined;
  /** We close the connection ourselves: the same URL may be used for the next one. */
  #isReset = false;
  /** The broker closed the connection that was, or is, for something that was sent on it. */
  #isClosedForCause = false;
  /** Connects that failed since the last one that succeeded; for the log. */
  #failures = 0;

  constructor(options: BrokerConnectionOptions) {
    this.#options = options;
  }

  /** Asked while its channels close: was it for something that was sent? */
  get isClosedForCause(): boolean {
    return this.#isClosedForCause;
  }

  /** Begin to connect. */
  start(): void {
    void this.#run();
  }

  async #run(): Promise<void> {
    const { urls, limits } = this.#options;
    const { signal } = this.#ending;
    let attempts = 0;
    let at = 0;
    while (!signal.aborted) {
      this.#isReset = false;
      const upMs = await this.#live(urls[at % urls.length] as string);
      // A connection that is lost at once must not become a hot loop. One closed because of a
      // message is needed soon: its publisher will have found that message and dropped it.
      const isPoisoned = upMs > 0 && this.#isClosedForCause;
      attempts = isPoisoned || upMs >= limits.reconnectMaxMs ? 1 : attempts + 1;
      if (!this.#isReset) at += 1;
      await pause(this.#pauseBefore(attempts), undefined, { signal }).catch(() => {});
    }
  }

  #pauseBefore(attempt: number): number {
    const { reconnectMinMs, reconnectMaxMs } = this.#options.limits;
    const exponent = Math.min(attempt - 1, DOUBLINGS_MAX);
    return Math.random() * Math.min(reconnectMaxMs, reconnectMinMs * 2 ** exponent);
  }

  /** One connection, up to its loss. Gives for how long it was up, in ms. Never rejects. */
  async #live(url: string): Promise<number> {
    const { name, limits, log, onUp, onDown, onBlocked } = this.#options;
    const broker = brokerAddress(url);
    let model: AmqpModel;
    try {
      model = await connectTo(connectOptions(url, limits), {
        noDelay: true,
        ...SOCKET,
        timeout: limits.brokerConnectMs,
        clientProperties: { connection_name: `owsla ${name} ${process.pid}` },
      });
    } catch (error) {
      this.#failed(brokerError(error, url));
      return 0;
    }
    // Closed again before anybody could listen: no event of it will come.
    if (socketOf(model).writableEnded) return 0;
    writeDirectly(connectionOf(model));
    this.#model = model;
    this.#isClosedForCause = false;
    const lost = this.#watch(model);
    const isUp = !this.#ending.signal.aborted && (await this.#setUp(model, url));
    const upAt = performance.now();
    if (isUp) {
      this.#failures = 0;
      log.info({ link: name, broker }, 'broker link up');
      onUp();
    } else {
      void goodbye(model);
    }
    const over = new AbortController();
    if (isUp) void this.#keepDeclared(model, url, over.signal);
    const why = await lost;
    over.abort();
    this.#model = undefined;
    onBlocked(false);
    if (!isUp || this.#ending.signal.aborted) return 0;
    log.warn({ link: name, broker, why: why.message }, 'broker link lost');
    onDown();
    return performance.now() - upAt;
  }

  #failed({ message: why }: StartError): void {
    if (this.#ending.signal.aborted) return;
    const { name, log } = this.#options;
    this.#failures += 1;
    // 1st, 2nd, 4th, 8th, ...: a long outage must not flood the log.
    if ((this.#failures & (this.#failures - 1)) !== 0) return;
    log.warn({ link: name, failures: this.#failures, why }, 'broker not reached');
  }

  async #setUp(model: AmqpModel, url: string): Promise<boolean> {
    const { limits, declare, open } = this.#options;
    // If the broker stops answering, its calls stay open; only heartbeats would end them.
    const late = setTimeout(() => socketOf(model).destroy(SILENT), limits.brokerConnectMs);
    try {
      await declare(model);
      await open(model);
      return true;
    } catch (error) {
      const why = brokerError(error, url);
      // The broker refused a declaration, and will refuse it again.
      if (why.exitCode === EXIT.config) this.#options.onFatal(why);
      this.#failed(why);
      return false;
    } finally {
      clearTimeout(late);
    }
  }

  /** Declares again what was deleted. A refusal is only logged; links are served as before. */
  async #keepDeclared(model: AmqpModel, url: string, over: AbortSignal): Promise<void> {
    const { name, limits, log, declare } = this.#options;
    while (!over.aborted) {
      try {
        await pause(limits.topologyMs, undefined, { signal: over });
        await declare(model);
      } catch (error) {
        if (over.aborted) return;
        log.error(
          { link: name, reason: brokerError(error, url).message },
          'topology not as declared',
        );
      }
    }
  }

  /** Resolves with the reason when the connection is over. */
  #watch(model: AmqpModel): Promise<Error> {
    const { name, log, onBlocked } = this.#options;
    model.on('blocked', (reason: string) => {
      log.warn({ link: name, reason }, 'broker blocks publishes');
      onBlocked(true);
    });
    model.on('unblocked', () => {
      log.info({ link: name }, 'broker accepts publishes again');
      onBlocked(false);
    });
    return new Promise((resolve) => {
      let first: Error | undefined;
      model.on('error', (error: Error) => {
        first ??= error;
        // amqplib's errors have a code where the broker gave one; a forced close is no error to it.
        if (typeof (error as { code?: unknown }).code === 'number') this.#isClosedForCause = true;
        if (error.message === HEARTBEAT_MISSED) cutOff(socketOf(model));
      });
      model.once('close', (error?: Error) => {
        const socket = socketOf(model);
        // Both sides are done; a FIN that never comes must not keep it open.
        setTimeout(() => socket.destroy(), CLOSE_MS).unref();
        resolve(first ?? error ?? new Error('closed'));
      });
    });
  }

  /** Close this connection and make a new one: a channel of it has failed. */
  reset(): void {
    this.#isReset = true;
    if (this.#model) void goodbye(this.#model);
  }

  /** Close for good. Takes CLOSE_MS at most. */
  async close(): Promise<void> {
    this.#ending.abort();
    if (this.#model) await goodbye(this.#model);
  }
}

const SILENT = new Error('connect ETIMEDOUT');
/** amqplib's error text for it. */
const HEARTBEAT_MISSED = 'Heartbeat timeout';

function socketOf(model: AmqpModel): Socket {
  return connectionOf(model).stream;
}

/** Close politely; a broker that does not answer in time finds the socket closed. */
function goodbye(model: AmqpModel): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => socketOf(model).destroy(SILENT), CLOSE_MS);
    const done = () => {
      clearTimeout(late);
      resolve();
    };
    model.once('close', done);
    // Rejects when it has closed, or is closing already. Without an answer it never settles.
    model.close().catch(done);
  });
}

/**
 * Reset a connection to a broker that hangs. amqplib would send FIN, behind all that TCP still
 * holds for it, and TCP would deliver that when the broker continues: also REQUESTs, answered with
 * status 1 long ago. It has to be done before that FIN.
 */
function cutOff(socket: Socket): void {
  // Node refuses to reset a socket that has sent FIN, and leaves it open for good.
  if ('encrypted' in socket || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
