/**
 * ListDevices: `owsla devices`: asks a node which devices are connected, one or all.
 * From: commandLine.ts.  To: the queue of presence queries; rows, page by page, and an exit code.
 * Bound: one page at a time; ANSWER_MS for each, then no node is running.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import type { AmqpChannel, AmqpMessage } from '../broker/amqp.ts';
import { names } from '../broker/topology.ts';
import { NOT_FOUND, REPLY_TO, withBroker } from './oneBroker.ts';

/** Exit codes of `owsla devices DEVICE` (docs/operations.md); those of `owsla command` agree. */
export const DEVICES_EXIT = { listed: 0, offline: 3, unknown: 4 } as const;
export type DevicesExit = (typeof DEVICES_EXIT)[keyof typeof DEVICES_EXIT];

/** As long as a query is kept at the broker. */
const ANSWER_MS = 10_000;

/** A row of the answer: docs/presence.md has its fields. */
export interface DeviceRow {
  readonly device: string;
  readonly online: boolean;
  readonly connection: string;
  readonly acceptor: string;
  readonly at: number;
  readonly reason: string;
  /** Kept commands that have not ended. */
  readonly commands?: number;
}

interface Page {
  readonly devices?: readonly DeviceRow[];
  readonly next?: string | null;
  readonly error?: string;
  readonly message?: string;
}

/**
 * Passes on the row of `device`, or of all devices. Rejects with a StartError when the broker
 * cannot be reached, or no node answers there.
 */
export function listDevices(
  config: Config,
  device: string | undefined,
  print: (row: DeviceRow) => void,
): Promise<DevicesExit> {
  const queue = names(config.prefix).presenceQuery;
  return withBroker(
    config,
    `queue '${queue}'`,
    (model) => model.createChannel(),
    async (channel, refused) => {
      const ask = await asker(channel, queue, refused);
      if (device !== undefined) {
        const [row] = (await ask({ device })).devices ?? [];
        if (row === undefined) return DEVICES_EXIT.unknown;
        print(row);
        return row.online ? DEVICES_EXIT.listed : DEVICES_EXIT.offline;
      }
      for (let after: string | null | undefined = ''; typeof after === 'string'; ) {
        const page: Page = await ask({ after });
        for (const row of page.devices ?? []) print(row);
        after = page.next;
      }
      return DEVICES_EXIT.listed;
    },
  );
}

/** One question at a time, and its answer. */
async function asker(channel: AmqpChannel, queue: string, refused: Promise<never>) {
  let answer = Promise.withResolvers<Page>();
  const onReply = (message: AmqpMessage | null) => {
    if (message !== null) answer.resolve(JSON.parse(message.content.toString()) as Page);
  };
  // A queue that is not there gives the question back.
  const onReturn = () => answer.reject(Object.assign(new Error('returned'), { code: NOT_FOUND }));
  channel.on('return', onReturn);
  await channel.consume(REPLY_TO, onReply, { noAck: true });
  return async (question: Record<string, string>): Promise<Page> => {
    answer = Promise.withResolvers();
    const options = { replyTo: REPLY_TO, mandatory: true, persistent: false };
    channel.publish('', queue, Buffer.from(JSON.stringify(question)), options);
    const late = new AbortController();
    const silence = delay(ANSWER_MS, undefined, { signal: late.signal }).then(() => {
      throw new StartError(EXIT.unavailable, 'no answer: is owsla serve running?');
    });
    silence.catch(() => {});
    const { promise } = answer;
    const page = await Promise.race([promise, silence, refused]).finally(() => late.abort());
    if (page.error === undefined) return page;
    throw new StartError(EXIT.unavailable, `${page.error}: ${page.message}`);
  };
}

/** One row as a line of columns. */
export function columnsOf({ device, online, at, reason, acceptor, ...row }: DeviceRow): string {
  const since = new Date(at).toISOString();
  const commands = row.commands === undefined ? '' : `  commands=${row.commands}`;
  const where = `acceptor=${acceptor}  connection=${row.connection}`;
  const state = online ? 'online ' : 'offline';
  return `${device.padEnd(24)}  ${state}  ${since}  ${reason.padEnd(17)}  ${where}${commands}`;
}
