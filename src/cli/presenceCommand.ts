/**
 * PresenceCommand: what `owsla presence` and `owsla presence restore` do.
 * From: commandLine.ts, with a config.  To: events of the broker, line by line; the store, while
 * no node has it.
 * Bound: the queue is for this connection only; it holds WATCHED_MAX events for a
 * reader that does not read, then the oldest go.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { names } from '../broker/topology.ts';
import { SqliteFile } from '../registrar/store/sqliteFile.ts';
import { StoreError } from '../registrar/store/store.ts';
import { connectToOne, lossOf, sentenceOf } from './oneBroker.ts';

const WATCHED_MAX = 100_000;
const WATCH_PREFETCH = 256;

/**
 * Print every presence event, until the broker goes away: rejects then, or when it cannot be
 * reached, or has no such exchange, with a StartError.
 */
export async function watchPresence(config: Config, print: (line: string) => void): Promise<void> {
  const { presence } = names(config.prefix);
  const [model, url] = await connectToOne(config);
  const lost = lossOf(model, url);
  const channel = await model.createChannel();
  channel.on('error', () => {});
  try {
    await channel.checkExchange(presence);
    // A name that a backend's rights allow: the broker's own, amq.gen-, they do not.
    const queue = `backend.presence.${randomUUID()}`;
    await channel.assertQueue(queue, { exclusive: true, maxLength: WATCHED_MAX });
    await channel.bindQueue(queue, presence, '#');
    await channel.prefetch(WATCH_PREFETCH);
    await channel.consume(queue, (message) => {
      if (message === null) return;
      print(message.content.toString());
      channel.ack(message);
    });
  } catch (error) {
    // A connection that stays would keep this process alive, with nothing left to do.
    void model.close().catch(() => {});
    throw sentenceOf(error, url, `exchange '${presence}'`);
  }
  await lost;
}

/** Begin a new epoch; gives a sentence about it. Throws a StartError while a node has the store. */
export function restorePresence({ dataDir, limits }: Config): string {
  if (dataDir === '')
    throw new StartError(EXIT.usage, 'give the folder of the store: --data-dir FOLDER');
  if (!existsSync(join(dataDir, 'presence.db'))) {
    throw new StartError(EXIT.config, `there is no presence store in ${dataDir}`);
  }
  try {
    const now = Date.now();
    const store = new SqliteFile(dataDir, now, { limits });
    const { epoch, devices } = store.restore(now);
    store.close();
    return `a new epoch, ${epoch}: ${devices} devices will be published as offline when owsla serve starts`;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new StartError(EXIT.config, error.message);
  }
}
