/**
 * docs/loadgen.md: each command is run as a backend's user, with its times shortened and the rest
 * as written. How fast it was, on a machine that runs other tests, is not judged: the plans as
 * written are test/loadgen/docs.test.ts.
 */
import t, { type Test } from 'tap';
import { EXIT } from '../../../loadgen/report/report.ts';
import { everyBlockOf } from '../../helpers/docs.ts';
import { Authority } from '../../helpers/processes/authority.ts';
import type { Command } from '../../helpers/processes/command.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

/** For how quick tool or server were, which is not asked here. */
const SLOW: readonly unknown[] = [EXIT.bottleneck, EXIT.threshold];

const world = await DocsWorld.make(t);
const authority = new Authority();
t.teardown(() => authority.remove());
const { cert, key } = authority.issue('localhost', { san: 'DNS:localhost' });
world.save('ca.pem', authority.ca);
world.save('server.pem', cert);
world.save('server.key', key);
const tls = '--tls-port 0 --tls-cert server.pem --tls-key server.key';
const node = await world.serves(`owsla serve --port 0 --mqtt-port 0 --run-dir /run/owsla ${tls}`);
const tlsPort = /devices-tls 127\.0\.0\.1:(\d+)/.exec(node.output)?.[1];
const mqttPort = /"mqtt 127\.0\.0\.1:(\d+)/.exec(node.output)?.[1];
await world.isReady();

/**
 * A fifth of its devices, for the processor's sake. Every time in it is a thirtieth, at least a
 * second; those in thresholds stay. What it leaves to the default of `--duration`, 10 s, is a
 * second too; a reply has 5 s, for on a busy machine it may take more than one.
 */
function shortened(block: string): string {
  const isTimed = /--(?:duration|stage)/.test(block);
  const times = isTimed ? '' : ' --duration 1s';
  const fewer = block.replace(/(?<=--devices )\d+/, (count) => `${Number(count) / 5}`);
  const sooner = `${fewer.trimEnd()}${times}`.replaceAll(
    /(?<= --[\w-]+ \S*)\b(\d+)([sm])\b/g,
    (_, count, unit) => {
      const seconds = Number(count) * (unit === 'm' ? 60 : 1);
      return `${Math.max(1, Math.round(seconds / 30))}s`;
    },
  );
  return `${sooner} --timeout 5s\n`;
}

async function backend(t: Test, block: string): Promise<Command> {
  const running = world.run(block);
  t.teardown(() => running.end('SIGKILL'));
  await running.prints(/answering/);
  return running;
}

/** Runs it; what it prints has each line that the page shows, by the words at its front. */
async function runs(t: Test, block: string, shown = ''): Promise<void> {
  const command = world.run(block);
  const code = await command.exit;
  // It ramps until something fails, and on a slow machine it finds that.
  const isLimit = block.includes('knee.html') && code === EXIT.integrity;
  t.ok(code === 0 || isLimit || SLOW.includes(code), `${code}: ${block}${command.output}`);
  const kinds = shown.split('\n').map((line) => / *[a-z][a-z. ()*/]*\b/i.exec(line)?.[0] ?? '');
  for (const words of kinds.filter((words) => !/^(?:$|tool|PASSED| *skipped)/.test(words))) {
    t.match(command.output, words);
  }
}

await everyBlockOf('docs/loadgen.md', async (page, t) => {
  const first = page.take('sh', 'owsla-loadgen backend');
  const slow = page.take('sh', '--delay');
  const secured = page.take('sh', '--tls-resume 80%');
  const byMqtt = page.take('sh', '--protocol mqtt5');
  const plain = page.take('sh', '--duration 10s');
  const commands = page.take('sh', '--command-rate');
  const wills = page.take('sh', '--will 50%');
  const deploy = page.take('sh', '--scenario deploy');
  const compare = page.take('sh', 'compare');
  const scenario = page.take('yaml', 'profiles');
  const named = ['stampede', 'steady-day', 'door-rush'].map((name) => page.take('sh', name));
  const recipes = ['links_lost', 'knee.html', '--event-share', '--half-open'].map((words) =>
    page.take('sh', words),
  );
  const shown = {
    first: page.shown('1 worker, 10.0 s of load'),
    compared: page.shown('the plans differ'),
    deployed: page.shown('reload 1/1'),
    scenarios: named.map(() => page.shown('threshold')),
  };

  /** The first run as the page begins, and faster: what `compare` is for. */
  const compares = async (t: Test) => {
    const short = shortened(plain).trimEnd();
    await runs(t, `${short} --json before.json\n`, shown.first);
    await runs(t, `${short.replace('--rate 200', '--rate 400')} --json after.json\n`);
    const compared = await world.ends(t, compare);
    for (const line of shown.compared.split('\n')) {
      if (line !== '') t.match(compared, line.split(/ {2,}|:/)[0] || 'a  ');
    }
  };

  const scenarios = async (t: Test) => {
    const shorter = '--devices 60 --stage 2s@x10 --reboot 10%@1s';
    for (const [index, block] of named.entries()) {
      await runs(t, `${block.trimEnd()} ${shorter}\n`, shown.scenarios[index]);
    }
  };

  const others = async (t: Test, blocks: readonly string[], prefix: string) => {
    // Load that begins at once does not wait for devices that greet slowly on purpose.
    const beside = `--device-prefix ${prefix} --load-from start\n`;
    for (const block of blocks) await runs(t, `${shortened(block).trimEnd()} ${beside}`);
  };

  t.test('every run, three at a time beside one backend', async (t) => {
    const answering = await backend(t, first);
    await Promise.all([
      compares(t).then(() => scenarios(t)),
      others(t, [recipes[0] ?? '', commands, wills], 'one-'),
      others(t, [byMqtt.replace(':1883', `:${mqttPort}`), ...recipes.slice(1)], 'two-'),
    ]);
    // By itself: its handshakes would make the others late.
    await others(t, [secured.replace(':7443', `:${tlsPort}`)], 'three-');
    const few = `${shortened(deploy).trimEnd()} --devices 100 --device-prefix four-\n`;
    await runs(t, few, shown.deployed);
    await answering.end();
  });

  t.test('a scenario of one’s own, and a backend with errors', async (t) => {
    await backend(t, slow);
    world.save('lift.yaml', scenario);
    const run = 'owsla-loadgen run --scenario lift.yaml --target 127.0.0.1:7000';
    await runs(t, `${run} --stage 1s@x1-5 --allow wrong\n`);
  });
});
