/** loadgen's devices that speak MQTT: against a real node, and their bytes against mqtt-packet. */
import mqtt, { type Packet } from 'mqtt-packet';
import t from 'tap';
import { MqttSpeech } from '../../loadgen/fleet/mqttSpeech.ts';
import { KIND } from '../../loadgen/plan/payload.ts';
import { names } from '../../src/broker/topology.ts';
import { echo } from '../helpers/fakes/backend.ts';
import { startNode } from '../helpers/processes/node.ts';
import { runToEnd } from './spawn.ts';

const BYTES = { min: 16, max: 16_384 };

function parsed(version: 4 | 5, frame: Buffer): Packet {
  const packets: Packet[] = [];
  const parser = mqtt.parser({ protocolVersion: version });
  parser.on('packet', (packet) => packets.push(packet));
  parser.on('error', (error) => {
    throw error;
  });
  parser.parse(frame);
  return packets[0] as Packet;
}

for (const version of [4, 5] as const) {
  const speech = new MqttSpeech(version, 30, false);

  t.test(`mqtt ${version}: what is written by hand is what mqtt-packet reads`, async (t) => {
    for (const [length, id] of [
      [16, 1],
      [100, 65_535],
      [128, 65_536],
      [16_384, 4_000_000_000],
    ] as const) {
      const event = speech.template(KIND.event, 'hvac.temp', BYTES);
      const request = speech.template(KIND.request, 'door.open', BYTES);
      const frames = [event, request].map((template) => {
        const frame = template.make(id, 1, length);
        frame.fill('x', template.payloadAt(length));
        return parsed(version, frame);
      });

      const payload = Buffer.alloc(length, 'x');
      const messageId = ((id - 1) % 65_535) + 1;
      t.match(frames[0], { cmd: 'publish', qos: 1, messageId, topic: 'hvac/temp', payload });
      const topic =
        version === 5 ? 'door/open' : `$owsla/request/${`${id}`.padStart(10, '0')}/door/open`;
      t.match(frames[1], { cmd: 'publish', qos: 0, topic, payload });
    }
  });

  t.test(`mqtt ${version}: a will is in CONNECT`, async (t) => {
    const payload = Buffer.from('gone');
    const will = { topic: 'loadgen/will', qos: 1, payload };
    t.match(parsed(version, speech.hello('d-1', undefined, payload)), { cmd: 'connect', will });
  });

  t.test(
    `mqtt ${version}: an acknowledgement is for the newest event with its number`,
    async (t) => {
      const ack = (packetId: number) => Buffer.from([0x40, 2, packetId >> 8, packetId & 0xff]);
      t.match(speech.read(ack(7), 9), { is: 'ack', id: 7 });
      t.match(speech.read(ack(65_535), 65_536), { is: 'ack', id: 65_535 });
      t.match(speech.read(ack(1), 65_536), { is: 'ack', id: 65_536 });
      t.match(speech.read(ack(1), 131_070), { is: 'ack', id: 65_536 });
      t.match(speech.read(ack(9), 3), { is: 'ack', id: 4 }, 'of none: the ledger says so');
    },
  );

  t.test(`mqtt ${version}: any cut of the stream reads alike`, async (t) => {
    const publish = { cmd: 'publish', qos: 0, dup: false, retain: false } as const;
    const payload = Buffer.alloc(300, 'y');
    const reply = { ...publish, topic: '$owsla/reply/5/3', payload };
    const frame = mqtt.generate(reply, { protocolVersion: version });
    const cutter = speech.cutter();
    const heard = [];
    for (const byte of Buffer.concat([speech.ping, frame, frame])) {
      cutter.push(Buffer.from([byte]));
      const next = cutter.next();
      if (next !== undefined && next.length > 2) heard.push(speech.read(next, 5));
    }
    t.match(heard, Array(2).fill({ is: 'reply', id: 5, status: 3, payload }));
    t.equal(cutter.pendingBytes, 0);
  });
}

t.test('mqtt: a whole run by each version finds nothing wrong', { timeout: 120_000 }, async (t) => {
  const flags = ['--mqtt-port', '0'];
  const { server, backend, broker, prefix } = await startNode(t, { acceptors: 1, flags });
  await backend.on(names(prefix).requests, '#', echo);
  const target = ['--target', `127.0.0.1:${server.portOf('mqtt')}`, '--quiet'];
  const watch = ['--amqp', broker.url, '--prefix', prefix, '--command-rate', '20'];
  const load = ['--devices', '20', '--rate', '100', '--event-share', '50%', '--duration', '1s'];

  // Half of the links are cut at 2.5 s and stay away, and all others say goodbye at the end.
  const faults = ['--reboot', '50%@2500ms', '--reconnect', 'never', '--duration', '5s'];
  const own = ['--target', `127.0.0.1:${server.port}`, '--quiet', '--device-prefix', 'will-'];
  const willed = runToEnd([...own, ...watch.slice(0, 4), ...faults, '--will', '100%']);

  const runs = ['mqtt', 'mqtt5'].map((protocol) => {
    const own = ['--protocol', protocol, '--device-prefix', `${protocol}-`];
    return runToEnd([...target, ...watch, ...load, ...own]);
  });
  for (const { exitCode, report, stdout } of await Promise.all(runs)) {
    t.equal(exitCode, 0, stdout);
    t.match(report?.counts, { requests: 50, replies: 50, events: 50, acks: 50 });
    t.ok((report?.counts.commands ?? 0) > 0, 'commands came, and were answered');
  }
  const { exitCode, report, stdout } = await willed;
  t.equal(exitCode, 0, stdout);
  const { owed = 0, published = 0 } = report?.watched?.wills ?? {};
  t.ok(owed > 0 && published >= owed, `${published} wills, of ${owed} links that were cut`);
});
