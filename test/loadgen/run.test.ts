/** The tool as a process against a scripted server: what it measures, finds and says. */
import t from 'tap';
import type { Report } from '../../loadgen/report/report.ts';
import { TYPE } from '../../src/wire/message.ts';
import { type Script, ScriptedServer } from './scriptedServer.ts';
import { type Outcome, runToEnd } from './spawn.ts';

interface Had extends Outcome {
  readonly report: Report;
}

/** Run against a server with this script; a run without a report fails the test. */
async function against(script: Script, flags: readonly string[], workers = 1): Promise<Had> {
  const server = new ScriptedServer(script);
  const port = await server.listen();
  const target = ['--target', `127.0.0.1:${port}`, '--workers', String(workers), '--quiet'];
  const outcome = await runToEnd([...target, ...flags]);
  await server.close();
  const { report } = outcome;
  if (report === undefined) throw new Error(`no report: ${outcome.stderr}`);
  return { ...outcome, report };
}

t.test('run: every request of an exact rate over two workers is answered: exit 0', async (t) => {
  const flags = ['--devices', '50', '--rate', '200', '--duration', '2s', '--event-share', '25%'];
  const { report, exitCode, stdout } = await against({}, flags, 2);

  t.equal(exitCode, 0, stdout);
  t.equal(report.counts.requests, 300);
  t.equal(report.counts.events, 100);
  t.equal(report.times.request.count, 300);
  t.equal(report.times.event.count, 100);
  t.equal(report.links.openAtEnd, 50);
  t.match(stdout, /nothing lost, doubled, wrong or misrouted/);
});

t.test('run: a lost, a doubled, a wrong and a misrouted reply each fail it with 98', async (t) => {
  const last = new Map<string, Buffer>();
  const script: Script = {
    onRequest: (link, { id, payload }) => {
      const kind = id % 50;
      last.set(link.deviceId, Buffer.from(payload));
      const other = [...last].find(([device]) => device !== link.deviceId)?.[1] ?? payload;
      if (kind === 10) return true;
      if (kind === 20) link.send({ type: TYPE.REPLY, id, status: 0, payload });
      if (kind === 30) link.send({ type: TYPE.REPLY, id, status: 0, payload: Buffer.from('x') });
      if (kind === 40) link.send({ type: TYPE.REPLY, id, status: 0, payload: other });
      return kind === 30 || kind === 40;
    },
  };
  const flags = ['--devices', '2', '--rate', '100', '--duration', '2s', '--timeout', '1s'];
  const { report, exitCode, stdout } = await against(script, flags);

  // 100 requests on each of two links: each kind comes twice per link; misrouted ones are lost too.
  t.equal(exitCode, 98);
  t.match(report.violations, { doubled: 4, wrong: 4, misrouted: 4, lost: 8 });
  t.match(stdout, /e\.g\. lg-00000\d: reply to id 40 carries the payload of device \d/);
  const shown = new Set(report.examples.map(({ violation }) => violation));
  t.same([...shown].sort(), ['doubled', 'lost', 'misrouted', 'wrong']);
});

t.test('run: an event without ACK is un-ACKed, and --allow makes that pass', async (t) => {
  const script: Script = { onEvent: (_, { id }) => id === 1 };
  const flags = ['--devices', '3', '--rate', '30', '--event-share', '100%', '--duration', '1s'];
  const { report, exitCode } = await against(script, [
    ...flags,
    ...['--timeout', '500ms', '--allow', 'unacked'],
  ]);

  t.equal(exitCode, 0);
  t.equal(report.violations.unacked, 3);
});

t.test('run: bytes of the server that are no frames are found', async (t) => {
  const script: Script = {
    onRequest: ({ socket }) => socket.write(Buffer.from([0, 0, 0, 2, 0xc1, 0xc1])),
  };
  const flags = ['--devices', '2', '--rate', '2', '--duration', '1s', '--reconnect', 'never'];
  const { report, exitCode } = await against(script, [...flags, '--give-up', '0']);

  t.equal(exitCode, 98);
  t.equal(report.violations.badFrames, 2);
});

t.test('run: nobody there: exit 69, at once', async (t) => {
  const server = new ScriptedServer();
  const port = await server.listen();
  await server.close();

  const { exitCode, report } = await runToEnd(['--target', `127.0.0.1:${port}`, '--devices', '5']);

  t.equal(exitCode, 69);
  t.equal(report?.labelled.connectErrors.ECONNREFUSED, 5);
});

t.test('run: a mistake in the flags is one sentence and exit 64', async (t) => {
  const { exitCode, report, stderr } = await runToEnd(['--target', 'x', '--wheels', '4']);

  t.equal(exitCode, 64);
  t.equal(report, undefined);
  t.equal(stderr.trim().split('\n').length, 1);
});
