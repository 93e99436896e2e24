/**
 * Scenarios: what goes wrong with a node, done to a real one.
 * From: run.ts and scenarios.test.ts.  To: the trace, which ends at rest.
 * Bound: some hundred lines each, so that TLC needs seconds.
 */
import type { Will } from '../../src/wire/message.ts';
import type { TraceLine } from '../../tla/trace.ts';
import type { Broker } from '../helpers/processes/broker.ts';
import { COMMAND_SCENARIOS } from './commandScenarios.ts';
import { type Scenario, Stage } from './stage.ts';
import { WILL_SCENARIOS } from './willScenarios.ts';

const DOORS = ['door-1', 'door-2', 'door-3', 'door-4', 'door-5', 'door-6'];

/** By turns: a link is a link, whatever its bytes mean. */
const TONGUES = ['owsla', 'mqtt-5', 'owsla', 'mqtt-3.1.1'] as const;

async function connectAll(stage: Stage, will?: Will): Promise<void> {
  for (const [at, door] of DOORS.entries()) {
    await stage.connect(door, TONGUES[at % TONGUES.length], will);
  }
}

/** A link comes after a link, through any acceptor; too many of them are spaced. */
const takeover: Scenario = async (stage) => {
  for (let link = 0; link < 8; link += 1) {
    await stage.connect('door-1');
    await stage.connect(`door-${2 + (link % 2)}`);
  }
  stage.disconnect('door-2');
};

/** A device that changes its protocol, and takes over from itself each time. */
const takeoverMqtt: Scenario = async (stage) => {
  for (const tongue of ['mqtt-5', 'owsla', 'mqtt-3.1.1', 'mqtt-5', 'owsla'] as const) {
    await stage.connect('door-1', tongue);
    await stage.connect('door-2', tongue === 'owsla' ? 'mqtt-5' : 'owsla');
  }
  stage.disconnect('door-1');
  await stage.connect('door-1', 'mqtt-3.1.1');
};

const acceptorKilled: Scenario = async (stage) => {
  await connectAll(stage);
  const pid = stage.pidOf('acceptor 1');
  stage.signal('acceptor 1', 'SIGKILL');
  stage.disconnect('door-1');
  await stage.connect('door-2');
  await stage.comeBack('acceptor 1', pid);
  await stage.reconnectLost();
};

/** Twice, and each time devices come, go and come back while it is away. */
const registrarKilled: Scenario = async (stage) => {
  await connectAll(stage);
  for (const door of ['door-1', 'door-2']) {
    const pid = stage.pidOf('registrar');
    stage.signal('registrar', 'SIGKILL');
    stage.disconnect(door);
    await stage.connect('door-3');
    await stage.connect(`new-${door}`);
    await stage.comeBack('registrar', pid);
    await stage.connect('door-4');
  }
};

/** An acceptor dies while no registrar is there to hear of it. */
const bothKilled: Scenario = async (stage) => {
  await connectAll(stage);
  const pids = [stage.pidOf('registrar'), stage.pidOf('acceptor 1')] as const;
  stage.signal('registrar', 'SIGKILL');
  await stage.connect('door-1');
  await stage.connect('door-7');
  stage.signal('acceptor 1', 'SIGKILL');
  await stage.comeBack('registrar', pids[0]);
  await stage.comeBack('acceptor 1', pids[1]);
  await stage.reconnectLost();
};

/** It hears nothing for a while; then everything at once. */
const registrarStopped: Scenario = async (stage) => {
  await connectAll(stage);
  stage.signal('registrar', 'SIGSTOP');
  stage.disconnect('door-1');
  await stage.connect('door-2');
  stage.disconnect('door-3');
  await stage.connect('door-3');
  stage.signal('registrar', 'SIGCONT');
};

/** Above its bound the presence outbox keeps only the newest events. */
const brokerCut: Scenario = async (stage) => {
  await connectAll(stage);
  await stage.heard(DOORS.length);
  stage.proxy.cut();
  for (const door of ['door-1', 'door-2', 'door-1']) {
    stage.disconnect(door);
    await stage.connect(door);
  }
  stage.proxy.reset();
  await stage.connect('door-3');
  stage.proxy.heal();
};

