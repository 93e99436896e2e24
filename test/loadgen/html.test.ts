/** The page that a run leaves: what its verdict and plots show, and in a browser of any width. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Interval } from '../../loadgen/measure/interval.ts';
import { Measures } from '../../loadgen/measure/measures.ts';
import { Totals } from '../../loadgen/measure/totals.ts';
import { newViolationCounts } from '../../loadgen/measure/violations.ts';
import { makeOutput, makePlan } from '../../loadgen/plan/settings.ts';
import { writeHtml } from '../../loadgen/report/html.ts';
import { plot } from '../../loadgen/report/plot.ts';
import { makeReport, type Report } from '../../loadgen/report/report.ts';
import { Browser, noBrowser } from '../helpers/processes/browser.ts';
import { ScriptedServer } from './scriptedServer.ts';
import { runToEnd } from './spawn.ts';

const FLAGS = { target: '127.0.0.1:1', duration: '4s' };

/**
 * A run of 4 s at 100 requests a second, all answered, that began in the middle of a second;
 * `isBusy`: its worker used a whole core.
 */
function report({ isBusy = false, given = {}, connectedS = 0.5 } = {}): Report {
  const totals = new Totals(1);
  for (const [at, requests] of [50, 100, 100, 100, 50].entries()) {
    const measures = new Measures();
    measures.counts.requests = requests;
    measures.counts.replies = requests;
    measures.counts.attempts = at === 0 ? 50 : 0;
    measures.counts.welcomes = at === 0 ? 50 : 0;
    for (let i = 0; i < requests; i += 1) {
      measures.time('request', 2);
      measures.time('requestRaw', 2);
    }
    const gauges = {
      ...{ open: 50, connecting: 0, pending: 0, wallMs: 1_000, cpuMs: isBusy ? 990 : 90 },
      ...{ deniedMs: 0, lagP99Ms: 1, lagMaxMs: 2, rssBytes: 1 },
    };
    const violations = { counts: newViolationCounts(), examples: [] };
    const taken = measures.take();
    totals.add({ type: 'interval', worker: 0, at, taken, violations, gauges } satisfies Interval);
  }
  const ended = { how: 'complete', why: 'x', loadFromS: 0.5, loadToS: 4.5, connectedS };
  const facts = { ended, startedAt: new Date(0), warnings: [], watched: undefined } as const;
  return makeReport(makePlan({ ...FLAGS, ...given }, [], 1), makeOutput(given), totals, {
    ...facts,
    ended: { ...ended, how: 'complete' },
  });
}

/** The figure with this title. */
function figure(html: string, title: string): string {
  const figures = html.split('<figure>').slice(1);
  const found = figures.find((text) => text.includes(`<b>${title}</b>`));
  if (found === undefined) throw new Error(`no figure ${title}`);
  return found;
}

interface Drawn {
  readonly name: string;
  readonly dashes: string | undefined;
  readonly points: readonly (readonly [number, number])[];
}

/** Its lines, as drawn. */
function linesOf(text: string): Drawn[] {
  const names = [...text.matchAll(/<\/svg>([^<]+)<\/span>/g)].map(([, name]) => name ?? '');
  return [...text.matchAll(/<polyline ([^>]*)points="([^"]*)"/g)].map(([, how, points], at) => ({
    name: names[at] ?? '',
    dashes: /stroke-dash[^/]*/.exec(how ?? '')?.[0].trim(),
    points: (points ?? '').split(' ').map((pair) => {
      const [x = 0, y = 0] = pair.split(',').map(Number);
      return [x, y] as const;
    }),
  }));
}

t.test('page: no green "passed" over a tool that was the bottleneck', async (t) => {
  const verdict = (html: string) => /<span class="verdict ([^<]*)<\/span>/.exec(html)?.[1];

  t.equal(verdict(writeHtml(report())), 'passed">passed');
  const busy = { isBusy: true };
  t.equal(verdict(writeHtml(report(busy))), 'failed">failed, exit 95');
  const allowed = writeHtml(report({ ...busy, given: { allowBottleneck: true } }));
  t.equal(verdict(allowed), 'doubtful">passed, but the tool was the bottleneck');
  t.match(allowed, /<li>The tool, not the server, was the bottleneck/);
});

