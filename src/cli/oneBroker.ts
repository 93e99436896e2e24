/**
 * OneBroker: a broker connection for one run of a command-line tool.
 * From: presenceCommand.ts, sendCommand.ts, listDevices.ts.  To: the first broker that answers.
 * Bound: `brokerConnectMs` per broker; nothing is retried: a person waits at a terminal.
 */
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { type AmqpChannel, type AmqpModel, connectTo } from '../broker/amqp.ts';
import { brokerAddress, brokerError } from '../broker/brokerErrors.ts';
import { connectOptions } from '../broker/connection.ts';

/** AMQP's 404. */
export const NOT_FOUND = 404;

/** RabbitMQ's direct reply-to: answers come to the channel that asked. No queue, and no right. */
export const REPLY_TO = 'amq.rabbitmq.reply-to';

/** The first broker that answers, and its URL. Rejects with a StartError that names each fault. */
export async function connectToOne({ amqp, limits }: Config): Promise<[AmqpModel, string]> {
  const faults: StartError[] = [];
  for (const url of amqp) {
    try {
      const timeout = limits.brokerConnectMs;
      return [await connectTo(connectOptions(url, limits), { timeout }), url];
    } catch (error) {
      faults.push(brokerError(error, url));
    }
  }
  const why = faults.map(({ message }) => message).join('; ');
  throw new StartError(faults[0]?.exitCode ?? EXIT.unavailable, why);
}

/** Rejects with a StartError when the broker goes away. */
export function lossOf(model: AmqpModel, url: string): Promise<never> {
  const lost = new Promise<never>((_, reject) => {
    model.on('error', () => {});
    model.once('close', () => {
      reject(
        new StartError(EXIT.unavailable, `the broker ${brokerAddress(url)} closed the connection`),
      );
    });
  });
  lost.catch(() => {});
  return lost;
}

/** The broker's refusal as one sentence; after a 404, that what is `missing` is not there. */
export function sentenceOf(error: unknown, url: string, missing: string): StartError {
  const { code } = error as { code?: number };
  if (error instanceof StartError) return error;
  if (code !== NOT_FOUND) return brokerError(error, url);
  const sentence = `the broker ${brokerAddress(url)} has no ${missing}: start owsla serve first, or see --prefix`;
  return new StartError(EXIT.unavailable, sentence);
}

/**
 * Run `ask` on a channel of the first broker, its answers handed to `onReply`; then disconnect.
 * Rejects with a StartError when the broker cannot be had, goes away, or has not what is `missing`.
 */
export async function withBroker<Channels extends AmqpChannel, Answer>(
  config: Config,
  missing: string,
  open: (model: AmqpModel) => Promise<Channels>,
  ask: (channel: Channels, refused: Promise<never>) => Promise<Answer>,
): Promise<Answer> {
  const [model, url] = await connectToOne(config);
  const lost = lossOf(model, url);
  try {
    const channel = await open(model);
    const refused = new Promise<never>((_, reject) => channel.once('error', reject));
    refused.catch(() => {});
    return await Promise.race([ask(channel, refused), refused, lost]);
  } catch (error) {
    throw sentenceOf(error, url, missing);
  } finally {
    await model.close().catch(() => {});
  }
}
