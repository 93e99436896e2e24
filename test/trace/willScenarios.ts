/**
 * Scenarios of wills: devices that leave one, go with a goodbye or without, are back within the
 * delay or not, and what goes wrong meanwhile.
 * From: scenarios.ts.  To: a stage, whose trace is judged by Will.tla, device by device.
 * Bound: some links of some devices each, so that TLC needs seconds.
 */
import type { Will } from '../../src/wire/message.ts';
import type { Tongue } from '../helpers/fakes/speech.ts';
import type { Scenario, Stage } from './stage.ts';

/** MQTT counts delays in seconds. */
const LATER_MS = 1_000;
/** Longer than whatever a busy machine needs for one scenario. */
const NEVER_MS = 600_000;

function will(delayMs = 0): Will {
  return { topic: 'door.gone', payload: Buffer.from('gone'), delayMs };
}

/** By device: what its links speak, and how long their wills wait. */
const DOORS: readonly (readonly [name: string, tongue: Tongue, delayMs: number])[] = [
  ['door-1', 'owsla', 0],
  ['door-2', 'mqtt-3.1.1', 0],
  ['door-3', 'owsla', LATER_MS],
  ['door-4', 'mqtt-5', LATER_MS],
  ['door-5', 'owsla', NEVER_MS],
  ['door-6', 'mqtt-5', NEVER_MS],
  ['door-7', 'mqtt-5', 0],
];

async function connectAll(stage: Stage): Promise<void> {
  for (const [name, tongue, delayMs] of DOORS) await stage.connect(name, tongue, will(delayMs));
}

/** Each goes without a word; those whose wills wait that long are back before. */
async function loseAll(stage: Stage): Promise<void> {
  for (const [name] of DOORS) stage.disconnect(name);
  for (const [name, tongue, delayMs] of DOORS) {
    if (delayMs === NEVER_MS) await stage.connect(name, tongue, will(delayMs));
  }
}

/** Ends of all kinds: lost, goodbye, back within the delay, taken over. */
const willed: Scenario = async (stage) => {
  await connectAll(stage);
  await loseAll(stage);
  await stage.willsSettled();
  await connectAll(stage);
  for (const [name] of DOORS) stage.goodbye(name);
};

/** One link upon the other: MQTT's is an end, ours is none; and by turns. */
const willedTakeover: Scenario = async (stage) => {
  await connectAll(stage);
  await connectAll(stage);
  for (const tongue of ['mqtt-5', 'owsla', 'mqtt-3.1.1', 'mqtt-5'] as const) {
    await stage.connect('door-8', tongue, will());
  }
  // A link without one takes the place of one with.
  await stage.connect('door-1');
  await stage.connect('door-2');
  stage.goodbye('door-3');
};

const willedAcceptorKilled: Scenario = async (stage) => {
  await connectAll(stage);
  const pid = stage.pidOf('acceptor 1');
  stage.signal('acceptor 1', 'SIGKILL');
  await stage.comeBack('acceptor 1', pid);
  await stage.reconnectLost();
  await stage.willsSettled();
  await loseAll(stage);
};

/** Goodbyes and ends that it does not hear of; and it does not know what others have left. */
const willedRegistrarKilled: Scenario = async (stage) => {
  await connectAll(stage);
  const pid = stage.pidOf('registrar');
  stage.signal('registrar', 'SIGKILL');
  stage.goodbye('door-1');
  stage.goodbye('door-4');
  stage.disconnect('door-2');
  stage.disconnect('door-3');
  stage.disconnect('door-6');
  await stage.connect('door-6', 'mqtt-5', will(NEVER_MS));
  await stage.connect('door-7', 'mqtt-5', will());
  await stage.comeBack('registrar', pid);
  await stage.connect('door-1', 'owsla', will());
  stage.disconnect('door-5');
  await stage.connect('door-5', 'owsla', will(NEVER_MS));
};

/** All that was connected has ended; some of its devices are back in time. */
const willedRestart: Scenario = async (stage) => {
  await connectAll(stage);
  stage.disconnect('door-5');
  stage.disconnect('door-6');
  await stage.restart();
  for (const name of ['door-5', 'door-6'] as const) {
    await stage.connect(name, name === 'door-5' ? 'owsla' : 'mqtt-5', will(NEVER_MS));
  }
  await stage.connect('door-3', 'owsla', will(LATER_MS));
  await stage.willsSettled();
  await connectAll(stage);
};

/** One upon the other. */
const willedAllAtOnce: Scenario = async (stage) => {
  await connectAll(stage);
  const registrar = stage.pidOf('registrar');
  const acceptor = stage.pidOf('acceptor 2');
  await loseAll(stage);
  stage.signal('acceptor 2', 'SIGKILL');
  stage.proxy.reset();
  await stage.connect('door-1', 'owsla', will());
  stage.signal('registrar', 'SIGKILL');
  stage.goodbye('door-1');
  await stage.comeBack('registrar', registrar);
  await stage.comeBack('acceptor 2', acceptor);
  await connectAll(stage);
  await connectAll(stage);
  stage.signal('registrar', 'SIGKILL');
  await loseAll(stage);
};

export const WILL_SCENARIOS: Readonly<Record<string, Scenario>> = {
  willed,
  willedTakeover,
  willedAcceptorKilled,
  willedRegistrarKilled,
  willedRestart,
  willedAllAtOnce,
};
