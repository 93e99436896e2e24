/** `owsla reload` on a real node: what goes on, what is refused, and what each asker is told. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { StatusAnswer } from '../../src/node/statusAnswer.ts';
import { TYPE } from '../../src/wire/message.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, END, hello, request } from '../helpers/fakes/device.ts';
import { connectPacket, MqttDevice, publishOf } from '../helpers/fakes/mqttDevice.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { askOnce } from '../helpers/processes/node.ts';
import { reloadNode } from '../helpers/processes/reloads.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
const prefix = `test-${randomUUID()}`;
const users = await addUsers(broker, prefix);
const folder = mkdtempSync(join(tmpdir(), 'ot-'));
const runDir = join(folder, 'run');
const file = join(folder, 'owsla.yaml');
const write = (text: string) => writeFileSync(file, text);
write('set: { linksMax: 300 }\n');
const limits = {
  drainMs: 200,
  drainPaceMs: 100,
  lingerMs: 100,
  reloadMs: 3_000,
  reportMs: 500,
  // A machine that is busy with other tests is no matter here.
  alarmRaiseMs: 60_000,
  reloadQuietMs: 500,
};
const flags = ['--config', file, '--run-dir', runDir, '--mqtt-port', '0'];
const node = await Server.start({ amqp: users.owsla, prefix, limits, flags });
t.teardown(async () => {
  await node.stop();
  await forgetTopology(broker.url, prefix);
  await users.remove();
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

const reload = () => reloadNode(runDir);

async function status(): Promise<StatusAnswer> {
  return JSON.parse(await node.page('/api/v1/status')) as StatusAnswer;
}

/** On a connection of its own, or the agent's; what went wrong when there is no answer. */
function healthAt(port: number, agent: Agent | false = false): Promise<string> {
  return new Promise((resolve) => {
    const asked = get({ port, host: '127.0.0.1', path: '/health/ready', agent }, (answer) => {
      answer.setEncoding('utf8').once('data', resolve);
    });
    asked.once('error', (error) => resolve(String(error)));
  });
}

const CHILDREN = ['observer', 'registrar', 'acceptor 1', 'acceptor 2'];
const pids = () => CHILDREN.map((child) => node.childPid(child));

/** Asks health without a pause, by new connections and by one that is kept; connects; and asks. */
function whatFails(): { stop(): Promise<string[]> } {
  const faults: string[] = [];
  let isOver = false;
  const again = async (work: () => Promise<string | undefined>) => {
    while (!isOver) {
      const fault = await work();
      if (fault !== undefined) faults.push(fault);
    }
  };
  const kept = new Agent({ keepAlive: true, maxSockets: 1 });
  const health = async (agent: Agent | false) => {
    const said = await healthAt(node.adminPort, agent);
    return said.startsWith('{"ready":true') ? undefined : said;
  };
  const connects = async () => {
    const socket = connect(node.port, '127.0.0.1');
    const fault = await new Promise<string | undefined>((resolve) =>
      socket.once('connect', () => resolve(undefined)).once('error', (e) => resolve(String(e))),
    );
    socket.destroy();
    return fault;
  };
  const asks = () =>
    askOnce(runDir, 'status').then(
      () => undefined,
      (error) => String(error),
    );
  const all = [
    again(() => health(false)),
    again(() => health(false)),
    again(() => health(kept)),
    again(connects),
    again(asks),
  ];
  return {
    stop: async () => {
      isOver = true;
      await Promise.all(all);
      kept.destroy();
      return faults;
    },
  };
}

