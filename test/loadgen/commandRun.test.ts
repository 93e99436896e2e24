/** Commands of the tool against a scripted node and a real RabbitMQ: what it sends, finds, says. */
import t from 'tap';
import { checkCommands } from '../../loadgen/commands/commandPublisher.ts';
import type { Report } from '../../loadgen/report/report.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { CommandNode, type Misdeed } from './commandNode.ts';
import { type Outcome, runToEnd } from './spawn.ts';

const broker = await findBroker();
t.teardown(() => broker.stop());

interface Had extends Outcome {
  readonly report: Report;
}

let nodes = 0;

/** Run against a node that chooses these misdeeds. */
async function against(
  flags: readonly string[],
  choose?: (order: number, deviceId: string) => Misdeed | undefined,
): Promise<Had> {
  nodes += 1;
  const prefix = `lgc${process.pid}x${nodes}`;
  const node = await CommandNode.start(broker.url, prefix, choose);
  const target = ['--target', `127.0.0.1:${node.port}`, '--quiet', '--storm'];
  const outcome = await runToEnd([...target, '--amqp', broker.url, '--prefix', prefix, ...flags]);
  await node.stop();
  const { report } = outcome;
  if (report === undefined) throw new Error(`no report: ${outcome.stderr}`);
  return { ...outcome, report };
}

t.test('commands: an exact rate over two workers, each acted upon and told: exit 0', async (t) => {
  const rate = ['--devices', '10', '--workers', '2', '--command-rate', '100', '--duration', '1s'];
  const { report, exitCode, stdout } = await against(rate);

  t.equal(exitCode, 0, stdout);
  t.match(report.counts, { commandsPublished: 100, commandsActed: 100, commandsAgain: 0 });
  t.same(report.labelled.outcomes, { delivered: 100, result: 100 });
  t.equal(report.times.command.count, 100);
  t.equal(report.times.outcome.count, 100);
  t.match(stdout, /^commands {4}100 published \(100\/s\), 100 acted upon, 0 came again$/m);
  t.notMatch(JSON.stringify(report), broker.url);
});

t.test('commands: each thing that a node can do wrong is found, and fails the run', async (t) => {
  const misdeeds: readonly Misdeed[] = [
    'send-under-two-keys',
    'send-to-another',
    'tell-two-finals',
    'tell-nothing',
    'tell-refused-and-send',
    'tell-result-unsent',
    'tell-twice',
    'tell-expired-after-result',
    'hold-until-next',
  ];
  const flags = ['--devices', '2', '--command-rate', '60', '--command-kept', '100%'];
  const waits = ['--duration', '1s', '--command-deadline', '2s', '--timeout', '500ms'];
  const { report, exitCode, stdout } = await against([...flags, ...waits], (order) => {
    return order % 3 === 0 ? misdeeds[order / 3 - 1] : undefined;
  });

  t.equal(exitCode, 98, stdout);
  const { violations, notes } = report;
  t.match(violations, { twice: 1, elsewhere: 1, contradicted: 1, unsettled: 1, denied: 1 });
  t.match(violations, { unacted: 1, disordered: 1, wrong: 0, misrouted: 0 });
  t.match(notes, { repeated: 1, unheard: 1 });
});

t.test('commands: devices that lose their link unanswered act once all the same', async (t) => {
  const flags = ['--devices', '5', '--command-rate', '100', '--command-kept', '100%'];
  const cuts = ['--command-cut', '20%', '--reconnect', '20ms-50ms', '--duration', '1s'];
  const { report, exitCode, stdout } = await against([...flags, ...cuts]);

  t.equal(exitCode, 0, stdout);
  t.equal(report.counts.commandsActed, 100);
  t.ok(report.counts.commandsAgain > 0);
  t.equal(report.labelled.outcomes.result, 100);
  t.ok((report.labelled.faults['command-cut'] ?? 0) > 5);
});

t.test('commands: sleepers take what was kept when they wake, and nothing else', async (t) => {
  const flags = ['--devices', '10', '--asleep', '50%@500ms-900ms', '--command-to', 'asleep'];
  const rate = ['--command-rate', '100', '--duration', '1s', '--reconnect', '20ms-50ms'];
  const { report, exitCode, stdout } = await against([...flags, ...rate]);

  t.equal(exitCode, 0, stdout);
  const { outcomes } = report.labelled;
  t.ok(report.counts.wakes > 2 && report.counts.wakes < 8, `${report.counts.wakes} woke`);
  t.equal((outcomes.result ?? 0) + (outcomes.offline ?? 0), 100);
  t.ok((outcomes.offline ?? 0) > 0, 'now or never, and asleep');
  t.equal(outcomes.result, report.counts.commandsActed);
});

t.test('commands: without --amqp, or without their exchange, nothing is started', async (t) => {
  const flags = ['--target', '127.0.0.1:1', '--command-rate', '1'];
  const { exitCode, stderr } = await runToEnd(flags);

  t.equal(exitCode, 64);
  t.match(stderr, /--command-rate: --amqp is needed/);
  await t.rejects(checkCommands({ url: broker.url, prefix: 'no-such-prefix' }, 1), {
    message: /--command-rate: cannot publish to no-such-prefix\.commands: .*NOT_FOUND/,
  });
});
