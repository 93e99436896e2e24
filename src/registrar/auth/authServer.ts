/**
 * AuthServer: questions about devices, put together: for the listeners with `auth: backend`.
 * From: streamServer.ts, questions of acceptors.  To: the broker, by a connection that only this
 * uses; verdicts to all acceptors.
 * Bound: that of its parts. Without such a listener there is no connection, and nobody asks.
 */
import { systemClock } from '../../base/clock.ts';
import { asksBackend } from '../../base/listeners.ts';
import type { Logger } from '../../base/log.ts';
import { type BackendAuthCounters, bump } from '../../base/metrics.ts';
import { tryOrder } from '../../broker/connection.ts';
import { names } from '../../broker/topology.ts';
import type { StartMessage } from '../../node/ipc.ts';
import type { AskMessage, ToAcceptor } from '../../node/messages.ts';
import type { Degraded } from '../../node/report.ts';
import { type VerdictMessage, Verdicts } from '../../node/verdicts.ts';
import { AuthBroker } from './authBroker.ts';
import { Authenticator } from './authenticator.ts';

export interface AuthServerOptions {
  readonly start: StartMessage;
  readonly counters: BackendAuthCounters;
  readonly log: Logger;
  readonly onFatal: (error: unknown) => void;
  readonly tell: (acceptor: string, message: ToAcceptor) => void;
  readonly tellAll: (message: ToAcceptor) => void;
}

export class AuthServer {
  readonly #options: AuthServerOptions;
  readonly #verdicts: Verdicts;
  readonly #authenticator: Authenticator;
  readonly #broker: AuthBroker | undefined;

  constructor(options: AuthServerOptions) {
    const { start, counters, log, onFatal, tellAll } = options;
    const { config, incarnation, authSecret } = start;
    const { limits, listeners } = config;
    const { now, wall } = systemClock;
    const onStray = () => {
      counters.strayVerdicts += 1;
    };
    const at = { urls: tryOrder(config.amqp, 0), names: names(config.prefix), incarnation };
    const broker = asksBackend(listeners)
      ? new AuthBroker({ ...at, limits, log, onStray, onFatal })
      : undefined;
    const verdicts = new Verdicts({ limits, now, wall });
    this.#options = options;
    this.#broker = broker;
    this.#verdicts = verdicts;
    this.#authenticator = new Authenticator({
      verdicts,
      now,
      secret: Buffer.from(authSecret, 'base64'),
      questionsMax: limits.authQuestionsMax,
      send: async (question) => broker?.ask(question) ?? 'unsent',
      onVerdict: (key) => tellAll(verdicts.tell(key)),
      count: (fate) => bump(counters.questions, fate),
      onStale: () => {
        counters.staleVerdicts += 1;
      },
    });
  }

  start(): void {
    this.#broker?.start();
  }

  async onAsk(acceptor: string, message: AskMessage): Promise<void> {
    const [, id, device, token, peer, listener] = message;
    const said = await this.#authenticator.ask({ device, token, peer, listener });
    this.#options.tell(acceptor, ['said', id, said]);
  }

  /** All that is known, for an acceptor that is new. */
  told(): Iterator<ToAcceptor> {
    return this.#verdicts.told();
  }

  /** What an acceptor knows: after an end of the registrar, more than itself. */
  hear(message: VerdictMessage): void {
    this.#verdicts.hear(message);
  }

  degraded(): Degraded[] {
    if (!this.#authenticator.isSilent) return [];
    const reason = 'the backend does not say who may connect';
    return [{ part: 'auth', reason, cause: 'auth-away' }];
  }

  count(): void {
    const { counters } = this.#options;
    counters.asking = this.#authenticator.asking;
    counters.cached = this.#verdicts.size;
  }

  async close(): Promise<void> {
    await this.#broker?.close();
  }
}
