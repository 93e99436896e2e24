/**
 * The packet table of mochi-mqtt, a broker in Go: 179 packets, good and malformed, each of them to
 * a real node. What it gets is written down in mochiTable.ts, read against both standards.
 * Only in `make interop`, which builds the program that prints the table.
 */
import { execFileSync } from 'node:child_process';
import t from 'tap';
import { goPackets, IS_ALL, noGo } from './lib/clients.ts';
import { fatesOf, type MochiPacket } from './lib/mochi.ts';
import { FATES } from './lib/mochiTable.ts';
import { MqttWorld } from './lib/mqttWorld.ts';

const skip = IS_ALL ? noGo : false;

t.test("mochi's packets: each gets what the standard says", { skip }, async (t) => {
  const wanted = FATES.trim().split('\n');
  t.equal(wanted.length, 179);
  if (!IS_ALL) return;
  const world = await MqttWorld.start(t);
  const table = execFileSync(goPackets, { encoding: 'utf8' }).trim().split('\n');
  const packets = table.map((line) => JSON.parse(line) as MochiPacket);

  t.same(await fatesOf(world.port, packets), wanted);
});
