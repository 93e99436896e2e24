/**
 * `owsla command`, `owsla devices` and examples/unlock.rb: what they print, and their exit codes.
 * The outcomes come from a script by the device's name; who is connected from a real node.
 */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { Backend } from '../helpers/fakes/backend.ts';
import { Device } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Cli } from '../helpers/processes/cli.ts';
import { Command } from '../helpers/processes/command.ts';
import { at, noBunny } from '../helpers/processes/programs.ts';
import { Server } from '../helpers/processes/server.ts';

const broker = await findBroker();
t.teardown(() => broker.stop());

interface Outcome {
  readonly type: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly payload?: Buffer;
}

const delivered: Outcome = { type: 'delivered' };
const opened = { type: 'result', headers: { status: 0 }, payload: Buffer.from('opened') };
const jammed = { type: 'result', headers: { status: 142 }, payload: Buffer.from([0xff]) };

/** By the device's name: what its sender is told, the last lines and the exit code. */
const CASES: readonly [string, readonly Outcome[], string, number][] = [
  ['opens', [delivered, opened], 'result 0 opened', 0],
  ['jams', [delivered, jammed], 'result 142', 2],
  ['away', [{ type: 'offline' }], 'offline', 3],
  ['late', [{ type: 'expired', headers: { reason: 'not-sent' } }], 'expired not-sent', 4],
  ['busy', [{ type: 'refused', headers: { reason: 'full' } }], 'refused full', 5],
];

interface Asked {
  readonly topic: string;
  readonly payload: string;
  readonly isKept: boolean;
  readonly leftMs: number;
}

/** A node as far as commands are concerned; what it was last asked. */
async function scripted(t: { teardown(end: () => Promise<void>): void }) {
  const prefix = `test-${randomUUID()}`;
  const { commands } = names(prefix);
  const node = await Backend.connect(broker.url);
  await node.channel.assertExchange(commands, 'topic');
  const asked = new Map<string, Asked>();
  await node.on(commands, '#', ({ fields, properties, content }, channel) => {
    const { type, replyTo, correlationId, deliveryMode, headers } = properties;
    asked.set(fields.routingKey, {
      topic: String(type),
      payload: content.toString(),
      isKept: deliveryMode === 2,
      leftMs: Number(headers?.deadline) - Date.now(),
    });
    const [, outcomes = []] = CASES.find(([name]) => name === fields.routingKey) ?? [];
    for (const { payload = Buffer.alloc(0), ...rest } of outcomes) {
      channel.sendToQueue(String(replyTo), payload, { correlationId, ...rest });
    }
  });
  t.teardown(async () => {
    await node.channel.deleteExchange(commands);
    await node.close();
  });
  return { env: { OWSLA_AMQP: broker.url, OWSLA_PREFIX: prefix }, asked };
}

function owsla(env: Record<string, string>, ...args: string[]): Command {
  return new Command([process.execPath, at('src/cli/cli.ts'), ...args], env);
}

t.test('owsla command: each final outcome has its line and its exit code', async (t) => {
  const { env, asked } = await scripted(t);
  const runs = CASES.map(([name]) => owsla(env, 'command', name, 'door.open', 'please', '--keep'));

  for (const [index, [name, , line, code]] of CASES.entries()) {
    t.equal(await runs[index]?.exit, code, name);
    t.match(runs[index]?.output, new RegExp(`^${line}.* \\(\\d+ ms\\)\n$`, 'm'));
  }
  t.match(asked.get('opens'), { topic: 'door.open', payload: 'please', isKept: true });
});

t.test('owsla command: now or never unless --keep, and --wait is the deadline', async (t) => {
  const { env, asked } = await scripted(t);
  const untold = owsla(env, 'command', 'nobody', 'door.open', '--wait', '100ms');
  const json = owsla(env, 'command', 'jams', 'door.open', '--json', '--wait', '1m');

  t.equal(await json.exit, 2);
  t.match(
    json.output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      { outcome: 'delivered', ms: Number },
      { outcome: 'result', status: 142, payloadBase64: '/w==', ms: Number },
    ],
  );
  const { isKept, leftMs = 0, payload } = asked.get('jams') ?? {};
  t.match({ isKept, payload }, { isKept: false, payload: '' });
  t.ok(leftMs > 30_000 && leftMs <= 60_000, `${leftMs} ms`);
  t.equal(await untold.exit, 6, 'nobody said anything');
});

