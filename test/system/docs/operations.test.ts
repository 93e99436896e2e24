/** docs/operations.md as an operator follows it: options, unit, health, figures, questions. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { makeConfig } from '../../../src/base/config.ts';
import type { LinksAnswer } from '../../../src/node/linkFacts.ts';
import { readAdminToken } from '../../../src/observer/adminGuard.ts';
import { everyBlockOf, type Page, shapeOf } from '../../helpers/docs.ts';
import { commandLineOf } from '../../helpers/processes/cli.ts';
import { at, noPromtool, noSystemd, noTools } from '../../helpers/processes/programs.ts';
import { waitFor } from '../../helpers/waitFor.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

const world = await DocsWorld.make(t);

/** Two JSON texts that `curl -s` printed one behind the other. */
function bothOf(output: string): [Record<string, unknown>, Record<string, unknown>] {
  const [live, ready] = output.replace('}{', '}\n{').split('\n');
  return [JSON.parse(live ?? ''), JSON.parse(ready ?? '')];
}

/** What is another at each run, by its kind. */
function alike(text: string): string {
  return text
    .replaceAll(/\b[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\b/g, 'UUID')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(/\(\d+ ms\)/g, '(N ms)');
}

/** The command that a unit starts, with its environment. */
function startOf(unit: string): string {
  const all = (name: string) =>
    [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);
  const [command = ''] = all('ExecStart');
  // What is first in PATH here stands for the unit's.
  const pairs = all('Environment').filter((pair) => !pair.startsWith('PATH='));
  return ['unset OWSLA_AMQP', ...pairs.map((pair) => `export ${pair}`), command, ''].join('\n');
}

async function health(): Promise<Record<string, unknown>> {
  const answer = await fetch(world.placed('http://127.0.0.1:9700/health/ready'));
  return (await answer.json()) as Record<string, unknown>;
}

function checkSettings(t: Test, name: string, block: string): void {
  const isHere = (line: string) =>
    !line.startsWith('net.netfilter.') || existsSync('/proc/sys/net/netfilter/nf_conntrack_max');
  const file = world.save(name, block.split('\n').filter(isHere).join('\n'));
  const { status, stderr } = spawnSync('/sbin/sysctl', ['--dry-run', '-p', file], {
    encoding: 'utf8',
  });
  t.equal(status, 0, stderr);
}

/** Alarms as a rules file, and the metrics that they name. */
function checkAlarms(t: Test, page: Page, metrics: string): void {
  const alarms = page.inlines(/^(?:rate\()?owsla_\w+.* (?:==|>) /);
  t.ok(alarms.length >= 2, `${alarms.length} alarms`);
  const rules = alarms.map((expr, index) => ({ alert: `Alarm${index}`, expr }));
  const file = world.save('alarms.yml', JSON.stringify({ groups: [{ name: 'owsla', rules }] }));
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', file], {
    encoding: 'utf8',
  });
  t.equal(status, 0, stdout + stderr);
  for (const [name] of alarms.join(' ').matchAll(/owsla_\w+/g)) {
    t.match(metrics, new RegExp(`^# TYPE ${name} `, 'm'));
  }
}

/** Waits until ps shows the titles of the page's drawing, whatever their numbers. */
async function showsTitles(page: Page, log: string): Promise<void> {
  const inGeneral = (title: string) => title.replaceAll(/(?<=[:=])\d+(?!\/)/g, 'N');
  const shown = page
    .shown('owsla supervisor')
    .split('\n')
    .map((line) => inGeneral(line.replace(/^[^o]*/, '').split(/ {2,}/)[0] ?? ''));
  const pids = [...log.matchAll(/"(?:childPid|pid)":(\d+)/g)].map(([, pid]) => Number(pid));
  await waitFor(`the titles ${shown}`, () => {
    const titles = [...new Set(pids)].map((pid) => inGeneral(commandLineOf(pid)));
    return shown.every((title) => title === '' || titles.includes(title));
  });
}

/** The block's text and its JSON, beside the page's: the same words where no figure stands. */
function showsStatus(t: Test, page: Page, output: string): void {
  const at = output.indexOf('\n{') + 1;
  const firstWords = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/)[0]);
  t.same(firstWords(output.slice(0, at)), firstWords(page.shown('state      ready')));
  t.match(JSON.parse(output.slice(at)), { state: 'ready', processes: [{ role: 'supervisor' }] });
}

