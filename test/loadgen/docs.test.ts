/**
 * docs/loadgen.md against the tool: no command, flag, violation, figure or exit code is made up.
 */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { parse } from 'yaml';
import { FIGURES } from '../../loadgen/measure/thresholds.ts';
import { isNote, VIOLATIONS } from '../../loadgen/measure/violations.ts';
import { type Given, OPTION_NAMES, OPTIONS } from '../../loadgen/plan/options.ts';
import { PROFILES } from '../../loadgen/plan/profiles.ts';
import { readScenario } from '../../loadgen/plan/scenario.ts';
import { makeOutput, makePlan } from '../../loadgen/plan/settings.ts';
import { EXIT } from '../../loadgen/report/report.ts';
import { inlinesOf } from '../helpers/docs.ts';

const text = readFileSync(new URL('../../docs/loadgen.md', import.meta.url), 'utf8');
const kebab = (name: string) => name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

/** Words of a shell line, single quotes taken off. */
function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');
}

function commands(): string[][] {
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block ?? '');
  return blocks.flatMap((block) => block.replaceAll('\\\n', ' ').trim().split('\n')).map(words);
}

/** The flags of a `run` command as settings; a flag that does not exist throws. */
function settings(flags: readonly string[]): Given {
  const given: Given = {};
  for (let at = 0; at < flags.length; at += 1) {
    const name = OPTION_NAMES.find((option) => `--${kebab(option)}` === flags[at]);
    if (name === undefined) throw new Error(`no flag ${flags[at]}`);
    const { kind } = OPTIONS[name];
    if (kind === 'flag') given[name] = true;
    else at += 1;
    if (kind === 'text') given[name] = flags[at] ?? '';
    const before = given[name];
    if (kind === 'list') given[name] = [...(Array.isArray(before) ? before : []), flags[at] ?? ''];
  }
  return given;
}

t.test('docs: every documented run command makes a plan', async (t) => {
  const runs = commands().filter(([tool, verb]) => tool === 'owsla-loadgen' && verb === 'run');

  t.ok(runs.length >= 8, `${runs.length} commands`);
  for (const [, , ...flags] of runs) {
    const given = settings(flags);
    const scenario = given.scenario === undefined ? undefined : readScenario(`${given.scenario}`);
    const plan = makePlan({ ...scenario?.options, ...given }, scenario?.profiles ?? [], 1);

    t.ok(plan.devices > 0, flags.join(' '));
    makeOutput({ ...scenario?.options, ...given });
  }
});

t.test('docs: every flag of a sentence or a table takes what stands there', async (t) => {
  const whole = inlinesOf('docs/loadgen.md')
    .map(({ text }) => text)
    // Not what has a word in place of a value, nor the flags of the backend alone.
    .filter((text) => /^--\S+ \S/.test(text) && !/ (?:[A-Z]+\b|\.\.\.)/.test(text))
    .filter((text) => text !== '--stage 60s@x1-x10');

  t.ok(whole.length >= 30, `${whole.length} of them`);
  for (const text of whole) {
    const wanted = text.includes('--stage') || text.includes('--rate') ? {} : { rate: '1' };
    const given = { target: '127.0.0.1:1', ...wanted, ...settings(words(text)) };
    t.doesNotThrow(() => makeOutput(given), text);
    t.ok(makePlan(given, [], 1).devices > 0, text);
  }
  // What is written the other way, says the page.
  const wrong = { target: '127.0.0.1:1', mix: 'door=1', stage: ['60s@x1-x10'] };
  t.throws(() => makePlan(wrong, [], 1));
});

t.test('docs: every flag, violation, figure and profile is explained', async (t) => {
  const flags = OPTION_NAMES.map((name) => `--${kebab(name)}`);
  const missing = [...flags, ...FIGURES, ...PROFILES.map(({ name }) => name)].filter(
    (name) => !text.includes(name),
  );

  t.same(missing, []);
  for (const name of Object.keys(VIOLATIONS) as (keyof typeof VIOLATIONS)[]) {
    const row = new RegExp(`^\\| \`${name}\` \\|.*\\| ${isNote(name) ? 'no' : 'yes'} \\|$`, 'm');
    t.match(text, row);
  }
});

t.test('docs: the exit codes are those of the tool', async (t) => {
  // 20 is no code, and 78 is told before the tool is there.
  const documented = [...text.matchAll(/^\| (\d+) \| \w/gm)].map(([, code]) => Number(code));

  t.same(
    documented.filter((code) => ![20, 78].includes(code)),
    Object.values(EXIT),
  );
});

t.test('docs: the scenario file shown is a right one', async (t) => {
  const [, block = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? [];
  const file = `${t.testdir({ 'lift.yaml': block })}/lift.yaml`;

  const { options, profiles } = readScenario(file);

  t.ok(parse(block).description);
  t.equal(makePlan({ ...options, target: '127.0.0.1:1' }, profiles, 1).durationMs, 60_000);
  t.equal(profiles.length, 2);
});
