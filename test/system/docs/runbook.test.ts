/** docs/runbook.md as somebody follows it at night: each command, on a node with one device. */
import t from 'tap';
import { ALARMS } from '../../../src/node/alarmNames.ts';
import { blocksOf, everyBlockOf, readPage } from '../../helpers/docs.ts';
import { DocsWorld } from '../../helpers/worlds/docsWorld.ts';

const PAGE = 'docs/runbook.md';
const world = await DocsWorld.make(t);

await everyBlockOf('docs/runbook.md', async (page, t) => {
  const blocks = blocksOf(PAGE).filter(({ language }) => language === 'sh');
  for (const { text } of blocks) page.take('sh', text);

  t.test('each command does what the page says it is for', async (t) => {
    await world.serves('owsla serve\n');
    await world.isReady();
    await world.device(t, 'door-17');

    const printed = new Map<string, string>();
    // Some stand in several entries.
    for (const text of new Set(blocks.map(({ text }) => text))) {
      const user = /check|config/.test(text) ? 'owsla' : 'backend';
      printed.set(text, await world.ends(t, text, 0, user));
    }
    const of = (words: string) => [...printed].find(([text]) => text.includes(words))?.[1] ?? '';
    t.match(of('owsla status'), /^state +ready/m);
    t.match(of('owsla check'), 'broker');
    t.match(of('owsla config |'), /^set linksMax|^max-links +0 +default$/m);
    t.match(of('owsla command'), /^result 0 opened/m);
  });
});

t.test('each alarm of a node has its entry', async (t) => {
  const text = readPage(PAGE);
  for (const name of ALARMS) t.match(text, new RegExp(`^### Alarm ${name}$`, 'm'));
  for (const [, anchor = ''] of text.matchAll(/\]\(#([\w-]+)\)/g)) {
    const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
    const anchors = headings.map((heading) => heading.toLowerCase().replaceAll(' ', '-'));
    t.ok(anchors.includes(anchor), anchor);
  }
});
