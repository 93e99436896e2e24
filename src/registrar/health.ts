/**
 * RegistrarHealth: what the registrar says of itself: is it ready, and what does not work?
 * From: its parts, as they are now.  To: its reports (node/report.ts), and its own figures.
 * Bound: nothing is kept. What is only slow is not listed, until it owes something for OWED_MS.
 */
import type { Answers } from '../broker/answers.ts';
import type { Publisher } from '../broker/publisher.ts';
import type { Degraded } from '../node/report.ts';
import type { AuthServer } from './auth/authServer.ts';
import type { BatchLoop } from './batchLoop.ts';
import type { RegistrarBroker } from './registrarBroker.ts';

/** A broker that confirms nothing for so long is not merely slow. */
const OWED_MS = 3_000;

export interface RegistrarHealthParts {
  readonly loop: BatchLoop;
  readonly broker: RegistrarBroker;
  readonly publisher: Publisher;
  readonly answers: Answers;
  readonly authServer: AuthServer;
}

export class RegistrarHealth {
  readonly #parts: RegistrarHealthParts;

  constructor(parts: RegistrarHealthParts) {
    this.#parts = parts;
  }

  /** Until it has held the claim once, this node is not ready: another may use the prefix. */
  notReady(): string | undefined {
    const { broker } = this.#parts;
    if (broker.hasClaimed) return undefined;
    return broker.refused ?? 'the claim queue of the prefix is not held yet';
  }

  degraded(): Degraded[] {
    const { loop, broker, answers, authServer } = this.#parts;
    const presence = loop.fault?.message ?? broker.refused ?? this.#silence();
    const degraded: Degraded[] = authServer.degraded();
    if (presence !== undefined) degraded.push({ part: 'presence', reason: presence });
    const isMute = answers.owedMs > OWED_MS;
    if (answers.downMs > OWED_MS)
      degraded.push({ part: 'commands', reason: 'no broker connection for outcomes' });
    else if (isMute) degraded.push({ part: 'commands', reason: 'outcomes are not confirmed' });
    return degraded;
  }

  #silence(): string | undefined {
    const { broker, publisher } = this.#parts;
    if (!broker.isUp) return 'no broker connection';
    return publisher.owedMs > OWED_MS ? 'events are not confirmed' : undefined;
  }
}
