/** Children: what the loss of one process of a real node costs, and what it does not. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { SqliteFile } from '../../src/registrar/store/sqliteFile.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Device, END } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import {
  type Cli,
  childrenOf,
  commandLineOf,
  isThere,
  type LogLine,
} from '../helpers/processes/cli.ts';
import { endBroker, figure, isReady, page, serve } from '../helpers/processes/serve.ts';
import { waitFor } from '../helpers/waitFor.ts';

const DEVICES = 40;
const QUICK = ['--set', 'lingerMs=100'];

const broker = await findBroker();
t.teardown(() => endBroker(broker));

/** Devices over all acceptors; how many each acceptor has is the kernel's choice. */
async function fleet(cli: Cli): Promise<Device[]> {
  const port = Number((await cli.said('ready')).port);
  const names = Array.from({ length: DEVICES }, (_, at) => `device-${at}`);
  const devices = await Promise.all(names.map((name) => Device.open(port, name)));
  await waitFor('links reported', async () => (await figure(cli, 'owsla_links')) === DEVICES);
  return devices;
}

const isReadyOf = (line: LogLine, child: string): boolean =>
  line.msg === 'child ready' && line.child === child;

async function pidOf(cli: Cli, child: string): Promise<number> {
  const ready = await cli.line((line) => line.msg === 'child ready' && line.child === child);
  return Number(ready.childPid);
}

