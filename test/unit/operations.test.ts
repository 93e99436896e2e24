/** docs/operations.md names everything that an operator can set, read or be ended with. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { EXIT } from '../../src/base/errors.ts';
import { isLimitName } from '../../src/base/limits.ts';
import { OPTION_NAMES } from '../../src/base/options.ts';
import {
  IGNORED_SIGNALS,
  RENEW_SIGNAL,
  SIGNAL_EXIT,
  STOP_SIGNALS,
} from '../../src/base/signals.ts';
import { STATUS_EXIT } from '../../src/cli/askStatus.ts';
import { BLOCK_EXIT } from '../../src/cli/blockCommand.ts';
import { DRAIN_EXIT } from '../../src/cli/drainCommands.ts';
import { LINK_EXIT } from '../../src/cli/linkCommands.ts';
import { DEVICES_EXIT } from '../../src/cli/listDevices.ts';
import { COMMAND_EXIT } from '../../src/cli/sendCommand.ts';
import { Exposition } from '../../src/observer/exposition.ts';
import { NodeStatus } from '../../src/observer/nodeStatus.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8');

t.test('every flag has its line', async (t) => {
  for (const name of [...OPTION_NAMES, 'config', 'set']) {
    t.match(page, new RegExp(`^\\| \`--${name}[ \`]`, 'm'), name);
  }
});

t.test('every exit code has its line', async (t) => {
  for (const code of [...Object.values(EXIT), ...Object.values(SIGNAL_EXIT)]) {
    t.match(page, new RegExp(`^\\| (\\d+, )*${code}(, \\d+)* \\|`, 'm'), String(code));
  }
});

t.test('every signal that is decided about has its line', async (t) => {
  const [, table = ''] = page.split('| signal | what it does |');
  for (const signal of [...STOP_SIGNALS, ...IGNORED_SIGNALS, RENEW_SIGNAL]) {
    t.match(table, new RegExp(`^\\| [^|]*\\b${signal}\\b`, 'm'), signal);
  }
});

t.test('every exit code of owsla command and owsla devices has its line', async (t) => {
  const [, table = ''] = page.split('| of `owsla command` |');
  for (const code of Object.values(COMMAND_EXIT))
    t.match(table, new RegExp(`^\\| ${code} \\| \\S`, 'm'));
  for (const code of Object.values(DEVICES_EXIT)) {
    t.match(table, new RegExp(`^\\| ${code} \\|[^|]+\\| \\S`, 'm'));
  }
});

t.test('every exit code of owsla status has its line', async (t) => {
  const [, table = ''] = page.split('| of `owsla status` |');
  for (const code of [...Object.values(STATUS_EXIT), EXIT.usage, EXIT.unavailable, EXIT.config])
    t.match(table, new RegExp(`^\\| ${code} \\| \\S`, 'm'));
});

t.test('every exit code of owsla block and owsla unblock has its line', async (t) => {
  const [, table = ''] = page.split('| of `owsla block` and `owsla unblock` |');
  for (const code of [...Object.values(BLOCK_EXIT), EXIT.usage, EXIT.unavailable, EXIT.config])
    t.match(table, new RegExp(`^\\| ${code} \\| \\S`, 'm'));
});

t.test(
  'every exit code of owsla links, drain and the commands beside them has its line',
  async (t) => {
    const [, table = ''] = page.split('| of `links`, `link`, `closed`, `disconnect` |');
    const others = [EXIT.usage, EXIT.unavailable, EXIT.config];
    for (const code of [...Object.values(LINK_EXIT), ...others])
      t.match(table, new RegExp(`^\\| ${code} \\| \\S`, 'm'));
    for (const code of [...Object.values(DRAIN_EXIT), ...others])
      t.match(table, new RegExp(`^\\| ${code} \\|[^|]+\\| \\S`, 'm'));
  },
);

t.test('every metric has its line, with its label, and no line is about none', async (t) => {
  const families = String(await new Exposition(new NodeStatus(1, 1_000), 1_000).page(0));
  const names = [...families.matchAll(/^# HELP (\w+)/gm)].map(([, name = '']) => name);
  const known = names.filter((name) => !name.startsWith('owsla_acceptor_'));
  const labelsOf = (name: string) => {
    const [, pairs = ''] = new RegExp(`^${name}(?:_bucket)?\\{(.*)\\}`, 'm').exec(families) ?? [];
    return [...pairs.matchAll(/(\w+)="/g)].map(([, label]) => label).join(', ');
  };
  const told = [...page.matchAll(/^\| (`owsla_\w+` \|[^|]*\|) \w/gm)].map(
    ([, cells = '']) => cells,
  );
  const wanted = known.map((name) => `\`${name}\` | ${labelsOf(name)} |`);
  t.same(told.toSorted(), wanted.toSorted());
});

t.test('every limit that is named exists', async (t) => {
  const named = [...page.matchAll(/`(\w+(?:Ms|Max|Bytes))`/g)].map(([, name]) => name ?? '');
  t.ok(named.length > 10);
  for (const name of named) t.ok(isLimitName(name), name);
});
