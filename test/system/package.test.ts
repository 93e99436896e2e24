/** The package as published: what it holds, and that its programs run where it is installed. */
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { blocksOf } from '../helpers/docs.ts';
import { Device, event } from '../helpers/fakes/device.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { install, pack } from '../helpers/processes/packed.ts';
import { runPlain } from '../helpers/processes/plain.ts';
import { at, oldNode } from '../helpers/processes/programs.ts';
import { endBroker, isReady, serve } from '../helpers/processes/serve.ts';
import { repositoryFiles } from '../helpers/sources.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-package-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const { version } = JSON.parse(readFileSync(at('package.json'), 'utf8')) as { version: string };
const { tarball, files } = pack(folder);
const isInstall = ({ text }: { text: string }) => text.includes('useradd');
const commands = blocksOf('README.md').find(isInstall)?.text ?? '';
const programs = install(folder, tarball, commands);

/** What authors of protocol modules get, and nothing else of us. */
const TYPES = 'dist/src/wire/module/moduleTypes.d.ts';

const run = (...command: string[]) => runPlain('/', ...command);

t.test('package: every source is there, compiled, and nothing that no program reads', async (t) => {
  const sources = repositoryFiles().filter((path) => /^(?:src|loadgen)\/.*\.ts$/.test(path));
  const compiled = sources.map((path) => `dist/${path.replace(/\.ts$/, '.js')}`);
  const inDist = files.filter((path) => path.startsWith('dist/'));
  const folders = new Set(files.map((path) => path.replace(/\/.*/, '/')));

  t.same(inDist.toSorted(), [...compiled, TYPES].toSorted());
  t.same(
    [...folders].toSorted(),
    ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist/', 'docs/', 'examples/', 'loadgen/', 'src/']
      .concat('package.json')
      .toSorted(),
  );
  t.equal(basename(tarball), `owsla-${version}.tgz`);
});

t.test('package: every example that its pages name is in it', async (t) => {
  const pages = files.filter((path) => path.endsWith('.md'));
  const text = pages.map((path) => readFileSync(at(path), 'utf8')).join('\n');
  const named = new Set(text.match(/\bexamples\/\w+\.(?:c|h|rb|ts)\b/g));

  t.ok(named.size > 4);
  t.same(
    [...named].filter((path) => !files.includes(path)),
    [],
  );
});

t.test('package: README’s six commands install it, its unit and its file', async (t) => {
  const { devDependencies, version } = JSON.parse(readFileSync(at('package.json'), 'utf8'));
  t.equal(commands.trimEnd().split('\n').length, 6);
  t.ok(commands.includes(` node@${devDependencies.node} ./owsla-${version}.tgz\n`));
  const root = join(folder, 'root');
  const done = ['useradd --system --user-group owsla', 'systemctl enable --now owsla', ''];
  t.equal(readFileSync(join(root, 'done'), 'utf8'), done.join('\n'));
  const unit = readFileSync(join(root, 'etc/systemd/system/owsla.service'), 'utf8');
  t.equal(unit, readFileSync(at('examples/deploy/owsla.service'), 'utf8'));
  const file = join(root, 'etc/owsla/owsla.yaml');
  t.equal(statSync(file).mode & 0o777, 0o600);
  const { stdout, status } = run(join(programs, 'owsla'), 'config', '--config', file);
  t.match(stdout, /^amqp +amqp:\/\/guest:\*\*\*@127\.0\.0\.1:5672 +amqp in /m);
  t.equal(status, 0);
});

t.test('package: installed, its programs say version and help', async (t) => {
  const said = run(join(programs, 'owsla'), '--version');
  t.same([said.stdout, said.stderr, said.status], [`${version}\n`, '', 0]);
  // As `npx` finds it, in a project with a version of its own.
  const project = join(folder, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "name": "doors", "version": "9.9.9" }');
  symlinkSync(join(programs, 'owsla'), join(project, 'owsla'));
  t.equal(run(join(project, 'owsla'), '--version').stdout, `${version}\n`);

  for (const program of ['owsla', 'owsla-loadgen']) {
    const { status, stderr, stdout } = run(join(programs, program), '--help');
    t.match(stdout, new RegExp(`^Commands:\\n  ${program} \\w`, 'm'));
    t.same([stderr, status], ['', 0]);
  }
});

t.test('package: an author of a protocol module has its kit and its types', async (t) => {
  const author = join(folder, 'author');
  const installed = join(programs, '../lib/node_modules/owsla');
  mkdirSync(join(author, 'node_modules/@types'), { recursive: true });
  symlinkSync(installed, join(author, 'node_modules/owsla'));
  symlinkSync(at('node_modules/@types/node'), join(author, 'node_modules/@types/node'));
  copyFileSync(at('examples/protocols/gps103.js'), join(author, 'gps103.js'));
  const write = (name: string, text: string) => writeFileSync(join(author, name), text);
  write('package.json', '{ "type": "module" }');
  write('check.js', CHECK);
  write('module.ts', MODULE);

  const checked = runPlain(author, process.execPath, 'check.js');
  t.same([checked.stdout, checked.status], ['true module samples\n', 0], checked.stderr);
  const flags = '--noEmit --strict --module nodenext --target es2024 --types node'.split(' ');
  const compiled = runPlain(author, at('node_modules/.bin/tsc'), ...flags, 'module.ts');
  t.same([compiled.stdout, compiled.status], ['', 0]);
});

