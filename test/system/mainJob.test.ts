/**
 * The main job: thousands of devices ask at once, backends answer late and out of order, and each
 * request is answered exactly once, on its own link. `make soak` runs the full 100,000.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Report } from '../../loadgen/report/report.ts';
import { forgetTopology } from '../helpers/fakes/backend.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Command } from '../helpers/processes/command.ts';
import { Server } from '../helpers/processes/server.ts';
import { addUsers } from '../helpers/processes/users.ts';

const ROOT = join(import.meta.dirname, '../..');
const DEVICES = 2_000;
const isSoak = process.env.OWSLA_SOAK !== undefined;

interface Case {
  readonly backend: string;
  readonly command: readonly string[];
  readonly rate: number;
  readonly seconds: number;
}
const cases: readonly Case[] = [
  {
    backend: 'TypeScript',
    command: [process.execPath, join(ROOT, 'examples/backend.ts')],
    rate: isSoak ? 2_500 : 1_500,
    seconds: isSoak ? 40 : 10,
  },
  {
    backend: 'Ruby',
    command: ['ruby', join(ROOT, 'examples/backend.rb')],
    rate: isSoak ? 1_000 : 700,
    seconds: isSoak ? 100 : 10,
  },
];

const broker = await findBroker();
t.teardown(() => broker.stop());

for (const { backend, command, rate, seconds } of cases) {
  const total = rate * seconds;
  const title = `${DEVICES} devices, ${total} requests, ${backend} backend that shuffles`;
  t.test(title, { timeout: 300_000 }, async (t) => {
    const prefix = `test-${randomUUID()}`;
    const users = await addUsers(broker, prefix);
    const server = await Server.start({ amqp: users.owsla, prefix });
    const env = { OWSLA_AMQP: users.backend, OWSLA_PREFIX: prefix, DELAY_MS: '20', SHUFFLE: '1' };
    const answering = new Command(command, env);
    t.teardown(async () => {
      await answering.end();
      await server.stop();
      await forgetTopology(broker.url, prefix);
      await users.remove();
    });
    await answering.prints(/ready/);
    const json = join(t.testdir(), 'report.json');
    const load = new Command([
      process.execPath,
      join(ROOT, 'loadgen/cli.ts'),
      'run',
      ...['--target', `127.0.0.1:${server.port}`, '--devices', String(DEVICES)],
      ...['--rate', String(rate), '--duration', `${seconds}s`, '--json', json, '--quiet'],
      // What shares its machine may be late; the answers are what counts here.
      '--allow-bottleneck',
    ]);
    const code = await load.exit;

    t.equal(code, 0, load.output);
    t.ok(existsSync(json));
    const report = JSON.parse(readFileSync(json, 'utf8')) as Report;
    t.equal(report.counts.replies, report.counts.requests, 'as many replies as requests');
    t.ok(report.counts.requests >= total * 0.99, `${report.counts.requests} requests were sent`);
    t.same(
      Object.entries(report.violations).filter(([, count]) => count !== 0 && count !== undefined),
      [],
    );
    t.equal(report.links.openAtEnd, DEVICES, 'every link is still there');
    await server.untilMetric('owsla_requests_open', '', (open) => open === 0);
  });
}
