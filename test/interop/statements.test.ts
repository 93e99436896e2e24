/**
 * docs/mqtt.md's table of statements: it has every one of both standards, once; for those with a
 * star a device's bytes go to a real node, and what comes back is what the page says. Wills,
 * takeovers and CONNACK's properties are looked at here, too.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Packet } from 'mqtt-packet';
import t from 'tap';
import { END_CODES } from '../../src/wire/mqtt/reasons.ts';
import { readPage } from '../helpers/docs.ts';
import { MqttWorld } from './lib/mqttWorld.ts';
import { connectPacket, exchange, packetOf, wordOf } from './lib/rawLink.ts';
import { CASES, ELSEWHERE, type Version } from './lib/statements.ts';

/** Sections, each with its last number, as the standards' appendices list them. */
const NUMBERED: Readonly<Record<Version, string>> = {
  4: `1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3
    3.3.4:1 3.3.5:2 3.6.1:1 3.8.1:1 3.8.3:3 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1
    3.14.1:1 3.14.4:3 4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2 4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1
    4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1 7.1.2:1`,
  5: `1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2
    3.2.2:22 3.3.1:13 3.3.2:20 3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5
    3.8.4:8 3.9.2:2 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1
    3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2 4.2:1 4.2.0:1 4.3.1:1 4.3.2:5 4.3.3:13 4.4.0:2
    4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3 4.12.0:7 4.12.1:2 4.13.1:1
    4.13.2:1 6.0.0:4`,
};
/** Numbers that they leave out, and two that are misspelt there. */
const LEFT_OUT = { 4: ['3.1.2-7'], 5: ['2.2.1-1'] };
const MISSPELT = { 4: ['3.1.2.7', '3-8.3-4'], 5: [] };
const HEADINGS = { 4: '### MQTT 3.1.1\n', 5: '### MQTT 5\n' } as const;
const VERSIONS = [4, 5] as const;

const page = readPage('docs/mqtt.md');

interface Row {
  readonly ids: readonly string[];
  readonly isStarred: boolean;
  readonly does: string;
}

function range(span: string): string[] {
  const [from = '', to] = span.split(' to ');
  if (to === undefined) return [from];
  const [section, first] = from.split('-');
  const last = Number(to.split('-')[1]);
  const numbers = Array.from({ length: last - Number(first) + 1 }, (_, at) => Number(first) + at);
  return numbers.map((number) => `${section}-${number}`);
}

function rowsOf(version: Version): Row[] {
  const text = page.slice(page.indexOf(HEADINGS[version]));
  const end = text.indexOf('\n#', 1);
  const rows: Row[] = [];
  for (const line of text.slice(0, end < 0 ? undefined : end).split('\n')) {
    const [, ids, says = '', does = ''] =
      /^\| (\d[^|]*) \| ([^|]*) \| ([^|]*) \|$/.exec(line) ?? [];
    if (ids === undefined) continue;
    rows.push({ ids: ids.split(', ').flatMap(range), isStarred: says.startsWith('*'), does });
  }
  return rows;
}

const idsOf = (words: string | undefined) => words?.split(' ') ?? [];

for (const version of VERSIONS) {
  t.test(`statements of ${HEADINGS[version].slice(4, -1)}: all are there, once`, async (t) => {
    const wanted = NUMBERED[version].split(/\s+/).flatMap((one) => {
      const [section, last] = one.split(':');
      return range(`${section}-1 to ${section}-${last}`);
    });
    const all = [...wanted.filter((id) => !LEFT_OUT[version].includes(id)), ...MISSPELT[version]];
    const rows = rowsOf(version);
    t.same(rows.flatMap(({ ids }) => ids).sort(), all.sort());
    for (const { does, ids } of rows) t.match(does, /^(?:done|refused|n\/a)\b/, ids.join());
  });

  t.test(`statements of ${HEADINGS[version].slice(4, -1)}: stars are tried`, async (t) => {
    const starred = rowsOf(version).flatMap(({ ids, isStarred }) => (isStarred ? ids : []));
    const tried = [...CASES, ...ELSEWHERE].flatMap(({ of }) => idsOf(of[version]));
    t.same(
      starred.filter((id) => !tried.includes(id)),
      [],
      'a star, and nothing that tries it',
    );
    t.same(
      [...new Set(tried)].filter((id) => !starred.includes(id)),
      [],
      'tried, and no star',
    );
  });
}

