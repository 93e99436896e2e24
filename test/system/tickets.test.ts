/** TLS tickets of a real node: a device resumes wherever it comes back, until the CRL changes. */
import { connect, type TLSSocket } from 'node:tls';
import t from 'tap';
import { Device, hello } from '../helpers/fakes/device.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const ACCEPTORS = 4;
const DEVICES = 60;
/** The goal of every hundred reconnects. */
const SHARE = 0.95;

const authority = new Authority();
t.teardown(() => authority.remove());
const served = authority.issue('localhost', { san: 'DNS:localhost' });
const device = authority.issue('any');
const revoked = authority.issue('revoked');
const { server } = await startNode(t, {
  acceptors: ACCEPTORS,
  flags: [
    ...['--tls-port', '0', '--auth', 'none', '--tls-client-cert', 'request'],
    ...['--tls-cert', served.certFile, '--tls-key', served.keyFile],
    ...['--tls-client-ca', authority.caFile, '--tls-crl', authority.crlFile],
  ],
});
const port = server.portOf('devices-tls');

interface Visit {
  readonly isResumed: boolean;
  /** What the next visit may offer. */
  readonly ticket: Buffer;
}

/** Connect, be WELCOMEd, take a ticket, leave. */
async function visit(id: string, version: '1.2' | '1.3', ticket?: Buffer): Promise<Visit> {
  const { cert, key } = device;
  const socket: TLSSocket = connect({
    ...{ host: '127.0.0.1', port, servername: 'localhost', ca: authority.ca, cert, key },
    ...{ maxVersion: `TLSv${version}` as const, session: ticket },
  });
  const given = new Promise<Buffer>((resolve) => socket.once('session', resolve));
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  const guest = new Device(socket);
  guest.send(hello(id));
  await guest.expect('welcome');
  const isResumed = socket.isSessionReused();
  // A ticket that resumes stays the device's: it gets no other one until it has shown again who it
  // is, which is a day later at the latest.
  const next = isResumed && ticket !== undefined ? ticket : await given;
  guest.close();
  return { isResumed, ticket: next };
}

function visits(version: '1.2' | '1.3', before: readonly Visit[] = []): Promise<Visit[]> {
  const ids = Array.from({ length: DEVICES }, (_, at) => at);
  return Promise.all(ids.map((at) => visit(`door-${at}`, version, before[at]?.ticket)));
}

const resumed = (all: readonly Visit[]) => all.filter(({ isResumed }) => isResumed).length;

/** SIGHUP: the files are read again, and the node reloads, which sends links of TLS away. */
async function renewed(): Promise<void> {
  const before = server.log.length;
  const said = (line: string) => server.log.slice(before).filter(({ msg }) => msg === line).length;
  server.signal('SIGHUP');
  const isDone = () => said('files read again') >= ACCEPTORS && said('reload done') === 1;
  await waitFor('the end of its reload', isDone);
}

async function replaceAcceptor(name: string): Promise<void> {
  const pid = server.childPid(name);
  process.kill(pid, 'SIGKILL');
  await waitFor('a new acceptor', () => server.childPid(name) !== pid);
}

for (const version of ['1.2', '1.3'] as const) {
  t.test(`TLS ${version}: a ticket of one acceptor is good for all of them`, async (t) => {
    const first = await visits(version);
    const second = await visits(version, first);
    const third = await visits(version, second);

    t.equal(resumed(first), 0);
    // Of 60 devices each finds another acceptor three times of four.
    for (const all of [second, third]) t.ok(resumed(all) >= SHARE * DEVICES, `${resumed(all)}`);
  });
}

t.test('also where the acceptors were killed and replaced', async (t) => {
  const before = { old: await visits('1.2'), new: await visits('1.3') };
  const names = Array.from({ length: ACCEPTORS }, (_, at) => `acceptor ${at + 1}`);
  await Promise.all(names.map(replaceAcceptor));
  const after = { old: await visits('1.2', before.old), new: await visits('1.3', before.new) };

  t.ok(resumed(after.old) >= SHARE * DEVICES, `${resumed(after.old)} of ${DEVICES}`);
  t.ok(resumed(after.new) >= SHARE * DEVICES, `${resumed(after.new)} of ${DEVICES}`);
});

t.test('files read again, and the CRL as it was: tickets stay good', async (t) => {
  const before = await visits('1.3');
  await renewed();
  const after = await visits('1.3', before);

  t.ok(resumed(after) >= SHARE * DEVICES, `${resumed(after)} of ${DEVICES}`);
});

t.test('the CRL has changed: no ticket from before is good, in no acceptor', async (t) => {
  const before = { old: await visits('1.2'), new: await visits('1.3') };
  authority.revoke(revoked);
  await renewed();
  const after = { old: await visits('1.2', before.old), new: await visits('1.3', before.new) };

  t.equal(resumed(after.old), 0);
  t.equal(resumed(after.new), 0);
  // They have new tickets now.
  const later = await visits('1.3', after.new);
  t.ok(resumed(later) >= SHARE * DEVICES, `${resumed(later)} of ${DEVICES}`);
});
