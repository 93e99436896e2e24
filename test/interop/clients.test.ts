/**
 * Other people's MQTT clients, unchanged, against a real node: each connects, publishes, asks, is
 * commanded, leaves a will, is taken over, is quiet, and comes back.
 * `make test` runs a few of them, `make interop` all.
 */
import t, { type Test } from 'tap';
import { waitFor } from '../helpers/waitFor.ts';
import { CLIENTS, type Client, IS_ALL } from './lib/clients.ts';
import { type Connect, Driven } from './lib/driven.ts';
import { MqttWorld } from './lib/mqttWorld.ts';

const TAKEN_OVER = 0x8e;
/** Half of it is left to a busy machine before the link would end. */
const KEEPALIVE_S = 3;
const COMMANDS = '$owsla/command/#';

const world = await MqttWorld.start(t);
// Each has devices of its own; the machine has few processors.
t.jobs = 4;

interface Case {
  readonly client: Client;
  readonly version: 4 | 5;
  readonly device: string;
}

function start({ client }: Case): Driven {
  return new Driven(t, client.command);
}

async function connected(one: Case, driven: Driven, more: Partial<Connect> = {}): Promise<void> {
  const { device: id, version } = one;
  const order = { do: 'connect', host: '127.0.0.1', port: world.port, id, version } as const;
  await driven.ask({ ...order, ...more }, 'connected');
}

async function publishes(t: Test, one: Case, driven: Driven): Promise<void> {
  const zero = { do: 'publish', topic: 'hvac/temp', payload: 'zero', qos: 0 } as const;
  t.match(await driven.ask(zero, 'published'), { code: 0 });
  t.match(await driven.ask({ ...zero, payload: 'one', qos: 1 }, 'published'), { code: 0 });
  const wanted = { topic: 'hvac.temp', isWill: false };
  t.match(await world.event(one.device, 'one'), wanted, 'QoS 1 has arrived');
  t.match(await world.event(one.device, 'zero'), wanted, 'QoS 0 has arrived');
}

/** By topics, as any version can; and as MQTT 5 does. */
async function asks(t: Test, one: Case, driven: Driven): Promise<void> {
  const request = { do: 'publish', qos: 1, payload: 'where' } as const;
  driven.order({ ...request, topic: '$owsla/request/7/room/name' });
  t.match(await driven.next('message'), { topic: '$owsla/reply/7/0', payload: 'where' });
  t.match(await driven.next('published'), { code: 0 });
  if (one.version !== 5) return;
  const response = '$owsla/reply/mine';
  driven.order({ ...request, topic: 'room/name', response, correlation: 'abc' });
  const answer = { topic: response, payload: 'where', correlation: 'abc', user: { status: '0' } };
  t.match(await driven.next('message'), answer);
  t.match(await driven.next('published'), { code: 0 });
}

async function isCommanded(t: Test, one: Case, driven: Driven): Promise<void> {
  t.match(await driven.ask({ do: 'subscribe', filter: COMMANDS }, 'subscribed'), { code: 1 });
  const id = await world.commander.send(one.device, { topic: 'door.open', payload: 'now' });
  const { topic = '', payload } = await driven.next('message');
  t.match(topic, /^\$owsla\/command\/[0-9a-f]{32}\/door\/open$/);
  t.equal(payload, 'now');
  const [, , key] = topic.split('/');
  const name = `$owsla/result/${key}/0`;
  const result = { do: 'publish', topic: name, payload: 'opened', qos: 1 } as const;
  t.match(await driven.ask(result, 'published'), { code: 0 });
  t.match(await world.commander.final(id), { type: 'result', status: 0, text: 'opened' });
}

/** Beside all this, one that has nothing to say: it sends PINGREQs, and its link stays. */
async function startQuiet(one: Case): Promise<Case & { readonly driven: Driven }> {
  const quiet = { ...one, device: `${one.device}-quiet` };
  const driven = start(quiet);
  await connected(quiet, driven, { keepalive: KEEPALIVE_S });
  return { ...quiet, driven };
}

async function isQuiet(t: Test, { device, driven }: Case & { driven: Driven }): Promise<void> {
  await waitFor(`a PINGREQ of ${device}`, async () => {
    // Its CONNECT is the first.
    return (await world.messagesOf(device)) > 1;
  });
  const still = { do: 'publish', topic: 'hvac/temp', payload: 'still here', qos: 1 } as const;
  t.match(await driven.ask(still, 'published'), { code: 0 });
}

async function isTakenOver(t: Test, one: Case, driven: Driven): Promise<void> {
  const other = start(one);
  await connected(one, other);
  const { code } = await driven.next('lost');
  if (one.version === 5 && one.client.isMum !== true) t.equal(code, TAKEN_OVER);
  other.order({ do: 'disconnect' });
  await other.next('lost');
}

async function leavesWillAndComesBack(t: Test, one: Case): Promise<void> {
  const driven = start(one);
  const will = { topic: 'door/gone', payload: 'gone' };
  await connected(one, driven, { reconnect: true, will });
  driven.order({ do: 'drop' });
  await driven.next('connected');
  t.match(await world.event(one.device, 'gone'), { topic: 'door.gone', isWill: true });
  const back = { do: 'publish', topic: 'hvac/temp', payload: 'back', qos: 1 } as const;
  t.match(await driven.ask(back, 'published'), { code: 0 });
  t.match(await world.event(one.device, 'back'), { topic: 'hvac.temp' });
}

for (const client of CLIENTS) {
  for (const version of IS_ALL ? client.versions : client.inTest) {
    const { name, skip } = client;
    const title = `${name}, MQTT ${version === 5 ? '5' : '3.1.1'}`;
    const device = title.replaceAll(/[^A-Za-z0-9]+/g, '-');
    t.test(title, { skip, timeout: 120_000 }, async (t) => {
      const one = { client, version, device };
      const driven = start(one);
      const quiet = await startQuiet(one);
      await connected(one, driven);
      await publishes(t, one, driven);
      await asks(t, one, driven);
      await isCommanded(t, one, driven);
      await isTakenOver(t, one, driven);
      await leavesWillAndComesBack(t, one);
      await isQuiet(t, quiet);
    });
  }
}