const everythingDies: Scenario = async (stage) => {
  await connectAll(stage);
  await stage.connect('door-1');
  await stage.restart();
  await stage.connect('door-1');
  await stage.connect('door-2');
};

/** In any order, one upon the other: whatever is under way when the next one comes. */
const allAtOnce: Scenario = async (stage) => {
  await connectAll(stage, { topic: 'door.gone', payload: Buffer.from('gone'), delayMs: 0 });
  // Its will is to be published.
  await stage.untilKnown('door-3');
  const registrar = stage.pidOf('registrar');
  const acceptor = stage.pidOf('acceptor 2');
  stage.proxy.reset();
  stage.disconnect('door-1');
  stage.signal('acceptor 2', 'SIGKILL');
  await stage.connect('door-2');
  stage.signal('registrar', 'SIGKILL');
  stage.disconnect('door-3');
  await stage.comeBack('registrar', registrar);
  await stage.comeBack('acceptor 2', acceptor);
  await stage.reconnectLost();
  stage.signal('registrar', 'SIGKILL');
  await stage.connect('door-1');
};

/** Twice, and a device comes back in between. */
const reloaded: Scenario = async (stage) => {
  await connectAll(stage);
  await stage.reload();
  await stage.connect('door-1');
  await stage.reload();
  stage.disconnect('door-2');
};

/** The new one has links, or takes them. */
const reloadedSuccessorKilled: Scenario = async (stage) => {
  await connectAll(stage);
  await stage.reload('acceptor 1 moving', () => stage.signal('acceptor 1', 'SIGKILL'));
  await stage.reconnectLost();
  await stage.connect('door-1');
  await stage.reload('acceptor 2 ending', () => stage.signal('acceptor 2', 'SIGKILL'));
  await stage.reconnectLost();
};

/** The old one gives links, and devices come back meanwhile. */
const reloadedPredecessorKilled: Scenario = async (stage) => {
  await connectAll(stage);
  const old = stage.pidOf('acceptor 1');
  await stage.reload('acceptor 1 moving', () => process.kill(old, 'SIGKILL'));
  await stage.reconnectLost();
  stage.disconnect('door-3');
  const next = stage.pidOf('acceptor 2');
  await stage.reload('acceptor 2 starting', () => process.kill(next, 'SIGKILL'));
  await stage.reconnectLost();
};

/** Nobody records while links move. */
const reloadedRegistrarKilled: Scenario = async (stage) => {
  await connectAll(stage);
  await stage.reload('acceptor 1 moving', () => {
    stage.signal('registrar', 'SIGKILL');
    stage.disconnect('door-1');
  });
  await stage.connect('door-1');
  await stage.connect('door-2');
};

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  takeover,
  takeoverMqtt,
  acceptorKilled,
  registrarKilled,
  bothKilled,
  registrarStopped,
  brokerCut,
  everythingDies,
  allAtOnce,
  reloaded,
  reloadedSuccessorKilled,
  reloadedPredecessorKilled,
  reloadedRegistrarKilled,
};

const GROUPS = [SCENARIOS, WILL_SCENARIOS, COMMAND_SCENARIOS] as const;

export const NAMES = GROUPS.flatMap((group) => Object.keys(group));

/** What the processes of a node wrote meanwhile. Rejects when the name is none of NAMES. */
export async function traceOf(broker: Broker, name: string): Promise<TraceLine[]> {
  const group = GROUPS.find((one) => name in one);
  const scenario = group?.[name];
  if (scenario === undefined) throw new Error(`no such scenario: ${name}`);
  // Commands.tla has one acceptor at a time.
  const acceptors = group === COMMAND_SCENARIOS ? 1 : 2;
  const stage = await Stage.start(broker, acceptors, group === WILL_SCENARIOS);
  try {
    await scenario(stage);
    await stage.rest();
    return stage.trace();
  } finally {
    await stage.stop();
  }
}
