/** Devices that err are told of, each refusal once: who it was, from where, and why. */
import { connect } from 'node:net';
import t from 'tap';
import { peerOf } from '../../src/acceptor/endpoint/peer.ts';
import { RefusalLog } from '../../src/acceptor/refusalLog.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makeLoggerTo } from '../../src/base/log.ts';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import { on, until } from '../helpers/worlds/endpoints.ts';

/** A log of refusals, and its lines as they are written. */
function told() {
  const lines: string[] = [];
  const log = makeLoggerTo({ write: (line: string) => void lines.push(line) }, 'info', {
    role: 'acceptor',
  });
  const refusals = new RefusalLog({ log, limits: makeLimits(), clock: new FakeClock() });
  return { lines, refusals, parsed: () => lines.map((line) => JSON.parse(line)) };
}

const LOOPBACK = /^127\.0\.0\.1:\d+$/;

const ofError = told();
on('TCP', 'refusals: an ERROR is one line with device and address', ofError, async (t, served) => {
  const device = await served.open('door-17');

  device.send(event(1), event(2, 'a..b', 's3cret'));
  await device.rest();

  const who = { device: 'door-17', peer: LOOPBACK };
  t.match(ofError.parsed(), [{ reason: 'bad-topic', ...who, type: 5, id: 2, why: /topic/ }]);
  t.equal(ofError.lines.length, 1);
  t.notMatch(ofError.lines.join(), /s3cret/);
});

const ofHello = told();
on('TCP', 'refusals: nothing of a HELLO that was refused is told', ofHello, async (t, served) => {
  const id = 's3cret\n{"level":"fatal"}';
  for (const bytes of [
    encode(hello(id)),
    encode(hello('s3cret'.repeat(40))),
    Buffer.from('0000000c9401a6733363726574a16480', 'hex'),
    Buffer.from('GET /s3cret HTTP/1.1\r\n\r\n'),
    encode(hello('door-17', { token: 's3cret', keepalive: -1 })),
  ]) {
    const device = await served.connect();
    device.sendBytes(bytes);
    await device.rest();
  }

  const lines = ofHello.parsed();
  t.match(
    lines.map(({ reason }) => reason),
    ['bad-device-id', 'bad-device-id', 'bad-frame', 'frame-too-long', 'bad-frame'],
  );
  for (const line of lines) {
    t.match(line.peer, LOOPBACK);
    t.notOk('device' in line);
  }
  t.notMatch(ofHello.lines.join(), /s3cret|fatal/);
});

const ofEnds = { ...told(), limits: { outboxHardBytes: 70_000, outboxSoftBytes: 1_024 } };
on(
  'TCP',
  'refusals: deadlines that a device missed are told, its own end is not',
  ofEnds,
  async (t, served) => {
    const silent = await served.connect();
    served.pass(served.limits.greetingMs);
    await silent.rest();
    const full = await served.open('panel-3');
    for (let sent = 0; sent < 2; sent += 1) {
      const payload = Buffer.alloc(40_000);
      served.endpoint('panel-3').reply(1, 0, payload);
    }
    await full.rest();
    const leaving = await served.open('door-18');
    leaving.send({ type: TYPE.BYE, reason: 'done', retryAfter: undefined });
    await leaving.rest();

    t.match(ofEnds.parsed(), [
      { reason: 'greeting-timeout', peer: LOOPBACK },
      { reason: 'outbox-full', device: 'panel-3', peer: LOOPBACK },
    ]);
    t.equal(ofEnds.lines.length, 2);
  },
);

const ofFull = { ...told(), linksMax: 1, limits: { refusingMax: 1 } };
on(
  'TCP',
  'refusals: who is refused is told, whether by BYE or by a reset',
  ofFull,
  async (t, served) => {
    await served.open('first');
    // It does not answer our FIN, so it lingers, and the next one is reset.
    await served.connect();
    await served.connect().catch(({ code }) => t.equal(code, 'ECONNRESET'));
    await until(() => served.counters.accepts === 3);

    t.match(ofFull.parsed(), [
      { reason: 'server-full', peer: LOOPBACK },
      { reason: 'server-full', peer: LOOPBACK },
    ]);
  },
);

const ofDual = { ...told(), host: '::' };
on(
  'TCP',
  'peer: a dual-stack listener writes addresses as others do',
  ofDual,
  async (t, served) => {
    const peers: string[] = [];
    for (const host of ['127.0.0.1', '::1']) {
      const socket = connect({ host, port: served.port });
      const device = new Device(socket);
      device.send(hello(`via-${host.length}`), event(1, 'a..b'));
      await device.rest();
      await until(() => ofDual.lines.length > peers.length);
      const { localAddress, localPort } = socket;
      peers.push(
        host.includes(':') ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`,
      );
      socket.destroy();
    }

    t.match(peers[0], LOOPBACK);
    t.same(
      ofDual.parsed().map(({ peer }) => peer),
      peers,
    );
  },
);

t.test('peer: other IPv6 addresses stay as they are', async (t) => {
  const at = (remoteAddress: string | undefined) => peerOf({ remoteAddress, remotePort: 7 });
  t.equal(at('192.0.2.7'), '192.0.2.7:7');
  t.equal(at('::FFFF:192.0.2.7'), '192.0.2.7:7');
  t.equal(at('2001:db8::ffff:1'), '[2001:db8::ffff:1]:7');
  t.equal(at('64:ff9b::192.0.2.7'), '[64:ff9b::192.0.2.7]:7');
  t.equal(at('fe80::1%eth0'), '[fe80::1%eth0]:7');
  t.equal(at(undefined), '');
});
