/**
 * Lives: one channel to a broker after another, for as long as the process lives.
 * From: backend.ts and commander.ts.  To: amqplib; what they make of each new channel.
 * Bound: a try every RETRY_MS, each of CONNECT_MS at most; it never gives up.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Channel, type ChannelModel, connect, IllegalOperationError } from 'amqplib';

const RETRY_MS = 200;
const CONNECT_MS = 2_000;

export interface Lives<C extends Channel> {
  /** Tried in turn. */
  readonly urls: readonly string[];
  readonly open: (connection: ChannelModel) => Promise<C>;
  /** Declare and consume. What fails here ends this life. */
  readonly begin: (channel: C) => Promise<void>;
  readonly onEnd?: () => void;
}

export async function live<C extends Channel>(lives: Lives<C>): Promise<never> {
  const { urls, onEnd } = lives;
  for (let at = 0; ; at = (at + 1) % urls.length) {
    try {
      await liveOnce(urls[at] as string, lives);
    } catch {
      // The broker is away; that is what happens here.
    }
    onEnd?.();
    await pause(RETRY_MS);
  }
}

async function liveOnce<C extends Channel>(url: string, { open, begin }: Lives<C>): Promise<void> {
  const connection = await connect(url, { timeout: CONNECT_MS });
  connection.on('error', () => {});
  const ended = new Promise((resolve) => connection.once('close', resolve));
  try {
    const channel = await open(connection);
    channel.on('error', () => {});
    channel.on('close', () => void connection.close().catch(() => {}));
    await begin(channel);
    process.send?.('ready');
    await ended;
  } catch (error) {
    await connection.close().catch(() => {});
    throw error;
  }
}

/** The channel may have died: what was not acked comes again, what was not confirmed goes again. */
export function safely(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof IllegalOperationError)) throw error;
  }
}
