/**
 * CommandLine: the `owsla` command; the only reader of arguments and environment.
 * From: cli.ts; flags, OWSLA_ variables, one file.  To: config.ts, then serveCommand.ts, or another
 * command's file: loaded when its command is run, where it needs more than this.
 * Bound: what it does not know it refuses; a StartError is one line on stderr and an exit code.
 */
import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import { makeConfig } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { markOperands, unmarked } from '../base/operands.ts';
import { OPTION_NAMES, OPTION_SPECS, type OptionName, type OptionSpec } from '../base/options.ts';
import { redact } from '../base/redact.ts';
import { parseDuration } from '../base/units.ts';
import { OWSLA_VERSION } from '../node/version.ts';
import { blockCommands } from './blockCommand.ts';
import { type Arguments, type NodeCommandOptions, withDevice, withJson } from './commandParts.ts';
import { completionCommand } from './completion.ts';
import { configLines } from './configTable.ts';
import { drainCommands } from './drainCommands.ts';
import { keyCommand } from './keyCommand.ts';
import { CLI_FLAGS, layersOf, textOf } from './layers.ts';
import { limitsJson, limitsTable } from './limitsTable.ts';
import { linkCommands } from './linkCommands.ts';
import { protocolCommand } from './protocolCommand.ts';
import { reloadCommand } from './reloadCommand.ts';
import { enough, print, tell, terminal } from './terminal.ts';
import { type TopCommandOptions, topCommand } from './topCommand.ts';
import { type TraceCommandOptions, traceCommand } from './traceCommand.ts';
import { explainUsage, quote } from './usage.ts';

const COMMANDS =
  'serve check config status links link closed disconnect drain resume reload presence devices command block unblock blocked top trace protocol key limits completion'.split(
    ' ',
  );

const known = { argv: process.argv, commands: COMMANDS, flags: CLI_FLAGS };

/** Arguments are taken as they are written. */
const PARSING = {
  'dot-notation': false,
  'greedy-arrays': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'camel-case-expansion': false,
  'boolean-negation': false,
};

function commands(args: readonly string[], run: (argv: Arguments) => Promise<void> = serve): Argv {
  return yargs(markOperands(args))
    .scriptName('owsla')
    .usage('Holds the TCP links of a device fleet and connects them to backends that use AMQP.')
    .command('serve', 'accept device links until stopped', serveOptions, (argv) => run(argv))
    .command(
      'check',
      'prove that a node would start with this config, without starting one',
      serveOptions,
      check,
    )
    .command(
      'config',
      'print what rules for a node with this config, and where each value came from',
      (y) => withJson(serveOptions(y)),
      printConfig,
    )
    .command('limits', 'print every limit that --set can change', withJson, printLimits)
    .command(completionCommand((text) => process.stdout.write(text)))
    .command(
      'presence',
      'print presence changes as they happen: one JSON object per line',
      (y) => presenceOptions(y, ['amqp', 'prefix']).command(restoreCommand),
      watch,
    )
    .command(statusCommand)
    .command(toListLinks)
    .command(toShowLink)
    .command(toListClosed)
    .command(toDisconnect)
    .command(toDrain)
    .command(toResume)
    .command(toReload)
    .command(proveCommand)
    .command(devicesCommand)
    .command(commandCommand)
    .command(toBlock)
    .command(toUnblock)
    .command(toListBlocked)
    .command(toTop)
    .command(toTrace)
    .command(protocolCommand(toNode('owsla protocol')))
    .command(keyCommand(printKey))
    .demandCommand(1, 2, SAY_WHAT, 'only one command at a time')
    .strict()
    .version(OWSLA_VERSION)
    .locale('en')
    .parserConfiguration(PARSING)
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .fail((message: string | null, error: Error | undefined) => {
      throw error ?? new StartError(EXIT.usage, explainUsage(message ?? 'bad usage', known));
    })
    .exitProcess(true);
}

const isHelpAsked = ['--help', '--get-yargs-completions'].some((flag) =>
  process.argv.includes(flag),
);

const SAY_WHAT = `give a command: ${COMMANDS.map((name) => `owsla ${name}`).join(', ')}`;

const restoreCommand = {
  command: 'restore',
  describe:
    'after restoring the presence store from a backup: begin a new epoch, all devices offline',
  builder: (y: Argv) => presenceOptions(y, ['data-dir']),
  handler: restore,
};

