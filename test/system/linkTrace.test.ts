/** A trace of one device of a real node: frames and their way at the broker, over all acceptors. */
import t, { type Test } from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { askNode } from '../../src/cli/askNode.ts';
import type {
  TraceAnswer,
  TraceBatch,
  TraceEnd,
  TraceEntry,
  TraceQuestion,
} from '../../src/node/traceEntry.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, END, event, hello, request } from '../helpers/fakes/device.ts';
import { Cli } from '../helpers/processes/cli.ts';
import { startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const { broker, prefix, server, backend, runDir } = await startNode(t);

interface Tracing {
  readonly entries: TraceEntry[];
  readonly answer: TraceAnswer;
  readonly ended: Promise<TraceEnd>;
  stop(): void;
}

/** As the command does, without the start of a process. */
async function trace(t: Test, device: string, more: Partial<TraceQuestion> = {}): Promise<Tracing> {
  const entries: TraceEntry[] = [];
  const armed = Promise.withResolvers<TraceAnswer>();
  const ended = Promise.withResolvers<TraceEnd>();
  const over = Promise.withResolvers<void>();
  const notices = {
    trace: (batch: unknown) => {
      const { entries: texts } = batch as TraceBatch;
      entries.push(...texts.map((text) => JSON.parse(text) as TraceEntry));
    },
    traced: (end: unknown) => ended.resolve(end as TraceEnd),
  };
  const question = { device, payloads: false, forMs: 60_000, max: 1_000, ...more };
  const asked = askNode(
    { runDir, limits: makeLimits() },
    async (ask) => {
      armed.resolve((await ask('trace', question)) as TraceAnswer);
      await over.promise;
    },
    notices,
  );
  asked.catch(armed.reject);
  const stop = () => over.resolve();
  t.teardown(stop);
  return { entries, answer: await armed.promise, ended: ended.promise, stop };
}

const told = ({ kind, what, id }: TraceEntry) =>
  `${kind} ${what}${id === undefined ? '' : ` ${id}`}`;
const toldOf = ({ entries }: Tracing) => entries.map(told);

t.test(
  'armed before it connects: HELLO, EVENT, publish, confirm, ACK, with their times',
  async (t) => {
    const tracing = await trace(t, 'door-17');
    t.same(tracing.answer, { armed: [1, 2], unarmed: [], connected: [] });
    const other = await Device.open(server.port, 'other');
    const device = await Device.open(server.port, 'door-17');

    device.send(event(1), event(0, 'hvac.on', 'x'));
    await device.expect(TYPE.ACK);
    other.send(event(7));
    await other.expect(TYPE.ACK);
    device.close();
    await waitFor('its end', () => toldOf(tracing).includes('link end'));

    const of1 = tracing.entries.filter(({ id }) => id === 1);
    t.same(of1.map(told), ['in EVENT 1', 'broker published 1', 'broker confirmed 1', 'out ACK 1']);
    t.match(of1[0], { topic: 'room.temperature', payloadBytes: 4, bytes: 30, payload: undefined });
    t.match(of1[1], {
      facts: { exchange: `${prefix}.events`, routingKey: 'door-17.room.temperature' },
    });
    const times = of1.map(({ ms }) => ms);
    t.same(
      times,
      times.toSorted((a, b) => a - b),
      'in order',
    );
    t.ok(Math.abs((of1[0]?.at ?? 0) - Date.now()) < 60_000, 'and of today');
    t.match(toldOf(tracing).slice(0, 2), ['in HELLO', 'out WELCOME']);
    t.ok(
      tracing.entries.every(({ link }) => link === device.connection),
      'nobody else’s',
    );
    t.equal(tracing.entries.at(-1)?.reason, 'peer-fin');
    other.close();
  },
);

t.test(
  'a link that is there is found; a REQUEST, what came of it, and payloads if asked',
  async (t) => {
    const device = await Device.open(server.port, 'door-18');
    t.teardown(() => device.close());
    await backend.on(`${prefix}.requests`, 'door-18.door.badge', ({ properties }, channel) => {
      const { replyTo, correlationId } = properties;
      const headers = { status: 100 };
      channel.sendToQueue(replyTo, Buffer.from('open'), { correlationId, headers });
    });
    const tracing = await trace(t, 'door-18', { payloads: true });
    t.equal(tracing.answer.connected.length, 1);

    device.send(request(1), request(2, 'nobody.there'));
    await device.expect(TYPE.REPLY);
    await device.expect(TYPE.REPLY);
    await waitFor(
      'both',
      () => tracing.entries.filter(({ what }) => what === 'REPLY').length === 2,
    );

    const [found] = tracing.entries;
    t.match(found, { kind: 'link', what: 'found', facts: { state: 'open', peer: /^127/ } });
    const steps = (id: number) => tracing.entries.filter((one) => one.id === id).map(told);
    // Where the backend was slow, the broker has confirmed it before.
    const certain = steps(1).filter((step) => step !== 'broker confirmed 1');
    t.same(certain.toSorted(), [
      'broker published 1',
      'broker replied 1',
      'in REQUEST 1',
      'out REPLY 1',
    ]);
    t.ok(steps(2).includes('broker returned 2'));
    const reply = tracing.entries.find(({ what, id }) => what === 'REPLY' && id === 1);
    t.match(reply, { status: 100, payload: Buffer.from('open').toString('base64') });
  },
);

t.test('a takeover: the end of one link, and the next, wherever it is', async (t) => {
  const tracing = await trace(t, 'door-19');
  const first = await Device.open(server.port, 'door-19');
  const links = new Set<string>([first.connection]);
  const acceptorsOf = () => new Set(tracing.entries.map(({ acceptor }) => acceptor));
  // The kernel picks the acceptor: some links until it has been the other one.
  for (let count = 0; count < 30 && acceptorsOf().size < 2; count += 1) {
    const next = await Device.open(server.port, 'door-19');
    t.teardown(() => next.close());
    links.add(next.connection);
    await waitFor('its WELCOME', () =>
      tracing.entries.some(({ link, what }) => link === next.connection && what === 'WELCOME'),
    );
  }

  t.match(await first.expect(TYPE.BYE), { reason: 'taken-over' });
  t.equal(await first.next(), END);
  await waitFor('its end', () => toldOf(tracing).includes('link end'));
  t.match(
    tracing.entries.find(({ what }) => what === 'end'),
    {
      link: first.connection,
      reason: 'taken-over',
    },
  );
  t.same([...acceptorsOf()].toSorted(), [1, 2]);
  t.same(new Set(tracing.entries.map(({ link }) => link)), links);
});

t.test('a COMMAND: sent, taken, answered', async (t) => {
  const commander = await Commander.connect(broker.url, prefix);
  t.teardown(() => commander.close());
  const device = await Device.open(server.port, 'door-20');
  t.teardown(() => device.close());
  const tracing = await trace(t, 'door-20');

  const sent = commander.send('door-20');
  const { id } = await device.expect(TYPE.COMMAND);
  device.send(
    { type: TYPE.ACK, id },
    { type: TYPE.RESULT, id, status: 0, payload: Buffer.alloc(0) },
  );
  await sent;
  await waitFor('its answer', () => toldOf(tracing).includes(`command answered ${id}`));

  t.same(toldOf(tracing).slice(1), [
    `out COMMAND ${id}`,
    `in ACK ${id}`,
    `command taken ${id}`,
    `in RESULT ${id}`,
    `command answered ${id}`,
  ]);
});

t.test(
  'it ends after --max, after --for, and when its reader goes; and it is on record',
  async (t) => {
    const device = await Device.open(server.port, 'door-21');
    t.teardown(() => device.close());
    const counted = await trace(t, 'door-21', { max: 3 });
    device.send(event(1));
    t.match(await counted.ended, { why: 'count', entries: 3, lost: 0, sentence: /3 entries/ });
    t.equal(counted.entries.length, 3);
    const timed = await trace(t, 'door-21', { forMs: 100 });
    t.match(await timed.ended, { why: 'time', sentence: /its time is over: 100ms/ });
    counted.stop();
    timed.stop();

    const audits = server.log.filter(({ msg, what }) => msg === 'audit' && what === 'trace');
    t.match(audits[audits.length - 1], {
      who: 'control.sock',
      device: 'door-21',
      payloads: false,
      forMs: 100,
    });
    await t.rejects(trace(t, 'no door'), /refuses: a device id is/);
    await t.rejects(trace(t, 'door', { max: 0 }), /traceEntriesMax/);
    await t.rejects(trace(t, 'door', { forMs: 2 ** 40 }), /traceMs/);
  },
);

t.test('owsla trace: lines that say how long after, and Ctrl-C', async (t) => {
  const cli = new Cli(['trace', 'door-22', '--run-dir', runDir, '--payloads']);
  await waitFor('it is armed', () => cli.stderr.includes('tracing door-22'));
  t.match(
    cli.stderr,
    /^tracing door-22 in acceptors 1, 2, for 5m, 10000 entries at most; it is not/,
  );
  const device = await Device.connect(server.port);
  t.teardown(() => device.close());
  device.send(hello('door-22', { token: 's3cret' }), event(1, 'a.b', 'one\ttwo'));
  await cli.line(({ msg }) => /<- ACK 1/.test(msg ?? ''));

  process.kill(cli.pid, 'SIGINT');
  t.same(await cli.exited, { code: 0, signal: null });

  const lines = cli.lines.map(({ msg }) => msg ?? '');
  const time = String.raw`^\d\d:\d\d:\d\d\.\d\d\d  `;
  for (const [at, pattern] of [
    `== link ${device.connection || '[0-9a-f-]+'}, acceptor [12]$`,
    String.raw`-> HELLO, token \*\*\*, peer 127\.0\.0\.1:\d+$`,
    '<- WELCOME, \\d+ bytes, keepalive 60, frameBytesMax 65536$',
    '-> EVENT 1 a\\.b, 7 bytes$',
  ].entries()) {
    t.match(lines[at], new RegExp(time + pattern));
  }
  t.match(lines[4], /^ {17}= "one\\ttwo"$/);
  t.match(
    lines[5],
    /^\S+ {5}broker: published 1, exchange \S+events, routingKey door-22.a.b +\+\d+\.\d ms$/,
  );
  t.match(lines[6], /broker: confirmed 1 +\+\d+\.\d ms$/);
  t.match(lines[7], /<- ACK 1, \d+ bytes +\+\d+\.\d ms$/);
  t.match(cli.stderr, /the trace has ended: Ctrl-C\n$/);
  t.notMatch(lines.join(), /s3cret/);
});
