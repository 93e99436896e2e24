/** Fewer acceptors without a restart: links of those that are too many move to those that stay. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { StatusAnswer } from '../../src/node/statusAnswer.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Device, END, request } from '../helpers/fakes/device.ts';
import { type Page, Subscriber } from '../helpers/fakes/subscriber.ts';
import { Knocking } from '../helpers/processes/knocker.ts';
import { startNode } from '../helpers/processes/node.ts';
import { reloadNode } from '../helpers/processes/reloads.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LINKS = 300;

const folder = mkdtempSync(join(tmpdir(), 'ot-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'owsla.yaml');
const write = (acceptors: number) => writeFileSync(file, `acceptors: ${acceptors}\n`);
write(3);
const limits = {
  ...{ drainMs: 200, drainPaceMs: 100, lingerMs: 100, reportMs: 500, reloadMs: 60_000 },
  ...{ connectsPerSecond: 10_000, connectBurst: 10_000 },
};
const started = { acceptors: 0, limits, flags: ['--config', file] };
const { server: node, runDir, broker, prefix } = await startNode(t, started);
const subscriber = await Subscriber.start(broker.url, prefix);
t.teardown(() => subscriber.close());
const names = Array.from({ length: LINKS }, (_, at) => `fewer-${at}`);
const devices = await Promise.all(names.map((name) => Device.open(node.port, name)));
let closed = 0;
for (const device of devices) device.socket.once('close', () => (closed += 1));
await waitFor('all to be on record', () => subscriber.online().length === LINKS);
t.test('from 3 to 2, while devices connect: none is refused, none reset', async (t) => {
  const knocking = await Knocking.start(node.port, 1_000);
  t.teardown(() => knocking.kill());
  write(2);

  const { end } = await reloadNode(runDir);

  const { faults, ...knocks } = await knocking.stop();
  t.same(faults, {}, JSON.stringify(knocks));
  t.match(end, { phase: 'done', drained: 0 }, `${end?.why}`);
  t.equal(closed, 0);
  const answers = devices.map((device) => device.next());
  for (const [at, device] of devices.entries()) device.send(request(at + 1));
  t.ok((await Promise.all(answers)).every((one) => one !== END && one.type === TYPE.REPLY));
  const serving = await servingNow();
  t.equal(serving.length, 2);
  const rows = await subscriber.query<Page>({ limit: 1_000 });
  t.equal(rows.devices.length, LINKS);
  t.ok(rows.devices.every(({ acceptor, seq }) => serving.includes(acceptor) && seq === 1));
  t.equal(subscriber.heard.length, LINKS, 'nobody heard of it');
});

/** Incarnations of acceptors. */
async function servingNow(): Promise<string[]> {
  const { processes } = JSON.parse(await node.page('/api/v1/status')) as StatusAnswer;
  return processes.flatMap(({ role, incarnation }) =>
    role === 'acceptor' && incarnation !== undefined ? incarnation : [],
  );
}
