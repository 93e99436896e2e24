/**
 * Neighbours: all that misbehaves beside a fleet, its backend and its commander, at once, in a
 * process of its own: bad devices and bad backends.
 * From: its parent, by IPC (fork): `work`, `rest` and `tell`.  To: the node under test and the
 * broker; its parent, when that is done: what they did so far.
 * At rest nothing of them is left: no link, no connection, no queue. Bound: as badDevices.ts and
 * badBackends.ts have it; ends with its parent.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { badBackends } from './badBackends.ts';
import { badDevices, type Deeds, type Who } from './badDevices.ts';

export interface NeighboursStart {
  readonly what: 'start';
  readonly port: number;
  readonly amqp: string;
  readonly prefix: string;
  readonly seed: number;
  /** They get what processor time is left; where nobody judges times they have their share. */
  readonly isLowest: boolean;
}

export type ToNeighbours =
  | NeighboursStart
  | { readonly what: 'work'; readonly who: readonly Who[] }
  | { readonly what: 'rest' | 'tell' };

/** The least that a process, or the group that Linux makes of its session, can have. */
const LOWEST = constants.priority.PRIORITY_LOW;
const AUTOGROUP = '/proc/self/autogroup';

/**
 * They are on other machines in life: what they need themselves is nobody else's loss. Within a
 * session the process's own priority counts, between sessions that of the group.
 */
function stepBack(): void {
  setPriority(LOWEST);
  if (existsSync(AUTOGROUP)) writeFileSync(AUTOGROUP, String(LOWEST));
}

const deeds: Deeds = new Map();
let options: NeighboursStart | undefined;
let devices: ReturnType<typeof badDevices> | undefined;
let backends: ReturnType<typeof badBackends> | undefined;

async function rest(): Promise<void> {
  devices?.end();
  await backends?.end();
  devices = undefined;
  backends = undefined;
}

process.on('message', async (message: ToNeighbours) => {
  if (message.what === 'start') {
    options = message;
    if (message.isLowest) stepBack();
    return;
  }
  if (message.what === 'rest') await rest();
  else if (message.what === 'work' && options) {
    devices = badDevices(options.port, deeds, message.who);
    backends = badBackends({ ...options, deeds }, message.who);
  }
  process.send?.([...deeds]);
});
process.on('disconnect', () => process.exit(1));
