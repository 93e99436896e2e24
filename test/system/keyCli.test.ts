/** `owsla key`: what it prints is what an acceptor takes; what it refuses, in one sentence. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  devicePskKey,
  deviceTokenKey,
  makeToken,
  readGroupKeys,
  verifyToken,
} from '../../src/base/deviceKeys.ts';
import { EXIT } from '../../src/base/errors.ts';
import { Cli } from '../helpers/processes/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-key-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

function save(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode });
  return path;
}

const lineOf = (id: string) => `${id}: ${randomBytes(32).toString('base64')}\n`;
const one = save('one.yaml', lineOf('2026a'));
const two = save('two.yaml', lineOf('2026a') + lineOf('2026b'));
const ID = 'door-17';

interface Told {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function key(...args: string[]): Promise<Told> {
  const cli = new Cli(['key', ...args]);
  const { code } = await cli.exited;
  return { code, out: cli.lines.map(({ msg }) => msg).join('\n'), err: cli.stderr };
}

t.test('key new prints a line of a key file, another each time', async (t) => {
  const [first, second] = await Promise.all([key('new'), key('new', '--key-id', 'night')]);

  t.equal(first.code, EXIT.ok);
  t.match(first.out, /^k20\d{6}: \S{44}$/);
  t.match(second.out, /^night: \S{44}$/);
  const keys = readGroupKeys(save('new.yaml', `${first.out}\n${second.out}\n`));
  t.same([...keys.keys()].slice(1), ['night']);
  t.notSame(first.out.split(' ')[1], second.out.split(' ')[1]);
});

t.test("key derive prints a device's key with its identity, of one purpose", async (t) => {
  const groupKey = readGroupKeys(two).get('2026b');
  if (groupKey === undefined) return void t.fail();
  const [token, psk] = await Promise.all([
    key('derive', '--keys', two, '--key-id', '2026b', ID),
    key('derive', '--psk', '--keys', two, '--key-id', '2026b', ID),
  ]);

  t.equal(token.out, `2026b.door-17:${deviceTokenKey(groupKey, ID).toString('hex')}`);
  t.equal(psk.out, `2026b.door-17:${devicePskKey(groupKey, ID).toString('hex')}`);
  t.same([token.code, psk.code, token.err], [EXIT.ok, EXIT.ok, '']);
});

t.test('key token prints a token that proves the device, for a time or for ever', async (t) => {
  const keys = readGroupKeys(one);
  const groupKey = keys.get('2026a');
  if (groupKey === undefined) return void t.fail();
  const [ever, short, dashed] = await Promise.all([
    key('token', '--keys', one, ID),
    key('token', '--keys', one, '--expires', '1h', ID),
    key('token', '--keys', one, '--', '-17'),
  ]);

  t.equal(ever.out, makeToken(groupKey, '2026a', ID, 0));
  t.equal(dashed.out, makeToken(groupKey, '2026a', '-17', 0));
  const found = verifyToken(short.out, ID, keys, Date.now());
  if (!('expiresAt' in found)) return void t.fail(JSON.stringify(found));
  const leftMs = (found.expiresAt ?? 0) - Date.now();
  t.ok(leftMs > 3_000_000 && leftMs <= 3_601_000, `${leftMs} ms`);
});

t.test('a mistake is one sentence, without a word of any key', async (t) => {
  const open = save('open.yaml', lineOf('a'), 0o644);
  const bad = save('bad.yaml', 'a: SECRET\n');
  const cases: readonly [readonly string[], number, RegExp][] = [
    [[], EXIT.usage, /owsla key new, owsla key derive, owsla key token/],
    [['knew'], EXIT.usage, /no command or argument "knew"/],
    [['derive', ID], EXIT.usage, /--keys FILE/],
    [['derive', '--keys', '', ID], EXIT.usage, /--keys FILE/],
    [['derive', '--keys', one, '--keys', two, ID], EXIT.usage, /--keys is given more than once/],
    [['derive', '--keys', two, ID], EXIT.usage, /--key-id 2026a or 2026b/],
    [
      ['derive', '--keys', two, '--key-id', 'x', ID],
      EXIT.usage,
      /no such key; it has 2026a, 2026b/,
    ],
    [['token', '--keys', one, '--key-id', 'a.b', ID], EXIT.usage, /--key-id takes/],
    [['new', '--key-id', 'a b'], EXIT.usage, /--key-id takes/],
    [['token', '--keys', one, 'door 17'], EXIT.usage, /a device id is/],
    [['token', '--keys', one, ''], EXIT.usage, /a device id is/],
    [['token', '--keys', one, '--expires', '30', ID], EXIT.usage, /--expires takes a time/],
    [['token', '--keys', one, '--expires', '0s', ID], EXIT.usage, /--expires takes a time/],
    [['token', '--keys', one, '--expires', '9999999d', ID], EXIT.usage, /--expires takes a time/],
    [['token', '--keys', open, ID], EXIT.config, /mode 0644.*chmod 600/],
    [['token', '--keys', bad, ID], EXIT.config, /base64 of 32 or more bytes as key a/],
    [['derive', '--keys', folder, ID], EXIT.config, /not a plain file/],
  ];
  // A few at a time: each is a process.
  const left = [...cases];
  const take = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [args, code, sentence] = next;
      const told = await key(...args);
      t.same([told.code, told.out], [code, ''], args.join(' '));
      t.match(told.err, sentence);
      t.match(told.err, /^owsla: [^\n]+\n$/);
      t.notMatch(told.err, /SECRET/);
    }
  };
  await Promise.all([take(), take(), take()]);
});
