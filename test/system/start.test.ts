/** Start: `owsla serve` as an operator meets it. Every reason not to start is one sentence. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { EXIT, exitOfSystem } from '../../src/base/errors.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Cli, commandLineOf } from '../helpers/processes/cli.ts';
import { endBroker, listening, PASSWORD, refuses, serve } from '../helpers/processes/serve.ts';

const broker = await findBroker();
t.teardown(() => endBroker(broker));

const USAGE_ERRORS: [string, string[], RegExp][] = [
  ['an unknown flag', ['--prot', '1'], /no flag --prot; did you mean --port\?/],
  ['an unknown command', ['sreve'], /no command or argument "sreve"; did you mean serve\?/],
  ['a bad port', ['--admin-port', '70000'], /--admin-port must be a whole number from 0 to 65535/],
  ['a flag given twice', ['--port', '1', '--port', '2'], /--port is given more than once/],
  ['a bad level', ['--log-level', 'loud'], /--log-level must be one of/],
  ['an unknown limit', ['--set', 'linkMax=1'], /no limit "linkMax"; did you mean linksMax\?/],
  ['a limit as a flag', ['--linksMax', '1'], /--linksMax is a limit: write --set linksMax=/],
  ['a limit called __proto__', ['--set', '__proto__=1'], /there is no limit "__proto__"/],
  ['a limit called toString', ['--set', 'toString=1'], /there is no limit "toString"/],
  ['a word behind --', ['--', '--port', '1'], /there is no command or argument "--port"/],
  ['a limit with no value', ['--set', 'linksMax'], /--set takes NAME=VALUE/],
  ['a wrong unit', ['--set', 'greetingMs=1KiB'], /--set greetingMs must be a duration/],
  ['limits at odds', ['--keepalive', '5s'], /keepaliveMinMs .* must not be above keepaliveMs/],
  ['a public address', ['--host', '0.0.0.0'], /say who may connect: --auth none/],
  ['a broker of another kind', ['--amqp', `http://u:${PASSWORD}@h`], /--amqp must be an amqp:/],
  ['no config file', ['--config', '/nonexistent.yaml'], /cannot read the config file/],
];

for (const [name, args, sentence] of USAGE_ERRORS) {
  t.test(`${name}: one sentence, exit 64`, async (t) => {
    await refuses(t, serve(t, broker.url, args), EXIT.usage, sentence);
  });
}

t.test('a config file that cannot be used: one sentence that names it, exit 64', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const bad: [string, RegExp][] = [
    ['prot: 1', /owsla.yaml has the unknown key "prot"; did you mean port\?/],
    ['- port', /owsla.yaml must hold a map/],
    ['port: [', /cannot read the config file .*owsla.yaml: /],
    ['set: 5', /set in .*owsla.yaml must be a map of limits/],
    ['__proto__: {port: 1}', /has the unknown key "__proto__"/],
    ['constructor: 1', /has the unknown key "constructor"/],
    ['set: {__proto__: 1}', /there is no limit "__proto__"/],
    ['set: {constructor: 1}', /there is no limit "constructor"/],
    ['log-level: loud', /log-level in .*owsla.yaml must be one of/],
    [`amqp: "http://u:${PASSWORD}@h"`, /must be an amqp/],
  ];
  for (const [text, sentence] of bad) {
    const file = join(folder, 'owsla.yaml');
    writeFileSync(file, text);
    await refuses(t, new Cli(['serve', '--config', file]), EXIT.usage, sentence);
  }
});

t.test('OWSLA_SET: a name of every object is no limit', async (t) => {
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const cli = serve(t, broker.url, [], { env: { OWSLA_SET: `linksMax=5,${name}=1` } });
    await refuses(t, cli, EXIT.usage, new RegExp(`there is no limit "${name}"`));
  }
});

t.test('flag over variable over file over default', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'owsla-test-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'owsla.json');
  const told = {
    acceptors: 3,
    host: '127.0.0.3',
    'admin-host': '127.0.0.3',
    set: { drainMs: '0s' },
  };
  writeFileSync(file, JSON.stringify(told));
  const env = { OWSLA_CONFIG: file, OWSLA_HOST: '127.0.0.2' };

  const ready = await serve(t, broker.url, ['--acceptors', '1'], { env }).said('ready');

  t.match(ready, { acceptors: 1, host: '127.0.0.2', adminHost: '127.0.0.3' });
});

t.test('a port in use: one sentence, exit 69', async (t) => {
  const { port } = await listening(t);
  const cli = serve(t, broker.url, ['--port', `${port}`]);
  await refuses(t, cli, EXIT.unavailable, new RegExp(`port ${port} on 127.0.0.1 is in use`));
});

t.test('a port that another Owsla shares between its acceptors is in use too', async (t) => {
  const { port } = await serve(t, broker.url).said('ready');
  const cli = serve(t, broker.url, ['--port', `${port}`]);
  await refuses(t, cli, EXIT.unavailable, new RegExp(`port ${port} on 127.0.0.1 is in use`));
});

t.test('an admin port in use: one sentence, exit 69', async (t) => {
  const { port } = await listening(t);
  const cli = serve(t, broker.url, ['--admin-port', `${port}`]);
  await refuses(t, cli, EXIT.unavailable, new RegExp(`admin port ${port} on 127.0.0.1 is in use`));
});

t.test('an address that this machine does not have: one sentence, exit 69', async (t) => {
  const cli = serve(t, broker.url, ['--host', '192.0.2.1', '--auth', 'none']);
  await refuses(
    t,
    cli,
    EXIT.unavailable,
    /port 0 on 192.0.2.1 cannot be opened: this machine does/,
  );
});

/** Root without the right to privileged ports; anybody else has none. */
const UNPRIVILEGED = 'set -- setpriv --bounding-set -net_bind_service "$@"';