t.test('every process is replaced, in order; health and connects never fail', async (t) => {
  const before = pids();
  const { node: name } = await status();
  const mqtt = new MqttDevice(connect(node.portOf('mqtt'), '127.0.0.1'), 5);
  mqtt.sendBytes(connectPacket(5, 'by-mqtt'));
  await mqtt.expect('connack');
  const stream = await fetch(`http://127.0.0.1:${node.adminPort}/api/v1/stream`);
  const streamed = stream.text();
  const failing = whatFails();

  const { code, end, stderr } = await reload();
  const faults = await failing.stop();

  t.equal(code, 0, stderr);
  t.match(end, { phase: 'done', number: 1 });
  t.same(faults, []);
  mqtt.send(publishOf('still/here', 1));
  t.match(await mqtt.next(), { cmd: 'puback', messageId: 1 }, 'a link of MQTT has moved');
  mqtt.close();
  t.match(await streamed, /event: end\ndata: {"why":"the node stops or reloads"}\n\n$/);
  t.ok(
    pids().every((pid, at) => pid !== before[at]),
    'all of them',
  );
  const after = await status();
  t.equal(after.node, name, 'it is the same start of the node');
  t.match(after, { state: 'ready', restarts: { acceptor: 0, registrar: 0, observer: 0 } });
  t.match(after.reload, { phase: 'done' });
  t.same(node.complaints, []);
});

const REFUSED: readonly [string, string, RegExp][] = [
  ['a key that there is not', 'prot: 7\n', /unknown key "prot"/],
  ['a limit that is none', 'set: { linkMax: 7 }\n', /linkMax/],
  ['another node', `trace-dir: ${folder}\n`, /^trace-dir cannot be changed by a reload: /],
];
for (const [what, text, sentence] of REFUSED) {
  t.test(`refused: ${what}; the node is as it was`, async (t) => {
    write(text);
    const before = pids();

    const { code, end } = await reload();

    t.equal(code, 3);
    t.match(end, { phase: 'refused', why: sentence });
    t.same(pids(), before);
    t.ok(await node.isReady());
  });
}

t.test('500 quiet links: none is closed, each is read; a second reload is told so', async (t) => {
  write('');
  const names = Array.from({ length: 500 }, (_, at) => `quiet-${at}`);
  const devices = await Promise.all(names.map((name) => Device.open(node.port, name)));
  const items = devices.map((device) => device.next());
  let closed = 0;
  for (const device of devices) device.socket.once('close', () => (closed += 1));

  const accepts = await node.metricNow('owsla_accepts_total');

  const seen = node.log.length;
  const first = reload();
  await node.untilSaid('reload: registrar', seen);
  // A process of its own could come when it is over.
  const second = askOnce(runDir, 'reload');

  const message = /refuses: a reload is under way already, by control\.sock: [^\n]+$/;
  await t.rejects(second, { exitCode: 69, message });
  const { code, end } = await first;
  t.equal(code, 0, `${end?.why}`);
  t.match(end, { moved: 500, left: 0, drained: 0 });
  t.equal(closed, 0);
  const total = await node.metricNow('owsla_accepts_total');
  t.ok(total >= accepts && accepts >= 500, `totals go on: ${accepts}, then ${total}`);
  for (const [at, device] of devices.entries()) device.send(request(at + 1));
  const answers = await Promise.all(items);
  t.ok(answers.every((answer) => answer !== END && answer.type === TYPE.REPLY));
  for (const device of devices) device.socket.destroy();
});

t.test('a listener more, by a command; one less and another limit, by SIGHUP', async (t) => {
  const unix = join(folder, 'more.sock');
  write(`listeners: [{ name: more, unix: ${unix}, auth: none, 'proxy-protocol': none }]\n`);

  const { code, stderr, end } = await reload();
  t.equal(code, 0, stderr || `${end?.why}`);
  const device = new Device(connect(unix));
  device.send(hello('more'));
  await device.expect(TYPE.WELCOME);
  t.equal((await status()).listeners.length, 3);

  write('set: { linksMax: 200 }\n');
  const seen = node.log.length;
  const done = () => node.log.slice(seen).find(({ msg }) => msg === 'reload done');
  node.signal('SIGHUP');
  await node.untilSaid('reload done', seen);
  t.match(done(), { by: 'SIGHUP' });
  const { listeners, linksMax } = await status();
  t.equal(listeners.length, 2);
  t.equal(linksMax, 400);
  const socket = connect(unix);
  const error = await new Promise((resolve) => socket.once('error', resolve));
  t.match(error, { code: 'ENOENT' });
});

