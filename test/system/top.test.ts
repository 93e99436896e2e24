/** `owsla top` and the streams of the HTTP API, of a real node, whatever of it is away. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { LiveAnswer } from '../../src/node/liveAnswer.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Device, event } from '../helpers/fakes/device.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { runOwsla } from '../helpers/processes/cli.ts';
import { cleanEnvironment } from '../helpers/processes/environment.ts';
import { askOnce, startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const CLI = join(import.meta.dirname, '../../src/cli/cli.ts');
const TOKEN = 'a-token-of-more-than-22-letters';

const broker = await findBroker();
t.teardown(() => broker.stop());
const proxy = await ToxicProxy.start(broker.port);
const { server, runDir } = await startNode(t, {
  ...{ broker, amqp: proxy.urlFor(broker.url), adminToken: TOKEN },
  limits: { adminStallMs: 2_000, childSilenceMs: 120_000, drainMs: 0, drainPaceMs: 0 },
});
t.teardown(() => proxy.stop());

const live = () => askOnce<LiveAnswer>(runDir, 'live');
const top = (...args: string[]) => runOwsla(['top', '--run-dir', runDir, ...args]);

interface Stream {
  text: string;
  readonly status: number;
  ended: Promise<void>;
  stop(): void;
}

/** A reader of a stream. */
async function stream(
  t: Test,
  path: string,
  headers: Record<string, string> = {},
): Promise<Stream> {
  const aborter = new AbortController();
  const url = `http://127.0.0.1:${server.adminPort}${path}`;
  const response = await fetch(url, { headers, signal: aborter.signal });
  const read = async () => {
    for await (const chunk of response.body ?? []) made.text += Buffer.from(chunk);
  };
  const { status } = response;
  const stop = () => aborter.abort();
  const made: Stream = { text: '', status, ended: Promise.resolve(), stop };
  made.ended = read().catch(() => {});
  t.teardown(made.stop);
  return made;
}

/** The data of the events with this name, '' if it has none. */
const eventsOf = ({ text }: Stream, name: string): unknown[] =>
  text.split('\n\n').flatMap((one) => {
    const [, named = '', data] = /^(?:event: (\w+)\n)?data: (.*)$/.exec(one) ?? [];
    return data !== undefined && named === name ? [JSON.parse(data)] : [];
  });

/** A terminal of `script`, its keys, and what was drawn since it was asked last. */
function terminal(t: Test, args: readonly string[]) {
  const command = `stty rows 24 cols 100; exec ${process.execPath} ${CLI} ${args.join(' ')}`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    env: { ...cleanEnvironment(), TERM: 'xterm', SHELL: '/bin/sh' },
  });
  const made = { drawn: '', ended: new Promise((resolve) => child.once('close', resolve)) };
  child.stdout.on('data', (chunk) => {
    made.drawn += String(chunk).replaceAll('\u001b', 'ESC');
  });
  t.teardown(() => child.kill());
  return { made, type: (keys: string) => child.stdin.write(keys) };
}

const device = await Device.open(server.port, 'door-17');
t.teardown(() => device.close());

t.test('what is live: links, rates, ends, shards, who hurts; once for all who ask', async (t) => {
  for (let count = 0; count < 3; count += 1) {
    const flapping = await Device.open(server.port, 'flapping');
    flapping.close();
  }
  const bad = await Device.open(server.port, 'bad');
  bad.sendBytes(Buffer.from([0, 0, 0, 1, 0xc1]));
  await bad.rest();
  await server.untilMetric('owsla_closes_total', 'reason="bad-frame"', (count) => count === 1);
  await live();
  device.send(event(1));
  await device.expect(TYPE.ACK);

  let timed: LiveAnswer['latency'] = {};
  await waitFor('rates', async () => {
    const { rates, latency } = await live();
    timed = latency;
    return rates.confirms > 0;
  });
  t.match(timed, { confirm: { count: 1, p50: Number, p99: Number } });
  const [one, other] = await Promise.all([live(), live()]);

  t.same(one, other, 'the same rendering');
  t.match(one.status, { state: 'ready', links: 1 });
  t.equal(one.shards.length, 256);
  await waitFor('who comes and goes', async () => {
    const { errors, reconnects, shards } = await live();
    const isOne = shards.reduce((sum, links) => sum + links, 0) === 1;
    return isOne && errors.length === 1 && reconnects[0]?.ends === 3;
  });
  const { errors, reconnects, missing } = await live();
  t.match(errors, [{ key: 'bad', ends: 1, reason: 'bad-frame' }]);
  t.match(reconnects, [{ key: 'flapping', ends: 3 }]);
  t.same(missing, []);
  await waitFor('who sends', async () => {
    device.send(event(0, 'a.b'));
    return (await live()).hot.rate[0]?.device === 'door-17';
  });
});

t.test('20 readers of the stream share it; with a heartbeat, and none is late', async (t) => {
  const readers = await Promise.all(Array.from({ length: 20 }, () => stream(t, '/api/v1/stream')));
  await waitFor('two events of each', () =>
    readers.every((one) => eventsOf(one, 'live').length >= 2),
  );

  const at = (one: Stream) => (eventsOf(one, 'live') as LiveAnswer[]).map((answer) => answer.at);
  const [first = []] = readers.map(at);
  t.ok(readers.every((one) => at(one).filter((time) => first.includes(time)).length >= 1));
  for (const one of readers) one.stop();
  t.equal((await stream(t, '/api/v1/stream', { origin: 'http://evil.example' })).status, 403);
});

