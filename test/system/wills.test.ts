/** Wills on a real node: each way in which a link can end, by the table of docs/protocol.md. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type Message, TYPE, type Will } from '../../src/wire/message.ts';
import { Device, END, event, hello } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { WillListener } from '../helpers/fakes/willListener.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { askOnce } from '../helpers/processes/node.ts';
import { Server, type ServerOptions } from '../helpers/processes/server.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
const prefix = `wills-${process.pid}`;
const folder = mkdtempSync(join(tmpdir(), 'ot-'));
const runDir = join(folder, 'run');
const file = join(folder, 'owsla.yaml');
writeFileSync(
  file,
  `listeners:
  - { name: narrow, host: 127.0.0.1, port: 0, auth: [none], topics: ["allowed.#"] }
`,
);
const LIMITS = {
  keepaliveMs: 1_000,
  keepaliveMinMs: 1_000,
  willBytesMax: 64,
  drainMs: 200,
  drainPaceMs: 0,
  lingerMs: 100,
  frameBytesMax: 1_024,
};
const OPTIONS: ServerOptions = {
  ...{ amqp: broker.url, prefix, limits: LIMITS },
  flags: ['--config', file, '--run-dir', runDir, '--data-dir', join(folder, 'data')],
};
let node = await Server.start(OPTIONS);
const wills = await WillListener.start(broker.url, prefix);
const presence = await Subscriber.start(broker.url, prefix);
t.teardown(async () => {
  await node.stop();
  await wills.close();
  await presence.close();
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

const willOf = (device: string, delayMs = 0): Will => ({
  topic: 'panel.gone',
  payload: Buffer.from(`will of ${device}`),
  delayMs,
});

/** A device with a will that is on record. */
async function open(deviceId: string, will: Will = willOf(deviceId), keepalive = 600) {
  const device = await Device.connect(node.port);
  device.send(hello(deviceId, { will, keepalive } as Partial<Message>));
  await device.expect(TYPE.WELCOME);
  await recorded(deviceId, device.connection);
  return device;
}

async function recorded(deviceId: string, connection: string): Promise<void> {
  await waitFor(`${deviceId} to be on record`, () =>
    presence.heard.some((one) => one.connection === connection && one.online),
  );
}

const isOver = (connection: string) =>
  presence.heard.some((one) => one.connection === connection && !one.online);

/** A later will of another device: what was recorded before it has been published by then. */
async function barrier(name: string): Promise<void> {
  const device = await open(name);
  device.socket.end();
  await wills.until(name);
}

const reset = ({ socket }: Device) => (socket as Socket).resetAndDestroy();

t.test('wills: an end without a goodbye publishes it, with the reason', async (t) => {
  const bytes = (...of: number[]) => Buffer.from([0, 0, 0, of.length, ...of]);
  const ways: Readonly<Record<string, (device: Device) => void>> = {
    'peer-fin': ({ socket }) => void socket.end(),
    'peer-reset': reset,
    'bad-frame': (device) => device.sendBytes(bytes(0xc1)),
    'frame-too-long': (device) => device.sendBytes(Buffer.from([0, 1, 0, 0])),
    unexpected: (device) => device.send(hello('again')),
    'bad-id': (device) => device.send(event(2), event(1)),
    'bad-topic': (device) => device.send(event(1, 'no topic')),
    disconnected: () => void askOnce(runDir, 'disconnect', { device: 'by-disconnected' }),
    blocked: () => void askOnce(runDir, 'block', { device: 'by-blocked', note: '' }),
    'keepalive-timeout': () => {},
  };
  await Promise.all(
    Object.entries(ways).map(async ([reason, end]) => {
      const device = `by-${reason}`;
      const isSilent = reason === 'keepalive-timeout';
      const link = await open(device, willOf(device), isSilent ? 1 : 600);
      end(link);
      const will = await wills.until(device);
      t.match(will, {
        ...{ reason, connection: link.connection, id: `${link.connection}:will` },
        ...{ key: `${device}.panel.gone`, body: `will of ${device}` },
      });
      link.close();
    }),
  );
  const { properties, fields } = (await wills.until('by-peer-fin')).message;
  t.match(properties, { type: 'event', appId: 'owsla', deliveryMode: 2 });
  t.match(properties.headers, { device: 'by-peer-fin', topic: 'panel.gone', receivedAt: Number });
  t.equal(fields.exchange, `${prefix}.events`);
});

