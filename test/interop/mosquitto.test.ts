/**
 * mosquitto's own clients, unchanged, against a real node: what a person types first.
 * The doors of examples/ are here too, as one of them is a mosquitto.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Command } from '../helpers/processes/command.ts';
import { at, debianPython } from '../helpers/processes/programs.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { noMosquitto, noPaho } from './lib/clients.ts';
import { MqttWorld } from './lib/mqttWorld.ts';

const world = await MqttWorld.start(t);
t.jobs = 4;

/** One of them, as a device. */
function run(t: Test, program: string, device: string, ...args: string[]): Command {
  // What it says by -d is written line by line, though we are no terminal.
  const line = ['stdbuf', '-oL', program, '-p', String(world.port), '-i', device, ...args];
  const command = new Command(line, {}, { isGroup: true });
  t.teardown(() => command.end('SIGKILL'));
  return command;
}

for (const version of ['311', '5']) {
  const title = `mosquitto's clients, MQTT ${version}`;
  const v = ['-V', version];

  t.test(`${title}: publish`, { skip: noMosquitto }, async (t) => {
    const device = `pub-${version}`;
    const say = ['-t', 'hvac/temp', '-m'];
    const zero = run(t, 'mosquitto_pub', device, ...v, ...say, 'zero', '-q', '0');
    t.equal(await zero.exit, 0);
    const one = run(t, 'mosquitto_pub', device, ...v, ...say, 'one', '-q', '1');
    t.equal(await one.exit, 0);
    t.match(await world.event(device, 'zero'), { topic: 'hvac.temp', isWill: false });
    t.match(await world.event(device, 'one'), { topic: 'hvac.temp', isWill: false });
  });

  t.test(`${title}: ask`, { skip: noMosquitto }, async (t) => {
    const byTopic = ['-t', '$owsla/request/1/room/name', '-e', '$owsla/reply/1/0', '-m', 'where'];
    const asked = run(t, 'mosquitto_rr', `rr-${version}`, '-V', '311', ...byTopic, '-v');
    t.equal(await asked.exit, 0);
    t.equal(asked.output, '$owsla/reply/1/0 where\n');
    if (version !== '5') return;
    const byProperty = ['-t', 'room/name', '-e', '$owsla/reply/mine', '-m', 'where'];
    const again = run(t, 'mosquitto_rr', `rr-${version}`, ...v, ...byProperty, '-v');
    t.equal(await again.exit, 0);
    t.equal(again.output, '$owsla/reply/mine where\n');
  });

  t.test(`${title}: a command, a takeover, and back`, { skip: noMosquitto }, async (t) => {
    const device = `sub-${version}`;
    const watch = ['-q', '1', '-t', '$owsla/command/#', '-F', '%t %p', '-d'];
    const sub = run(t, 'mosquitto_sub', device, ...v, ...watch);
    await sub.prints(/^Subscribed /m);
    await takes(device, 'first', sub);
    const taker = run(t, 'mosquitto_pub', device, ...v, '-t', 'a/b', '-m', 'taken', '-q', '1');
    t.equal(await taker.exit, 0);
    t.match(await world.event(device, 'taken'), { topic: 'a.b' });
    // Of MQTT 5 it is told why, and goes; of 3.1.1 it comes back.
    if (version === '5') t.equal(await sub.exit, 0);
    else await takes(device, 'second', sub);
  });

  t.test(`${title}: a will`, { skip: noMosquitto }, async (t) => {
    const device = `will-${version}`;
    const will = ['--will-topic', 'door/gone', '--will-payload', 'gone', '--will-qos', '1'];
    const watch = ['-q', '1', '-t', '$owsla/command/#', '-d'];
    const sub = run(t, 'mosquitto_sub', device, ...v, ...will, ...watch);
    await sub.prints(/^Subscribed /m);
    await sub.end('SIGKILL');
    t.match(await world.event(device, 'gone'), { topic: 'door.gone', isWill: true });
  });
}

/** A kept command reaches it, though its link may be another one meanwhile; and a backend hears. */
async function takes(device: string, payload: string, sub: Command): Promise<void> {
  const id = await world.commander.send(device, { payload, keepMs: 20_000 });
  await sub.prints(new RegExp(`^\\$owsla/command/[0-9a-f]{32}/door/open ${payload}$`, 'm'));
  const isTaken = () => world.commander.types(id).includes('delivered');
  await waitFor(`the PUBACK of ${payload}`, isTaken);
}

const doors = [
  {
    name: 'door_mqtt.py',
    skip: noPaho,
    command: (device: string) => [debianPython, at('examples/door_mqtt.py'), ...place(device)],
    ready: /^connected$/m,
  },
  {
    name: 'door-mqtt.sh',
    skip: noMosquitto,
    command: (device: string, folder: string) => [
      'sh',
      at('examples/door-mqtt.sh'),
      ...place(device),
      folder,
    ],
    ready: /^ready$/m,
  },
];

const place = (device: string) => ['127.0.0.1', String(world.port), device];

for (const { name, skip, command, ready } of doors) {
  t.test(`${name}: opens once for a command that comes twice`, { skip }, async (t) => {
    const device = name.replace('.', '-');
    // A short path: a Unix socket lies within.
    const folder = mkdtempSync(join(tmpdir(), 'door-'));
    const door = new Command(command(device, folder), {}, { isGroup: true });
    t.teardown(async () => {
      await door.end();
      rmSync(folder, { recursive: true, force: true });
    });
    // Its link is there, and what takes commands may not be yet.
    await world.untilKnown(device);
    const early = world.commander.command(device, { topic: 'door.shut', keepMs: 20_000 });
    await door.prints(ready);
    t.match(await early, { type: 'result', status: 3, text: '' });
    t.match(await world.event(device, 'here'), { topic: 'door.state' });

    const properties = { messageId: randomUUID() };
    const first = await world.commander.command(device, { payload: 'please', properties });
    const again = { ...properties, correlationId: randomUUID() };
    const second = await world.commander.command(device, { payload: 'please', properties: again });
    const other = await world.commander.command(device, { topic: 'door.shut' });

    t.match(first, { type: 'result', status: 0, text: 'opened' });
    t.match(second, { type: 'result', status: 0, text: 'opened' });
    t.match(other, { type: 'result', status: 3, text: '' });
    t.match(await world.event(device, 'open'), { topic: 'door.state' });
    t.match(door.output, /^command door\/open: please\nagain door\/open$/m);
  });
}
