/**
 * Scenarios of commands: one device that obeys, one acceptor, and what goes wrong between it and
 * its backend.
 * From: scenarios.ts.  To: a stage, whose trace is judged by Commands.tla.
 * Bound: some twenty commands each, so that TLC needs seconds.
 */
import type { Tongue } from '../helpers/fakes/speech.ts';
import type { Scenario, Stage } from './stage.ts';

const FEW = ['kept', 'transient', 'kept', 'kept', 'transient', 'kept'] as const;

/** Full windows, and transient ones between; then on a link of MQTT, which takes over. */
const commanded: Scenario = async (stage) => {
  await stage.obey('both');
  stage.command(...FEW);
  await stage.told();
  await stage.obey('result', 'mqtt-5');
  stage.command(...FEW);
  await stage.told();
};

/** Some come before it has subscribed: the kept ones wait for that. */
const commandedMqtt: Scenario = async (stage) => {
  stage.command('kept', 'transient', 'kept');
  await stage.obey('both', 'mqtt-3.1.1');
  stage.command(...FEW);
  await stage.told();
  stage.sleep();
  stage.command('kept', 'kept', 'kept', 'kept');
  await stage.obey('both', 'mqtt-5');
  await stage.told();
};

/** As on a link of our own: what its device has comes again, on a newer link. */
const commandedMqttRegistrarKilled: Scenario = async (stage) => {
  await stage.obey('nothing', 'mqtt-5');
  stage.command('transient', 'kept', 'kept', 'kept', 'kept');
  await stage.received(4);
  await loseRegistrar(stage, 'mqtt-3.1.1');
};

/** Some are without a PUBACK when the link moves. */
const commandedMqttReloaded: Scenario = async (stage) => {
  await stage.obey('result', 'mqtt-5');
  stage.command(...FEW);
  await stage.reload('acceptor 1 moving', () => stage.command(...FEW));
  stage.command('transient', 'kept');
  await stage.told();
};

/** It comes back and does not know what its device has: that comes again, on a newer link. */
async function loseRegistrar(stage: Stage, tongue: Tongue = 'owsla'): Promise<void> {
  const pid = stage.pidOf('registrar');
  stage.signal('registrar', 'SIGKILL');
  stage.command('transient', 'kept');
  await stage.comeBack('registrar', pid);
  await stage.obey('both', tongue);
  await stage.told();
}

const commandedRegistrarKilled: Scenario = async (stage) => {
  await stage.obey('nothing');
  stage.command('transient', 'kept', 'kept', 'kept', 'kept');
  await stage.received(4);
  await loseRegistrar(stage);
};

const commandedAcceptorKilled: Scenario = async (stage) => {
  await stage.obey('nothing');
  stage.command('kept', 'kept', 'transient');
  await stage.received(3);
  const pid = stage.pidOf('acceptor 1');
  stage.signal('acceptor 1', 'SIGKILL');
  stage.command('transient', 'kept');
  await stage.comeBack('acceptor 1', pid);
  await stage.obey('both');
  await stage.told();
};

/** The older link is half-open: what was sent there goes nowhere. */
const commandedTakeover: Scenario = async (stage) => {
  await stage.obey('nothing');
  stage.command('kept', 'kept', 'kept', 'kept', 'transient');
  await stage.received(3);
  await stage.obey('both');
  stage.command('transient', 'kept');
  await stage.told();
};

/** What was ACKed is never sent again, whatever becomes of its device. */
const ackedAndDied: Scenario = async (stage) => {
  await stage.obey('ack');
  stage.command('kept', 'transient');
  await stage.heardOf('delivered', 2);
  stage.sleep();
  stage.command('kept');
  await stage.heardOf('expired', 2);
  await stage.obey('both');
  await stage.told();
};

/** The broker gives again what it has not seen settled. */
const commandedChannelLost: Scenario = async (stage) => {
  await stage.obey('both');
  stage.command(...FEW);
  await stage.received(1);
  stage.proxy.reset();
  stage.command(...FEW);
  await stage.told();
};

/** One upon the other. */
const commandedAllAtOnce: Scenario = async (stage) => {
  await commanded(stage);
  await stage.obey('nothing');
  stage.command(...FEW);
  await stage.received(1);
  stage.proxy.reset();
  await loseRegistrar(stage);
  stage.command(...FEW);
  const pid = stage.pidOf('acceptor 1');
  stage.signal('acceptor 1', 'SIGKILL');
  stage.proxy.reset();
  await stage.comeBack('acceptor 1', pid);
  await stage.told();
};

/** Some come while the link moves: they follow it. */
const commandedReloaded: Scenario = async (stage) => {
  await stage.obey('both');
  stage.command(...FEW);
  await stage.reload('acceptor 1 moving', () => stage.command(...FEW));
  stage.command('transient', 'kept');
  await stage.told();
};

export const COMMAND_SCENARIOS: Readonly<Record<string, Scenario>> = {
  commanded,
  commandedRegistrarKilled,
  commandedAcceptorKilled,
  commandedTakeover,
  ackedAndDied,
  commandedChannelLost,
  commandedAllAtOnce,
  commandedReloaded,
  commandedMqtt,
  commandedMqttRegistrarKilled,
  commandedMqttReloaded,
};
