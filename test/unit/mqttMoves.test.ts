/** A link of MQTT written down, and gone on with elsewhere: the same as if it had stayed. */
import { pack, unpack } from 'msgpackr';
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { MqttProtocol } from '../../src/wire/mqtt/mqttProtocol.ts';
import type { FromDevice, ProtocolState } from '../../src/wire/protocol.ts';
import {
  bytesOf,
  connectPacket,
  LEVELS,
  packetsIn,
  publishOf,
  subscribeOf,
} from '../helpers/fakes/mqttDevice.ts';

const LIMITS = makeLimits();
const EMPTY = Buffer.alloc(0);

function said(protocol: MqttProtocol, bytes: Buffer): FromDevice[] {
  const all: FromDevice[] = [];
  protocol.push(bytes);
  for (let next = protocol.next(); next; next = protocol.next()) all.push(protocol.accept(next));
  return all;
}

/** As it passes between processes. */
function moved(protocol: MqttProtocol, changes: Partial<ProtocolState> = {}): MqttProtocol {
  const state = unpack(pack({ ...protocol.state(), ...changes })) as ProtocolState;
  const restored = MqttProtocol.restore(state, makeLimits({ frameBytesMax: 1_024 }));
  if (restored === undefined) throw new Error('it cannot be restored');
  return restored;
}

const command = (id: number) => {
  const key = Buffer.alloc(16, id);
  return { type: 'command', id, topic: 'a', payload: EMPTY, key, expiresIn: 1 } as const;
};

for (const level of LEVELS) {
  t.test(`mqtt ${level}: a link goes on elsewhere`, async (t) => {
    const before = new MqttProtocol(LIMITS);
    const properties = level === 5 ? { topicAlias: 3 } : {};
    const last = bytesOf(level, publishOf('c/d', 2));
    said(before, connectPacket(level, 'door-17', { properties: { receiveMaximum: 3 } }));
    before.welcome('c', 60_000, 0);
    said(
      before,
      bytesOf(level, subscribeOf('$owsla/command/#'), publishOf('a/b', 9, { properties })),
    );
    const sent = [command(1), command(2)].map((one) => before.command(one));
    const ids = packetsIn(level, Buffer.concat(sent)).map(({ messageId = 0 }) => messageId);
    said(before, last.subarray(0, 3));
    t.ok(before.ping() === undefined);

    const after = moved(before);
    t.equal(after.takesCommands, 'ready');
    const [event] = said(after, last.subarray(3));
    t.match(event, { type: 'event', topic: 'c.d' });
    t.ok(event?.type === 'event' && event.id > 9 && event.id % 65_536 === 2);
    if (level === 5) {
      const [aliased] = said(after, bytesOf(5, publishOf('', 1, { properties })));
      t.match(aliased, { topic: 'a.b' });
    }
    const [ack] = said(after, bytesOf(level, { cmd: 'puback', messageId: ids[1] ?? 0 }));
    t.match(ack, { type: 'ack', id: 2 });
    const next = packetsIn(level, after.command(command(3)))[0];
    t.notOk(ids.includes(next?.messageId ?? 0), 'a packet identifier that is in use is not used');
    const [result] = said(
      after,
      bytesOf(level, publishOf(`$owsla/result/${'01'.repeat(16)}/7`, 0)),
    );
    t.match(result, { type: 'result', id: 1, status: 7 });
    t.equal(after.packetBytesMax, LIMITS.frameBytesMax, 'its device was told so');
    t.same(moved(after).state(), after.state());
  });
}

t.test('mqtt: what is in another form is not taken', async (t) => {
  const protocol = new MqttProtocol(LIMITS);
  said(protocol, connectPacket(5));
  protocol.welcome('c', 60_000, 0);
  const state = protocol.state();
  const restore = (changed: Partial<ProtocolState>) =>
    MqttProtocol.restore({ ...state, ...changed }, LIMITS);

  t.ok(restore({}));
  t.equal(restore({ form: 'mqtt/2' }), undefined);
  t.equal(restore({ form: 'owsla/1' }), undefined);
  for (const name of ['level', 'lastId', 'subscribed', 'packetBytesMax', 'receiveMax']) {
    for (const odd of ['1', 1.5, Number.NaN]) {
      const remembered = { ...state.remembered, [name]: odd };
      t.equal(restore({ remembered }), undefined, `${name}: ${odd}`);
    }
  }
  for (const text of ['{', '7', '']) {
    t.equal(restore({ remembered: { ...state.remembered, aliases: text } }), undefined, text);
  }
  for (const text of ['{', '7', '[1]']) {
    t.equal(restore({ remembered: { ...state.remembered, commands: text } }), undefined, text);
  }
});
