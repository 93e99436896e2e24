/** A real node's links as people see and touch them: command line, control.sock, HTTP. */
import { request } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import type {
  ClosedAnswer,
  DisconnectAnswer,
  LinkAnswer,
  LinkFacts,
  LinksAnswer,
} from '../../src/node/linkFacts.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Device, END, hello } from '../helpers/fakes/device.ts';
import { type Printed, runOwsla } from '../helpers/processes/cli.ts';
import { askOnce, startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const DEVICES = 12;
const TOKEN = 'a-token-that-is-long-enough-for-all';

const { server, folder, runDir } = await startNode(t, {
  adminToken: TOKEN,
  limits: { drainPaceMs: 100, drainMs: 2_000, childSilenceMs: 60_000 },
});
const devices = new Map<string, Device>();
for (let at = 0; at < DEVICES; at += 1) {
  devices.set(`door-${at}`, await Device.open(server.port, `door-${at}`));
}

function owsla(command: string, ...args: string[]): Promise<Printed> {
  return runOwsla([command, '--run-dir', runDir, ...args]);
}

const ask = <T>(kind: string, body: object) => askOnce<T>(runDir, kind, body);

interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const WITH_TOKEN = { authorization: `Bearer ${TOKEN}` };

/** By node:http, which sends the Host that it is told. */
function http(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<Answered> {
  const at = { host: '127.0.0.1', port: server.adminPort, path: `/api/v1${path}`, method, headers };
  return new Promise((resolve, reject) => {
    const asked = request(at, async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
    });
    asked.once('error', reject);
    asked.end(body);
  });
}

/** Their lines come a little after the answer. */
function audits() {
  return server.log.filter(({ msg }) => msg === 'audit');
}

t.test('all links, page by page, each once; the same over HTTP', async (t) => {
  for (const pageOf of [
    (after: string) => ask<LinksAnswer>('links', { after, limit: 5 }),
    async (after: string) =>
      (await http('GET', `/links?limit=5&after=${after}`)).body as unknown as LinksAnswer,
  ]) {
    const rows: LinkFacts[] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page: LinksAnswer = await pageOf(after);
      t.ok(page.rows.length <= 5);
      t.same(page.missing, []);
      rows.push(...page.rows);
      after = page.next;
    }
    t.same(rows.map(({ device }) => device).sort(), [...devices.keys()].sort());
    const ids = rows.map(({ connection }) => connection);
    t.same(ids, ids.toSorted(), 'by connection id');
    t.same([...new Set(rows.map(({ acceptor }) => acceptor))].sort(), [1, 2], 'of both acceptors');
    t.match(rows[0], {
      ...{ listener: 'devices', protocol: 'owsla', state: 'open', peer: /^127\.0\.0\.1:\d+$/ },
      ...{ identity: { method: 'none' }, keepaliveMs: 60_000, messagesIn: 1, messagesOut: 1 },
      ...{ inFlight: 0, outboxBytes: 0, bytesIn: /^[1-9]/, bytesOut: /^[1-9]/ },
    });
  }
});

t.test('owsla links: what it prints, conditions, and what it does not understand', async (t) => {
  const all = await owsla('links', '--json', '--all', '--limit', '5');
  t.same([all.code, all.lines.length], [0, DEVICES], all.stderr);
  const one = await owsla('links', '--where', 'device=door-1*', '--where', 'age<1h', '--sort=age');
  t.equal(one.code, 0, one.stderr);
  t.match(one.text, /^device +acceptor +listener/);
  t.equal(one.lines.length, 1 + 3, 'door-1, door-10, door-11');

  t.notMatch((await owsla('links', '--help')).text, /not\s+connected/, 'nobody in particular is');

  for (const [args, code, sentence] of [
    [['--where', 'outbox=many'], 69, /outbox takes a value such as 64KiB/],
    [['--limit', '0'], 64, /--limit takes a whole number/],
  ] as const) {
    const bad = await owsla('links', ...args);
    t.equal(bad.code, code);
    t.match(bad.stderr, sentence);
  }
  for (const [query, sentence] of [
    ['where=device%3Ex', /device is a text/],
    ['sort=name', /sort is one of outbox/],
  ] as const) {
    t.match(await http('GET', `/links?${query}`), { status: 400, body: { error: sentence } });
  }
  t.match(await http('GET', '/links?where=colour%3Dred'), {
    status: 400,
    body: { error: /no field colour/ },
  });
  t.match(await http('GET', '/links?limit=x'), { status: 400 });
  t.match(await http('GET', '/links?after=..'), { status: 400 });
  t.match(await http('GET', '/nothing'), { status: 404, body: { error: /no such path/ } });
});

