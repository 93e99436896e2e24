/** examples/deploy/ as far as a machine can try it: the unit, and what systemd hears of a node. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { makeConfig } from '../../src/base/config.ts';
import type { Logger } from '../../src/base/log.ts';
import { isNewEnough } from '../../src/base/runtime.ts';
import { Systemd } from '../../src/supervisor/systemd.ts';
import { cleanEnvironment } from '../helpers/processes/environment.ts';
import { startNode } from '../helpers/processes/node.ts';
import { NotifySocket } from '../helpers/processes/notifySocket.ts';
import { at, noSystemd } from '../helpers/processes/programs.ts';
import { waitFor } from '../helpers/waitFor.ts';

const folder = mkdtempSync(join(tmpdir(), 'ot-'));
t.teardown(() => rmSync(folder, { recursive: true }));

t.test(
  'the unit: known words, and little that an attacker could use',
  { skip: noSystemd },
  async (t) => {
    // Where verify finds the program.
    const program = join(folder, 'bin/owsla');
    mkdirSync(join(folder, 'bin'));
    writeFileSync(program, '#!/bin/sh\n');
    chmodSync(program, 0o755);
    const text = readFileSync(at('examples/deploy/owsla.service'), 'utf8');
    const unit = join(folder, 'owsla.service');
    writeFileSync(unit, text.replaceAll('/opt/owsla/bin/owsla', program));

    const verified = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
    t.same([verified.stderr, verified.status], ['', 0]);
    const judged = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--threshold=30', unit],
      {
        encoding: 'utf8',
      },
    );
    t.equal(judged.status, 0, judged.stdout);
    const [, exposure] = /exposure level for owsla\.service: ([\d.]+)/.exec(judged.stdout) ?? [];
    t.ok(Number(exposure) <= 3, `exposure ${exposure}`);
    const [, watchdog] = /^WatchdogSec=(\d+)$/m.exec(text) ?? [];
    t.ok(Number(watchdog) >= 30, 'a busy machine is no reason to be killed');
    t.notMatch(text, /^MemoryDenyWriteExecute/m, 'V8 writes what it runs');
  },
);

t.test(
  'what systemd hears: ready, then again and again well, then stopping',
  { skip: noSystemd },
  async (t) => {
    const socket = await NotifySocket.open(folder);
    t.teardown(() => socket.close());
    const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '600000' };
    const limits = { heartbeatChildMs: 100 };
    const { server } = await startNode(t, { acceptors: 1, limits, env });

    await socket.hears(/^READY=1$/m);
    await socket.hears(/WATCHDOG=1 STATUS=owsla supervisor :\d+ up=1\/1.*\n(?:.*\n)*WATCHDOG=1/);

    process.kill(server.pid, 'SIGTERM');
    await server.ended();
    await socket.hears(/STOPPING=1/);
    const kinds = socket.words.map((word) => word.replace(/=.*/, ''));
    const order = kinds.filter((kind) => kind === 'READY' || kind === 'STOPPING');
    t.same(order, ['READY', 'STOPPING']);
  },
);

/** A manager whose systemd-notify is a script that writes its words down. */
function makeManager(variables: ConstructorParameters<typeof Systemd>[0]) {
  const said: string[] = [];
  const log = { warn: (_: object, msg: string) => said.push(msg) } as unknown as Logger;
  return { manager: new Systemd(variables, log, 17), said };
}

t.test('the watchdog is fed a third of its time, and only while the node is well', async (t) => {
  const { manager, said } = makeManager({
    NOTIFY_SOCKET: join(folder, 'nobody'),
    WATCHDOG_USEC: '30000000',
    WATCHDOG_PID: '17',
  });
  manager.tick(0, false, 'no acceptor serves');
  t.same(said, []);
  manager.tick(1, true, 'well');
  await waitFor('systemd-notify to fail: nobody listens', async () => said.length === 1);
  manager.tick(9_000, true, 'too early');
  manager.ready();
  manager.stopping();
  t.same(said, ['systemd-notify failed']);
});

t.test(
  'without systemd, or with the watchdog of another process, nothing is started',
  async (t) => {
    const none = makeManager({ WATCHDOG_USEC: '30000000' });
    none.manager.ready();
    none.manager.tick(1, true, 'well');
    const other = makeManager({
      NOTIFY_SOCKET: '/x',
      WATCHDOG_USEC: '30000000',
      WATCHDOG_PID: '18',
    });
    other.manager.tick(1, true, 'well');
    t.same([...none.said, ...other.said], []);
  },
);

