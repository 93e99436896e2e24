/**
 * mosquitto's own tests of its broker, run from its source, against a real node.
 * Only in `make interop`, which fetches that source; what is different is in mosquitto_test.py.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Command } from '../helpers/processes/command.ts';
import { at, debianPython } from '../helpers/processes/programs.ts';
import { IS_ALL, mosquittoSource, noMosquittoSource } from './lib/clients.ts';
import { NOT_FOR_US, PASSES } from './lib/mosquittoTests.ts';
import { MqttWorld } from './lib/mqttWorld.ts';

const FOLDER = join(mosquittoSource, 'test/broker');
const skip = IS_ALL ? noMosquittoSource : false;

t.test("mosquitto's tests: each is on one list", { skip }, async (t) => {
  const excluded = Object.values(NOT_FOR_US).flatMap((names) => names.trim().split(/\s+/));
  const listed = [...PASSES, ...excluded].sort();
  t.equal(new Set(listed).size, listed.length, 'none is on two');
  if (!IS_ALL) return;
  const there = readdirSync(FOLDER).flatMap((file) => /^(\d.*)\.py$/.exec(file)?.[1] ?? []);
  t.same(listed, there.sort());
});

t.test("mosquitto's tests: these pass", { skip, timeout: 300_000 }, async (t) => {
  t.ok(PASSES.length > 0, 'make interop runs them');
  if (!IS_ALL) return;
  const world = await MqttWorld.start(t);
  for (const name of PASSES) {
    const file = join(FOLDER, `${name}.py`);
    const runner = at('test/interop/lib/mosquitto_test.py');
    // One after the other: they have their client ids in common.
    const test = new Command([debianPython, runner, file, String(world.port)]);
    t.equal(await test.exit, 0, `${name} ${test.output}`);
  }
});