t.test('one device: all that is known of it; one that is not there is 404, exit 4', async (t) => {
  const shown = await owsla('link', 'door-3');
  t.equal(shown.code, 0, shown.stderr);
  for (const word of ['connection', 'keepalive 1m 0s', 'identity', 'none', 'devices']) {
    t.match(shown.text, word);
  }
  const json = await owsla('link', 'door-3', '--json');
  t.match(JSON.parse(json.text), {
    device: 'door-3',
    links: [{ device: 'door-3', commandsOpen: 0, requestsOpen: 0, inFlightMax: /^\d+$/ }],
  });
  t.match(await http('GET', '/links/door-3'), {
    status: 200,
    body: { links: [{ device: 'door-3' }], missing: [] },
  });

  t.match(await owsla('link', 'nobody'), { code: 4, text: 'nobody is not connected' });
  t.match(await http('GET', '/links/nobody'), { status: 404, body: { error: /not connected/ } });
  t.match(await http('GET', '/links/no%20body'), {
    status: 400,
    body: { error: /a device id is/ },
  });
});

t.test(
  'a device that sends bad frames 66 times is found, whether it said HELLO or not',
  async (t) => {
    for (let times = 0; times < 66; times += 1) {
      const device =
        times < 60 ? await Device.open(server.port, 'broken-7') : await Device.connect(server.port);
      device.sendBytes(Buffer.from([0, 0, 0, 1, 0xc1]));
      await device.rest();
      device.close();
    }
    const counted = await owsla(
      'closed',
      '--by',
      'device',
      '--where',
      'reason=bad-frame',
      '--json',
    );
    t.equal(counted.code, 0, counted.stderr);
    t.match(
      counted.lines.map((line) => JSON.parse(line)),
      [
        { key: 'broken-7', ends: 60, reason: 'bad-frame' },
        { key: '', ends: 6 },
      ],
    );
    const table = await owsla('closed', 'broken-7', '--limit', '3');
    t.equal(table.lines.length, 1 + 3);
    t.match(table.lines[1], /broken-7 +bad-frame +\S+ +1\/3 .*devices +127\.0\.0\.1:\d+/);

    const rows = [];
    for (let before = ''; ; ) {
      const { body } = await http('GET', `/closed?device=broken-7&limit=25${before}`);
      const page = body as unknown as ClosedAnswer;
      rows.push(...page.rows);
      if (page.next === undefined) break;
      before = `&before=${page.next}`;
    }
    t.equal(rows.length, 60);
    t.equal(new Set(rows.map(({ connection }) => connection)).size, 60, 'each once');
    t.match((await http('GET', '/closed?by=peer&where=reason%3Dbad-frame')).body, {
      groups: [{ key: '127.0.0.1', ends: 66 }],
    });
    t.match(await http('GET', '/closed?by=colour'), { status: 400 });
  },
);

