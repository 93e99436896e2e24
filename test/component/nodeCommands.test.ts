/** Commands that ask a node, over a node that answers what a test wants. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { Config } from '../../src/base/config.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { linkCommands } from '../../src/cli/linkCommands.ts';
import { closedTable } from '../../src/cli/linkText.ts';
import { topCommand } from '../../src/cli/topCommand.ts';
import type { AnswersByKind } from '../../src/node/channel.ts';
import { controlSocket } from '../../src/node/ipc.ts';
import type { ClosedFacts } from '../../src/node/linkFacts.ts';
import { Control } from '../../src/observer/control.ts';
import { waitFor } from '../helpers/waitFor.ts';

/** What commands get of the command line; what they print and exit with. */
async function asking(t: Test, answers: AnswersByKind) {
  const runDir = mkdtempSync(join(tmpdir(), 'oc-'));
  const limits = makeLimits();
  const log = pino({ level: 'silent' });
  const control = new Control({ path: controlSocket(runDir), limits, log, answers });
  await control.listen();
  t.teardown(async () => {
    await control.close();
    rmSync(runDir, { recursive: true, force: true });
  });
  const lines: string[] = [];
  const codes: number[] = [];
  const options = {
    nodeOptions: <Y>(y: Y) => y,
    configOf: () => ({ runDir, limits }) as Config,
    print: (line: string) => void lines.push(line),
    exitWith: (code: number) => void codes.push(code),
  };
  return { options, lines, codes, control };
}

const FACTS: ClosedFacts = {
  ...{ order: 1, at: 0, device: 'a', isProved: true, connection: '', reason: 'peer-gone' },
  ...{ acceptor: 1, listener: 'devices', peer: '', durationMs: 0 },
  ...{ messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 },
};
const SILENT = { acceptor: 2, why: 'no answer' };

t.test('an acceptor that was silent for one page of many: the exit code says so', async (t) => {
  const pages = [
    { rows: [{ device: 'a' }], next: '1', missing: [SILENT] },
    { rows: [{ device: 'b' }], missing: [] },
  ];
  for (const kind of ['links', 'closed'] as const) {
    const left = [...pages];
    const { options, lines, codes } = await asking(t, { [kind]: () => left.shift() });
    const [links, , closed] = linkCommands(options);

    await (kind === 'links' ? links : closed).handler({ json: true, all: true });

    t.same(lines, ['{"device":"a"}', '{"device":"b"}'], kind);
    t.equal(codes.at(-1), 3, kind);
  }
});

t.test('a link that ended is one line of a table, whatever is in it', async (t) => {
  const table = closedTable([{ ...FACTS, why: 'first\nsecond\u001b[2J' }], false);

  t.match(table, / {2}first\?second\?\[2J\n$/);
  t.equal(table.split('\n').length, 2);
});

t.test('owsla top: q leaves at once, whatever is asked, and nothing is drawn then', async (t) => {
  const asked = Promise.withResolvers<void>();
  const never = new Promise(() => {});
  const { options, control } = await asking(t, {
    live: () => {
      asked.resolve();
      return never;
    },
  });
  const drawn: string[] = [];
  let type = (_key: string) => {};
  const terminal = {
    isScreen: true,
    size: () => ({ columns: 80, rows: 24 }),
    write: (text: string) => void drawn.push(text),
    onKey: (handle: (key: string) => void) => {
      type = handle;
      return () => {};
    },
    onResize: () => () => {},
  };

  const done = topCommand({ ...options, terminal }).handler({ sort: 'outbox' });
  await asked.promise;
  type('q');
  await done;
  await waitFor('the end of the question', () => control.size === 0);

  t.match(drawn.at(-1), '\u001b[?25h\u001b[?1049l');
});
