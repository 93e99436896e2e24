/**
 * Protocols of an operator's own on a real node: the two examples with their simulated devices, a
 * module that fails, a reload, and a module that never returns.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import t from 'tap';
import type { Report } from '../../loadgen/report/report.ts';
import { names } from '../../src/broker/topology.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Command } from '../helpers/processes/command.ts';
import { at } from '../helpers/processes/programs.ts';
import { Server } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { runToEnd } from '../loadgen/spawn.ts';

const [TRACKER, TRUCK] = ['359586015829802', '356307042441013'];
const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const folder = mkdtempSync(join(tmpdir(), 'ot-'));
const runDir = join(folder, 'run');
const config = join(folder, 'owsla.yaml');
const gps103 = readFileSync(at('examples/protocols/gps103.js'), 'utf8');
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

/** Lines; each says something of it by its first word. */
const FAILING = `
export const createProtocol = ({ framing }) => ({
  name: 'failing',
  capabilities: { events: true, acknowledgements: false, requests: false, commands: 'none',
    keepalive: 'none' },
  connect: () => ({
    frame: framing.lines(),
    read(line) {
      const [word, rest] = line.toString().trim().split(' ');
      if (word === 'login') return { type: 'login', deviceId: rest };
      if (word === 'loop') for (;;);
      if (word === 'throw') throw new TypeError(rest);
      if (word === 'nonsense') return { type: 42 };
      if (word === 'reject') return Promise.reject(new Error('nobody hears it'));
      return { type: 'event', topic: 'line', payload: word };
    },
    welcome: () => 'welcome\\n',
  }),
});
`;

write('gps103.js', gps103);
write('failing.js', FAILING);
const listeners = [
  { name: 'text', port: 0, protocol: './gps103.js' },
  { name: 'binary', port: 0, protocol: at('examples/protocols/teltonika.js') },
  { name: 'failing', port: 0, protocol: './failing.js' },
];
write('owsla.yaml', JSON.stringify({ listeners }));

const flags = ['--config', config, '--run-dir', runDir];
const childSilenceMs = 5_000;
const limits = {
  childSilenceMs,
  reloadMs: 3_000,
  reloadQuietMs: 500,
  drainPaceMs: 100,
  lingerMs: 100,
};
const server = await Server.start({ amqp: broker.url, prefix, acceptors: 1, limits, flags });
const commander = await Commander.connect(broker.url, prefix);

interface Heard {
  readonly key: string;
  readonly text: string;
  readonly id: string | undefined;
}
const heard: Heard[] = [];
const backend = await connect(broker.url);
const channel = await backend.createChannel();
const { queue } = await channel.assertQueue('', { exclusive: true });
await channel.bindQueue(queue, names(prefix).events, '#');
await channel.consume(
  queue,
  (message) => {
    if (message === null) return;
    const { fields, content, properties } = message;
    heard.push({ key: fields.routingKey, text: content.toString(), id: properties.messageId });
  },
  { noAck: true },
);