t.test('page: the first and last seconds of a load are parts, and do not look short', async (t) => {
  const lines = linesOf(figure(writeHtml(report()), 'Messages'));

  t.same(
    lines.map(({ name }) => name),
    ['requests', 'replies'],
  );
  for (const { name, points } of lines) {
    t.equal(points.length, 5, name);
    t.equal(new Set(points.map(([, y]) => y)).size, 1, `${name}: one rate throughout`);
  }
  const [begun] = linesOf(figure(writeHtml(report()), 'Connect rate'));
  const heights = begun?.points.map(([, y]) => y) ?? [];
  t.ok(
    heights.slice(1).every((y) => y > (heights[0] ?? 0)),
    'nobody connected later: that is shown',
  );
  const [atOnce] = linesOf(figure(writeHtml(report({ connectedS: 0.05 })), 'Connect rate'));
  const [first = 0, second = 0] = atOnce?.points.map(([, y]) => y) ?? [];
  t.ok(first < second, 'nor is one short moment left out');
});

t.test('page: lines that go the same way show through each other', async (t) => {
  const [requests, replies] = linesOf(figure(writeHtml(report()), 'Messages'));
  t.same(requests?.points, replies?.points);
  t.equal(requests?.dashes, undefined);
  t.match(replies?.dashes, /dasharray="10 10"/);

  const points = [1, 2, 3].map((x) => [x, 0] as const);
  const other = [1, 2, 3].map((x) => [x, x] as const);
  const names = ['a', 'b', 'apart', 'c', 'd'];
  const text = plot({
    ...{ title: 'all', x: { label: '' }, y: { label: '' } },
    lines: names.map((name) => ({ name, points: name === 'apart' ? other : points })),
  });
  const dashes = linesOf(text).map((line) => line.dashes);
  t.equal(dashes[2], undefined, 'what goes its own way is drawn through');
  t.equal(new Set(dashes.filter((_, at) => at !== 2)).size, 4, 'each of four in its own way');
  t.equal(text.match(/dasharray="10 10"/g)?.length, 2, 'and so is its key');
});

t.test('page: in a real browser, at 360 and 1200 pixels', { skip: noBrowser }, async (t) => {
  const server = new ScriptedServer();
  t.teardown(() => server.close());
  const folder = t.testdir();
  const page = join(folder, 'run.html');
  const load = ['--devices', '50', '--rate', '200', '--event-share', '20%', '--duration', '3s'];
  const target = ['--target', `127.0.0.1:${await server.listen()}`];
  await runToEnd([...target, '--quiet', ...load, '--html', page]);
  const browser = await Browser.start();
  t.teardown(() => browser.stop());

  const html = readFileSync(page, 'utf8');
  t.notMatch(html, /<script|src=|href=|@import|url\(/, 'it loads nothing');
  t.notMatch(html, /NaN|undefined|Infinity/);
  for (const width of [360, 1_200]) {
    await browser.open(page, width);
    const counted = (what: string) =>
      browser.evaluate<number>(`document.querySelectorAll('${what}').length`);
    t.equal(await counted('figure > svg'), 8, 'eight plots');
    t.equal(await counted('polyline'), html.match(/<polyline/g)?.length);
    t.equal(await browser.evaluate('innerWidth'), width);
    t.ok(
      (await browser.evaluate<number>('document.documentElement.scrollWidth')) <= width,
      `${width}: nothing beyond the edge`,
    );
    const cut = `[...document.querySelectorAll('figure, h1, li, dl, figcaption span')]
      .filter((element) => element.getBoundingClientRect().right > innerWidth).length`;
    t.equal(await browser.evaluate(cut), 0, `${width}: no part is cut off`);
    const small = `Math.min(...[...document.querySelectorAll('figure svg text')]
      .filter(({ textContent }) => textContent !== '')
      .map((text) => text.getBoundingClientRect().height))`;
    t.ok((await browser.evaluate<number>(small)) > 8, `${width}: its words can be read`);
    const picture = await browser.picture();
    t.ok(picture.length > 30_000, 'the picture is no blank page');
    const { OWSLA_PICTURES: kept } = process.env;
    if (kept !== undefined) writeFileSync(join(kept, `page-${width}.png`), picture);
  }
});