t.test('the table of ends is that of the code', async (t) => {
  for (const [reason, { disconnect, connack, returnCode }] of Object.entries(END_CODES)) {
    const [one, other] = [disconnect, connack].map(
      (code) => `0x${code.toString(16).toUpperCase().padStart(2, '0')}`,
    );
    t.ok(page.includes(`| \`${reason}\` | ${one} | ${other} | ${returnCode} |`), reason);
  }
});

const world = await MqttWorld.start(t);

/** With what it answers; UNSUBACK of MQTT 5 with its codes, too. */
function word(packet: Packet): string {
  const codes = packet.cmd === 'unsuback' ? ((packet.granted as number[] | undefined) ?? []) : [];
  const of = packet.messageId === undefined ? '' : ` of ${packet.messageId}`;
  return [wordOf(packet), ...codes].join(' ') + of;
}

for (const version of VERSIONS) {
  t.test(`bytes of MQTT ${version === 5 ? '5' : '3.1.1'}`, { timeout: 120_000 }, async (t) => {
    const all = CASES.map(async ({ of, send, fate, isConnect = false }, index) => {
      const ids = of[version];
      if (ids === undefined) return;
      const device = `statement-${version}-${index}`;
      const before = isConnect ? [] : [connectPacket(version, device)];
      const sends = [...before, ...send(version, device)];
      const { packets, isOpen } = await exchange(world.port, version, ...sends);
      const said = packets.slice(before.length).map(word);
      t.equal([isOpen ? 'open' : 'closed', ...said].join(', '), fate[version], ids);
    });
    await Promise.all(all);
  });
}

const gone = { topic: 'door/gone', payload: Buffer.from('gone'), qos: 1, retain: false };

for (const version of VERSIONS) {
  for (const how of ['lost', 'taken over', 'left'] as const) {
    t.test(`a will of MQTT ${version}: ${how}`, async (t) => {
      const device = `will-${version}-${how.replace(' ', '-')}`;
      const socket = connect(world.port, '127.0.0.1');
      t.teardown(() => socket.destroy());
      socket.on('error', () => {});
      socket.write(connectPacket(version, device, { will: gone }));
      await once(socket, 'data');
      await world.untilKnown(device);
      if (how === 'lost') socket.resetAndDestroy();
      if (how === 'left') socket.end(Buffer.from('e000', 'hex'));
      if (how === 'left') await once(socket, 'close');
      const bye = { topic: 'a', payload: 'after', qos: 1, messageId: 1, cmd: 'publish' };
      const { packets } = await exchange(
        world.port,
        version,
        connectPacket(version, device),
        packetOf(version, bye as unknown as Packet),
      );
      t.match(packets.map(word), ['connack 0', 'puback 0 of 1']);
      if (how !== 'left') t.match(await world.event(device, 'gone'), { isWill: true });
      else {
        await world.event(device, 'after');
        t.notOk(world.eventsOf(device).some(({ isWill }) => isWill));
      }
    });
  }
}

t.test('CONNACK of MQTT 5 says what there is', async (t) => {
  const plain = await exchange(world.port, 5, connectPacket(5, 'connack-1'));
  const properties = { requestResponseInformation: true };
  const odd = connectPacket(5, 'connack-2', { keepalive: 0, properties });
  const asked = await exchange(world.port, 5, odd);

  const [first, second] = [plain.packets[0], asked.packets[0]];
  t.match(first, { cmd: 'connack', properties: { maximumQoS: 1, topicAliasMaximum: 16 } });
  t.notMatch(first, { properties: { responseInformation: String } });
  t.notMatch(first, { properties: { serverKeepAlive: Number } });
  t.match(second, { properties: { responseInformation: '$owsla/reply/' } });
  t.match(second, { properties: { serverKeepAlive: Number } });
});
