/**
 * RegistrarHealth: what the registrar says of itself: is it ready, and what does not work?
 * From: its parts, as they are now.  To: its reports (node/report.ts), and its own figures.
 * Bound: nothing is kept. What is only slow is not listed, until it owes something for OWED_MS.
 */
import type { Answers } from '../broker/answers.ts';
import type { Publisher } from '../broker/publisher.ts';
import { type Degraded, OWED_MS, type Reported } from '../node/report.ts';
import type { AuthServer } from './auth/authServer.ts';
import type { BatchLoop } from './batchLoop.ts';
import type { RegistrarBroker } from './registrarBroker.ts';

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

  /** Both, for its reports. */
  told(): Pick<Reported, 'notReady' | 'degraded'> {
    return { notReady: () => this.notReady(), degraded: () => this.degraded() };
  }

  /** Until it has held the claim once, this node is not ready: another may use the prefix. */
  notReady(): string | undefined {
    const { broker } = this.#parts;
    if (broker.hasClaimed) return undefined;
    return broker.refused ?? 'the claim queue of the prefix is not held yet';
  }

  degraded(): Degraded[] {
    const { answers, authServer } = this.#parts;
    const presence = this.#fault();
    const degraded: Degraded[] = authServer.degraded();
    if (presence !== undefined) degraded.push({ part: 'presence', ...presence });
    const part = 'commands';
    if (answers.downMs > OWED_MS) {
      const reason = 'no broker connection for outcomes';
      degraded.push({ part, reason, cause: 'broker-away' });
    } else if (answers.owedMs > OWED_MS) {
      const reason = 'outcomes are not confirmed';
      degraded.push({ part, reason, cause: 'broker-blocking' });
    }
    return degraded;
  }

  #fault(): Omit<Degraded, 'part'> | undefined {
    const { loop, broker, publisher } = this.#parts;
    const { fault } = loop;
    const { refused } = broker;
    if (fault) return { reason: fault.message, cause: 'store-degraded' };
    if (refused !== undefined) return { reason: refused, cause: 'prefix-taken' };
    if (!broker.isUp) return { reason: 'no broker connection', cause: 'broker-away' };
    if (publisher.owedMs <= OWED_MS) return undefined;
    return { reason: 'events are not confirmed', cause: 'broker-blocking' };
  }
}
