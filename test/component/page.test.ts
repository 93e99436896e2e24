/** The page's files: what is served of them, to whom; and in a real browser with a made-up node. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { ChannelError } from '../../src/node/channel.ts';
import type { LinkFacts } from '../../src/node/linkFacts.ts';
import type { LiveAnswer } from '../../src/node/liveAnswer.ts';
import { makeAdmin } from '../../src/observer/admin.ts';
import { AdminGuard } from '../../src/observer/adminGuard.ts';
import { addApi } from '../../src/observer/api.ts';
import { Exposition } from '../../src/observer/exposition.ts';
import { Guests } from '../../src/observer/guests.ts';
import { NodeStatus } from '../../src/observer/nodeStatus.ts';
import type { NodeTraces } from '../../src/observer/nodeTraces.ts';
import { addStreams } from '../../src/observer/streams.ts';
import { Browser, noBrowser } from '../helpers/processes/browser.ts';
import { readText, repositoryFiles } from '../helpers/sources.ts';
import { waitFor } from '../helpers/waitFor.ts';

const FOLDER = 'src/observer/page/';
const TOKEN = 'a-token-of-more-than-22-letters';
const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";
/** What a device may have called itself, were its name not checked. */
const HOSTILE = '<img src="//evil.example/x" onerror="document.title=1">';