t.test(
  'disconnect: BYE with its time; who, what, whom in the log; nothing without a link',
  async (t) => {
    const done = await owsla('disconnect', 'door-0', '--retry-after', '1m');
    t.match(done, { code: 0, text: 'door-0 is disconnected' }, done.stderr);
    const device = devices.get('door-0');
    t.match(await device?.expect(TYPE.BYE), { reason: 'disconnected', retryAfter: 60_000 });
    t.equal(await device?.next(), END);
    t.match(await owsla('disconnect', 'door-0'), { code: 4, text: 'door-0 is not connected' });

    const body = JSON.stringify({ retryAfterMs: 5 });
    const json = { ...WITH_TOKEN, 'content-type': 'application/json' };
    t.match(await http('POST', '/links/door-2/disconnect', json, body), {
      status: 200,
      body: { disconnected: 1 },
    });
    t.match(await devices.get('door-2')?.expect(TYPE.BYE), { retryAfter: 5 });
    t.match(await http('POST', '/links/door-2/disconnect', WITH_TOKEN), { status: 404 });
    for (const wrong of [
      '{"retryAfterMs":-1}',
      '{"after":1}',
      '[]',
      '7',
      '{',
      '{"retryAfterMs":"1"}',
    ]) {
      t.match(await http('POST', '/links/door-1/disconnect', json, wrong), { status: 400 }, wrong);
    }
    t.match(audits(), [
      { role: 'observer', who: 'control.sock', what: 'disconnect', device: 'door-0', links: 1 },
      { role: 'observer', who: /^http 127\.0\.0\.1 \d+$/, what: 'disconnect', device: 'door-2' },
    ]);
    const { closed } = await ask<LinkAnswer>('link', { device: 'door-2' });
    t.match(closed, [{ device: 'door-2', reason: 'disconnected', isProved: true }]);
    devices.delete('door-0');
    devices.delete('door-2');
  },
);

t.test(
  'no token, another Host, another Origin: nothing is changed, nothing is logged',
  async (t) => {
    const before = audits().length;
    const changes = [
      ['POST', '/links/door-1/disconnect'],
      ['POST', '/blocked/door-1'],
      ['DELETE', '/blocked/door-1'],
      ['POST', '/node/drain'],
      ['POST', '/node/resume'],
    ] as const;
    for (const [method, path] of changes) {
      for (const [headers, status] of [
        [{}, 401],
        [{ authorization: 'Bearer a-token-that-is-long-enough-for-al1' }, 401],
        [{ ...WITH_TOKEN, host: 'evil.example' }, 421],
        [{ ...WITH_TOKEN, origin: 'http://evil.example' }, 403],
      ] as const) {
        t.match(await http(method, path, headers), { status, body: { error: String } }, path);
      }
    }
    for (const path of ['/status', '/links', '/links/door-1', '/closed', '/blocked']) {
      t.match(await http('GET', path, { host: 'evil.example' }), { status: 421 });
      t.match(await http('GET', path, { origin: 'http://evil.example' }), { status: 403 });
      t.match(await http('GET', path), { status: 200 }, 'loopback may read');
    }
    t.equal(audits().length, before);
    t.match(await http('GET', '/links/door-1'), { status: 200 });
  },
);

t.test('block and unblock over HTTP, named in the log', async (t) => {
  const json = { ...WITH_TOKEN, 'content-type': 'application/json' };
  t.match(await http('POST', '/blocked/door-4', json, '{"note":"stolen"}'), {
    status: 200,
    body: { outcome: 'blocked' },
  });
  t.match(await devices.get('door-4')?.expect(TYPE.BYE), { reason: 'blocked' });
  t.match(await http('GET', '/blocked'), {
    status: 200,
    body: { rows: [{ device: 'door-4', note: 'stolen' }] },
  });
  t.match(await http('DELETE', '/blocked/door-4', WITH_TOKEN), { status: 200 });
  await waitFor('both lines', () => audits().at(-1)?.what === 'unblock');
  const [block, unblock] = audits().slice(-2);
  t.match(block, { who: /^http 127/, what: 'block', device: 'door-4', role: 'registrar' });
  t.match(unblock, { who: /^http 127/, what: 'unblock', device: 'door-4' });
  devices.delete('door-4');
});