function presenceOptions(y: Argv, names: readonly OptionName[]): Argv {
  for (const name of names) {
    const { about, placeholder }: OptionSpec = OPTION_SPECS[name];
    y.option(name, { type: 'string', requiresArg: true, describe: `${placeholder}: ${about}` });
  }
  return y.option('config', { type: 'string', requiresArg: true, describe: 'as for serve' });
}

async function watch(argv: Arguments): Promise<void> {
  process.title = 'owsla presence';
  // The reader may stop in the middle, as `head` does.
  process.stdout.on('error', () => process.exit(EXIT.ok));
  const { watchPresence } = await import('./presenceCommand.ts');
  await watchPresence(makeConfig(...layersOf(argv, process.env)), print);
}

async function restore(argv: Arguments): Promise<void> {
  const { restorePresence } = await import('./presenceCommand.ts');
  print(restorePresence(makeConfig(...layersOf(argv, process.env))));
}

const statusCommand = {
  command: 'status',
  describe: 'print how a node on this machine is: its processes, links, broker',
  builder: (y: Argv) =>
    withJson(presenceOptions(y, ['run-dir'])).epilog(
      'Exit code: 0 ready, 3 ready but degraded, 4 not ready, 69 no node answers.',
    ),
  handler: status,
};

async function status(argv: Arguments): Promise<void> {
  process.title = 'owsla status';
  process.stdout.on('error', () => process.exit(EXIT.ok));
  const { askStatus, STATUS_EXIT, statusText } = await import('./askStatus.ts');
  const answer = await askStatus(makeConfig(...layersOf(argv, process.env)));
  process.stdout.write(argv.json ? `${JSON.stringify(answer)}\n` : statusText(answer));
  process.exitCode = STATUS_EXIT[answer.state];
}

const toNode = (title: string): NodeCommandOptions & TopCommandOptions & TraceCommandOptions => ({
  nodeOptions: (y) => presenceOptions(y, ['run-dir']),
  configOf: (argv) => {
    process.title = title;
    process.stdout.on('error', () => process.exit(EXIT.ok));
    return makeConfig(...layersOf(argv, process.env));
  },
  ...{ terminal, print, tell, enough },
  exitWith: (code) => {
    process.exitCode = code;
  },
});

const [toBlock, toUnblock, toListBlocked] = blockCommands(toNode('owsla block'));
const [toListLinks, toShowLink, toListClosed, toDisconnect] = linkCommands(toNode('owsla links'));
const toTop = topCommand(toNode('owsla top'));
const toTrace = traceCommand(toNode('owsla trace'));
const [toDrain, toResume] = drainCommands(toNode('owsla drain'));

const toReload = reloadCommand(toNode('owsla reload'));

/** What a supervisor starts for a reload, and nobody else: so it is not in the list. */
const proveCommand = {
  command: 'prove',
  describe: false as const,
  handler: async () => {
    process.title = 'owsla prove';
    const { proveAsked } = await import('./proveCommand.ts');
    await proveAsked(async (args, prove) => {
      await commands(args, async (argv) => {
        const config = makeConfig(...layersOf(argv, process.env));
        await prove(config);
      }).parseAsync();
    });
  },
};

const devicesCommand = {
  command: 'devices [device]',
  describe: 'print which devices are connected, since when and where: one device, or all',
  builder: (y: Argv) =>
    askOptions(y)
      .positional('device', {
        type: 'string',
        describe: 'a device id; write -- before one that begins with -',
      })
      .epilog('Exit code: 0 online, or all were printed; 3 offline; 4 never seen.'),
  handler: devices,
};

const commandCommand = {
  command: 'command <device> <topic> [payload]',
  describe: 'send a command to a device, and print what became of it',
  builder: (y: Argv) =>
    withDevice(askOptions(y))
      .positional('topic', { type: 'string', describe: 'such as door.open' })
      .positional('payload', { type: 'string', default: '', describe: 'text' })
      .option('wait', {
        type: 'string',
        requiresArg: true,
        default: '5s',
        describe: "the command's deadline",
      })
      .option('keep', {
        type: 'boolean',
        describe:
          'make it durable: stored until the deadline while the device is offline; else it is sent now or never',
      })
      .epilog(
        'Write -- before words that begin with -: owsla command -- -17 door.open. Exit code: 0 done (status 0), 2 another status, 3 offline, 4 expired, 5 refused, 6 unknown.',
      ),
  handler: command,
};

function askOptions(y: Argv): Argv {
  return withJson(presenceOptions(y, ['amqp', 'prefix']));
}

