/** AdminGuard: token, Host and Origin, for each kind of question. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { EXIT, StartError } from '../../src/base/errors.ts';
import { AdminGuard, readAdminToken } from '../../src/observer/adminGuard.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-guard-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const TOKEN = 'aZ09._~+/-0123456789abcdef==';
const file = join(folder, 'token');
writeFileSync(file, `${TOKEN}\n`, { mode: 0o600 });

const here = { 'admin-token-file': file };
const everywhere = { ...here, 'admin-host': '0.0.0.0', 'admin-hosts': 'metrics.example,Gate' };

function ask(options: object, headers: Record<string, string>, method = 'GET', url = '/metrics') {
  const guard = new AdminGuard(makeConfig(options));
  return guard.refusal({ method, url, headers: { host: '127.0.0.1:9700', ...headers } })?.code;
}
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

t.test('on loopback reading needs nothing, a change always does', async (t) => {
  t.equal(ask({}, {}), undefined);
  t.equal(ask(here, {}), undefined);
  for (const method of ['POST', 'DELETE', 'PUT', 'PATCH']) {
    t.equal(ask(here, {}, method), 401);
    t.equal(ask(here, bearer(TOKEN), method), undefined);
    t.equal(ask({}, bearer(''), method), 401, 'where there is no token, nobody has it');
    t.equal(ask({}, bearer('undefined'), method), 401);
  }
});

t.test('what is no secret may be read everywhere, and is not changed', async (t) => {
  const guard = new AdminGuard(makeConfig(everywhere));
  const asked = (method: string, host = '127.0.0.1') =>
    guard.refusal({ method, url: '/page/page.js', headers: { host } }, false)?.code;

  t.equal(asked('GET'), undefined);
  t.equal(asked('POST'), 401);
  t.equal(asked('GET', 'evil.example'), 421);
});

t.test('elsewhere reading needs the token', async (t) => {
  t.equal(ask(everywhere, {}), 401);
  t.equal(ask(everywhere, bearer(TOKEN)), undefined);
  t.equal(ask(everywhere, { authorization: `bearer ${TOKEN}` }), undefined);
  for (const wrong of [`${TOKEN}x`, TOKEN.slice(1), TOKEN.toUpperCase(), '', ' ', `${TOKEN} x`]) {
    t.equal(ask(everywhere, bearer(wrong)), 401, wrong);
  }
  t.equal(ask(everywhere, { authorization: `Basic ${TOKEN}` }), 401);
  t.equal(ask({ 'admin-host': '0.0.0.0', 'admin-auth': 'none' }, {}), undefined, 'if it is said');
  t.equal(ask({ ...everywhere, 'admin-auth': 'none' }, {}, 'POST'), 401, 'a change even then');
});

t.test('names that somebody else could have pointed here', async (t) => {
  for (const host of [
    'evil.example',
    'evil.example:9700',
    '',
    'localhost.evil.example',
    'x@127.0.0.1',
  ]) {
    t.equal(ask(here, { host }), 421, host);
    t.equal(ask(here, { host, ...bearer(TOKEN) }, 'POST'), 421, host);
  }
  for (const host of ['localhost', 'LOCALHOST:9700', '127.0.0.1', '[::1]:9700', '10.1.2.3:1']) {
    t.equal(ask(here, { host }), undefined, host);
  }
  t.equal(ask(everywhere, { host: 'gate:9700', ...bearer(TOKEN) }), undefined);
  t.equal(ask(everywhere, { host: 'metrics.example', ...bearer(TOKEN) }), undefined);
});

t.test('pages of other origins, in the browser of somebody here', async (t) => {
  const host = 'localhost:9700';
  t.equal(ask(here, { host, origin: 'http://localhost:9700' }), undefined);
  for (const origin of ['http://evil.example', 'null', 'http://localhost:80', 'http://localhost']) {
    t.equal(ask(here, { host, origin }), 403, origin);
    t.equal(ask(here, { host, origin, ...bearer(TOKEN) }, 'POST'), 403, origin);
  }
});

t.test('health is for everybody', async (t) => {
  for (const url of ['/health/live', '/health/ready']) {
    t.equal(
      ask(everywhere, { host: 'balancer.example', origin: 'http://x' }, 'GET', url),
      undefined,
    );
  }
  t.equal(ask(everywhere, {}, 'GET', '/healthy'), 401);
  t.equal(ask(everywhere, {}, 'GET', '//health/live'), 401);
});

t.test('a token file that others can read, or that holds no token', async (t) => {
  const fault = (content: string, mode = 0o600) => {
    const path = join(folder, 'bad');
    writeFileSync(path, content);
    chmodSync(path, mode);
    try {
      readAdminToken(path);
    } catch (error) {
      if (error instanceof StartError && error.exitCode === EXIT.config) return error.message;
    }
    return '';
  };
  t.match(fault(TOKEN, 0o644), /mode 0644/);
  for (const content of ['', 'short', `${TOKEN} ${TOKEN}`, `${TOKEN}\n${TOKEN}`, `${TOKEN}é`]) {
    const said = fault(content);
    t.match(said, /must hold one token/, content);
    t.notOk(content !== '' && said.includes(content));
  }
});

t.test('a new token counts when files are read again; a bad file leaves the old one', async (t) => {
  const path = join(folder, 'renewed');
  writeFileSync(path, TOKEN, { mode: 0o600 });
  const guard = new AdminGuard(makeConfig({ 'admin-token-file': path }));
  const code = (token: string) =>
    guard.refusal({ method: 'POST', url: '/', headers: { host: 'localhost', ...bearer(token) } })
      ?.code;
  const said: string[] = [];
  const log = {
    info: (_: object, text?: string) => said.push(`${text}`),
    error: (_: object, text?: string) => said.push(`${text}`),
  };
  writeFileSync(path, 'short');
  guard.renew(log);
  t.equal(code(TOKEN), undefined);
  writeFileSync(path, `other-${TOKEN}`);
  guard.renew(log);
  t.same([code(TOKEN), code(`other-${TOKEN}`)], [401, undefined]);
  t.same(said, ['files not read again: the old ones stay in use', 'files read again']);
});
