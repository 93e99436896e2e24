/**
 * docs/loadgen.md: each command is run as a backend's user, with its times shortened and the rest
 * as written. How fast it was, on a machine that runs other tests, is not judged: the plans as
 * written are test/loadgen/docs.test.ts.
 */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EXIT } from '../../../loadgen/report.ts';
import type { Command } from '../../helpers/command.ts';
import { everyBlockOf } from '../../helpers/docs.ts';
import { DocsWorld } from '../../helpers/docsWorld.ts';

/** For how quick tool or server were, which is not asked here. */
const SLOW: readonly unknown[] = [EXIT.bottleneck, EXIT.threshold];

const world = await DocsWorld.make(t);
await world.serves('owsla serve');
await world.isReady();

/** Every time in it is a thirtieth, at least a second; those in thresholds stay. */
function shortened(block: string): string {
  return block.replaceAll(/(?<= --[\w-]+ \S*)\b(\d+)([sm])\b/g, (_, count, unit) => {
    const seconds = Number(count) * (unit === 'm' ? 60 : 1);
    return `${Math.max(1, Math.round(seconds / 30))}s`;
  });
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
  t.ok(code === 0 || SLOW.includes(code), `${code}: ${block}${command.output}`);
  for (const line of shown.split('\n')) {
    const [words = ''] = / *[a-z][a-z. ()*/]*\b/i.exec(line) ?? [];
    if (!/^tool/.test(line) && !/^PASSED/.test(line)) t.match(command.output, words);
  }
}

await everyBlockOf('docs/loadgen.md', async (page, t) => {
  const first = page.take('sh', 'owsla-loadgen backend');
  const slow = page.take('sh', '--delay');
  const plain = page.take('sh', '--duration 10s');
  const commands = page.take('sh', '--command-rate');
  const compare = page.take('sh', 'compare');
  const scenario = page.take('yaml', 'profiles');
  const named = ['stampede', 'steady-day', 'door-rush'].map((name) => page.take('sh', name));
  const recipes = ['links_lost', 'knee.html', '--event-share', '--half-open'].map((words) =>
    page.take('sh', words),
  );
  const shown = {
    first: page.shown('1 worker, 10.0 s of load'),
    compared: page.shown('the plans differ'),
    scenarios: ['stampede', 'day', 'rush'].map((_, index) =>
      page.shown(`threshold${''.repeat(index)}`),
    ),
  };

  t.test('a first run, and the same again to compare', async (t) => {
    const answering = await backend(t, first);
    const short = shortened(plain).trimEnd();
    await runs(t, `${short} --json before.json\n`, shown.first);
    await runs(t, `${short.replace('--rate 200', '--rate 400')} --json after.json\n`);
    const compared = await world.ends(t, compare);
    for (const line of shown.compared.split('\n'))
      t.match(compared, line.split(/ {2,}|:/)[0] ?? '');

    for (const block of [commands, ...recipes]) await runs(t, shortened(block));
    const stage = '--devices 60 --stage 1s@x1';
    for (const [index, block] of named.entries()) {
      await runs(t, `${block.trimEnd()} ${stage}\n`, shown.scenarios[index]);
    }
    await answering.end();
    t.equal(await answering.exit, 'SIGTERM');
  });

  t.test('a scenario of one’s own, and a backend with errors', async (t) => {
    await backend(t, slow);
    world.save('lift.yaml', scenario);
    const run = 'owsla-loadgen run --scenario lift.yaml --target 127.0.0.1:7000';
    await runs(t, `${run} --stage 1s@x1-5 --allow wrong\n`);
  });
});
