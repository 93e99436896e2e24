/**
 * Serve: `owsla serve` for system tests, on free ports, at a given broker.
 * From: a test.  To: the running command, and the check that every refusal has to pass.
 * Bound: it ends with the test.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { connect } from 'amqplib';
import type { Test } from 'tap';
import { names } from '../../src/broker/topology.ts';
import type { Broker } from './broker.ts';
import { Cli, type CliOptions } from './cli.ts';

/** The password of every user that a test makes up: no output may hold it. */
export const PASSWORD = 's3cret-word';

export const testPrefix = `test${process.pid}`;

/** Starts it with two acceptors, under a prefix of this process; `env` and flags win over both. */
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

/** A listener that takes connections and never answers, until the test ends. */
export async function listening(t: Test): Promise<{ server: Server; port: number }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

/** Leaves nothing of this process's prefix at the broker, and ends a private one. */
export async function endBroker(broker: Broker): Promise<void> {
  const connection = await connect(broker.url);
  const channel = await connection.createChannel();
  const { events, unrouted, requests } = names(testPrefix);
  for (const exchange of [events, requests, unrouted]) await channel.deleteExchange(exchange);
  await channel.deleteQueue(unrouted);
  await connection.close();
  await broker.stop();
}