t.test('owsla command: behind -- a word may begin with -, and none is left out', async (t) => {
  const { env, asked } = await scripted(t);
  const flags = ['--wait', '100ms'];
  const all = owsla(env, 'command', ...flags, '--', '-17', '-open', '--keep');
  const last = owsla(env, 'command', 'door-17', 'door.open', ...flags, '--', '-5');
  const tooMany = new Cli(['command', 'door-18', 'door.open', 'please', '--', '-x'], { env });

  t.equal(await all.exit, 6);
  t.match(asked.get('-17'), { topic: '-open', payload: '--keep', isKept: false });
  t.equal(await last.exit, 6);
  t.match(asked.get('door-17'), { topic: 'door.open', payload: '-5' });
  t.match(await tooMany.exited, { code: 64 });
  t.match(tooMany.stderr, /^owsla: there is no command or argument "-x"\n$/);
  t.notOk(asked.has('door-18'));
});

t.test('owsla devices: a word that is not understood never means all devices', async (t) => {
  const env = { OWSLA_AMQP: broker.url, OWSLA_PREFIX: 'no-such-prefix' };
  const cases: [string[], RegExp][] = [
    [['-d'], /no flag "-d"; write -- before words that begin with -/],
    [['-door-17'], /no flag "-door-17"; write -- before words that begin with -/],
    [['--', '-d', '-e'], /no command or argument "-e"/],
    [[''], /the device id is empty; leave it out to print all devices/],
    [['--', ''], /the device id is empty; leave it out to print all devices/],
  ];
  for (const [words, sentence] of cases) {
    const cli = new Cli(['devices', ...words], { env });
    t.match(await cli.exited, { code: 64 }, words.join(' '));
    t.match(cli.stderr, sentence);
  }
});

t.test('owsla command, owsla devices: without a node, one sentence and 69', async (t) => {
  const env = { OWSLA_AMQP: broker.url, OWSLA_PREFIX: 'no-such-prefix' };
  const runs = [owsla(env, 'command', 'door-17', 'door.open'), owsla(env, 'devices')];

  for (const run of runs) t.equal(await run.exit, 69);
});

t.test('unlock.rb: prints each outcome, and ends with its code', { skip: noBunny }, async (t) => {
  const { env, asked } = await scripted(t);
  const script = at('examples/unlock.rb');
  const runs = CASES.map(([name]) => new Command(['ruby', script, name, '3'], env));

  for (const [index, [name, , line, code]] of CASES.entries()) {
    t.equal(await runs[index]?.exit, code, name);
    t.match(runs[index]?.output, new RegExp(`^${line}`, 'm'));
  }
  t.match(asked.get('opens'), { topic: 'door.open', payload: 'please', isKept: false });
  t.ok(Number(asked.get('opens')?.leftMs) <= 3_000);
});

t.test('owsla devices: who is connected, since when and where', async (t) => {
  const prefix = `test-${randomUUID()}`;
  const server = await Server.start({ amqp: broker.url, prefix, acceptors: 1 });
  t.teardown(() => server.stop());
  const env = { OWSLA_AMQP: broker.url, OWSLA_PREFIX: prefix };
  const gone = await Device.open(server.port, 'door-18');
  gone.close();
  const device = await Device.open(server.port, 'door-17');
  await server.untilMetric('owsla_presence_changes_total', 'reason="peer-fin"', (n) => n === 1);
  await server.untilMetric('owsla_presence_changes_total', 'reason="connected"', (n) => n === 2);
  const all = owsla(env, 'devices');
  const one = owsla(env, 'devices', 'door-17', '--json');
  const away = owsla(env, 'devices', 'door-18');
  const unknown = owsla(env, 'devices', 'door-19');

  t.equal(await all.exit, 0);
  t.match(all.output, /^door-17 +online +20\S+Z +connected +acceptor=\S+ +connection=\S+/m);
  t.match(all.output, /^door-18 +offline +20\S+Z +peer-fin /m);
  t.equal(await one.exit, 0);
  t.match(JSON.parse(one.output), { device: 'door-17', online: true, commands: 0 });
  t.equal(await away.exit, 3);
  t.equal(await unknown.exit, 4);
  t.equal(unknown.output, '');
  device.close();
});
