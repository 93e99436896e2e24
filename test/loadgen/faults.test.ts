/** Faults on purpose: what the server sees of them, and that they are no violations. */
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import type { Script } from './scriptedServer.ts';
import { watched } from './watched.ts';

t.test('faults: half-open links fall silent, and nothing of them counts as lost', async (t) => {
  const flags = ['--devices', '40', '--rate', '200', '--duration', '3s', '--half-open', '50%'];
  const { server, report, exitCode } = await watched({}, [...flags, '--fault-after', '500ms']);

  const silent = report.labelled.faults['half-open'] ?? 0;
  t.equal(exitCode, 0);
  t.ok(silent > 8 && silent < 32, `${silent} of 40`);
  t.equal(report.links.openAtEnd, 40 - silent);
  t.equal(server.counts.requests, report.counts.requests);
});

t.test('faults: garbage frames are refused by the server, each with its ERROR', async (t) => {
  const flags = ['--devices', '20', '--rate', '100', '--duration', '2s', '--garbage', '100%'];
  const { server, report, exitCode } = await watched({}, [
    ...flags,
    ...['--fault-after', '200ms', '--reconnect', '50ms-100ms'],
  ]);

  t.equal(exitCode, 0);
  t.ok((report.labelled.faults.garbage ?? 0) >= 20);
  t.ok(server.counts.badFrames > 0);
  t.ok((report.labelled.ends['bye:bad-frame'] ?? 0) > 0);
  t.ok(report.links.reconnects > 0);
});

t.test('faults: a slow greeting says HELLO in pieces, late', async (t) => {
  const flags = ['--devices', '10', '--duration', '100ms', '--slow-greeting', '100%'];
  const { hellos, report } = await watched({}, [...flags, '--fault-after', '500ms']);

  t.equal(hellos.size, 10);
  t.equal(report.labelled.faults['slow-greeting'], 10);
  t.ok(report.ended.connectedS > 0.5);
});

t.test('faults: a slow reader takes a chunk a second', async (t) => {
  const script: Script = {
    onRequest: (link, { id, payload }) => {
      for (let copy = 0; copy < 400; copy += 1) {
        link.send({ type: TYPE.EVENT, id: 0, topic: 'x', payload: Buffer.alloc(60_000), meta: {} });
      }
      link.send({ type: TYPE.REPLY, id, status: 0, payload });
      return true;
    },
  };
  const flags = ['--devices', '1', '--rate', '0.5', '--duration', '3s', '--slow-reader', '100%'];
  const { report } = await watched(script, [
    ...flags,
    ...['--fault-after', '10ms', '--timeout', '100ms', '--allow', 'badFrames'],
  ]);

  // 24 MB were sent; each second of slow reading takes one chunk of at most 64 KiB.
  t.ok(report.counts.bytesIn < 2_000_000, `${report.counts.bytesIn} bytes`);
});

t.test('faults: a wave of reboots resets its share of the links, and they return', async (t) => {
  const flags = ['--devices', '100', '--duration', '2500ms', '--reboot', '50%@1s'];
  const { report, exitCode } = await watched({}, [...flags, '--reconnect', '10ms-50ms']);

  const reboots = report.labelled.faults.reboot ?? 0;
  t.equal(exitCode, 0);
  t.ok(reboots > 60 && reboots < 140, `${reboots} in two waves`);
  t.equal(report.links.reconnects, reboots);
  t.equal(report.links.openAtEnd, 100);
});
