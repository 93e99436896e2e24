/** `owsla status`: what it says of a real node, whatever of it is away, and its exit codes. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { StatusAnswer } from '../../src/node/statusAnswer.ts';
import { Device } from '../helpers/fakes/device.ts';
import { startBroker } from '../helpers/processes/broker.ts';
import { type LogLine, type Printed, runOwsla } from '../helpers/processes/cli.ts';
import { at } from '../helpers/processes/programs.ts';
import { endBroker, isReady, refuses, serve, testPrefix } from '../helpers/processes/serve.ts';
import { waitFor } from '../helpers/waitFor.ts';

const { version: VERSION } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
const QUICK = ['--set', 'reconnectMaxMs=100ms'];

/** Our own: it is killed. */
const broker = await startBroker();
t.teardown(() => endBroker(broker));

/** What the command prints and how it ends; of the node of all tests if not told otherwise. */
function status(args: readonly string[] = ASK, env = {}): Promise<Printed> {
  return runOwsla(['status', ...args], { env });
}

/** The same as JSON: exit code and answer. */
async function answer(): Promise<[number | null, StatusAnswer]> {
  const { code, text, stderr } = await status([...ASK, '--json']);
  if (text === '') throw new Error(stderr);
  return [code, JSON.parse(text)];
}

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'ot-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const runDir = join(folder(t), 'run');
const ASK = ['--run-dir', runDir];
/** The first restart of a helper is at once, the next ones are not; and a stop may take long. */
const limits = ['restartWindowMs=1h', 'restartsMax=1', 'helperPauseMaxMs=3s', 'childSilenceMs=2m'];
const sets = limits.flatMap((limit) => ['--set', limit]);
const node = serve(t, broker.url, [...ASK, ...QUICK, ...sets]);
await isReady(node);

const isReadyOf = (line: LogLine, child: string) =>
  line.msg === 'child ready' && line.child === child;

const pidOf = (child: string): number =>
  Number(node.lines.findLast((line) => isReadyOf(line, child))?.childPid);

const stateOf = (told: StatusAnswer, role: string, index = 0) =>
  told.processes.find((one) => one.role === role && one.index === index);

const isWhole = () => waitFor('a whole node', async () => (await status()).code === 0);

t.test('a whole node: processes, links, broker and versions; as text and as JSON', async (t) => {
  const { port } = await node.said('ready');
  const device = await Device.open(Number(port), 'door-17');
  t.teardown(() => device.close());

  const [code, told] = await answer();
  const { code: textCode, text } = await status();

  t.same([code, textCode], [0, 0]);
  t.match(told, { state: 'ready', reasons: [], degraded: [], links: 1, version: VERSION });
  const address = `127.0.0.1:${port}`;
  t.match(told.listeners, [{ name: 'devices', address, isTls: false, auth: ['none'] }]);
  t.match(told, { restarts: { acceptor: 0, registrar: 0, observer: 0 }, prefix: testPrefix });
  t.same(told.brokers, [`127.0.0.1:${broker.port}`]);
  t.same(
    told.processes.map(({ role, index, state }) => `${role} ${index} ${state}`),
    ['supervisor 0', 'observer 0', 'registrar 0', 'acceptor 1', 'acceptor 2'].map(
      (name) => `${name} ready`,
    ),
  );
  for (const one of told.processes.slice(1)) {
    const name = one.role === 'acceptor' ? `acceptor ${one.index}` : one.role;
    const ready = node.lines.find((line) => isReadyOf(line, name));
    t.match(one, { pid: ready?.childPid, incarnation: ready?.incarnation, version: VERSION });
    t.ok((one.uptimeMs ?? -1) >= 0);
  }
  t.equal(told.processes[0]?.pid, node.pid);
  t.same(
    told.processes.map(({ broker }) => broker),
    [undefined, undefined, 'up', 'up', 'up'],
  );
  t.match(text, /^state {6}ready$/m);
  t.match(text, /^links {6}1 of \d+$/m);
  t.ok(text.includes(`listeners  devices 127.0.0.1:${port}, auth none\n`));
  t.match(text, /^broker {5}127\.0\.0\.1:\d+, prefix test-[\w-]+: up$/m);
  t.match(text, /^acceptor 2 +\d+ +ready +[\dms ]+ +\d+ +up +[\da-f-]{36}$/m);
});

t.test('control.sock is for its owner; folder and socket that go are made again', async (t) => {
  t.equal(statSync(join(runDir, 'control.sock')).mode & 0o777, 0o600);
  t.equal(statSync(runDir).mode & 0o777, 0o700);

  rmSync(runDir, { recursive: true });

  await isWhole();
  t.equal(statSync(join(runDir, 'control.sock')).mode & 0o777, 0o600);
  t.equal(statSync(runDir).mode & 0o777, 0o700);
});

t.test('an acceptor is stopped: said within the deadline; all others answer', async (t) => {
  const pid = pidOf('acceptor 2');

  process.kill(pid, 'SIGSTOP');
  t.teardown(() => process.kill(pid, 'SIGCONT'));
  const began = performance.now();
  const [code, told] = await answer();
  const tookMs = performance.now() - began;

  t.not(code, 0);
  t.match(stateOf(told, 'acceptor', 2), { pid, why: 'does not answer: no answer within 1000 ms' });
  t.equal(stateOf(told, 'acceptor', 1)?.broker, 'up');
  t.equal(stateOf(told, 'registrar')?.broker, 'up');
  t.ok(tookMs < 10_000, `${tookMs} ms`);
  await waitFor('not ready', async () => {
    const [later, { reasons }] = await answer();
    return later === 4 && reasons.some(({ reason }) => reason === 'no report');
  });
});