t.test(
  'an acceptor or the registrar that stands still: the others answer, and say so',
  async (t) => {
    const stopped = server.childPid('acceptor 2');
    const { rows } = await ask<LinksAnswer>('links', { limit: 100 });
    const [mine] = rows.filter(({ acceptor }) => acceptor === 1);
    const [others] = rows.filter(({ acceptor }) => acceptor === 2);
    process.kill(stopped, 'SIGSTOP');
    try {
      const part = await owsla('links', '--json');
      t.equal(part.code, 3);
      t.match(part.stderr, /^owsla: acceptor 2 does not answer: no answer within 1000 ms$/m);
      t.ok(part.lines.every((line) => JSON.parse(line).acceptor === 1));
      t.match(await ask('link', { device: mine?.device }), {
        links: [{ acceptor: 1 }],
        missing: [],
      });
      t.match(await http('GET', `/links/${others?.device}`), {
        status: 503,
        body: { error: /acceptor 2 did not answer/, missing: [{ acceptor: 2 }] },
      });
    } finally {
      process.kill(stopped, 'SIGCONT');
    }
    const registrar = server.childPid('registrar');
    process.kill(registrar, 'SIGSTOP');
    try {
      t.match(await ask('link', { device: mine?.device }), { links: [{ acceptor: 1 }] });
      t.match(await ask('link', { device: others?.device }), { links: [{ acceptor: 2 }] });
    } finally {
      process.kill(registrar, 'SIGCONT');
    }
  },
);

t.test('drain and resume: no link, readiness says so, a restarted acceptor too', async (t) => {
  const done = await owsla('drain');
  t.match(done, { code: 0, text: /takes no links; \d+ are told to come back later/ }, done.stderr);
  for (const device of devices.values()) {
    t.match(await device.expect(TYPE.BYE), { reason: 'draining', retryAfter: Number });
    device.close();
  }
  t.match(await owsla('drain'), { code: 3, text: /so already/ });
  const late = await Device.connect(server.port);
  late.send(hello('late'));
  t.match(await late.expect(TYPE.BYE), { reason: 'draining' });
  const text = '{"acceptor":1,"reason":"drained by an operator"}';
  await waitFor('its word', async () => (await server.page('/health/ready')).includes(text));

  process.kill(server.childPid('acceptor 1'), 'SIGKILL');
  const restarted = () =>
    server.log.filter(({ child, msg }) => child === 'acceptor 1' && msg === 'child ready');
  await waitFor('the next', () => restarted().length === 2);
  await waitFor('its word', async () => (await server.page('/health/ready')).includes(text));

  t.match(await http('POST', '/node/resume', WITH_TOKEN), {
    status: 200,
    body: { isDrained: false, already: false, missing: [] },
  });
  await waitFor('ready', () => server.isReady());
  const back = await Device.open(server.port, 'door-1');
  t.match(await ask('link', { device: 'door-1' }), { links: [{ state: 'open' }] });
  back.close();
  await waitFor('both lines', () => audits().at(-1)?.what === 'resume');
  t.match(audits().slice(-2), [
    { who: 'control.sock', what: 'drain' },
    { who: /^http 127/, what: 'resume' },
  ]);
});

t.test('without a node each command says so in one sentence', async (t) => {
  const commands = [['link', 'x'], ['disconnect', 'x'], ['drain']];
  const asked = commands.map(async ([command = '', ...rest]) => {
    const { code, stderr } = await runOwsla([command, '--run-dir', join(folder, 'none'), ...rest]);
    t.equal(code, 69);
    t.match(stderr, /^owsla: no node answers at .*\n$/);
  });
  await Promise.all(asked);
  const none = await ask<DisconnectAnswer>('disconnect', { device: 'nobody' });
  t.same(none, { device: 'nobody', disconnected: 0, missing: [] });
});
