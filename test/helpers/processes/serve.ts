/**
 * Serve: `owsla serve` for system tests, on free ports, at a given broker.
 * From: a test.  To: the running command, and the check that every refusal has to pass.
 * Bound: it ends with the test.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { Test } from 'tap';
import { forgetTopology } from '../fakes/backend.ts';
import { waitFor } from '../waitFor.ts';
import type { Broker } from './broker.ts';
import { Cli, type CliOptions } from './cli.ts';

/** The password of every user that a test makes up: no output may hold it. */
export const PASSWORD = 's3cret-word';

export const testPrefix = `test-${randomUUID()}`;

/** Figures appear soon. */
const QUICK = 'reportMs=100,scrapeMs=100';

/** Starts it with two acceptors, under a prefix of this process; `env` and flags win over all. */
export function serve(
  t: Test,
  amqp: string,
  args: readonly string[] = [],
  options: CliOptions = {},
): Cli {
  const env = {
    OWSLA_PORT: '0',
    OWSLA_ADMIN_PORT: '0',
    OWSLA_ACCEPTORS: '2',
    OWSLA_AMQP: amqp,
    OWSLA_PREFIX: testPrefix,
    OWSLA_SET: QUICK,
    ...options.env,
  };
  const cli = new Cli(['serve', ...args], { ...options, env });
  t.teardown(() => cli.destroy());
  return cli;
}

/** It ends with `code`, exactly one line on stderr that fits, no password, and no child before. */
export async function refuses(t: Test, cli: Cli, code: number, sentence: RegExp): Promise<void> {
  t.same(await cli.exited, { code, signal: null });
  t.match(cli.stderr, sentence);
  t.match(cli.stderr, /^owsla: [^\n]+\n$/, 'exactly one line');
  t.notMatch(cli.stderr + JSON.stringify(cli.lines), PASSWORD);
  t.notOk(cli.lines.some(({ msg }) => msg === 'child ready'));
}

/** Listens until the test ends; unless told otherwise it takes connections and never answers. */
export async function listening(
  t: Test,
  server: Server = createServer(),
): Promise<{ server: Server; port: number }> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

/** Leaves nothing of this process's prefix at the broker, and ends a private one. */
export async function endBroker(broker: Broker): Promise<void> {
  await forgetTopology(broker.url, testPrefix);
  await broker.stop();
}

/** An admin page of a node that has said `ready`. */
export async function page(cli: Cli, path: string): Promise<{ status: number; text: string }> {
  const { adminPort } = await cli.said('ready');
  const response = await fetch(`http://127.0.0.1:${adminPort}${path}`);
  return { status: response.status, text: await response.text() };
}

/** Resolves when /health/ready says 200. A page that nobody serves, after a kill, is not ready. */
export async function isReady(cli: Cli): Promise<void> {
  await cli.said('ready');
  await waitFor('ready health', async () => {
    const answer = await page(cli, '/health/ready').catch(() => undefined);
    return answer?.status === 200;
  });
}

/** One figure of /metrics, as in `figure(cli, 'owsla_closes_total{reason="peer-fin"}')`. */
export async function figure(cli: Cli, series: string): Promise<number> {
  const { text } = await page(cli, '/metrics');
  const line = text.split('\n').find((line) => line.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? Number.NaN);
}
