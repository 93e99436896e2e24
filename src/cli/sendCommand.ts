/**
 * SendCommand: what `owsla command` does: one command to one device, and what became of it.
 * From: commandLine.ts.  To: the exchange of commands; outcomes, as lines, and an exit code.
 * Bound: it waits `waitMs`, and GRACE_MS more for an outcome that is on its way.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../base/config.ts';
import { EXIT, STATUS, StartError } from '../base/errors.ts';
import type { AmqpConfirmChannel, AmqpMessage } from '../broker/amqp.ts';
import { names } from '../broker/topology.ts';
import { KEPT } from '../registrar/command/command.ts';
import { REPLY_TO, withBroker } from './oneBroker.ts';

/** Exit codes of `owsla command`, by final outcome (docs/operations.md). */
export const COMMAND_EXIT = {
  done: 0,
  otherStatus: 2,
  offline: 3,
  expired: 4,
  refused: 5,
  silent: 6,
} as const;
export type CommandExit = (typeof COMMAND_EXIT)[keyof typeof COMMAND_EXIT];

const GRACE_MS = 2_000;
const TRANSIENT = 1;

export interface CommandOptions {
  readonly device: string;
  readonly topic: string;
  readonly payload: string;
  /** The command's deadline, from now. */
  readonly waitMs: number;
  /** Keep it until then, should the device not be there; else it is now or never. */
  readonly isKept: boolean;
}

/** An outcome as people and programs read it. */
export interface ReadOutcome {
  readonly outcome: string;
  readonly status?: number;
  readonly reason?: string;
  readonly payload?: string;
  /** In the place of `payload`, where that is not UTF-8. */
  readonly payloadBase64?: string;
  /** Since the command was sent. */
  readonly ms: number;
}

/**
 * Send a command and hand on each outcome; gives the exit code of the final one. Rejects with a
 * StartError when the broker cannot be had, goes away, or does not take it.
 */
export function sendCommand(
  config: Config,
  sending: CommandOptions,
  print: (outcome: ReadOutcome) => void,
): Promise<CommandExit> {
  const exchange = names(config.prefix).commands;
  return withBroker(
    config,
    `exchange '${exchange}'`,
    (model) => model.createConfirmChannel(),
    async (channel) => {
      await channel.checkExchange(exchange);
      const at = performance.now();
      const { promise, resolve } = Promise.withResolvers<CommandExit>();
      const onReply = (message: AmqpMessage | null) => {
        if (message === null) return;
        const outcome = readOutcome(message, Math.round(performance.now() - at));
        print(outcome);
        const exit = exitOf(outcome);
        if (exit !== undefined) resolve(exit);
      };
      await channel.consume(REPLY_TO, onReply, { noAck: true });
      await publish(channel, exchange, sending);
      const late = new AbortController();
      const wait = delay(sending.waitMs + GRACE_MS, COMMAND_EXIT.silent, { signal: late.signal });
      wait.catch(() => {});
      return await Promise.race([promise, wait]).finally(() => late.abort());
    },
  );
}

function publish(
  channel: AmqpConfirmChannel,
  exchange: string,
  sending: CommandOptions,
): Promise<void> {
  const { device, topic, payload, waitMs, isKept } = sending;
  const id = randomUUID();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const options = {
    type: topic,
    replyTo: REPLY_TO,
    correlationId: id,
    messageId: id,
    deliveryMode: isKept ? KEPT : TRANSIENT,
    headers: { deadline: Date.now() + waitMs },
  };
  channel.publish(exchange, device, Buffer.from(payload), options, (error: Error | null) => {
    if (error === null) resolve();
    else reject(new StartError(EXIT.unavailable, 'the broker did not take the command'));
  });
  return promise;
}

function readOutcome({ properties, content }: AmqpMessage, ms: number): ReadOutcome {
  const { status, reason } = properties.headers ?? {};
  const text = content.toString();
  const isText = Buffer.from(text).equals(content);
  return {
    outcome: String(properties.type),
    ...(typeof status === 'number' ? { status } : {}),
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(content.length > 0 && isText ? { payload: text } : {}),
    ...(isText ? {} : { payloadBase64: content.toString('base64') }),
    ms,
  };
}

/** Undefined: a final outcome is still to come. */
function exitOf({ outcome, status }: ReadOutcome): CommandExit | undefined {
  if (outcome === 'result') {
    return status === STATUS.ok ? COMMAND_EXIT.done : COMMAND_EXIT.otherStatus;
  }
  if (outcome === 'offline' || outcome === 'expired' || outcome === 'refused') {
    return COMMAND_EXIT[outcome];
  }
  return undefined;
}

/** One outcome as a line: `result 0 opened (12 ms)`. */
export function lineOf({
  outcome,
  status,
  reason,
  payload,
  payloadBase64,
  ms,
}: ReadOutcome): string {
  const words = [outcome, status, reason, payload ?? payloadBase64];
  return `${words.filter((word) => word !== undefined).join(' ')} (${ms} ms)`;
}
