/**
 * A real node, and what most tests of one need around it: a broker, names of its own there, a
 * backend, a folder.
 * From: a test or a whole file, and what its node is to be started with.
 * To: each part, for use.  Bound: all of it goes with the test, also when the start fails.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { makeLimits } from '../../../src/base/limits.ts';
import { askOnce as ask } from '../../../src/cli/askNode.ts';
import { Backend, forgetTopology } from '../fakes/backend.ts';
import { type Broker, findBroker } from './broker.ts';
import { Server, type ServerOptions } from './server.ts';
import { addUsers } from './users.ts';

export interface NodeOptions extends Partial<ServerOptions> {
  /** Who gives one ends it; else any will do. */
  readonly broker?: Broker;
  /** Node and backend log in as the users of docs/amqp.md, and may do no more. */
  readonly hasUsers?: boolean;
  /** Who changes something over HTTP has to know it. */
  readonly adminToken?: string;
}

export interface StartedNode {
  readonly broker: Broker;
  readonly prefix: string;
  readonly server: Server;
  readonly backend: Backend;
  /** A short path, for sockets. */
  readonly folder: string;
  /** Where `control.sock` is. */
  readonly runDir: string;
}

/** Resolves when its health says ready. */
export async function startNode(t: Test, options: NodeOptions = {}): Promise<StartedNode> {
  const { broker = await findBroker(), prefix = `test-${randomUUID()}`, ...others } = options;
  const { hasUsers = false, adminToken, ...more } = others;
  const folder = mkdtempSync(join(tmpdir(), 'ot-'));
  t.teardown(async () => {
    await forgetTopology(broker.url, prefix);
    if (options.broker === undefined) await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const users = hasUsers ? await addUsers(broker, prefix) : undefined;
  t.teardown(() => users?.remove());
  const runDir = join(folder, 'run');
  const flags = ['--run-dir', runDir, ...(more.flags ?? [])];
  if (adminToken !== undefined) {
    const file = join(folder, 'token');
    writeFileSync(file, adminToken, { mode: 0o600 });
    flags.push('--admin-token-file', file);
  }
  const amqp = users?.owsla ?? broker.url;
  const server = await Server.start({ amqp, ...more, prefix, flags });
  t.teardown(() => server.stop());
  const backend = await Backend.connect(users?.backend ?? broker.url);
  t.teardown(() => backend.close());
  return { broker, prefix, server, backend, folder, runDir };
}

/** What a node answers to one question, as a command asks it, but without a process of its own. */
export function askOnce<T>(runDir: string, kind: string, body: unknown = null): Promise<T> {
  return ask({ runDir, limits: makeLimits() }, kind, body);
}
