/**
 * AuthClient: who the devices are of which only a backend knows, by way of the registrar.
 * From: identity.ts.  To: the stream to the registrar, which asks; its verdicts, which are kept.
 * Bound: as many questions as links are greeting, each of ASK_MS_MORE more than the registrar's own
 * deadline. While the registrar is away, what it has told counts for `authStaleMs`.
 */
import type { Limits } from '../../base/limits.ts';
import { OpenQuestions } from '../../base/openQuestions.ts';
import type { AskMessage, AuthMessage } from '../../node/messages.ts';
import {
  type AuthQuestion,
  type BackendVerdict,
  type Said,
  type VerdictMessage,
  Verdicts,
  type VerdictsOptions,
  verdictKey,
} from '../../node/verdicts.ts';

/** For the way to the registrar and back. */
const ASK_MS_MORE = 1_000;

export interface AuthClientOptions extends VerdictsOptions {
  readonly limits: Limits;
  /** Of the node. */
  readonly secret: Buffer;
  /** Send it to the registrar. False: it is away. */
  readonly send: (message: AskMessage) => boolean;
}

export class AuthClient {
  readonly #options: AuthClientOptions;
  readonly #verdicts: Verdicts;
  readonly #open = new OpenQuestions<number, Said>();
  #last = 0;

  constructor(options: AuthClientOptions) {
    this.#options = options;
    this.#verdicts = new Verdicts(options);
  }

  /** Undefined: nobody can say. */
  async ask(question: AuthQuestion): Promise<BackendVerdict | undefined> {
    const key = verdictKey(this.#options.secret, question);
    const fresh = this.#verdicts.fresh(key);
    if (fresh !== undefined) return fresh;
    const said = await this.#question(question);
    if (said === 'silent') return this.#verdicts.stale(key);
    return said === 'crowded' ? undefined : said;
  }

  #question({ device, token, peer, listener }: AuthQuestion): Promise<Said> {
    const { send, limits } = this.#options;
    this.#last += 1;
    const id = this.#last;
    if (!send(['ask', id, device, token, peer, listener])) return Promise.resolve('silent');
    return this.#open.ask(id, limits.authAskMs + ASK_MS_MORE, 'silent');
  }

  /** All that it knows, for a registrar that may be new. */
  told(): Iterator<VerdictMessage> {
    return this.#verdicts.told();
  }

  onMessage(message: AuthMessage): void {
    if (message[0] === 'said') this.#open.settle(message[1], message[2]);
    else this.#verdicts.hear(message);
  }

  /** The registrar is away: it has forgotten who asked. */
  onLost(): void {
    this.#open.settleAll('silent');
  }
}
