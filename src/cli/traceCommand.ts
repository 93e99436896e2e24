/**
 * TraceCommand: `owsla trace`: what one device says and hears, as it passes.
 * From: commandLine.ts.  To: a node, by askNode.ts; a line for each entry, or its JSON.
 * Bound: `--for`, `--max`, the node's own limits; it ends with a sentence why. The node drops, and
 * says so, what is not printed in time. Whatever ends this process ends the trace.
 */
import type { Argv } from 'yargs';
import type { Config } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { DEVICE_ID } from '../base/names.ts';
import { unmarked } from '../base/operands.ts';
import { parseDuration, parseWhole, writeDuration } from '../base/units.ts';
import type {
  TraceAnswer,
  TraceBatch,
  TraceEnd,
  TraceEntry,
  TraceQuestion,
} from '../node/traceEntry.ts';
import { askNode } from './askNode.ts';
import { TraceText } from './traceText.ts';

const FOR = '5m';
const MAX = '10000';

type Given = Readonly<Record<string, unknown>>;

export interface TraceCommandOptions {
  /** `--run-dir` and `--config`. */
  readonly nodeOptions: (y: Argv) => Argv;
  readonly configOf: (given: Given) => Config;
  /** A line of output; one for people beside it. */
  readonly print: (line: string) => void;
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
      options
        .nodeOptions(y)
        .positional('device', { type: 'string', describe: 'a device id' })
        .option('payloads', { type: 'boolean', describe: 'show payloads, the beginning of each' })
        .option('for', { type: 'string', requiresArg: true, default: FOR, describe: 'how long' })
        .option('max', {
          type: 'string',
          requiresArg: true,
          default: MAX,
          describe: 'entries at most',
        })
        .option('json', { type: 'boolean', describe: 'one JSON object per line' })
        .epilog(
          'Ctrl-C ends it. Tokens are never shown. Write -- before a device id that begins with -. Exit code: 0 it ended as asked, 69 no node answers, or it refuses or stops.',
        ),
    handler: (given: Given) => trace(options, given),
  };
}

async function trace(options: TraceCommandOptions, given: Given): Promise<void> {
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
  const work = async (
    ask: (kind: string, body: unknown) => Promise<unknown>,
    closed: Promise<void>,
  ) => {
    for (const line of beginning(question, (await ask('trace', question)) as TraceAnswer))
      tell(line);
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

function questionOf(given: Given): TraceQuestion {
  const device = unmarked(String(given.device));
  if (!DEVICE_ID.test(device)) {
    throw new StartError(EXIT.usage, 'a device id is 1 to 64 of A-Z a-z 0-9 _ -');
  }
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
