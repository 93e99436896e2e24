/**
 * Commands as the registrar puts them together, in a world where nothing else happens.
 * From: a test, with the parts of the world that it looks at.  To: `commandParts` of registrar.ts.
 * What would be a bug of ours fails the test.
 */
import { makeLimits } from '../../../src/base/limits.ts';
import { makeCommandCounters } from '../../../src/base/metrics.ts';
import {
  type CommandParts,
  type CommandPartsOptions,
  commandParts,
} from '../../../src/registrar/commandParts.ts';
import { FakeAnswers } from '../fakes/fakeAnswers.ts';

/** `now` is the clock of day, too. */
export function stillParts(
  world: Partial<CommandPartsOptions> & Pick<CommandPartsOptions, 'store' | 'now'>,
): CommandParts {
  const fail = (error: unknown) => {
    throw error;
  };
  return commandParts({
    limits: makeLimits(),
    counters: makeCommandCounters(),
    answers: new FakeAnswers(),
    wall: world.now,
    send: () => 'sent',
    isChanging: () => false,
    later: (work) => work(),
    wake: () => {},
    mayRead: () => true,
    trace: () => {},
    onFault: fail,
    onUndecided: fail,
    ...world,
  });
}