t.teardown(async () => {
  await commander.close();
  await backend.close();
  await server.stop();
  await forgetTopology(broker.url, prefix);
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

const of = (key: string) => heard.filter((one) => one.key === key);

function simulated(name: string, listener: string, id: string, seconds = '3600'): Command {
  const script = at(`examples/protocols/${name}-device.js`);
  const place = ['127.0.0.1', String(server.portOf(listener))];
  const device = new Command([process.execPath, script, ...place, id, seconds]);
  t.teardown(() => device.end('SIGKILL'));
  return device;
}

async function line(id: string): Promise<Socket> {
  const socket = connectTcp(server.portOf('failing'), '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.write(`login ${id}\n`);
  const [welcome] = await once(socket.setEncoding('utf8'), 'data');
  t.equal(welcome, 'welcome\n');
  return socket;
}

t.test('GPS103: positions come, a command goes out, and its result comes back', async (t) => {
  simulated('gps103', 'text', TRACKER);
  await waitFor('a position', () => of(`${TRACKER}.position`).length > 0);
  const [position] = of(`${TRACKER}.position`);
  t.match(JSON.parse(position?.text ?? ''), { hasFix: true, lat: 45.764, lon: 4.835667 });
  t.match(position?.id, /^[0-9a-f-]{36}:1$/);

  const stopped = await commander.command(TRACKER, { topic: 'engine.stop' });
  t.match(stopped, { type: 'result', status: 0 });
  t.match(JSON.parse(stopped.text), { hasFix: true });
  const unknown = await commander.command(TRACKER, { topic: 'door.open' });
  t.match(unknown, { type: 'result', status: 3, text: '' });
});

t.test('Teltonika: a record is acknowledged once it is safe; a command is answered', async (t) => {
  const truck = simulated('teltonika', 'binary', TRUCK);
  await truck.prints(/^server: 1 safe$/m);
  await waitFor('the record', () => of(`${TRUCK}.records`).length > 0);
  const [record] = JSON.parse(of(`${TRUCK}.records`)[0]?.text ?? '[]');
  t.match(record, { lat: 45.764, lon: 4.8357, satellites: 9, io: { 239: 1 } });

  const answer = await commander.command(TRUCK, { topic: 'gprs', payload: 'getinfo' });
  t.match(answer, { type: 'result', status: 0, text: 'getinfo: OK' });
  await truck.end();
});

t.test('loadgen drives its simulated devices, with the same ledgers', async (t) => {
  const place = ['--target', `127.0.0.1:${server.portOf('binary')}`, '--quiet'];
  const module = ['--protocol', at('examples/protocols/teltonika.js')];
  const load = ['--devices', '20', '--rate', '50', '--event-share', '100%', '--duration', '1s'];
  const broken = ['--reboot', '20%@500ms', '--reconnect', '100ms-200ms'];
  const commands = ['--amqp', broker.url, '--prefix', prefix, '--command-rate', '20'];
  const run = await runToEnd([...place, ...module, ...load, ...broken, ...commands]);

  t.equal(run.exitCode, 0, run.stdout + run.stderr);
  const { counts, watched, labelled, violations } = run.report as Report;
  t.ok(counts.welcomes > 20 && counts.commandsPublished > 0);
  t.equal(counts.acks, counts.events - counts.excused, 'all but those whose link was cut');
  t.ok(counts.events > 0 && (watched?.delivered ?? 0) >= counts.acks);
  t.ok((labelled.outcomes.result ?? 0) > 0 && counts.commandsActed > 0);
  t.ok(Object.values(violations).every((count) => count === 0));
});

t.test('a module that throws, or answers nonsense, costs that link alone', async (t) => {
  const beside = await line('beside');
  for (const word of ['throw secret-of-the-device', 'nonsense', 'reject']) {
    const socket = await line('victim');
    socket.write(`${word}\n`);
    await once(socket, 'close');
  }
  beside.write('still\n');
  await waitFor('the other link', () => of('beside.line').length > 0);

  await server.untilMetric('owsla_closes_total', 'reason="bad-frame"', (count) => count === 3);
  const refused = server.log.filter(({ msg }) => msg === 'device refused');
  t.match(
    refused.map(({ why }) => why),
    [
      /^the protocol module’s read threw TypeError at failing\.js:\d+:\d+$/,
      'the protocol module’s read gave a message whose type is none that there is',
      'the protocol module’s read gave a promise: it must answer at once',
    ],
  );
  t.notMatch(JSON.stringify(server.log), /secret-of-the-device/);
  t.same(server.complaints, []);
});

/** A command of `owsla`, to its end: its exit code, and all that it printed. */
async function owsla(...words: string[]): Promise<{ code: number | string; text: string }> {
  const env = { OWSLA_AMQP: broker.url, OWSLA_PREFIX: prefix };
  const shell = ['/bin/sh', '-c', 'exec "$@" 2>&1', 'sh'];
  const cli = [process.execPath, at('src/cli/cli.ts'), ...words, '--run-dir', runDir];
  const command = new Command([...shell, ...cli], env);
  return { code: await command.exit, text: command.output };
}

t.test('a reload loads it anew: links that save move, others come again', async (t) => {
  write('gps103.js', gps103.replaceAll("topic: 'position'", "topic: 'place'"));
  const { code, text } = await owsla('reload');
  t.equal(code, 0, text);

  await commander.command(TRACKER, { topic: 'locate' });
  await waitFor('a place', () => of(`${TRACKER}.place`).length > 0);
  const [first = ''] = of(`${TRACKER}.position`).map(({ id }) => id);
  const second = first.replace(/:1$/, ':2');
  t.equal(of(`${TRACKER}.place`)[0]?.id, second, 'the same link, and its numbers go on');
});

t.test('a module that does not load is refused by name, and the node stays', async (t) => {
  write('gps103.js', 'export const createProtocol = () => ({ name: "x" });');
  const { code, text } = await owsla('reload');
  t.equal(code, 3);
  t.match(text, /the protocol module .*gps103\.js makes a protocol without connect/);
  const checked = await owsla('check', '--config', config);
  t.equal(checked.code, 78);
  t.match(checked.text, /^failed: listener text: its protocol .*gps103\.js.*without connect$/m);
  t.match(await commander.command(TRACKER, { topic: 'locate' }), { type: 'result' });
});

t.test(
  'one that loops costs its acceptor; the next one goes on with what it can load',
  async (t) => {
    const before = server.childPid('acceptor 1');
    const socket = await line('victim');
    socket.on('error', () => {});
    socket.write('loop\n');
    await waitFor('another acceptor', () => server.childPid('acceptor 1') !== before);

    // What is on disk now for the other listener is what the reload refused.
    await line('beside');
    await waitFor('degraded', async () => /gps103\.js/.test(await server.page('/health/ready')));
    t.match(JSON.parse(await server.page('/health/ready')), {
      ready: true,
      degraded: [{ part: 'files', reason: /gps103\.js makes a protocol without connect/ }],
    });
  },
);