t.test('the registrar is stopped: it is named, within the deadline', async (t) => {
  await isWhole();
  const pid = pidOf('registrar');

  process.kill(pid, 'SIGSTOP');
  t.teardown(() => process.kill(pid, 'SIGCONT'));
  const [code, told] = await answer();

  t.equal(code, 3);
  t.match(stateOf(told, 'registrar'), { pid, why: /^does not answer: / });
});

t.test('the registrar keeps dying: degraded, and why; then whole again', async (t) => {
  await isWhole();
  const killed: number[] = [];
  const kill = () => {
    killed.push(pidOf('registrar'));
    process.kill(pidOf('registrar'), 'SIGKILL');
  };
  while (killed.length < 2) {
    const seen = node.lines.length;
    kill();
    await node.line((line) => isReadyOf(line, 'registrar'), seen);
  }
  kill();

  await waitFor('degraded', async () => {
    const [code, told] = await answer();
    if (stateOf(told, 'registrar')?.state !== 'pausing') {
      // On a busy machine its pause may be over before the question comes.
      if (!killed.includes(pidOf('registrar'))) kill();
      return false;
    }
    t.equal(code, 3);
    t.match(told.degraded, [{ part: 'presence', reason: 'registrar pausing' }, {}]);
    t.equal(stateOf(told, 'registrar')?.pid, undefined);
    t.equal(stateOf(told, 'acceptor', 1)?.broker, 'up');
    return true;
  });
  await isWhole();
  const [, { restarts }] = await answer();
  t.equal(restarts.registrar, killed.length);
});

t.test('the observer is stopped or dead: one sentence and 69; then it answers', async (t) => {
  const pid = pidOf('observer');

  process.kill(pid, 'SIGSTOP');
  t.match(await status(), {
    code: 69,
    text: '',
    stderr: /^owsla: the node at \S+ does not answer: no answer within 5000 ms\n$/,
  });
  process.kill(pid, 'SIGKILL');

  await isWhole();
});

t.test('a --run-dir that another node has, or that cannot be used, is refused', async (t) => {
  const again = (dir: string) => serve(t, broker.url, ['--run-dir', dir, '--prefix', 'another']);

  await refuses(t, again(runDir), 69, /^owsla: another node has its control\.sock in \S+; /);
  await refuses(t, again('/proc/no'), 78, /^owsla: the folder \/proc\/no \(--run-dir\) cannot be/);
  await refuses(t, again(import.meta.filename), 78, /cannot be used \(ENOTDIR\)/);
  await refuses(t, again(`/tmp/${'x'.repeat(100)}`), 78, /is too long a path for sockets/);
  t.equal((await status()).code, 0);
});

t.test('without --run-dir: the one node of this user is found in TMPDIR', async (t) => {
  const TMPDIR = folder(t);
  const env = { TMPDIR };
  // What a killed node left behind.
  mkdirSync(join(TMPDIR, 'owsla-123456'));
  t.match(await status([], env), {
    code: 69,
    stderr: /^owsla: no node of this user is found in \S+; [^\n]*\n$/,
  });
  const flags = ['--wait-for-broker', '--acceptors', '1'];
  const nodes = [0, 1].map(() => serve(t, 'amqp://127.0.0.1:1', flags, { env }));
  for (const one of nodes) await one.said('ready');

  t.match(await status([], env), {
    code: 64,
    stderr: /^owsla: several nodes run here; say which one with --run-dir: \S+, \S+\n$/,
  });
  await nodes[0]?.end();
  t.match(await status([], env), { code: 4, text: /^node +[\da-f-]{36}\n/ });

  // Nobody is there to answer, and nobody starts it again.
  const [left] = nodes.slice(1);
  const observer = left?.lines.find((line) => isReadyOf(line, 'observer'));
  process.kill(left?.pid ?? 0, 'SIGSTOP');
  process.kill(Number(observer?.childPid), 'SIGKILL');
  await waitFor('its end', async () => (await status([], env)).code === 69);
  t.match(await status([], env), {
    stderr: /^owsla: a node runs \(\S+\), but its observer, .* or give --run-dir /,
  });
  process.kill(left?.pid ?? 0, 'SIGCONT');
});

t.test('the broker is killed: not ready, and why, without waiting for it', async (t) => {
  await isWhole();

  await broker.kill();

  await waitFor('not ready', async () => {
    const [code, { processes, reasons }] = await answer();
    const said = processes.flatMap(({ broker }) => broker ?? []);
    const isSaid = reasons.some(({ reason }) => reason === 'no broker connection');
    return code === 4 && said.length === 3 && said.every((one) => one === 'down') && isSaid;
  });
  const { code, text } = await status();
  t.equal(code, 4);
  t.match(text, /^ +acceptor 1: no broker connection$/m);
  t.match(text, /^broker .*: down$/m);
  await broker.start();
  await isWhole();
});

t.test('a node that has ended: one sentence and 69', async (t) => {
  t.same(await node.end(), { code: 0, signal: null });

  t.match(await status(), {
    code: 69,
    stderr: /^owsla: no node answers at \S+control\.sock \(ENOENT\): [^\n]*\n$/,
  });
});
