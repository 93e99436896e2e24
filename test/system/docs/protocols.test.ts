/** docs/protocols.md: a reader writes a module, checks it, and commands a device by it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { everyBlockOf } from '../../helpers/docs.ts';
import type { Command } from '../../helpers/processes/command.ts';
import { at } from '../../helpers/processes/programs.ts';
import { type LogLine, placeOf, portIn } from '../../helpers/processes/server.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

const world = await DocsWorld.make(t);

/** Ports that are surely free; where each is. */
async function serving(text: string, file: string, yaml: string) {
  world.save(file, yaml.replaceAll(/port: \d+/g, 'port: 0'));
  const node = await world.serves(text);
  await world.isReady();
  const [ready = '{}'] = node.output.split('\n').filter((line) => line.includes('"msg":"ready"'));
  const log = [JSON.parse(ready) as LogLine];
  const ports = [...yaml.matchAll(/name: (\w+),?\s+port: (\d+)/g)];
  const at = new Map(
    ports.map(([, name = '', port = '']) => [port, String(portIn(placeOf(log, name)))]),
  );
  return { node, ports: at };
}

/** A device of the page, at the port that the page's is here. */
function device(t: Test, text: string, ports: ReadonlyMap<string, string>): Command {
  const placed = text.replace(/ (7\d{3})\b/, (_, port) => ` ${ports.get(port)}`);
  const command = world.run(placed);
  t.teardown(() => command.end('SIGKILL'));
  return command;
}

await everyBlockOf('docs/protocols.md', async (page, t) => {
  const module = page.take('js', '// meter.js');
  const check = page.take('sh', 'owsla protocol check ./meter.js');
  const yaml = page.take('yaml', './meter.js');
  const serve = page.take('sh', '--config owsla.yaml');
  const meter = page.take('js', '// meter-device.js');
  const runMeter = page.take('sh', 'node meter-device.js');
  const ask = page.take('sh', 'owsla command meter-7');
  const deviceEnd = page.take('js', 'createDevice');
  const many = page.take('sh', '--protocol ./meter.js');
  const recorded = page.take('sh', 'mkdir recorded');
  const test = page.take('js', '// meter.test.js');
  const bothYaml = page.take('yaml', 'gps103.js');
  const both = page.take('sh', 'check examples/protocols/teltonika.js');
  const tracker = page.take('sh', 'gps103-device.js');
  const stop = page.take('sh', 'engine.stop');
  const truck = page.take('sh', 'teltonika-device.js');
  const info = page.take('sh', 'getinfo');
  const trucks = page.take('sh', '--protocol examples/protocols/teltonika.js');

  /** The page's run at the port that its port is here, smaller and shorter. */
  const load = async (t: Test, block: string, ports: ReadonlyMap<string, string>) => {
    const placed = block.replace(/:(7\d{3})\b/, (_, port) => `:${ports.get(port)}`);
    const fewer = placed.replace(/--devices \d+/, '--devices 20').trimEnd();
    const command = world.run(`${fewer} --duration 1s --allow-bottleneck\n`);
    t.equal(await command.exit, 0, command.output);
    t.match(command.output, /^events .* sent, .* ACKs/m);
    return command.output;
  };

  t.test('a first module: checked, served, and its device takes a command', async (t) => {
    world.save('meter.js', module);
    const shown = /```text\n(ok [\s\S]*?)```/.exec(readFileSync(at(page.name), 'utf8'))?.[1] ?? '';
    const known = (text: string) => text.replaceAll(/\d+/g, 'N').replace(/call, \w+/, 'call');
    const said = await world.ends(t, check);
    t.equal(known(said), known(shown));

    const { node, ports } = await serving(serve, 'owsla.yaml', yaml);
    world.save('meter-device.js', meter);
    const running = device(t, runMeter, ports);
    await running.prints(/^OK 1$/m);
    t.match(await world.ends(t, ask), /^result .*21\.6/m);

    world.save('meter.js', `${module}\n${deviceEnd}`);
    await load(t, many, ports);
    await node.end();
  });

  t.test('the same check with recorded samples', async (t) => {
    t.match(
      await world.ends(t, recorded),
      /“meter-8\.txt”: 1 login, 1 event\n[\s\S]*can be trusted/,
    );
  });

  t.test('the same check in a test of one’s own', async (t) => {
    // The package has this name for it: test/system/package.test.ts.
    const own = test.replace("'owsla/protocol'", JSON.stringify(at('src/kit/public.ts')));
    writeFileSync(join(world.folder, 'meter.test.js'), own);
    const said = await world.ends(t, 'node --test meter.test.js');
    t.match(said, /pass 1/);
  });

  t.test('the two real ones, with their devices', async (t) => {
    const lines = both.trim().split('\n');
    const [served = ''] = lines.splice(-1);
    const said = await world.ends(t, lines.join('\n'));
    t.equal(said.match(/^This module can be trusted with links\.$/gm)?.length, 2);

    const { ports } = await serving(served, 'protocols.yaml', bothYaml);
    await device(t, tracker, ports).prints(/^server: LOAD$/m);
    t.match(await world.ends(t, stop), /^result .*"hasFix":true/m);
    await device(t, truck, ports).prints(/^server: 1 safe$/m);
    t.match(await world.ends(t, info), /^result .*getinfo: OK/m);
    t.match(await load(t, trucks, ports), /^ +outcomes +result \d/m);
  });
});