const CHECK = `
import { checkProtocol } from 'owsla/protocol';
const { isGood, findings } = await checkProtocol('gps103.js', { rounds: 10 });
console.log(isGood, ...findings.slice(0, 2).map(({ check }) => check));
`;
const MODULE = `
import { type CreateProtocol, checkProtocol, framing } from 'owsla/protocol';
export const createProtocol: CreateProtocol = ({ bytesMax, framing }) => ({
  name: 'typed',
  capabilities: {
    events: true, acknowledgements: false, requests: false, commands: 'none', keepalive: 'none',
  },
  payloadBytesMax: bytesMax,
  connect: () => ({
    frame: framing.lines(),
    read: (line) => ({ type: 'event', topic: 'line', payload: line.subarray(0, -1) }),
  }),
});
void checkProtocol;
void framing.fixed(7);
`;

t.test(
  'package: it serves a device and its page; an upgrade by three commands keeps the link',
  async (t) => {
    const isUpgrade = ({ text }: { text: string }) => text.includes('ln -sfn');
    const upgrade = blocksOf('docs/operations.md').find(isUpgrade)?.text ?? '';
    const [installs = '', links = '', reloads] = upgrade.trimEnd().split('\n');
    // The first command is README's with another version: what that one made is copied.
    const [first = ''] = commands.split('\n');
    const [other = ''] = /[\d.]+(?=\.tgz)/.exec(installs) ?? [];
    t.not(other, version);
    t.equal(installs, first.replaceAll(version, other));
    const root = join(folder, 'root');
    const next = join(root, `opt/owsla-${other}`);
    cpSync(join(root, `opt/owsla-${version}`), next, { recursive: true, verbatimSymlinks: true });
    const manifest = join(next, 'lib/node_modules/owsla/package.json');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(`"${version}"`, `"${other}"`));
    t.equal(reloads, 'systemctl reload owsla');
    const unit = readFileSync(at('examples/deploy/owsla.service'), 'utf8');
    const [, execReload = ''] = /^ExecReload=(.*)$/m.exec(unit) ?? [];
    const placed = (line: string) => line.replaceAll(/(?<= |^)(?=\/(?:opt|run)\/)/g, root);
    const broker = await findBroker();
    t.teardown(() => endBroker(broker));
    const folders = ['--data-dir', join(folder, 'data'), '--run-dir', join(root, 'run/owsla')];
    mkdirSync(join(root, 'run'));
    const node = serve(t, broker.url, folders, { script: join(programs, 'owsla') });
    await isReady(node);
    const { port, adminPort } = await node.said('ready');
    const device = await Device.open(Number(port), 'door-17');
    device.send(event(1));
    t.match(await device.next(), { type: TYPE.ACK, id: 1 });
    for (const path of ['', 'page/page.js', 'page/page.css', 'page/uplot.js', 'page/uplot.css']) {
      const headers = { accept: 'text/html' };
      const page = await fetch(`http://127.0.0.1:${adminPort}/${path}`, { headers });
      t.equal(page.status, 200, path);
      t.ok((await page.text()).length > 1_000, path);
    }

    const linked = runPlain(folder, '/bin/sh', '-ec', placed(links));
    t.equal(linked.status, 0, linked.stderr);
    const reloaded = run('/bin/sh', '-ec', placed(execReload));

    t.equal(reloaded.status, 0, reloaded.stderr);
    t.match(reloaded.stdout, /done: 1 links moved, 0 left, 0 drained/);
    const status = run('/bin/sh', '-ec', placed(execReload).replace(' reload ', ' status --json '));
    t.match(JSON.parse(status.stdout), { version: other, state: 'ready' });
    device.send(event(2));
    t.match(await device.next(), { type: TYPE.ACK, id: 2 });
    device.close();
    t.same(await node.end(), { code: 0, signal: null });
    t.equal(node.stderr, '');
  },
);

const skip = oldNode === undefined ? 'no old Node on this machine' : false;
t.test('package: installed, an old Node is told in one sentence', { skip }, async (t) => {
  const { file = '', version = '' } = oldNode ?? {};
  for (const program of ['owsla', 'owsla-loadgen']) {
    const { status, stderr, stdout } = run(file, join(programs, program), '--version');
    const sentence = `${program}: needs Node.js 26.5 or later, and this is ${version} (`;
    t.ok(stderr.startsWith(sentence), stderr);
    t.match(stderr, /^[^\n]+\n$/);
    t.same([stdout, status], ['', 78]);
  }
});