t.test(
  'a trace over HTTP: with the token only, its entries, its end, and what is refused',
  async (t) => {
    const path = '/api/v1/links/door-17/trace';
    const headers = { authorization: `Bearer ${TOKEN}` };
    t.equal((await stream(t, path)).status, 401);
    t.equal((await stream(t, '/api/v1/links/door-17/tr%61ce')).status, 401);
    t.equal((await stream(t, `${path}?max=0`, headers)).status, 400);
    t.equal((await stream(t, `${path}?for=x`, headers)).status, 400);

    const tracing = await stream(t, `${path}?max=4&payloads=1`, headers);
    await waitFor('it is armed', () => eventsOf(tracing, 'tracing').length === 1);
    device.send(event(2, 'a.b', 'open'));
    await tracing.ended;

    t.match(
      eventsOf(tracing, '').map((entry) => (entry as { what: string }).what),
      [...['found', 'EVENT', 'published', 'confirmed']],
    );
    t.match(eventsOf(tracing, '')[1], { payload: Buffer.from('open').toString('base64') });
    t.match(eventsOf(tracing, 'traced'), [{ why: 'count', entries: 4 }]);
    await device.expect(TYPE.ACK);
  },
);

t.test(
  'owsla top: a page by --once and without a terminal; JSON; what is asked wrongly',
  async (t) => {
    const { code, text } = await top();

    t.equal(code, 0);
    t.match(text, /^owsla top {2}\d\d:\d\d:\d\d {2}ready {2}node [\da-f-]{36}, \S+, up /);
    t.match(text, /^links 1 of \d+ {3}new 0\/s {3}ended 0\/s/m);
    t.match(text, /^broker up /m);
    t.match(text, /^acceptor 2 +ready +\d+ +\d+% +[\d.]+ MiB +\d+ ms +[\d.]+\/s/m);
    t.match(text, /^by \[OUTBOX\] {2}paused {2}rate /m);
    t.match((await top('--once', '--sort', 'errors')).text, /^bad +1 +\d\d:\d\d:\d\d +bad-frame$/m);
    t.match(JSON.parse((await top('--once', '--json')).text), { status: { state: 'ready' } });
    t.match(await top('--sort', 'outbx'), { code: 64, stderr: /did you mean outbox\?/ });
  },
);

t.test('owsla top on a terminal: drawn again, a key chooses, q leaves it as it was', async (t) => {
  const { made, type } = terminal(t, ['top', '--run-dir', runDir]);
  await waitFor('a page', () => /by \[OUTBOX\]/.test(made.drawn));
  t.match(made.drawn, /^ESC\[\?1049hESC\[\?25l/);
  t.match(made.drawn, /ESC\[7mPROCESS /);

  type('\u001b[C');
  type('p');
  await waitFor('a list', () => /\[PAUSED\]/.test(made.drawn));
  t.notMatch(made.drawn, /\[COMINGS\]/, 'an arrow is no letter');
  type('c');
  await waitFor('the other list', () => /\[COMINGS\].*flapping +3/s.test(made.drawn));
  made.drawn = '';
  await waitFor('the next page', () => /owsla top/.test(made.drawn));

  type('q');
  t.equal(await made.ended, 0);
  t.match(made.drawn, /ESC\[\?25hESC\[\?1049l$/);
});

t.test(
  'an acceptor is stopped, the registrar killed, the broker away: said, and all else',
  async (t) => {
    const acceptor = server.childPid('acceptor 2');
    process.kill(acceptor, 'SIGSTOP');
    t.teardown(() => process.kill(acceptor, 'SIGCONT'));
    await waitFor('that it is silent', async () => {
      const { missing, status } = await live();
      const one = status.processes.find(({ role, index }) => role === 'acceptor' && index === 2);
      return missing.length === 1 && one?.why !== undefined;
    });
    t.match((await top()).text, /^! acceptor 2 does not answer: no answer within \d+ ms$/m);
    process.kill(acceptor, 'SIGCONT');
    await waitFor('its answer', async () => (await live()).missing.length === 0);

    process.kill(server.childPid('registrar'), 'SIGKILL');
    proxy.cut();
    await waitFor('both are said', async () => {
      const { status } = await live();
      const said = [...status.reasons, ...status.degraded].map(({ reason }) => reason);
      return said.length > 0 && status.restarts.registrar === 1;
    });
    const { code, text } = await top();
    t.equal(code, 0);
    t.match(text, /^! (?:presence|commands|not ready|events): /m);
    proxy.resume();
  },
);

t.test('a reader that reads is not closed; at its end the node says so', async (t) => {
  const reader = await stream(t, '/api/v1/stream');
  await waitFor('an event', () => eventsOf(reader, 'live').length > 0);
  const page = await server.page('/metrics');
  t.match(page, /^owsla_admin_closes_total\{reason="stalled"\} 0$/m, 'nobody was closed so far');

  device.close();
  server.signal('SIGTERM');
  t.equal(await server.ended(), 0);
  await reader.ended;

  t.match(eventsOf(reader, 'end'), [{ why: 'the node stops or reloads' }]);
  t.match(await top('--once'), { code: 69, stderr: /no node answers at/ });
});
