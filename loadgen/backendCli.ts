/**
 * Backend cli: the flags of `owsla-loadgen backend`, and its life as a process.
 * From: cli.ts.  To: backend.ts; one status line a second on a terminal, a summary at the end.
 * Bound: a signal to stop ends it; a broker that is away is waited for.
 */
import type { Argv } from 'yargs';
import { Backend, type BackendPlan } from './backend/backend.ts';
import { durations, share, whole } from './plan/units.ts';
import { onStopSignals } from './signals.ts';

const FLAGS = {
  amqp: { type: 'string', demandOption: true, describe: 'amqp://user:password@host:port/vhost' },
  prefix: { type: 'string', default: 'owsla', describe: "prefix of the server's AMQP names" },
  queue: { type: 'string', describe: 'queue to consume; shared by several backends' },
  topics: { type: 'string', default: '#', describe: 'topics to answer, e.g. door.#' },
  prefetch: { type: 'string', default: '512', describe: 'requests worked on at once' },
  delay: { type: 'string', default: '0ms', describe: 'wait before each reply: 20ms or 5ms-50ms' },
  shuffle: { type: 'string', default: '0', describe: 'reply in random order, N at a time' },
  errors: { type: 'string', default: '0', describe: 'share of requests answered with an error' },
  'error-status': { type: 'string', default: '5', describe: 'status of these' },
  silent: { type: 'string', default: '0', describe: 'share of requests never answered' },
  seed: { type: 'string', default: '1', describe: 'repeats the choices' },
} as const;

export function backendOptions(args: Argv): Argv {
  return args.options(FLAGS);
}

function planOf(argv: Record<string, unknown>): BackendPlan {
  const text = (name: keyof typeof FLAGS): string => String(argv[name]);
  const prefix = text('prefix');
  return {
    url: text('amqp'),
    prefix,
    queue: argv.queue === undefined ? `backend.loadgen.${prefix}` : text('queue'),
    topics: text('topics'),
    prefetch: whole('--prefetch', text('prefetch'), 1, 65_535),
    delayMs: durations('--delay', text('delay')),
    shuffle: whole('--shuffle', text('shuffle'), 0, 65_535),
    errorShare: share('--errors', text('errors')),
    errorStatus: whole('--error-status', text('error-status'), 1, 65_535),
    silentShare: share('--silent', text('silent')),
    seed: whole('--seed', text('seed'), 0, 0xffff_ffff),
  };
}

/** Answer requests until a signal. Throws UsageError for a bad flag. */
export async function runBackend(argv: Record<string, unknown>): Promise<void> {
  const backend = new Backend(planOf(argv));
  let said = '';
  const say = (line: string): void => {
    if (line !== said) process.stderr.write(`owsla-loadgen backend: ${line}\n`);
    said = line;
  };
  process.title = 'owsla-loadgen backend';
  const away = onStopSignals(() => {
    away();
    void backend.stop();
  });
  await backend.run(() => say('answering'), say);
  const { requests, replies, errors, silent } = backend.counts;
  say(`${requests} requests: ${replies} echoed, ${errors} refused, ${silent} left unanswered`);
}
