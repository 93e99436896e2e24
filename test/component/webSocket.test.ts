/** MQTT over WebSocket on live endpoints: what is let in, what is read, and how each link ends. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { canMove } from '../../src/acceptor/endpoint/snapshot.ts';
import { Addresses } from '../../src/acceptor/establish/addresses.ts';
import { Entrance } from '../../src/acceptor/establish/entrance.ts';
import { ListenerFiles } from '../../src/acceptor/establish/listenerFiles.ts';
import { makeConfig } from '../../src/base/config.ts';
import type { ListenerConfig } from '../../src/base/listeners.ts';
import { bytesOf, connectPacket, packetsIn, publishOf } from '../helpers/fakes/mqttDevice.ts';
import { Served, settle, until } from '../helpers/worlds/endpoints.ts';

const plain = makeConfig({}).listeners[0] as ListenerConfig;

interface World {
  readonly served: Served;
  readonly port: number;
  readonly entrance: Entrance;
  /** Why those that are no WebSocket are none. */
  readonly failures: string[];
  /** A WebSocket that is open. */
  web(): Promise<Web>;
}

/** A device, and what it hears. */
interface Web {
  readonly socket: WebSocket;
  readonly heard: Buffer[];
}

function world(promise: string, body: (t: Test, world: World) => Promise<void>): void {
  t.test(`webSocket: ${promise}`, async (t) => {
    const served = new Served('TCP', { protocol: 'mqtt-ws', limits: { frameBytesMax: 4_096 } });
    const listener: ListenerConfig = { ...plain, protocol: 'mqtt-ws' };
    const { limits, counters, clock, endpoints } = served;
    const failures: string[] = [];
    const entrance = new Entrance({
      ...{ limits, counters, clock, listeners: [listener], ticketKey: Buffer.alloc(48) },
      files: new ListenerFiles([listener], () => 0),
      addresses: new Addresses({ limits }),
      onReady: (socket, acceptedUs, origin) => endpoints.accept(socket, acceptedUs, origin),
      onFailure: (_, failure, why) => failures.push(`${failure}: ${why}`),
    });
    const accepted: Socket[] = [];
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      accepted.push(socket);
      entrance.begin(listener, socket, clock.us());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const opened: WebSocket[] = [];
    const web = async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`, 'mqtt');
      const heard: Buffer[] = [];
      opened.push(socket);
      socket.on('message', (data: Buffer) => heard.push(data)).on('error', () => {});
      await once(socket, 'open');
      return { socket, heard };
    };
    await body(t, { served, port, entrance, failures, web });
    for (const socket of opened) socket.terminate();
    await until(() => counters.establishing === 0);
    await served.end();
    await until(() => accepted.every(({ destroyed }) => destroyed));
    server.close();
  });
}

/** All packets that it has heard. */
function packets({ heard }: Web) {
  return packetsIn(5, Buffer.concat(heard));
}

world('packets are cut and joined as its messages are', async (t, { served, web }) => {
  const device = await web();
  const bytes = Buffer.concat([connectPacket(5), bytesOf(5, publishOf('a/b', 1))]);
  for (const byte of bytes) device.socket.send(Buffer.from([byte]));
  await until(() => served.routes.handed.length === 1);
  device.socket.send(bytesOf(5, publishOf('c', 2), { cmd: 'pingreq' }, publishOf('d', 3)));
  await until(() => served.routes.handed.length === 3);
  await until(() => packets(device).length === 2);

  t.match(packets(device), [{ cmd: 'connack' }, { cmd: 'pingresp' }]);
  const endpoint = served.endpoint();
  t.match(endpoint.peer, /^127\.0\.0\.1:\d+$/);
  t.ok(endpoint.bytesIn > bytes.length && endpoint.bytesOut > 100, 'its frames count, too');
  t.notOk(canMove(endpoint));
  endpoint.close('draining');
  const [code] = await once(device.socket, 'close');
  t.equal(code, 1_000);
  t.match(packets(device).at(-1), { cmd: 'disconnect', reasonCode: 0x8b });
});

world('its end: a close, or a broken connection', async (t, { served, web }) => {
  const [polite, broken] = [await web(), await web()];
  polite.socket.send(connectPacket(5, 'polite'));
  broken.socket.send(connectPacket(5, 'broken'));
  await until(() => polite.heard.length > 0 && broken.heard.length > 0);
  polite.socket.close();
  broken.socket.terminate();
  await until(() => served.counters.links === 0);

  t.equal(served.routes.ended.length, 2);
  t.equal(served.counters.closes['peer-fin'], 2);
});

world('no text, and no message that is too long', async (t, { served, web }) => {
  const [text, long] = [await web(), await web()];
  text.socket.send(connectPacket(5, 'text'));
  long.socket.send(connectPacket(5, 'long'));
  await until(() => text.heard.length > 0 && long.heard.length > 0);
  text.socket.send('no bytes');
  long.socket.send(Buffer.alloc(4_097));
  const [[toText], [toLong]] = await Promise.all([
    once(text.socket, 'close'),
    once(long.socket, 'close'),
  ]);

  t.match(packets(text).at(-1), { cmd: 'disconnect', reasonCode: 0x81 });
  t.equal(toText, 1_000);
  t.equal(toLong, 1_009);
  await until(() => served.counters.links === 0);
  t.equal(served.counters.closes['bad-frame'], 1);
});

world('a link that is not read holds little', async (t, { served, web }) => {
  const device = await web();
  device.socket.send(connectPacket(5));
  await until(() => device.heard.length > 0);
  served.routes.room = 0;
  const event = bytesOf(5, publishOf('a', 0, { payload: Buffer.alloc(4_000) }));
  for (let sent = 0; sent < 1_000; sent += 1) device.socket.send(event);
  await until(() => served.endpoint().pausedAt > 0);
  await settle();
  const { outboxSoftBytes } = served.limits;
  const atFirst = served.endpoint().heldBytes;
  await settle();

  t.ok(atFirst < 4 * outboxSoftBytes, `${atFirst} bytes`);
  t.equal(served.endpoint().heldBytes, atFirst, 'and reads no more');
  device.socket.ping();
  const pong = once(device.socket, 'pong');
  served.makeRoom();
  await until(() => {
    served.pass(1_000);
    return served.routes.handed.length === 1_000;
  });
  await pong;
});

/** One write, and all of the answer. */
function answerTo(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => {}).once('close', () => resolve(text));
    socket.write(bytes);
  });
}

const UPGRADE = 'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
const KEY = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n';
const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['a page', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1.1 426 /],
  ['another subprotocol', `GET / HTTP/1.1\r\n${UPGRADE}${KEY}\r\n`, /^HTTP\/1.1 400 /],
  [
    'a WebSocket without a key',
    `GET / HTTP/1.1\r\n${UPGRADE}Sec-WebSocket-Protocol: mqtt\r\n\r\n`,
    /^HTTP\/1.1 400 /,
  ],
  ['no HTTP', '\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a', /^HTTP\/1.1 400 /],
  ['a header that is too long', `GET / HTTP/1.1\r\nX: ${'x'.repeat(10_000)}`, /^HTTP\/1.1 400 /],
];

world('what is none is refused, by reason', async (t, { served, port, failures }) => {
  for (const [what, bytes, expected] of REFUSED) {
    t.match(await answerTo(port, bytes), expected, what);
  }
  t.equal(failures.length, REFUSED.length);
  t.ok(failures.every((failure) => failure.startsWith('ws-handshake: ')));
  t.equal(served.counters.establishFailures['ws-handshake'], REFUSED.length);
  t.equal(served.counters.accepts, REFUSED.length);
  // `end` has it that each accepted one was closed for a reason.
  served.counters.closes['server-full'] = REFUSED.length;
});

world('one that does not ask is over after handshakeMs', async (t, world) => {
  const { served, port, entrance, failures } = world;
  const silent = answerTo(port, 'GET / HTTP/1.1\r\n');
  const gone = connect({ port, host: '127.0.0.1' }).on('error', () => {});
  await until(() => served.counters.establishing === 2);
  gone.destroy();
  await until(() => served.counters.establishing === 1);
  served.clock.advance(served.limits.handshakeMs);
  entrance.tick(served.clock.now());

  t.equal(await silent, '');
  t.match(failures, [/^peer-gone/, /^timeout/]);
  served.counters.closes['server-full'] = 2;
});
