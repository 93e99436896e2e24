/**
 * CommandParts: what decides about commands, put together.
 * From: registrar.ts; tests, with another world around them.  To: the same.
 * Bound: none of its own; each part has one.
 */
import { randomBytes } from 'node:crypto';
import { bump } from '../base/metrics.ts';
import { CommandConsumer, type CommandConsumerOptions } from './command/commandConsumer.ts';
import { CommandEffects, type CommandEffectsOptions } from './command/commandEffects.ts';
import { Commands, type CommandsOptions } from './command/commands.ts';
import { Deliveries } from './command/deliveries.ts';
import { Outcomes, type OutcomesOptions } from './command/outcomes.ts';

const KEY_BYTES = 16;

/** The world around commands. */
export type CommandPartsOptions = Omit<
  CommandsOptions & OutcomesOptions & CommandEffectsOptions & CommandConsumerOptions,
  | keyof CommandParts
  | 'effects'
  | 'newKey'
  | 'onOpen'
  | 'onCommit'
  | 'settledTo'
  | 'seen'
  | 'onDrop'
>;

export interface CommandParts {
  readonly deliveries: Deliveries;
  readonly outcomes: Outcomes;
  readonly commands: Commands;
  readonly consumer: CommandConsumer;
}

/** Commands put together, bottom up; tests have another world around them. */
export function commandParts(world: CommandPartsOptions): CommandParts {
  const deliveries = new Deliveries();
  const outcomes = new Outcomes({
    ...world,
    seen: () => deliveries.seen(),
    onDrop: (reason) => bump(world.counters.outcomeDrops, reason),
  });
  const commands = new Commands({
    ...world,
    effects: new CommandEffects({ ...world, deliveries, outcomes }),
    newKey: () => randomBytes(KEY_BYTES).toString('hex'),
    onOpen: (opened) => outcomes.onOpen(opened),
    onCommit: (_, stored) => outcomes.onCommit(stored),
    settledTo: () => outcomes.settledTo(),
  });
  const consumer = new CommandConsumer({ ...world, deliveries, outcomes, commands });
  return { deliveries, outcomes, commands, consumer };
}