/** The same kinds of lines, whatever their figures: their first words. */
function showsTop(t: Test, page: Page, output: string): void {
  const firstWords = (text: string) => text.split('\n').map((line) => line.split(' ')[0]);
  // The links of a busy node, and what took how long there.
  const busy = ['door-17', 'took:'];
  const shown = firstWords(page.shown('owsla top  14')).filter(
    (word) => !busy.includes(word ?? ''),
  );
  const printed = firstWords(output);
  t.same(
    shown.filter((word) => !printed.includes(word)),
    [],
  );
  t.match(output, /^by outbox {2}paused {2}\[RATE\]/m);
  t.match(JSON.parse(output.trimEnd().split('\n').at(-1) ?? ''), { status: { state: 'ready' } });
}

const LINKS = 'http://127.0.0.1:9700/api/v1/links';

/** Ids of the links that there are now. */
async function connections(): Promise<string[]> {
  const answer = (await (await fetch(world.placed(LINKS))).json()) as LinksAnswer;
  return answer.rows.map(({ connection }) => connection);
}

await everyBlockOf('docs/operations.md', async (page, t) => {
  const serve = page.take('sh', 'owsla serve\n');
  const config = page.take('yaml', '/etc/owsla/owsla.yaml');
  const listeners = page.take('yaml', 'name: doors');
  const token = page.take('sh', '/dev/urandom');
  const limits = page.take('sh', 'owsla limits');
  const ruling = page.take('sh', 'owsla config');
  const completion = page.take('sh', 'owsla completion');
  const onCrash = page.take('yaml', 'on-crash:');
  const serveWith = page.take('sh', 'owsla serve --set');
  const [ask, notReady, notWhole] = [
    page.take('sh', '/health/ready'),
    page.take('json', '"ready":false'),
    page.take('json', '"degraded"'),
  ];
  const status = page.take('sh', 'owsla status');
  const [top, trace, browsed, streams] = [
    page.take('sh', 'owsla top'),
    page.take('sh', 'owsla trace'),
    page.take('sh', 'Accept: text/html'),
    page.take('sh', '/api/v1/stream'),
  ];
  const devices = page.take('sh', 'owsla devices');
  const commands = page.take('sh', 'owsla command');
  const links = page.take('sh', 'owsla links');
  const drain = page.take('sh', 'owsla drain');
  const reload = page.take('sh', 'owsla reload ');
  // test/system/package.test.ts runs it, where the tarball is made.
  page.take('sh', 'ln -sfn');
  const blocks = page.take('sh', 'owsla block');
  const keys = page.take('sh', 'owsla key');
  const scrape = page.take('sh', '/metrics');
  const unit = page.take('ini', '[Unit]');
  const settings = [page.take('ini', 'nf_conntrack'), page.take('ini', 'somaxconn')];
  const looks = [page.take('sh', 'ulimit -n'), page.take('sh', 'sysctl ')];

  t.test(
    'the unit, and the configuration that it names',
    { skip: noSystemd || noTools },
    async (t) => {
      world.save('/opt/owsla/bin/owsla', `exec ${world.folder}/bin/owsla "$@"\n`);
      world.save('/etc/owsla/owsla.yaml', config);
      t.equal(unit, readFileSync(at('examples/deploy/owsla.service'), 'utf8'));
      const file = world.save('owsla.service', unit);
      const verified = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
      t.same([verified.stderr, verified.status], ['', 0]);

      const node = await world.serves(startOf(unit));
      const shown = JSON.parse(notReady);
      await waitFor('both acceptors to say why', async () => {
        const { reasons } = await health();
        return JSON.stringify(reasons).split(shown.reasons[0].reason).length === 3;
      });
      const [live, ready] = bothOf(await world.ends(t, ask));
      t.match(live, { live: true });
      t.same(shapeOf(ready), shapeOf(shown));
      t.match(ready, { ready: false, reasons: [{ acceptor: 1 }, shown.reasons[0]] });
      await node.end();
    },
  );

  t.test('a list of listeners', async (t) => {
    const options = parse(`${listeners}\namqp: amqp://u:p@127.0.0.1\n`);
    const names = makeConfig(options).listeners.map(({ name }) => name);
    t.same(names, ['doors', 'thermostats', 'behind-haproxy']);
  });

  t.test('a token for the admin port', async (t) => {
    world.save('/etc/owsla/owsla.yaml', config);
    await world.ends(t, token);
    t.ok(readAdminToken(world.placed('/etc/owsla/admin-token')).length >= 32);
  });

  t.test('keys and tokens of a device', async (t) => {
    world.save('/etc/owsla/owsla.yaml', config);
    const linesOf = (text: string) => text.trimEnd().split('\n');
    const known = (line: string) => line.replace(/(?<=:)[\da-f]{64}$|(?<=^k1\.2026a\.).*/, '');
    const printed = linesOf(await world.ends(t, keys));

    t.same(printed.map(known), linesOf(page.shown('k1.2026a')).map(known));
    t.equal(new Set(printed).size, 3);
  });

  t.test('limits, and settings of the machine', { skip: noTools }, async (t) => {
    t.match(await world.ends(t, limits), /^keepaliveMs +1m /m);
    t.match(await world.ends(t, ruling), /^set keepaliveMs +2m +--set$/m);
    await world.ends(t, completion);
    t.match(makeConfig(parse(onCrash)).onCrash, /^curl /);
    for (const [index, block] of settings.entries()) checkSettings(t, `${index}.conf`, block);
    for (const block of looks) t.match(await world.ends(t, block), /\d/);
  });

  t.test(
    'a node as it is started first: questions, commands, alarms',
    { skip: noTools },
    async (t) => {
      const node = await world.serves(serve);
      await world.isReady();
      await world.device(t, 'door-17');
      await world.device(t, '-17');

      await showsTitles(page, node.output);
      showsStatus(t, page, await world.ends(t, status));
      const rows = (await world.ends(t, devices)).trim().split('\n');
      t.same(
        rows.map((row) => row.split(' ')[0]),
        ['-17', 'door-17', 'door-17', '-17'],
      );
      t.equal(alike(`${rows[1]}\n`), alike(page.shown('commands=0')));
      showsTop(t, page, await world.ends(t, top));
      const tracing = world.run(trace);
      await tracing.prints(/^tracing door-17 in acceptors 1, 2, for 1h, 500 entries at most; /m);
      const told = alike(page.shown('result 0 opened'));
      t.equal(alike(await world.ends(t, commands)), told + told, 'each of both');
      await tracing.prints(/command: answered .*\+\d+\.\d ms$/m);
      await tracing.end();
      t.match(tracing.output, /^\S+ {2}<- COMMAND \d+ door\.open, 6 bytes, .*\n += "please"$/m);

      const dashed = await world.ends(t, page.inline('owsla command --wait'), 0);
      t.match(dashed, /^result 0 opened/m);

      const linked = await world.ends(t, links);
      for (const word of ['connection', 'keepalive', 'door-17 is disconnected']) {
        t.match(linked, word);
      }
      const before = await connections();
      const drained = await world.ends(t, drain);
      t.match(drained, /takes no links; 1 are told[\s\S]*the node takes links/);
      // Acceptors are asked, as metrics may be of before; and a new link, as the old is drained.
      const isBack = (now: readonly string[]) => now.length === 1 && !before.includes(`${now[0]}`);
      await waitFor('its device', async () => isBack(await connections()));
      t.match(await world.ends(t, reload), /^proving[\s\S]*^done: 1 links moved/m);
      await world.isReady();
      const kept = alike(await world.ends(t, blocks));
      t.equal(kept, alike(page.shown('door-17 is blocked')));

      const metrics = await world.ends(t, scrape);
      t.match(metrics, /^owsla_ready 1$/m);
      if (!noPromtool) checkAlarms(t, page, metrics);
      await node.end();
    },
  );

  t.test('the page and the streams of the admin port', { skip: noTools }, async (t) => {
    world.save('/etc/owsla/owsla.yaml', config);
    await world.ends(t, token);
    const flags = `--admin-token-file ${world.placed('/etc/owsla/admin-token')}`;
    const node = await world.serves(`owsla serve ${flags}\n`);
    await world.isReady();
    await world.device(t, 'door-17');

    const pages = await world.ends(t, browsed);
    t.match(pages, /^\/health\/live [\s\S]*^<title>Owsla<\/title>$/m);

    const output = await world.ends(t, streams);

    t.match(output, /^event: live\ndata: \{.*"shards":\[/m);
    t.match(output, /^event: tracing\ndata: \{"armed":\[1,2\]/m);
    t.match(output, /^data: \{.*"kind":"link".*"what":"found"/m);
    t.match(output, /^event: traced\ndata: \{"why":"time"/m);
    await node.end();
  });

  t.test('a node with limits of its own, and what health says of a part', async (t) => {
    const node = await world.serves(serveWith);
    await world.isReady();
    const line = /^\{.*"child":"registrar".*"msg":"child ready"\}$/m.exec(node.output)?.[0] ?? '{}';
    const pid = JSON.parse(line).childPid;
    process.kill(Number(pid), 'SIGSTOP');
    let said: Record<string, unknown> = {};
    await waitFor('a part to stand still', async () => {
      said = await health();
      return 'degraded' in said;
    });
    process.kill(Number(pid), 'SIGCONT');
    t.same(shapeOf(said), shapeOf(JSON.parse(notWhole)));
    await node.end();
  });
});
