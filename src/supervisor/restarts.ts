/**
 * Restarts: brings back children that have ended, after a pause, as restart.ts decides.
 * From: supervisor.ts, with each end while the node runs.  To: children.ts; `onGaveUp`.
 * Bound: restart.ts's intensity, one for all acceptors, and one for each helper. What a reload has
 * put there uses up none of it: within restartWindowMs what ran before it is started again.
 */
import { EXIT, StartError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Children } from './children.ts';
import { type ChildSlot, logFieldsOf, nameOf, servesDevices } from './childSlot.ts';
import type { Edition } from './edition.ts';
import { comeBack, decide, intensityOf, NO_RESTARTS, type RestartState } from './restart.ts';

export interface RestartsOptions {
  readonly children: Children;
  readonly log: Logger;
  /** Acceptors end too often: the node cannot go on. */
  readonly onGaveUp: (why: StartError) => void;
  /** What a reload has put there does not work. */
  readonly onWentBack: (slot: ChildSlot) => void;
  readonly onChange: () => void;
}

/** What a reload has put there has restartWindowMs to prove itself, from each of its starts. */
export function putOnTrial(slot: ChildSlot, edition: Edition, endsLeft = ENDS_MAX): void {
  const until = performance.now() + slot.edition.config.limits.restartWindowMs;
  slot.before = { edition, until, endsLeft };
}

/** Once it may be anybody's deed. */
const ENDS_MAX = 2;

export class Restarts {
  readonly #options: RestartsOptions;
  #acceptors: RestartState = NO_RESTARTS;

  constructor(options: RestartsOptions) {
    this.#options = options;
  }

  onEnded(slot: ChildSlot, isCrash: boolean, uptimeMs: number): void {
    if (this.#isOnTrial(slot)) this.#goBack(slot);
    else if (servesDevices(slot)) this.#restart(slot, isCrash);
    else this.#comeBack(slot, uptimeMs);
    this.#options.onChange();
  }

  #isOnTrial({ before }: ChildSlot): boolean {
    return before !== undefined && performance.now() <= before.until;
  }

  /** At once, and uncounted: at the last end that it may have, what worked before. */
  #goBack(slot: ChildSlot): void {
    const { children, log, onWentBack } = this.#options;
    const { before } = slot;
    if (before === undefined) return;
    const endsLeft = before.endsLeft - 1;
    slot.restarts += 1;
    if (endsLeft > 0) {
      putOnTrial(slot, before.edition, endsLeft);
    } else {
      slot.before = undefined;
      slot.edition = before.edition;
      log.error(logFieldsOf(slot), 'what was reloaded does not work: starting what ran before it');
      onWentBack(slot);
    }
    children.fork(slot);
  }

  #comeBack(slot: ChildSlot, uptimeMs: number): void {
    const intensity = intensityOf(slot.edition.config.limits, 1);
    const decision = comeBack(slot.helper, intensity, uptimeMs, performance.now());
    slot.helper = decision.state;
    const { beyond } = decision.state;
    if (beyond === 1)
      this.#options.log.error(logFieldsOf(slot), 'child keeps crashing: continuing without it');
    this.#later(slot, decision.afterMs);
  }

  #restart(slot: ChildSlot, isCrash: boolean): void {
    const { limits, acceptors } = slot.edition.config;
    const intensity = intensityOf(limits, acceptors);
    const end = { kind: slot.kind, isCrash };
    const decision = decide(this.#acceptors, intensity, end, performance.now());
    this.#acceptors = decision.state;
    if (decision.action === 'give-up') {
      const { restartsMax, windowMs } = intensity;
      this.#options.onGaveUp(
        new StartError(
          EXIT.crashed,
          `gave up: ${nameOf(slot)} ended again after ${restartsMax} restarts within ${windowMs / 1000} s; the log says why each one ended`,
        ),
      );
    } else if (decision.action === 'restart') {
      this.#later(slot, decision.afterMs);
    }
  }

  #later(slot: ChildSlot, afterMs: number): void {
    const { children, log, onChange } = this.#options;
    slot.state = 'pausing';
    slot.restarts += 1;
    log.info({ ...logFieldsOf(slot), afterMs }, 'restarting child');
    slot.pause = setTimeout(() => {
      children.fork(slot);
      onChange();
    }, afterMs);
  }
}
