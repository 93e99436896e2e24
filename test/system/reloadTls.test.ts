/**
 * Links of the built-in TLS listener in a reload: they cannot move, are told to come back, and
 * resume their sessions at the successor.
 */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { Device, END, event, hello } from '../helpers/fakes/device.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { startNode } from '../helpers/processes/node.ts';
import { reloadNode } from '../helpers/processes/reloads.ts';

const DEVICES = 200;
/** `reloadRetryMs`. */
const RETRY_MS = 1_000;
/** The goal of every hundred. */
const SHARE = 0.95;

const authority = new Authority();
t.teardown(() => authority.remove());
const served = authority.issue('localhost', { san: 'DNS:localhost' });
const { server: node, runDir } = await startNode(t, {
  // Who comes back comes to the successor, and not to one that has still to be replaced.
  acceptors: 1,
  limits: { drainMs: 200, drainPaceMs: 1_000, lingerMs: 500, reportMs: 500, connectBurst: 1_000 },
  flags: [
    ...['--tls-port', '0', '--auth', 'none'],
    ...['--tls-cert', served.certFile, '--tls-key', served.keyFile],
  ],
});
const port = node.portOf('devices-tls');

/** A device that does as docs/protocol.md says. */
class Returning {
  readonly id: string;
  device: Device | undefined;
  /** In the BYE. */
  retryAfter: number | undefined;
  isResumed = false;
  /** From BYE to WELCOME. */
  awayMs = 0;
  #ticket: Buffer | undefined;

  constructor(id: string) {
    this.id = id;
  }

  async connect(): Promise<void> {
    const to = { port, host: '127.0.0.1', servername: 'localhost', ca: authority.ca };
    const socket: TLSSocket = connect({ ...to, session: this.#ticket });
    socket.on('session', (ticket: Buffer) => {
      this.#ticket = ticket;
    });
    this.device = new Device(socket);
    await once(socket, 'secureConnect');
    this.device.send(hello(this.id));
    await this.device.expect(TYPE.WELCOME);
    this.isResumed = socket.isSessionReused();
  }

  /** It waits for BYE, and comes back when that says so. */
  async comeBack(): Promise<void> {
    const bye = await this.device?.expect(TYPE.BYE);
    const since = performance.now();
    if (bye?.reason !== 'draining') throw new Error(`${bye?.reason}`);
    this.retryAfter = bye.retryAfter ?? Number.NaN;
    this.device?.close();
    await pause(this.retryAfter);
    await this.connect();
    this.awayMs = performance.now() - since;
  }
}

t.test('BYE draining, and back by resumption; counted as drained', async (t) => {
  const devices = Array.from({ length: DEVICES }, (_, at) => new Returning(`tls-${at}`));
  for (let at = 0; at < DEVICES; at += 20) {
    await Promise.all(devices.slice(at, at + 20).map((device) => device.connect()));
  }
  const plain = await Device.open(node.port, 'plain');
  const back = Promise.all(devices.map((device) => device.comeBack()));
  const { code, end } = await reloadNode(runDir);
  await back;

  t.equal(code, 0, JSON.stringify(end));
  t.match(end, { moved: 1, drained: DEVICES, left: 0 }, 'the one without TLS has moved');
  t.equal(await node.metricNow('owsla_reload_links', 'how="drained"'), DEVICES);
  t.ok(devices.every(({ retryAfter = Number.NaN }) => retryAfter >= 0 && retryAfter <= RETRY_MS));
  const resumed = devices.filter(({ isResumed }) => isResumed).length;
  t.ok(resumed >= SHARE * DEVICES, `${resumed} of ${DEVICES} by resumption`);
  const away = devices.map(({ awayMs }) => awayMs).sort((a, b) => a - b);
  const at = (share: number) => Math.round(away[Math.floor(share * DEVICES)] ?? 0);
  t.comment(`away: median ${at(0.5)} ms, p99 ${at(0.99)} ms; ${resumed} resumed`);
  plain.send(event(1));
  t.match(await plain.next(), { type: TYPE.ACK, id: 1 });
  for (const { device } of devices) {
    device?.send(event(1));
    const item = await device?.next();
    if (item === undefined || item === END || item.type !== TYPE.ACK) t.fail('no ACK');
    device?.close();
  }
});
