/** What alarms are judged by, of a node without a complaint, but for what is given. */
import type { Concern } from '../../src/node/alarmNames.ts';
import type { Degraded } from '../../src/node/report.ts';
import type { AcceptorFacts, AlarmFacts, ChildHealth } from '../../src/observer/alarmFacts.ts';
import type { MachineFacts } from '../../src/observer/machine.ts';

const ACCEPTOR: AcceptorFacts = {
  name: 'acceptor 1',
  isBrokerAway: false,
  isBrokerBlocked: false,
  lagSeconds: 0.001,
  rssBytes: 1,
  heapRatio: 0.1,
  openFiles: 40,
  openFilesMax: 1_024,
  links: 10,
  linksMax: 100_000,
  heavyBytes: 0,
};
const CHILD: ChildHealth = { name: 'acceptor 1', fault: undefined, restarts: 0 };
const MACHINE: MachineFacts = { filesShare: 0.1, memoryShare: 0.5, memoryMax: 0 };

export interface Given {
  readonly acceptors?: readonly Partial<AcceptorFacts>[];
  readonly children?: readonly Partial<ChildHealth>[];
  readonly degraded?: readonly Partial<Degraded>[];
  readonly concerns?: readonly Partial<Concern>[];
  readonly machine?: Partial<MachineFacts>;
  readonly walBytes?: number;
}

export function calm(given: Given = {}): AlarmFacts {
  const { acceptors = [{}], children = [{}], degraded = [], concerns = [] } = given;
  const all = acceptors.map((one, at) => ({ ...ACCEPTOR, name: `acceptor ${at + 1}`, ...one }));
  return {
    processes: all,
    acceptors: all,
    children: children.map((one) => ({ ...CHILD, ...one })),
    degraded: degraded.map((one) => ({ part: 'events', reason: 'no confirms', ...one })),
    concerns: concerns.map((one) => ({ about: 'cloned', name: 'door-17', figure: 5, ...one })),
    machine: { ...MACHINE, ...given.machine },
    walBytes: given.walBytes ?? 0,
    storeWalBytesMax: 100,
    linksBytesMax: 100,
    wall: 0,
  };
}
