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
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { cleanEnvironment } from '../helpers/processes/environment.ts';
import { NotifySocket } from '../helpers/processes/notifySocket.ts';
import { at, noSystemd } from '../helpers/processes/programs.ts';
import { Server } from '../helpers/processes/server.ts';
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
    const broker = await findBroker();
    const prefix = `deploy-${process.pid}`;
    const socket = await NotifySocket.open(folder);
    const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '600000' };
    const limits = { heartbeatChildMs: 100 };
    const server = await Server.start({ amqp: broker.url, prefix, acceptors: 1, limits, env });
    t.teardown(async () => {
      await server.stop();
      await socket.close();
      await forgetTopology(broker.url, prefix);
      await broker.stop();
    });

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