async function devices(argv: Arguments): Promise<void> {
  process.title = 'owsla devices';
  process.stdout.on('error', () => process.exit(EXIT.ok));
  const config = makeConfig(...layersOf(argv, process.env));
  const { columnsOf, listDevices } = await import('./listDevices.ts');
  const write = argv.json ? JSON.stringify : columnsOf;
  const device = deviceOf(argv.device);
  process.exitCode = await listDevices(config, device, (row) => {
    print(write(row));
  });
}

/** Undefined: all devices. An empty word is a mistake, most likely a variable that is not set. */
function deviceOf(word: unknown): string | undefined {
  const device = textOf(word);
  if (device === '')
    throw new StartError(EXIT.usage, 'the device id is empty; leave it out to print all devices');
  return device === undefined ? undefined : unmarked(device);
}

async function command(argv: Arguments): Promise<void> {
  process.title = 'owsla command';
  const config = makeConfig(...layersOf(argv, process.env));
  const wait = textOf(argv.wait) ?? '';
  const waitMs = parseDuration(wait);
  if (!waitMs)
    throw new StartError(EXIT.usage, `--wait takes a time such as 5s, not ${quote(wait)}`);
  const [device = '', topic = '', payload = ''] = [argv.device, argv.topic, argv.payload].map(
    (word) => unmarked(String(word)),
  );
  const { lineOf, sendCommand } = await import('./sendCommand.ts');
  const write = argv.json ? JSON.stringify : lineOf;
  const sending = { device, topic, payload, waitMs, isKept: argv.keep === true };
  process.exitCode = await sendCommand(config, sending, (outcome) => {
    print(write(outcome));
  });
}

function serveOptions(y: Argv): Argv {
  for (const name of OPTION_NAMES) {
    const spec: OptionSpec = OPTION_SPECS[name];
    const isSwitch = spec.placeholder === undefined;
    y.option(name, {
      type: isSwitch ? 'boolean' : 'string',
      requiresArg: !isSwitch,
      // yargs writes a command's help before it runs it, asked or not: some 20 ms for all of these.
      hidden: !isHelpAsked,
      // Shown only: a default that yargs filled in would hide the variable and the file.
      ...(spec.default === undefined || isSwitch ? {} : { defaultDescription: spec.default }),
      describe: spec.about,
    });
  }
  return y
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'YAML or JSON file; its keys are these flags, and `set` with limits',
    })
    .option('set', {
      type: 'string',
      array: true,
      requiresArg: true,
      describe: 'NAME=VALUE: one limit; may be repeated; `owsla limits` lists them',
    })
    .epilog(
      [
        'Each flag is also a variable (--admin-port: OWSLA_ADMIN_PORT; OWSLA_SET=a=1,b=2).',
        'A flag takes precedence over a variable, a variable over the file, the file over the default.',
        'Durations: 500ms 10s 5m 1h. Sizes: 65536 64KiB 1MiB.',
        'SIGTERM, SIGINT or SIGQUIT drains and stops; a second one stops at once.',
      ].join('\n'),
    );
}

async function serve(argv: Arguments): Promise<void> {
  // At once, and not only to tell what this is: it takes --amqp and its password out of ps.
  process.title = 'owsla supervisor';
  const config = makeConfig(...layersOf(argv, process.env));
  const { argv: words, env: variables } = process;
  const called = { program: words[1] ?? '', args: hideBin(words), variables };
  const { serveNode } = await import('./serveCommand.ts');
  process.exitCode = await serveNode(config, called);
}

async function check(argv: Arguments): Promise<void> {
  process.title = 'owsla check';
  const config = makeConfig(...layersOf(argv, process.env));
  const { checkStart } = await import('./serveCommand.ts');
  process.exitCode = await checkStart(config, print);
}

function printKey(line: string): void {
  process.title = 'owsla key';
  print(line);
}

function printLimits({ json }: Arguments): void {
  // The reader may stop in the middle, as `head` does.
  process.stdout.on('error', () => {});
  process.stdout.write(json ? limitsJson() : limitsTable());
}

function printConfig(argv: Arguments): void {
  process.title = 'owsla config';
  process.stdout.on('error', () => {});
  const layers = layersOf(argv, process.env);
  process.stdout.write(configLines(makeConfig(...layers), layers, argv.json === true));
}

try {
  await commands(hideBin(process.argv)).parseAsync();
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`owsla: ${redact(error.message)}\n`);
  process.exitCode = error.exitCode;
}