const firstOpenPort = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));
const skip = firstOpenPort < 2 ? 'no port is privileged on this machine' : false;

t.test('a port that this user may not open: one sentence, exit 78', { skip }, async (t) => {
  const before = process.getuid?.() === 0 ? UNPRIVILEGED : ':';
  for (const flag of ['port', 'admin-port']) {
    const cli = serve(t, broker.url, [`--${flag}`, '1'], { before });
    const what = flag.replace('-', ' ');
    const sentence = new RegExp(`^owsla: ${what} 1 on 127.0.0.1 may not be opened by this user`);
    await refuses(t, cli, EXIT.config, sentence);
  }
});

t.test('a host that is none: one sentence, exit 78', async (t) => {
  for (const host of ['a..b', 'fe80::1%no-such-zone']) {
    const cli = serve(t, broker.url, ['--admin-host', host, '--admin-auth', 'none']);
    await refuses(t, cli, EXIT.config, /^owsla: admin port 0 on \S+ cannot be opened/);
  }
});

t.test('what heals by waiting exits 69, all else 78', async (t) => {
  const exits = (...codes: string[]): number[] => codes.map(exitOfSystem);
  t.same(
    exits('EADDRINUSE', 'EADDRNOTAVAIL', 'EAI_AGAIN', 'ENOSPC', 'ENFILE'),
    Array<number>(5).fill(69),
  );
  t.same(
    exits('EACCES', 'EPERM', 'ENOTFOUND', 'EAFNOSUPPORT', 'EINVAL'),
    Array<number>(5).fill(78),
  );
});

t.test('more links than open files: one sentence, exit 78', async (t) => {
  const cli = serve(t, broker.url, ['--set', 'linksMax=1000'], { before: 'ulimit -n 1200' });
  await refuses(t, cli, EXIT.config, /linksMax=1000 needs 1256 open files.*but the limit is 1200/);
});

t.test('a TMPDIR that cannot hold sockets: one sentence, exit 78', async (t) => {
  const cases: [string, RegExp][] = [
    ['/nonexistent', /cannot make a folder for sockets in \/nonexistent \(ENOENT\)/],
    [`/tmp/${'x'.repeat(90)}`, /is too long a path for sockets; set TMPDIR to a shorter one/],
  ];
  for (const [folder, sentence] of cases) {
    const cli = serve(t, broker.url, [], { env: { TMPDIR: folder } });
    await refuses(t, cli, EXIT.config, sentence);
  }
});

t.test('no process shows the broker’s password in its command line', async (t) => {
  const good = serve(t, broker.url, ['--amqp', broker.url]);
  await good.said('ready');
  const shown = [good.pid, ...good.children()].map(commandLineOf);
  t.equal(shown.length, 5);
  t.notMatch(shown.join('\n'), 'amqp:');
  t.match(shown[0], /^owsla supervisor :\d+/);
  t.ok(
    shown.some((line) => /^owsla acceptor 2\/2 :\d+ links=0$/.test(line)),
    shown.join('\n'),
  );
});

t.test('an unknown variable is warned about, with the nearest one', async (t) => {
  const cli = serve(t, broker.url, [], { env: { OWSLA_KEEPALIFE: '1m' } });
  const warning = await cli.line(({ variable }) => variable === 'OWSLA_KEEPALIFE');
  t.match(warning, { level: 'warn', msg: /did you mean OWSLA_KEEPALIVE\?/ });
});

t.test("another command's flag: one sentence, exit 64", async (t) => {
  const cli = new Cli(['devices', '--run-dir', '/nowhere']);
  await refuses(t, cli, EXIT.usage, /^owsla: this command has no flag --run-dir$/m);
});

t.test('owsla limits prints a line for each limit', async (t) => {
  const cli = new Cli(['limits']);
  t.same(await cli.exited, { code: 0, signal: null });
  t.match(cli.lines[1]?.msg, /^frameBytesMax +64KiB +256B to 16MiB +reload +largest frame/);
});