t.test('a killed acceptor costs its own links only; totals do not fall', async (t) => {
  const cli = serve(t, broker.url, QUICK);
  await isReady(cli);
  const devices = await fleet(cli);
  const lost = await figure(cli, 'owsla_acceptor_links{acceptor="1"}');

  process.kill(await pidOf(cli, 'acceptor 1'), 'SIGKILL');

  await waitFor(
    'the restart',
    async () => (await figure(cli, 'owsla_restarts_total{role="acceptor"}')) === 1,
  );
  await isReady(cli);
  t.equal(await figure(cli, 'owsla_links'), DEVICES - lost);
  t.equal(await figure(cli, 'owsla_accepts_total'), DEVICES);
  const ends = devices.filter((device) => device.waiting > 0);
  t.equal(ends.length, lost, 'only its links ended');
  await Device.open(Number((await cli.said('ready')).port), 'newcomer');
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('a killed observer costs no link, and is back on its port', async (t) => {
  const cli = serve(t, broker.url, QUICK);
  await isReady(cli);
  const devices = await fleet(cli);
  const seen = cli.lines.length;

  process.kill(await pidOf(cli, 'observer'), 'SIGKILL');

  await cli.line((line) => line.msg === 'child ready' && line.child === 'observer', seen);
  await isReady(cli);
  t.equal(await figure(cli, 'owsla_links'), DEVICES);
  t.notOk(devices.some((device) => device.waiting > 0));
});

t.test('a killed supervisor: every child drains, says BYE, and ends by itself', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const env = { TMPDIR: folder };
  const cli = serve(t, broker.url, [...QUICK, '--set', 'drainPaceMs=100ms'], { env });
  await isReady(cli);
  const [device] = await fleet(cli);
  const children = cli.children();
  t.equal(readdirSync(folder).length, 1, 'the folder of its sockets');
  t.equal(children.length, 4);

  process.kill(cli.pid, 'SIGKILL');

  t.match(await device?.expect(TYPE.BYE), { reason: 'draining' });
  t.equal(await device?.next(), END);
  await waitFor('the end of every child', () => !children.some(isThere));
  t.same(readdirSync(folder), [], 'the folder is gone');
});

t.test('Ctrl-C, a signal to the whole process group, drains like SIGTERM', async (t) => {
  const cli = serve(t, broker.url, QUICK, { isGroup: true });
  await isReady(cli);
  const [device] = await fleet(cli);

  process.kill(-cli.pid, 'SIGINT');

  t.match(await device?.expect(TYPE.BYE), { reason: 'draining' });
  t.same(await cli.exited, { code: 0, signal: null });
});

t.test('a terminal that is closed, SIGHUP to all: one reload, which costs no link', async (t) => {
  const cli = serve(t, broker.url, QUICK, { isGroup: true });
  await isReady(cli);
  const [device] = await fleet(cli);
  const children = cli.children();

  process.kill(-cli.pid, 'SIGHUP');

  await cli.line(({ msg }) => msg === 'reload done');
  t.equal(cli.children().length, children.length);
  t.notOk(cli.children().some((pid) => children.includes(pid)));
  t.notOk(cli.lines.some(({ msg }) => msg === 'child crashed'));
  process.kill(-cli.pid, 'SIGINT');
  t.match(await device?.expect(TYPE.BYE), { reason: 'draining' });
  t.same(await cli.exited, { code: 0, signal: null });
});

t.test('a log that nobody reads any more costs nothing: as in `owsla serve | head`', async (t) => {
  const cli = serve(t, broker.url, QUICK);
  await isReady(cli);
  const devices = await fleet(cli);

  const killed = await pidOf(cli, 'observer');
  cli.process.stdout?.destroy();
  process.kill(killed, 'SIGKILL');

  await waitFor('another observer', () =>
    childrenOf(cli.pid).some(
      (pid) => pid !== killed && commandLineOf(pid).startsWith('owsla observer'),
    ),
  );
  await isReady(cli);
  t.equal(await figure(cli, 'owsla_links'), DEVICES);
  t.notOk(devices.some((device) => device.waiting > 0));
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('titles tell what each process is and how many links it has', async (t) => {
  const cli = serve(t, broker.url, QUICK);
  await isReady(cli);
  const { port, adminPort } = await cli.said('ready');
  await fleet(cli);

  const titles = () => [cli.pid, ...childrenOf(cli.pid)].map(commandLineOf);
  const links = () =>
    titles()
      .map((title) => Number(/^owsla acceptor \d\/2 :\d+ links=(\d+)$/.exec(title)?.[1] ?? 0))
      .reduce((sum, links) => sum + links, 0);

  await waitFor('links in the titles', () => links() === DEVICES);
  t.ok(titles().includes(`owsla supervisor :${port} up=2/2`), titles().join('\n'));
  t.ok(titles().includes(`owsla observer :${adminPort}`), titles().join('\n'));
  const isTold = () => titles().includes('owsla registrar outbox=0');
  await waitFor('every link to be told', isTold);
  t.ok(isTold(), titles().join('\n'));
  t.equal((await page(cli, '/health/live')).status, 200);
});

/** Nodes with a restart window that no helper's crash may fill. */
const LONG_WINDOW = ['--set', 'restartWindowMs=1h', '--set', 'restartsMax=2'];

t.test('the folder of sockets is removed, then every child dies: all is whole again', async (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'owsla-test-'));
  t.teardown(() => rmSync(parent, { recursive: true, force: true }));
  const env = { TMPDIR: parent };
  const cli = serve(t, broker.url, [...QUICK, ...LONG_WINDOW, '--acceptors', '1'], { env });
  await isReady(cli);
  const port = Number((await cli.said('ready')).port);
  const stays = await Device.open(port, 'stays');
  const isRecorded = async () => (await figure(cli, 'owsla_presence_streams')) === 1;
  await waitFor('a stream', isRecorded);

  // TMPDIR itself is gone too.
  rmSync(parent, { recursive: true });
  const restarted: string[] = [];
  for (const child of ['registrar', 'observer', 'registrar', 'acceptor 1']) {
    const seen = cli.lines.length;
    const pid = Number(cli.lines.findLast((line) => isReadyOf(line, child))?.childPid);
    process.kill(pid, 'SIGKILL');
    await cli.line((line) => isReadyOf(line, child), seen);
    restarted.push(child);
    await waitFor(`streams after ${restarted}`, () => isRecorded().catch(() => false));
    await waitFor(`health after ${restarted}`, async () => {
      const { ready, degraded } = JSON.parse((await page(cli, '/health/ready')).text);
      return ready && degraded === undefined;
    });
    if (child !== 'acceptor 1') t.equal(stays.waiting, 0, `${child} costs no link`);
  }

  const changes = () => figure(cli, 'owsla_presence_changes_total{reason="connected"}');
  const before = await changes();
  await Device.open(port, 'newcomer');
  await waitFor('its presence', async () => (await changes()) > before);
  t.equal(readdirSync(parent).length, 1);
  t.equal(statSync(join(parent, readdirSync(parent)[0] ?? '')).mode & 0o777, 0o700);
  t.same(await cli.end(), { code: 0, signal: null });
  t.same(readdirSync(parent), []);
});

t.test('the registrar keeps dying: ready, live and degraded; then whole again', async (t) => {
  const limits = [...LONG_WINDOW, '--set', 'helperPauseMaxMs=3s', '--acceptors', '1'];
  const cli = serve(t, broker.url, [...QUICK, ...limits]);
  await isReady(cli);
  const device = await Device.open(Number((await cli.said('ready')).port), 'stays');
  for (let kills = 0; kills < 4; kills += 1) {
    const seen = cli.lines.length;
    const pid = Number(cli.lines.findLast((line) => isReadyOf(line, 'registrar'))?.childPid);
    process.kill(pid, 'SIGKILL');
    if (kills < 3) await cli.line((line) => isReadyOf(line, 'registrar'), seen);
  }

  await waitFor('degraded', async () => {
    const { ready, degraded } = JSON.parse((await page(cli, '/health/ready')).text);
    return ready === true && degraded?.[0]?.reason === 'registrar pausing';
  });
  t.equal((await page(cli, '/health/live')).status, 200);
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
  await waitFor('whole again', async () => {
    const { ready, degraded } = JSON.parse((await page(cli, '/health/ready')).text);
    return ready === true && degraded === undefined;
  });
  t.equal(device.waiting, 0);
  t.same(await cli.end(), { code: 0, signal: null });
});

t.test('the store is taken while the registrar is dead: told why, and whole again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-data-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const limits = [...LONG_WINDOW, '--set', 'helperPauseMaxMs=500ms', '--acceptors', '1'];
  const cli = serve(t, broker.url, [...QUICK, ...limits, '--data-dir', folder]);
  await isReady(cli);
  const device = await Device.open(Number((await cli.said('ready')).port), 'stays');
  const degraded = async () => JSON.parse((await page(cli, '/health/ready')).text).degraded;

  process.kill(await pidOf(cli, 'registrar'), 'SIGKILL');
  // As another node would: it may have it as soon as the kernel has let go of it.
  let other: SqliteFile | undefined;
  await waitFor('the lock', () => {
    try {
      other = new SqliteFile(folder, Date.now());
    } catch {
      // The next registrar was faster.
      const pid = Number(cli.lines.findLast((line) => isReadyOf(line, 'registrar'))?.childPid);
      if (isThere(pid)) process.kill(pid, 'SIGKILL');
    }
    return other !== undefined;
  });

  const isTold = async () =>
    /is in use by another running node/.test((await degraded())?.[0]?.reason);
  await waitFor('degraded', isTold);
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
  other?.close();
  await waitFor('whole again', async () => (await degraded()) === undefined);
  t.equal(cli.stderr, '');
  t.same(await cli.end(), { code: 0, signal: null });
});
