/**
 * TraceCommand: `owsla trace`: what one device says and hears, as it passes.
 * From: commandLine.ts.  To: a node, by askNode.ts; a line for each entry, or its JSON.
 * Bound: `--for`, `--max`, the node's own limits; it ends with a sentence why. The node drops, and
 * says so, what is not printed in time. Whatever ends this process ends the trace.
 */
import type { Argv } from 'yargs';
import { EXIT, StartError } from '../base/errors.ts';
import { parseDuration, parseWhole, writeDuration } from '../base/units.ts';
import {
  TRACE_DEFAULTS,
  type TraceAnswer,
  type TraceBatch,
  type TraceEnd,
  type TraceEntry,
  type TraceQuestion,
} from '../node/traceEntry.ts';
import { type Ask, askNode } from './askNode.ts';
import {
  type Arguments,
  deviceOf,
  type NodeCommandOptions,
  withDevice,
  withJson,
  word,
} from './commandParts.ts';
import { TraceText } from './traceText.ts';

export interface TraceCommandOptions extends Omit<NodeCommandOptions, 'exitWith'> {
  /** A line for people, beside the output. */
  readonly tell: (line: string) => void;
  /** Resolves when the person has enough: Ctrl-C. */
  readonly enough: () => Promise<void>;
}

/** For yargs. */
export function traceCommand(options: TraceCommandOptions) {
  return {
    command: 'trace <device>',
    describe: 'print what a device says and hears as it passes, also if it is not connected yet',
    builder: (y: Argv) =>
      withJson(
        withDevice(options.nodeOptions(y))
          .option('payloads', { type: 'boolean', describe: 'show payloads, the beginning of each' })
          .option('for', { ...word('how long'), default: TRACE_DEFAULTS.for })
          .option('max', { ...word('entries at most'), default: TRACE_DEFAULTS.max }),
      ).epilog(
        'Ctrl-C ends it. Tokens are never shown. Write -- before a device id that begins with -. Exit code: 0 it ended as asked, 69 no node answers, or it refuses or stops.',
      ),
    handler: (given: Arguments) => trace(options, given),
  };
}

async function trace(options: TraceCommandOptions, given: Arguments): Promise<void> {
  const { configOf, print, tell, enough } = options;
  const question = questionOf(given);
  const text = new TraceText();
  const show = (entry: string) => {
    if (given.json === true) print(entry);
    else for (const line of text.linesOf(JSON.parse(entry) as TraceEntry)) print(line);
  };
  const ended = Promise.withResolvers<TraceEnd>();
  const notices = {
    trace: (batch: unknown) => {
      for (const entry of (batch as TraceBatch).entries) show(entry);
    },
    traced: (end: unknown) => ended.resolve(end as TraceEnd),
  };
  const work = async (ask: Ask, closed: Promise<void>) => {
    const answer = (await ask('trace', question)) as TraceAnswer;
    for (const line of beginning(question, answer)) tell(line);
    return Promise.race([
      ended.promise,
      closed.then(() => 'closed' as const),
      enough().then(() => 'enough' as const),
    ]);
  };
  const end = await askNode(configOf(given), work, notices);
  if (end === 'enough') tell('the trace has ended: Ctrl-C');
  else if (end === 'closed') {
    throw new StartError(EXIT.unavailable, 'the trace has ended: the node has closed it');
  } else {
    const lost = end.lost > 0 ? `; ${end.lost} entries were lost` : '';
    const sentence = `the trace has ended: ${end.sentence}${lost}`;
    if (end.why === 'node') throw new StartError(EXIT.unavailable, sentence);
    tell(sentence);
  }
}

function questionOf(given: Arguments): TraceQuestion {
  const device = deviceOf(given);
  const forMs = parseDuration(String(given.for));
  if (forMs === undefined) throw new StartError(EXIT.usage, '--for takes a duration, such as 5m');
  const max = parseWhole(String(given.max));
  if (max === undefined) throw new StartError(EXIT.usage, '--max takes a whole number');
  return { device, payloads: given.payloads === true, forMs, max };
}

/** What is watched now, for people. */
function beginning({ device, forMs, max }: TraceQuestion, answer: TraceAnswer): string[] {
  const { armed, unarmed, connected } = answer;
  const where = armed.length === 0 ? 'no acceptor yet' : `acceptors ${armed.join(', ')}`;
  const limits = `for ${writeDuration(forMs)}, ${max} entries at most`;
  const isHere = connected.length > 0 ? 'it is connected' : 'it is not connected now';
  return [
    `tracing ${device} in ${where}, ${limits}; ${isHere}; Ctrl-C ends it`,
    ...unarmed.map(({ acceptor, why }) => `acceptor ${acceptor} is not watched yet: ${why}`),
  ];
}
