/**
 * Link: one AMQP connection that comes back by itself.
 * From: acceptor.ts, which says what to set up on it.  To: amqplib, whose recovery it uses.
 * Bound: pauses from `reconnectMinMs` doubling to `reconnectMaxMs`, with full jitter, for ever;
 * what the broker refuses on principle (other arguments, no permission) ends the process instead.
 *
 *   down --connect, setup--> up --close, heartbeat missed--> down
 */
import { type ChannelModel, connect, type Options, type RecoveringChannelModel } from 'amqplib';
import type { Logger } from 'pino';
import { parseAmqpUrl } from '../amqpUrl.ts';
import { EXIT, type StartError } from '../errors.ts';
import type { Limits } from '../limits.ts';
import { refusal } from './refusal.ts';

export interface LinkOptions {
  /** `publish` or `consume`: the connection's name at the broker, and in metrics and logs. */
  readonly name: string;
  readonly url: string;
  readonly limits: Limits;
  readonly log: Logger;
  /** Declare, open channels, begin. A rejection closes the connection and tries again later. */
  readonly setUp: (model: ChannelModel) => Promise<void>;
  readonly onUp: () => void;
  readonly onDown: () => void;
  /** The broker takes no publishes (memory or disk alarm), or takes them again. */
  readonly onBlocked: (isBlocked: boolean) => void;
  readonly onFatal: (error: StartError) => void;
}

const RETRY_FACTOR_MAX = 20;

/** What to connect with: the URL's parts, with our heartbeat unless the URL has its own. */
export function connectOptions(url: string, limits: Limits): Options.Connect {
  const { heartbeat = Math.ceil(limits.heartbeatMs / 1_000), ...at } = parseAmqpUrl(url);
  return { ...at, heartbeat };
}

export class Link {
  readonly #options: LinkOptions;
  #recovering: RecoveringChannelModel | undefined;
  #model: ChannelModel | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Begin to connect; resolves at once. */
  async start(): Promise<void> {
    const { name, url, limits } = this.#options;
    const recovering = await connect(connectOptions(url, limits), {
      noDelay: true,
      timeout: limits.brokerConnectMs,
      clientProperties: { connection_name: `owsla ${name} ${process.pid}` },
      recovery: {
        waitForConnect: false,
        calculateDelay: (attempt) => this.#pauseBefore(attempt),
        setup: (model: ChannelModel) => this.#setUp(model),
      },
    });
    this.#recovering = recovering;
    this.#watch(recovering);
  }

  #pauseBefore(attempt: number): number {
    const { reconnectMinMs, reconnectMaxMs } = this.#options.limits;
    const exponent = Math.min(attempt - 1, RETRY_FACTOR_MAX);
    return Math.random() * Math.min(reconnectMaxMs, reconnectMinMs * 2 ** exponent);
  }

  async #setUp(model: ChannelModel): Promise<void> {
    // Until recovery listens itself, an 'error' without a listener would end the process.
    model.on('error', () => {});
    this.#model = model;
    try {
      await this.#options.setUp(model);
    } catch (error) {
      const why = refusal(error, this.#options.url);
      // The broker's answer to a declaration was no, and it will be no again.
      if (why.exitCode === EXIT.config) this.#options.onFatal(why);
      throw error;
    }
  }

  #watch(recovering: RecoveringChannelModel): void {
    const { name, log, onUp, onDown, onBlocked } = this.#options;
    let failures = 0;
    recovering.on('connect', () => {
      failures = 0;
      log.info({ link: name }, 'broker link up');
      onUp();
    });
    recovering.on('disconnect', (error: Error) => {
      log.warn({ link: name, why: error.message }, 'broker link lost');
      onBlocked(false);
      onDown();
    });
    recovering.on('connect-failed', (error: Error) => {
      failures += 1;
      // 1st, 2nd, 4th, 8th, ...: a long outage must not flood the log.
      if ((failures & (failures - 1)) !== 0) return;
      log.warn({ link: name, failures, why: error.message }, 'broker not reached');
    });
    recovering.on('error', () => {});
    recovering.on('blocked', (reason: string) => {
      log.warn({ link: name, reason }, 'broker blocks publishes');
      onBlocked(true);
    });
    recovering.on('unblocked', () => {
      log.info({ link: name }, 'broker takes publishes again');
      onBlocked(false);
    });
  }

  /** Give this connection up and make a new one: a channel of it has died. */
  async reset(): Promise<void> {
    try {
      await this.#model?.close();
    } catch {
      // It was closing already.
    }
  }

  /** Close for good. */
  async close(): Promise<void> {
    await this.#recovering?.close();
  }
}
