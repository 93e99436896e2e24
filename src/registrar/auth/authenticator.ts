/**
 * Authenticator: asks a backend who may connect, as seldom as it can.
 * From: streamServer.ts, questions of acceptors.  To: authBroker.ts; verdicts back, to all of them.
 * Bound: one question at a time for each device, token and listener, whoever else asks the same
 * waits for it; `authQuestionsMax` under way, of `authAskMs` each; those beyond it are told that
 * nobody knows. So is who gets no answer, unless one from before counts still (`authStaleMs`).
 */
import type { AskFate } from '../../base/metrics.ts';
import {
  type AuthQuestion,
  type BackendVerdict,
  type Said,
  type Verdicts,
  verdictKey,
} from '../../node/verdicts.ts';

/** What became of a question that was sent. */
export type Asked = BackendVerdict | Exclude<AskFate, 'allowed' | 'denied'>;

const LATELY_MS = 10_000;

export interface AuthenticatorOptions {
  readonly verdicts: Verdicts;
  /** Monotonic, in ms. */
  readonly now: () => number;
  /** Of the node. */
  readonly secret: Buffer;
  readonly questionsMax: number;
  /** Send it; resolves when it is answered, or is known not to be. Never rejects. */
  readonly send: (question: AuthQuestion) => Promise<Asked>;
  /** All acceptors are to know it. */
  readonly onVerdict: (key: string) => void;
  readonly count: (fate: AskFate) => void;
  readonly onStale: () => void;
}

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #underWay = new Map<string, Promise<BackendVerdict | undefined>>();
  /** Since the last answer a question had none. Before the first question nobody is. */
  #isSilent = false;
  /** Monotonic, in ms. */
  #unansweredAt = Number.NEGATIVE_INFINITY;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  get asking(): number {
    return this.#underWay.size;
  }

  /** Somebody asked lately, and nobody answers. */
  get isSilent(): boolean {
    return this.#isSilent && this.#options.now() - this.#unansweredAt < LATELY_MS;
  }

  async ask(question: AuthQuestion): Promise<Said> {
    const { verdicts, secret, questionsMax, count } = this.#options;
    const key = verdictKey(secret, question);
    const fresh = verdicts.fresh(key);
    if (fresh !== undefined) return fresh;
    const known = this.#underWay.get(key);
    if (known !== undefined) return (await known) ?? this.#stale(key);
    if (this.#underWay.size >= questionsMax) {
      count('unsent');
      // Only when it is silent: nobody else's questions may keep an old yes good.
      return this.#isSilent ? this.#stale(key) : 'crowded';
    }
    const answer = this.#send(key, question);
    this.#underWay.set(key, answer);
    return (await answer) ?? this.#stale(key);
  }

  async #send(key: string, question: AuthQuestion): Promise<BackendVerdict | undefined> {
    const { send, verdicts, count, onVerdict, now } = this.#options;
    const asked = await send(question);
    this.#underWay.delete(key);
    this.#isSilent = typeof asked === 'string';
    if (typeof asked === 'string') {
      this.#unansweredAt = now();
      count(asked);
      return undefined;
    }
    count(asked.isAllowed ? 'allowed' : 'denied');
    verdicts.put(key, asked);
    onVerdict(key);
    return asked;
  }

  #stale(key: string): Said {
    const stale = this.#options.verdicts.stale(key);
    if (stale === undefined) return 'silent';
    this.#options.onStale();
    return stale;
  }
}
