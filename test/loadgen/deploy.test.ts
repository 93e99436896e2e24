/** Reloads in the middle of a run, against a scripted server; presence against a broker. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import t from 'tap';
import { PresenceWatch } from '../../loadgen/deploy/presenceWatch.ts';
import type { Report } from '../../loadgen/report/report.ts';
import { names } from '../../src/broker/topology.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { type Script, ScriptedServer } from './scriptedServer.ts';
import { runToEnd, spawnRun } from './spawn.ts';

const FEW = ['--devices', '20', '--rate', '100', '--event-share', '50%', '--duration', '300ms'];

async function deploy(how: readonly string[], flags: readonly string[] = [], script: Script = {}) {
  const server = new ScriptedServer(script);
  const port = await server.listen();
  const target = ['--target', `127.0.0.1:${port}`, '--workers', '2', '--quiet'];
  const outcome = await runToEnd([...target, ...FEW, ...how, ...flags]);
  await server.close();
  return { ...outcome, report: outcome.report as Report };
}

t.test('deploy: reloads one after another; others connect; pauses before and since', async (t) => {
  const command = `sleep 0.3; echo '{"moved":20,"left":1,"drained":2}'`;
  const flags = ['--reloads', '2', '--newcomers', '50', '--fail-if', 'pause_max < 0ms'];
  const { report, exitCode, stdout } = await deploy(['--reload', command], flags);

  t.equal(exitCode, 0, stdout);
  const { deployed, counts, times, links } = report;
  const one = { isDone: true, moved: 20, left: 1, drained: 2 };
  t.match(deployed, { times: 2, reloads: [one, one] });
  t.ok(counts.newcomers > 0, 'newcomers');
  t.equal(links.openAtEnd, 20 + counts.newcomers);
  t.equal(links.reconnects, 0, 'they are no reconnects');
  t.ok(times.pauseBefore.count > 0 && times.pauseBefore.count <= 20);
  t.ok(times.pause.count >= times.pauseBefore.count);
  t.equal(counts.requests, counts.replies);
  t.match(stdout, /reload 2\/2 {2}done in \S+ s, 20 links moved, 1 left, 2 drained/);
  t.match(stdout, /longest of a link, reloading/);
});

t.test('deploy: the first reload that is not done is the last, and fails the run', async (t) => {
  const { report, exitCode, stdout } = await deploy(
    ['--reload', 'echo no such key >&2; exit 3'],
    ['--reloads', '2', '--newcomers', '0'],
  );

  t.equal(exitCode, 99);
  t.equal(report.deployed?.reloads.length, 1);
  t.match(report.failures, ['reload 1 of 2: exit code 3: no such key']);
  t.match(stdout, /reload 1\/2 {2}FAILED: exit code 3: no such key/);
});

t.test('deploy: a node that nobody finds', async (t) => {
  const { exitCode, report } = await deploy(['--run-dir', t.testdir()]);

  t.equal(exitCode, 99);
  t.match(report.failures, [/^reload 1 of 1: exit code 69: .*no node/]);
});

t.test('deploy: what a reload cuts is found', async (t) => {
  let requests = 0;
  const script: Script = {
    onRequest: ({ socket }) => {
      requests += 1;
      if (requests === 20) socket.destroy();
      return requests === 20;
    },
  };
  const flags = ['--fail-if', 'links_lost > 0', '--reconnect', 'never'];
  const { exitCode, report } = await deploy(['--reload', 'sleep 0.3'], flags, script);

  t.equal(exitCode, 98);
  t.equal(report.violations.cut, 1);
  t.match(report.thresholds, [{ text: 'links_lost > 0', crossed: true }]);
});

t.test('deploy: Ctrl-C in a reload waits neither for it nor for the load after it', async (t) => {
  const server = new ScriptedServer({});
  const port = await server.listen();
  t.teardown(() => server.close());
  const begun = join(t.testdir(), 'begun');
  // Its child keeps the pipes open when the shell is killed.
  const command = `touch ${begun}; sleep 20; true`;
  const load = ['--devices', '20', '--rate', '100', '--duration', '4s', '--quiet'];
  const target = ['--target', `127.0.0.1:${port}`];
  const { interrupt, ended } = await spawnRun([...target, ...load, '--reload', command]);
  await waitFor('the reload', () => existsSync(begun));

  interrupt();
  const from = performance.now();
  const { report } = await ended;

  t.match(report?.ended.how, 'interrupted');
  t.same(report?.deployed?.reloads, []);
  t.ok(performance.now() - from < 4_000, `${performance.now() - from} ms`);
});

t.test('presence: all pages are asked for; what changed since is told', async (t) => {
  const broker = await findBroker();
  const prefix = `test-${randomUUID()}`;
  const at = names(prefix);
  const connection = await connect(broker.url);
  const channel = await connection.createChannel();
  await channel.assertExchange(at.presence, 'topic', { autoDelete: true });
  await channel.assertQueue(at.presenceQuery, { exclusive: true });
  const row = (at: number, more = {}) => ({
    ...{ device: `lg-${String(at).padStart(4, '0')}`, epoch: 1, seq: 1, online: true },
    ...{ connection: `${at}`, ...more },
  });
  const rows = Array.from({ length: 2_500 }, (_, at) => row(at));
  const all = [{ ...row(0), device: 'a' }, ...rows, { ...row(0), device: 'lh' }];
  await channel.consume(at.presenceQuery, (message) => {
    if (message === null) return;
    const { after = '', limit } = JSON.parse(message.content.toString());
    const devices = all.filter(({ device }) => device > after).slice(0, limit);
    const next = devices.length < limit ? null : devices.at(-1)?.device;
    const { replyTo, correlationId } = message.properties;
    const body = Buffer.from(JSON.stringify({ epoch: 1, devices, next }));
    channel.sendToQueue(replyTo, body, { correlationId });
  });
  const watch = new PresenceWatch('lg-', (device) => device !== 'lg-0007');
  t.teardown(async () => {
    await watch.stop();
    await connection.close();
    await broker.stop();
  });
  await watch.start(broker.url, prefix);

  const before = await watch.rowsOnline(2_499, 10_000);
  t.equal(before.size, 2_499);
  t.match(watch.changes(before, before), { events: 0, rows: 0 });

  const event = (one: object) =>
    channel.publish(at.presence, 'x', Buffer.from(JSON.stringify(one)));
  // Known already; not ours; a new one.
  event(row(1));
  event(row(7, { seq: 2 }));
  event(row(2, { seq: 2, online: false }));
  all[3] = row(2, { seq: 2, online: false });
  all[4] = row(3, { connection: 'other' });
  await waitFor('the event', () => watch.changes(before, before).events > 0);
  const changes = watch.changes(before, await watch.rows());
  t.match(changes, { events: 1, rows: 2 });
  t.same(changes.examples, [
    { device: 'lg-0002', text: 'seq 1, then 2, offline, the same link' },
    { device: 'lg-0003', text: 'seq 1, then 1, online, another link' },
  ]);
});
