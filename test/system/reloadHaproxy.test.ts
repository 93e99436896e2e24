/**
 * Links behind a real HAProxy, which ends mutual TLS and passes them on over a Unix socket with
 * PROXY v2: a reload moves them like any other. As many as HAPROXY_LINKS says, or 300. A study:
 *   HAPROXY_LINKS=5000 make test FILES=test/system/reloadHaproxy.test.ts
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import t from 'tap';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import { Subscriber } from '../helpers/fakes/subscriber.ts';
import { loopbackNet } from '../helpers/loopback.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { Haproxy, noHaproxy } from '../helpers/processes/haproxy.ts';
import { startNode } from '../helpers/processes/node.ts';
import { noOpenssl } from '../helpers/processes/programs.ts';
import { reloadNode } from '../helpers/processes/reloads.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LINKS = Number(process.env.HAPROXY_LINKS ?? 300);
/** So many talk all the time; the others are quiet. */
const TALKERS = Math.min(30, LINKS);
const WAVE = 50;
const [HOST, PORT] = [`${loopbackNet()}.1`, 17_003];

t.test('links behind HAProxy move', { skip: noHaproxy || noOpenssl }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ot-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const ca = new Authority();
  t.teardown(() => ca.remove());
  const served = ca.issue('localhost', { san: 'DNS:localhost' });
  const pem = ca.save('server.pem', served.cert + served.key);
  const door = ca.issue('fleet');
  const unix = join(folder, 'devices.sock');
  const config = join(folder, 'owsla.yaml');
  // Which device it is, HELLO says: a certificate for each would take longer than all else.
  writeFileSync(config, `listeners: [{ name: behind, unix: ${unix}, auth: none }]\n`);
  const limits = { ...{ drainMs: 200, drainPaceMs: 100, reportMs: 500, reloadMs: 60_000 } };
  const { backend, broker, prefix, runDir } = await startNode(t, {
    limits: { ...limits, connectsPerSecond: 10_000, connectBurst: 10_000 },
    flags: ['--config', config],
  });
  const haproxy = await Haproxy.start(`
global
  maxconn ${LINKS + 200}
defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
frontend devices
  bind ${HOST}:${PORT} ssl crt ${pem} ca-file ${ca.caFile} verify required
  default_backend owsla
backend owsla
  retries 3
  server owsla unix@${unix} send-proxy-v2-ssl-cn
`);
  t.teardown(() => haproxy.stop());
  const subscriber = await Subscriber.start(broker.url, prefix);
  t.teardown(() => subscriber.close());
  const received = new Map<string, number>();
  await backend.on(names(prefix).events, '#', ({ properties }) => {
    const id = String(properties.messageId);
    received.set(id, (received.get(id) ?? 0) + 1);
  });

  async function open(id: string): Promise<Device> {
    const shown = { ca: ca.ca, cert: door.cert, key: door.key };
    const socket = connect({ host: HOST, port: PORT, servername: 'localhost', ...shown });
    const device = new Device(socket);
    await once(socket, 'secureConnect');
    device.send(hello(id));
    await device.expect(TYPE.WELCOME);
    return device;
  }
  let closed = 0;
  const devices: Device[] = [];
  for (let at = 0; at < LINKS; at += WAVE) {
    const wave = Array.from({ length: Math.min(WAVE, LINKS - at) }, (_, n) => `tls-${at + n}`);
    devices.push(...(await Promise.all(wave.map(open))));
  }
  for (const { socket } of devices) socket.once('close', () => (closed += 1));
  await waitFor('all to be on record', () => subscriber.online().length === LINKS);

  let isOver = false;
  let acked = 0;
  const sendOne = async (device: Device, id: number): Promise<void> => {
    device.send(event(id));
    const { id: got } = await device.expect(TYPE.ACK);
    if (got !== id) throw new Error(`ACK of ${got} for ${id}`);
    acked += 1;
  };
  const talking = devices.slice(0, TALKERS).map(async (device) => {
    let id = 1;
    for (; !isOver; id += 1) await sendOne(device, id);
    return id;
  });
  const coming = (async () => {
    for (let at = 0; !isOver; at += 1) (await open(`comes-${at}`)).close();
  })();

  const { code, end } = await reloadNode(runDir);
  isOver = true;
  const next = await Promise.all(talking);
  await coming;
  await Promise.all(devices.map((device, at) => sendOne(device, next[at] ?? 1)));

  t.equal(code, 0, JSON.stringify(end));
  t.match(end, { phase: 'done', drained: 0 });
  t.ok((end?.moved ?? 0) >= LINKS, `${end?.moved} moved`);
  t.equal(closed, 0);
  await waitFor('the ledger', () => received.size === acked);
  t.ok([...received.values()].every((times) => times === 1));
  const ours = subscriber.heard.filter(({ device }) => device.startsWith('tls-'));
  t.equal(ours.length, LINKS, 'nobody heard of it');
  for (const { socket } of devices) socket.destroy();
});