t.test('a transient command whose device is about to answer is waited for', async (t) => {
  const commander = await Commander.connect(users.backend, prefix);
  const subscriber = await Subscriber.start(broker.url, prefix);
  t.teardown(() => Promise.all([commander.close(), subscriber.close()]));
  const device = await Device.open(node.port, 'door-slow');
  t.teardown(() => device.close());
  await waitFor('online', async () => subscriber.view.get('door-slow')?.online === true);
  const id = await commander.send('door-slow');
  const command = await device.expect(TYPE.COMMAND);
  device.send({ type: TYPE.ACK, id: command.id });
  await waitFor('delivered', async () => commander.types(id).includes('delivered'));
  const seen = node.log.length;
  node.signal('SIGHUP');
  await waitFor('no consumer', async () => (await commander.consumers()) === 0);
  device.send({ type: TYPE.RESULT, id: command.id, status: 0, payload: Buffer.from('open') });

  t.match(await commander.final(id), { type: 'result', text: 'open', reason: undefined });
  t.same(commander.types(id), ['delivered', 'result']);
  await node.untilSaid('reload done', seen);
});

t.test('a drain that begins in the middle is the successors’, too; so is its end', async (t) => {
  const ask = (kind: string) => askOnce(runDir, kind);
  const isDrained = async () => /"drained by an operator"/.test(await healthAt(node.adminPort));
  const seen = node.log.length;
  const reloading = reload();
  await node.untilSaid('reload: acceptor 1 starting', seen);

  await ask('drain');

  t.match(await reloading, { code: 0 });
  await waitFor('that all are drained', isDrained);
  const { processes } = await status();
  const acceptors = processes.filter(({ role }) => role === 'acceptor');
  t.equal(acceptors.length, 2);
  t.equal((await reload()).code, 0, 'a node that is drained is reloaded as any');
  t.ok(await isDrained(), 'and stays so');
  await ask('resume');
  await waitFor('health', async () => (await healthAt(node.adminPort)).startsWith('{"ready":true'));
});

t.test('by HTTP it takes the token, and says what has begun', async (t) => {
  const answer = await fetch(`http://127.0.0.1:${node.adminPort}/api/v1/node/reload`, {
    method: 'POST',
  });
  t.equal(answer.status, 401);
});

for (const [what, line] of [
  ['the new acceptor', 'reload: acceptor 1 moving'],
  ['the new registrar', 'reload: acceptor 1 starting'],
] as const) {
  t.test(`kill -9 of ${what} in the middle: the node goes on`, async (t) => {
    const device = await Device.open(node.port, 'stays');
    device.send(request(1, 'slow.one'));
    const seen = node.log.length;
    node.signal('SIGHUP');
    await node.untilSaid(line, seen);

    process.kill(
      node.childPid(what === 'the new acceptor' ? 'acceptor 1' : 'registrar'),
      'SIGKILL',
    );

    await node.untilSaid(/^reload (done|refused)$/, seen);
    await waitFor('health', async () =>
      (await healthAt(node.adminPort)).startsWith('{"ready":true'),
    );
    const other = await Device.open(node.port, 'comes');
    t.ok(other.connection);
    other.close();
    device.close();
  });
}

t.test('SIGTERM in the middle: every link gets BYE, and the node ends as ever', async (t) => {
  const names = Array.from({ length: 50 }, (_, at) => `ends-${at}`);
  const devices = await Promise.all(names.map((name) => Device.open(node.port, name)));
  const ends = Promise.all(devices.map((device) => device.rest()));
  const seen = node.log.length;
  node.signal('SIGHUP');
  await node.untilSaid('reload: acceptor 1 moving', seen);

  node.signal('SIGTERM');

  t.equal(await node.ended(), 0);
  for (const rest of await ends) t.match(rest.at(-1), { type: TYPE.BYE, reason: 'draining' });
});