const folder = mkdtempSync(join(tmpdir(), 'owsla-page-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'token');
writeFileSync(file, TOKEN, { mode: 0o600 });

/** `begin`: what becomes of a trace. */
const made = {
  answer: fleet(),
  begin: (): Promise<unknown> => Promise.reject(new Error('none')),
};

/** An observer's pages on loopback; `adminHost` is what its guard believes. */
async function pages(t: Test, adminHost: string): Promise<string> {
  const limits = makeLimits();
  const guests = new Guests(limits);
  const status = new NodeStatus(2, limits.reportMs);
  const guard = new AdminGuard(
    makeConfig({ 'admin-host': adminHost, 'admin-token-file': file, 'admin-hosts': 'gate' }),
  );
  const admin = makeAdmin(
    status,
    new Exposition(status, 1_000, guests.ends),
    guests,
    guard,
    limits,
  );
  addApi(admin, {
    status: () => ({ secret: 'figures' }),
    blocked: () => ({ rows: [] }),
    link: () => ({ links: made.answer.hot.rate.slice(0, 1), closed: [], missing: [] }),
  });
  const live = { read: async () => ({ ...made.answer, at: Date.now() }) };
  const traces = { begin: () => made.begin() } as unknown as NodeTraces;
  const streams = addStreams(admin, { live, traces } as never, guests);
  await admin.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(async () => {
    await streams.close();
    await admin.close();
  });
  return `http://127.0.0.1:${(admin.server.address() as AddressInfo).port}`;
}

/** A node of 200,000 links whose devices are called something else. */
function fleet(): LiveAnswer {
  const link = {
    ...{ device: HOSTILE, connection: 'c', acceptor: 1, listener: 'devices', protocol: 'owsla' },
    ...{ peer: '10.0.0.1:5', state: 'open', ageMs: 90_000, idleMs: 1, keepaliveMs: 60_000 },
    ...{ paused: 'rate', pausedMs: 61_000, ratePerSecond: 12, inFlight: 1, outboxBytes: 2_048 },
    ...{ heldBytes: 1, messagesIn: 1, messagesOut: 1, bytesIn: 1, bytesOut: 1, notAllowed: 0 },
  } as LinkFacts;
  const hot = Array.from({ length: 20 }, () => link);
  const group = { key: HOSTILE, ends: 3, at: Date.now(), reason: HOSTILE };
  const processes = [
    { role: 'acceptor', index: 1, state: 'ready', pid: 1, links: 200_000, broker: 'down' },
    { role: 'acceptor', index: 2, state: 'ready', pid: 2, why: 'does not answer: no answer' },
    { role: 'acceptor', index: 2, state: 'ready', pid: 3, links: 7, isBeside: true },
    { role: 'registrar', index: 0, state: 'ended', why: HOSTILE },
  ];
  return {
    ...{ at: Date.now(), intervalMs: 1_000, processes: [], reconnects: [group], errors: [group] },
    status: {
      ...{ node: 'n', state: 'not-ready', reasons: [{ acceptor: 1, reason: 'no broker' }] },
      ...{ degraded: [{ part: 'presence', reason: HOSTILE }], version: '1', runtime: '1' },
      alarms: [{ alarm: 'broker-away', raisedAt: Date.now(), reason: 'The broker is away' }],
      ...{ uptimeMs: 61_000, adminHost: '', adminPort: 1, prefix: 'owsla', brokers: [HOSTILE] },
      listeners: [{ name: 'devices', address: '[::]:7000', isTls: true, auth: ['cert'] }],
      ...{ links: 200_000, linksMax: 400_000, processes },
      restarts: { acceptor: 0, registrar: 0, observer: 0 },
      reload: {
        ...{ number: 3, refusals: 1, phase: 'acceptors', by: 'SIGHUP', startedAt: Date.now() },
        ...{ acceptor: 2, acceptors: 6, step: 'moving', moved: 33_400, left: 3, drained: 0 },
        ms: 12_000,
      },
    },
    rates: {
      ...{ messagesIn: 12_345, messagesOut: 1, bytesIn: 1, bytesOut: 1, events: 1, requests: 1 },
      ...{ replies: 1, commands: 1, confirms: 1, accepts: 1, ends: 1 },
    },
    ends: { 'peer-fin': 5, [HOSTILE]: 3 },
    now: {
      ...{ paused: 3, heavy: 0, heavyBytes: 0, requestsOpen: 0, confirmsWaiting: 0 },
      ...{ connectsWaiting: 0, presenceOutbox: 0, commandsKept: 0 },
    },
    latency: { request: { p50: 1.5, p99: 12, count: 100 } },
    shards: Array.from({ length: 256 }, (_, at) => 700 + at),
    hot: { outbox: hot, paused: hot, rate: hot },
    missing: [{ acceptor: 2, why: 'no answer' }],
  } as unknown as LiveAnswer;
}

t.test('its address is an index for scripts, and the page for browsers', async (t) => {
  const root = await pages(t, '127.0.0.1');

  const index = await fetch(root);
  t.equal(index.headers.get('content-type'), 'text/plain; charset=utf-8');
  t.match(await index.text(), /\/health\/ready/);
  const page = await fetch(root, { headers: HTML });
  t.equal(await page.text(), readText(`${FOLDER}index.html`));
  t.match(Object.fromEntries(page.headers), {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-cache',
    vary: 'accept',
  });
  const etag = page.headers.get('etag') ?? '';
  const again = await fetch(root, { headers: { ...HTML, 'if-none-match': etag } });
  t.equal(again.status, 304);
});

t.test('each of its files has its type; nothing else lies there', async (t) => {
  const root = await pages(t, '127.0.0.1');
  const types: Record<string, string> = { js: 'text/javascript', css: 'text/css' };

  for (const name of [...readdirSync(FOLDER), 'uplot.js', 'uplot.css']) {
    const { status, headers } = await fetch(`${root}/page/${name}`);
    const ending = name.split('.').at(-1) ?? '';
    t.equal(status, 200, name);
    t.match(headers.get('content-type'), types[ending] ?? /^(?:text\/html|image\/svg\+xml)/);
    t.equal(headers.get('x-content-type-options'), 'nosniff');
  }
  for (const path of ['/page/', '/page/none.js', '/page/..%2fadmin.ts', '/page/%2e%2e/admin.ts']) {
    t.equal((await fetch(root + path)).status, 404, path);
  }
});

t.test('no script or style stands in the page, and no other host in its files', async (t) => {
  const html = readText(`${FOLDER}index.html`);
  t.notMatch(html, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/);
  for (const path of repositoryFiles().filter((path) => path.startsWith(FOLDER))) {
    const text = readText(path).replace('xmlns="http://www.w3.org/2000/svg"', '');
    t.notMatch(text, /https?:|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(/, path);
    t.notMatch(text, /\b(?:localStorage|sessionStorage|indexedDB|cookie)\b/, path);
  }
});

t.test('outside loopback its files are there for all, and no figure is', async (t) => {
  const root = await pages(t, '0.0.0.0');

  t.equal((await fetch(root, { headers: HTML })).status, 200);
  t.equal((await fetch(`${root}/page/page.js`)).status, 200);
  const asked = ['/metrics', '/api/v1/status', '/api/v1/stream', '/api/v1/blocked'];
  for (const path of [...asked, '/api/v1/links/a/trace']) {
    const answer = await fetch(root + path);
    t.equal(answer.status, 401, path);
    t.notMatch(await answer.text(), /figures|200000/);
  }
  const evil = { headers: { origin: 'http://evil.example' } };
  t.equal((await fetch(`${root}/page/page.js`, evil)).status, 403);
  const headers = { authorization: `Bearer ${TOKEN}` };
  t.equal((await fetch(`${root}/api/v1/token`)).status, 401);
  t.equal((await fetch(`${root}/api/v1/token`, { headers })).status, 204);
});

t.test('a trace that does not begin is refused as every question is', async (t) => {
  const root = await pages(t, '127.0.0.1');
  const headers = { authorization: `Bearer ${TOKEN}` };
  const refused = async (refusal: Error) => {
    made.begin = () => Promise.reject(refusal);
    const answer = await fetch(`${root}/api/v1/links/a/trace`, { headers });
    return [answer.status, await answer.json()];
  };

  t.same(await refused(new ChannelError('bad', 'no id')), [400, { error: 'no id' }]);
  t.same(await refused(new ChannelError('busy', '8 are on')), [429, { error: '8 are on' }]);
  t.same(await refused(new ChannelError('late', 'no answer')), [503, { error: 'no answer' }]);
  t.same(await refused(new Error('a secret')), [500, { error: 'it failed' }]);
});

t.test('a stream that is asked for wrongly begins none, and is told why', async (t) => {
  const root = await pages(t, '127.0.0.1');
  const headers = { authorization: `Bearer ${TOKEN}` };

  for (const query of ['for=1s&for=2s', 'max=1&max=2']) {
    const answer = await fetch(`${root}/api/v1/links/a/trace?${query}`, { headers });
    t.equal(answer.status, 400);
    t.match(await answer.json(), { error: /^for and max are each given once$/ });
  }
  // Whoever asks for the head alone would hold a stream that nobody reads.
  for (const path of ['/api/v1/stream', '/api/v1/links/a/trace']) {
    t.equal((await fetch(root + path, { method: 'HEAD', headers })).status, 404, path);
  }
  t.match(await (await fetch(`${root}/api/v1/links/%zz`)).json(), { error: /is not a valid url/ });
  t.match(await (await fetch(`${root}/none`)).json(), { error: 'there is no such path' });
});

/** Contrast of each text with what is behind it: those below what WCAG AA asks for. */
const PALE = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = rgb(colour).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one !== null; one = one.parentElement) {
      const { backgroundColor } = getComputedStyle(one);
      if (rgb(backgroundColor)[3] === 255) return backgroundColor;
    }
    return 'white';
  };
  return [...document.querySelectorAll('body *')]
    .filter((one) => one.checkVisibility() && !one.disabled)
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((one) => {
      const [a, b] = [light(getComputedStyle(one).color), light(behind(one))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
    })
    .map((one) => one.tagName + ' ' + one.className + ' ' + one.textContent.slice(0, 40));
})()`;

t.test('in a browser: locked, then all it shows is text', { skip: noBrowser }, async (t) => {
  const root = await pages(t, '0.0.0.0');
  const browser = await Browser.start();
  t.teardown(() => browser.stop());
  const seen = (id: string) =>
    browser.evaluate<boolean>(`document.getElementById('${id}').checkVisibility()`);
  const text = (id: string) =>
    browser.evaluate<string>(`document.getElementById('${id}').innerText`);

  await browser.open(`${root}/`, 360);
  await waitFor('that it is locked', () => seen('locked'));
  t.equal(await seen('content'), false);
  t.match(browser.problems, [/401/]);
  browser.problems.length = 0;

  const enter = async (token: string) => {
    await browser.evaluate(`document.getElementById('question-secret').focus()`);
    await browser.type(token);
    await browser.press('Enter');
  };
  // The stream is still being refused while the right token is entered.
  await browser.evaluate(`{
    const real = fetch;
    window.fetch = async (at, how) => {
      const response = await real(at, how);
      if (response.status === 401 && at.endsWith('stream')) {
        await new Promise((resolve) => (window.letGo = resolve));
        window.fetch = real;
      }
      return response;
    };
    document.getElementById('unlock').click();
  }`);
  await enter('a-wrong-one');
  await waitFor('the refusal', async () => /does not accept/.test(await text('question-error')));
  t.match(browser.problems, [/401/]);
  browser.problems.length = 0;
  await enter(TOKEN);
  await browser.evaluate('window.letGo()');
  await waitFor('its figures', () => seen('content'));

  t.match(await text('tiles'), /200,000[\s\S]*of 400,000[\s\S]*12,345\/s[\s\S]*1\.5 ms/);
  t.match(await text('tiles'), /Broker\s+away/);
  const reload = await text('reload');
  t.match(reload, /new acceptor 2 of 6 takes the links[\s\S]*by SIGHUP[\s\S]*12 s/);
  t.match(reload, /Links moved\s+33,400[\s\S]*Links left\s+3[\s\S]*Links drained\s+0/);
  t.match(await text('processes'), /hands its links over/);
  const troubles = await text('troubles');
  for (const said of ['The broker is away', 'no broker', 'acceptor 2 does not answer', HOSTILE]) {
    t.ok(troubles.includes(said), said);
  }
  t.equal(await browser.evaluate('document.querySelectorAll("img").length'), 0);
  t.ok((await text('links')).includes(HOSTILE));
  t.equal(await browser.evaluate('document.querySelectorAll("#links tbody tr").length'), 10);
  t.match(await text('shard'), /700 to 955 links/);
  const stored = 'JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])';
  t.notMatch(await browser.evaluate(stored), TOKEN);
  t.equal(
    (await browser.evaluate<string>('document.documentElement.outerHTML')).includes(TOKEN),
    false,
  );

  for (const width of [360, 1_280]) {
    for (const scheme of ['light', 'dark'] as const) {
      await browser.show(width, scheme);
      const scroll = await browser.evaluate<number>('document.documentElement.scrollWidth');
      t.ok(scroll <= width, `${width}: ${scroll}`);
      t.same(await browser.evaluate(PALE), [], `${width} ${scroll}: all can be read`);
    }
  }

  const { status } = made.answer;
  const reloading = (facts: object) => {
    const reload = { ...status.reload, ...facts };
    made.answer = { ...made.answer, status: { ...status, reload } } as never;
  };
  reloading({ acceptor: 4, acceptors: 2 });
  const gives = /acceptor 4, one too many, gives its links to the others/;
  await waitFor('one too many', async () => gives.test(await text('reload')));
  reloading({ phase: 'refused', why: HOSTILE, moved: 7, drained: 2, ms: 61_000 });
  await waitFor('how it ended', async () => /^refused/m.test(await text('reload')));
  t.match(await text('reload'), /Took\s+1 min 1 s/);
  t.ok((await text('reload')).includes(HOSTILE));
  t.equal(await text('reload-title'), 'The last reload');

  const armed = Promise.withResolvers<unknown>();
  const traces = { begun: 0, left: 0 };
  made.begin = () => {
    traces.begun += 1;
    return armed.promise;
  };
  const click = (words: string) =>
    browser.evaluate(`[...document.querySelectorAll('#device button')]
      .find((one) => one.textContent === '${words}').click()`);
  await browser.evaluate(`document.dispatchEvent(new CustomEvent('open-device', { detail: 'a' }))`);
  await click('Start');
  await waitFor('that it is asked for', () => traces.begun === 1);
  await click('Stop');
  await waitFor('its end', async () => /Stopped\./.test(await text('device')));
  await click('Start');
  await waitFor('another one', () => traces.begun === 2);
  await click('Close');
  const leave = () => {
    traces.left += 1;
  };
  armed.resolve([{ armed: [1], unarmed: [], connected: [] }, leave]);
  await waitFor('that nobody reads them', () => traces.left === 2);

  await browser.evaluate(`document.getElementById('token').click()`);
  await waitFor('that it is locked again', () => seen('locked'));
  t.equal(await seen('content'), false, 'what was read is not shown any more');
  t.same([...browser.hosts], [new URL(root).host], 'no other host was asked');
  t.same(
    browser.problems.filter((problem) => !/ 401 /.test(problem)),
    [],
  );
});
