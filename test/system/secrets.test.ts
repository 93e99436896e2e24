/**
 * No secret leaves the node: one that logs all it can lives through good links and bad ones, broken
 * files and crashes; then everything that people can see of it is searched for what it knows.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import t from 'tap';
import { devicePskKey, deviceTokenKey, makeToken, newGroupKey } from '../../src/base/deviceKeys.ts';
import { Device, event, hello } from '../helpers/fakes/device.ts';
import type { Broker } from '../helpers/processes/broker.ts';
import { noOpenssl } from '../helpers/processes/programs.ts';
import { waitFor } from '../helpers/waitFor.ts';
import { AuthWorld, goodJwt } from '../helpers/worlds/authWorld.ts';

/** A way to crash a process from outside: an exception that nobody catches. */
const CRASH = 'SIGUSR2';
const planted = `process.on('${CRASH}',()=>{throw/**/new/**/Error('planted')})`;
const password = `pass-${randomUUID()}`;

/** A user of its own at the broker, where one can be made. */
async function login(broker: Broker): Promise<string> {
  const all = { configure: '.*', write: '.*', read: '.*' };
  return broker.addUser(`secret-${randomUUID().slice(0, 8)}`, password, all);
}

const isProc = existsSync('/proc/self/environ');

t.test('secrets', { skip: noOpenssl }, async (t) => {
  const traces = { 'log-level': 'trace' };
  const world = await AuthWorld.begin(
    {
      flags: Object.entries(traces).flatMap(([name, value]) => [`--${name}`, value]),
      env: { NODE_OPTIONS: `--import=data:text/javascript,${planted}` },
      limits: { refusalLinesMax: 1_000, restartWindowMs: 60_000, restartsMax: 20 },
    },
    login,
  );
  t.teardown(() => world.end());
  const { server, groupKey, authority } = world;
  const secrets = new Map<string, string>();
  const secret = (name: string, bytes: Buffer) => {
    secrets.set(`${name}, base64`, bytes.toString('base64').replace(/=+$/, ''));
    secrets.set(`${name}, base64url`, bytes.toString('base64url'));
    secrets.set(`${name}, hex`, bytes.toString('hex'));
  };
  const heard: unknown[] = [];

  /** What the node says to a device that says these tokens. */
  async function meet(socket: Duplex, id: string, token?: string): Promise<Device> {
    const device = new Device(socket);
    device.send(hello(id, token === undefined ? {} : { token }));
    heard.push(await device.next());
    return device;
  }

  secret('the group key', groupKey.export());
  secret('a device’s token key', deviceTokenKey(groupKey, 'door-1'));
  secret('a device’s PSK', devicePskKey(groupKey, 'door-1'));
  secrets.set('the password', password);
  const serverKey = readFileSync(world.served.keyFile, 'utf8').split('\n')[1] ?? '';
  secrets.set('the private key', serverKey);

  const tokens = {
    good: makeToken(groupKey, 'g1', 'door-1', 0),
    ended: makeToken(groupKey, 'g1', 'door-1', 1),
    'for another': makeToken(groupKey, 'g1', 'door-2', 0),
    jwt: goodJwt('door-1'),
    'jwt of another': goodJwt('door-2'),
    'of no kind': `no-token-${randomUUID()}`,
  };
  for (const [name, token] of Object.entries(tokens)) {
    secrets.set(`a token, ${name}`, token);
    // What is signed may be known; the signature may not.
    secrets.set(`the signature, ${name}`, token.slice(-40));
  }

  t.test('secrets: links, good and bad, a broken file, and crashes', async (t) => {
    for (const listener of ['by-key', 'by-jwt', 'by-topic', 'by-psk', 'by-any']) {
      for (const token of Object.values(tokens)) {
        const isTls = listener === 'by-psk' || listener === 'by-any';
        const socket = isTls ? world.tls(listener) : world.plain(listener);
        const device = await meet(socket, 'door-1', token);
        device.send(event(1, 'room.temperature', tokens.good));
        device.close();
      }
    }
    const psk = devicePskKey(groupKey, 'door-1');
    const byPsk = world.tls('by-psk', {
      ...{ pskCallback: () => ({ psk, identity: 'g1.door-1' }), ciphers: 'PSK' },
      ...{ maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined },
    });
    (await meet(byPsk, 'door-1')).close();

    const before = authority.read('keys.yaml');
    const next = newGroupKey();
    secrets.set('a key of a broken file', next.slice(0, 43));
    const fileOf = [
      `g1: ${next.slice(1)}\n`,
      `g1: ${next}\ng1: ${next}\n`,
      `${next}: g1\n`,
      `g1: [${next}\n`,
      next,
    ];
    const isDone = ({ msg, listener }: { msg: string; listener?: unknown }) =>
      listener === 'by-any' && msg.startsWith('files ');
    for (const text of fileOf) {
      const count = server.log.filter(isDone).length;
      authority.save('keys.yaml', text);
      server.signal('SIGHUP');
      await waitFor('the file', () => server.log.filter(isDone).length === count + 2);
    }
    // A private key where certificates belong.
    authority.save('keys.yaml', before);
    const { certFile } = world.served;
    const cert = readFileSync(certFile, 'utf8');
    const file = certFile.slice(authority.folder.length + 1);
    authority.save(file, world.served.key);
    const count = server.log.filter(isDone).length;
    server.signal('SIGHUP');
    await waitFor('the file', () => server.log.filter(isDone).length === count + 2);
    authority.save(file, cert);

    // A link is open while its acceptor crashes.
    const open = await meet(world.plain('by-key'), 'door-1', tokens.good);
    for (const [child, signal] of [
      ['acceptor 1', CRASH],
      ['acceptor 2', CRASH],
      ['registrar', CRASH],
      ['observer', CRASH],
      ['acceptor 1', 'SIGKILL'],
    ] as const) {
      const pid = server.childPid(child);
      process.kill(pid, signal);
      await waitFor(`${child} to be back`, () => server.childPid(child) !== pid);
    }
    await open.rest();
    t.match(
      server.log.find(({ msg }) => msg === 'crashed'),
      { level: 'fatal', err: { message: 'planted' } },
    );
    t.ok(server.log.filter(({ msg }) => /not read again/.test(msg)).length >= 12);
  });

  t.test('secrets: none is to be seen anywhere', async (t) => {
    await waitFor('ready health', () => server.isReady());
    const seen = new Map<string, string>();
    for (const path of ['/metrics', '/health/ready', '/health/live', '/', '/devices', '/status']) {
      seen.set(`page ${path}`, await server.page(path));
    }
    const children = ['acceptor 1', 'acceptor 2', 'registrar', 'observer'];
    const pids = children.map((child) => server.childPid(child));
    for (const pid of isProc ? [server.pid, ...pids] : []) {
      seen.set(`cmdline of ${pid}`, readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
      seen.set(`title of ${pid}`, readFileSync(`/proc/${pid}/comm`, 'utf8'));
      // The supervisor's own is what its operator gave it.
      if (pid === server.pid) continue;
      const environ = readFileSync(`/proc/${pid}/environ`, 'utf8');
      seen.set(`environ of ${pid}`, environ);
      t.notMatch(environ, /OWSLA_AMQP/);
    }
    // Its folder goes with it.
    for (const path of filesIn(server.folder)) seen.set(path, readFileSync(path, 'latin1'));
    process.kill(server.pid, CRASH);
    await server.ended();
    seen.set('log', JSON.stringify(server.log));
    seen.set('stderr', server.errors.join('\n'));
    seen.set('what devices heard', JSON.stringify(heard));

    t.ok(seen.get('log')?.includes('planted'));
    t.ok(seen.size > 10);
    const found: string[] = [];
    for (const [place, text] of seen) {
      for (const [name, word] of secrets)
        if (text.includes(word)) found.push(`${name} in ${place}`);
    }
    t.same(found, []);
    t.ok([...secrets.values()].every((word) => word.length >= 16));
  });
});

/** What the node wrote: its store, and reports of crashes, if there were any. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path) && statSync(path).isFile());
}