t.test('wills: none after a goodbye, nor of an older link after a takeover', async (t) => {
  const polite = await open('polite');
  polite.send({ type: TYPE.BYE, reason: 'off', retryAfter: undefined });
  await waitFor('the goodbye to be on record', () => isOver(polite.connection));
  const older = await open('twice');
  const newer = await open('twice', { ...willOf('twice'), topic: 'second' });
  t.match(await older.expect(TYPE.BYE), { reason: 'taken-over' });
  reset(newer);

  const will = await wills.until('twice');
  await barrier('barrier-1');
  t.match(will, { connection: newer.connection, key: 'twice.second' });
  t.equal(wills.of('twice').length, 1, 'the newer link has one of its own');
  t.same(wills.of('polite'), []);
});

t.test('wills: a delay that passes, and one in which the device is back', async (t) => {
  const late = await open('late', willOf('late', 300));
  const back = await open('back', willOf('back', 700));
  const endedAt = performance.now();
  reset(late);
  reset(back);
  await waitFor('the end to be on record', () => isOver(back.connection));
  const again = await Device.open(node.port, 'back');
  t.match(await wills.until('late'), { reason: 'peer-reset', connection: late.connection });
  t.ok(performance.now() - endedAt >= 300, 'not before its delay');
  const after = await open('after', willOf('after', 900));
  reset(after);
  await wills.until('after');
  t.same(wills.of('back'), [], 'and a later one of a longer delay was published');
  again.close();
});

t.test('wills: what is refused, and how', async (t) => {
  const refused = async (will: Will) => {
    const device = await Device.connect(node.port);
    device.send(hello('door-9', { will } as Partial<Message>));
    return device.rest();
  };
  t.match(await refused({ ...willOf('door-9'), payload: Buffer.alloc(65) }), [
    { code: 'frame-too-long', message: /longer than 64 bytes/, id: undefined },
    { reason: 'frame-too-long' },
  ]);
  t.match(await refused({ ...willOf('door-9'), topic: 'a..b' }), [
    { code: 'bad-topic' },
    { reason: 'bad-topic' },
  ]);

  const narrow = await Device.connect(node.portOf('narrow'));
  narrow.send(hello('narrow', { will: willOf('narrow') } as Partial<Message>));
  await narrow.expect(TYPE.WELCOME);
  t.match(await narrow.expect(TYPE.ERROR), { code: 'not-allowed', id: undefined });
  narrow.send({ type: TYPE.PING });
  await narrow.expect(TYPE.PONG);
  await recorded('narrow', narrow.connection);
  reset(narrow);
  await waitFor('its end to be on record', () => isOver(narrow.connection));
  await barrier('barrier-2');
  t.same(wills.of('narrow'), []);
  t.equal(await node.metricNow('owsla_wills_total', 'fate="not-allowed"'), 1);
});

t.test('wills: ends that nobody sees, and goodbyes that nobody records at once', async (t) => {
  const [killed, gone, said] = [await open('killed'), await open('gone'), await open('said')];
  const registrar = node.childPid('registrar');
  process.kill(registrar, 'SIGSTOP');
  reset(gone);
  said.send({ type: TYPE.BYE, reason: 'off', retryAfter: undefined });
  await said.rest();
  process.kill(registrar, 'SIGKILL');
  t.match((await wills.until('gone')).reason, /^(?:missed|peer-reset)$/);
  await waitFor('the goodbye to be on record', () => isOver(said.connection));

  for (const child of ['acceptor 1', 'acceptor 2']) process.kill(node.childPid(child), 'SIGKILL');
  t.match(await wills.until('killed'), { reason: 'acceptor-ended', body: 'will of killed' });
  await waitFor('acceptors', () => node.isReady());
  await barrier('barrier-3');
  t.same(wills.of('said'), []);
  killed.close();
});

t.test('wills: after a drain, and after everything was killed', async (t) => {
  const drained = await open('drained');
  node.signal('SIGTERM');
  t.match(await drained.expect(TYPE.BYE), { reason: 'draining' });
  await node.ended();
  t.match(await wills.until('drained'), { reason: 'draining' });
  await node.stop();

  node = await Server.start(OPTIONS);
  const [lost, waited] = [await open('lost'), await open('waited', willOf('waited', 200))];
  await node.stop();
  node = await Server.start(OPTIONS);
  t.match(await wills.until('lost'), { reason: 'node-ended', connection: lost.connection });
  t.match(await wills.until('waited'), { reason: 'node-ended', connection: waited.connection });
  t.equal(new Set(wills.heard.map(({ id }) => id)).size, wills.heard.length, 'each came once');
  t.equal(await drained.next(), END);
});