t.test('what the image is built with runs, without an engine', async (t) => {
  const dockerfile = readFileSync(at('examples/deploy/Dockerfile'), 'utf8');
  const words = dockerfile.replaceAll(/^#.*\n/gm, '').replaceAll(/\\\n */g, '');
  const of = (word: string) =>
    [...words.matchAll(new RegExp(`^${word} +(.*)$`, 'gm'))].map(([, text = '']) => text);
  const { engines, version } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
  const [image = ''] = of('FROM');
  t.match(image, /^node:\d+\.\d+\.\d+-/, 'a Node that stays the same');
  t.ok(isNewEnough(image.replace(/^node:([\d.]+)-.*/, '$1')), engines.node);
  t.match(of('ARG'), [`OWSLA=owsla-${version}.tgz`]);
  t.equal(of('RUN').length, 2);

  // npm is a stand-in that makes what the tarball would; test/system/package.test.ts installs it.
  const root = join(folder, 'image');
  mkdirSync(join(root, 'bin'), { recursive: true });
  mkdirSync(join(root, 'tmp'));
  writeFileSync(join(root, 'tmp/owsla.tgz'), '');
  const owsla = `exec '${process.execPath}' '${at('src/cli/cli.ts')}' "$@"`;
  const makes = `echo "$@" >${root}/npm; test -e ${root}/tmp/owsla.tgz`;
  for (const [name, text] of [
    ['npm', makes],
    ['owsla', owsla],
  ]) {
    writeFileSync(join(root, 'bin', `${name}`), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }
  const env = { ...cleanEnvironment(), PATH: `${root}/bin:${process.env.PATH}` };
  const within = (text: string) => text.replaceAll(/(?<=^|[\s"])\/(?=tmp|var|run)/g, `${root}/`);
  for (const command of of('RUN')) {
    const mine = within(command).replace('1000:1000', `${process.getuid?.()}`);
    t.match(spawnSync('/bin/sh', ['-ec', mine], { env, encoding: 'utf8' }), {
      status: 0,
      stderr: '',
    });
  }
  t.match(readFileSync(join(root, 'npm'), 'utf8'), /^install --global --omit=dev .*owsla\.tgz$/m);

  const start = JSON.parse(within(of('ENTRYPOINT')[0] ?? '')) as string[];
  const checked = start.with(1, 'config');
  t.match(spawnSync(checked[0] ?? '', checked.slice(1), { env, encoding: 'utf8' }), { status: 0 });
  const [, health = '[]'] = /CMD (\[.*)$/.exec(of('HEALTHCHECK')[0] ?? '') ?? [];
  const [shell = '', ...args] = JSON.parse(within(health)) as string[];
  t.equal(spawnSync(shell, args, { env }).status, 1, 'nobody answers');
});

t.test('compose: its variables are options, and its folders those of the image', async (t) => {
  const { services } = parse(readFileSync(at('examples/deploy/compose.yaml'), 'utf8'));
  const { environment, build, volumes, tmpfs } = services.owsla;
  const options = Object.entries<string>(environment).map(([name, value]) => [
    name.replace('OWSLA_', '').toLowerCase().replaceAll('_', '-'),
    value.replaceAll(/\$\{[^}]*\}/g, 'password'),
  ]);
  const config = makeConfig(Object.fromEntries(options));
  t.match(config, { listeners: [{ host: '0.0.0.0', port: 7000 }], waitForBroker: true });
  t.equal(
    resolve(at('examples/deploy'), build.context, build.dockerfile),
    at('examples/deploy/Dockerfile'),
  );
  t.match(volumes, ['owsla:/var/lib/owsla']);
  t.match(tmpfs[0], /^\/run\/owsla:/);
});

t.test('settings of the kernel: the page’s, and each is there', async (t) => {
  const file = readFileSync(at('examples/deploy/sysctl.conf'), 'utf8');
  const settings = file.split('\n').slice(1).join('\n');
  t.ok(readFileSync(at('docs/operations.md'), 'utf8').includes(settings));
  const keys = [...settings.matchAll(/^([\w.-]+) = \d+$/gm)].map(([, key = '']) => key);
  t.equal(keys.length, 5);
  for (const key of keys) t.ok(existsSync(join('/proc/sys', key.replaceAll('.', '/'))), key);
});
