/** Group keys from a file that nobody else may read, and the keys and tokens that they make. */
import { execFileSync } from 'node:child_process';
import { createHmac, createSecretKey } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import t, { type Test } from 'tap';
import {
  devicePskKey,
  deviceTokenKey,
  GROUP_KEYS_MAX,
  type GroupKeys,
  keyIdentity,
  makeToken,
  newGroupKey,
  readGroupKeys,
  TOKEN_EXPIRES_MAX,
  TOKEN_LENGTH_MAX,
  verifyToken,
} from '../../src/base/deviceKeys.ts';
import { EXIT, StartError } from '../../src/base/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-keys-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const SECRET = Buffer.alloc(32, 'owsla');
const key = createSecretKey(SECRET);
const keys: GroupKeys = new Map([['2026a', key]]);
const ID = 'door-17';
const SOON = 1_800_000_000;
const now = SOON * 1_000 - 1;

function save(text: string, mode = 0o600): string {
  const path = join(folder, 'keys.yaml');
  rmSync(path, { force: true });
  writeFileSync(path, text, { mode });
  return path;
}

/** It is refused in one sentence with `why`, which shows nothing of the file. */
function refused(t: Test, path: string, why: RegExp, hidden = 'SECRET'): void {
  let error: unknown;
  try {
    readGroupKeys(path);
  } catch (thrown) {
    error = thrown;
  }
  if (!(error instanceof StartError)) return void t.fail(`${path} is taken: ${error}`);
  t.equal(error.exitCode, EXIT.config);
  t.match(error.message, why);
  t.notMatch(error.message, /\n/);
  t.notMatch(error.message, hidden);
}

t.test('a key file is lines of key id and base64, each of 32 bytes or more', async (t) => {
  const long = Buffer.alloc(100, 7);
  const path = save(
    `# of March\n2026: ${SECRET.toString('base64')}\n__proto__: "${long.toString('base64')}"\n`,
  );

  const read = readGroupKeys(path);

  t.same([...read.keys()], ['2026', '__proto__']);
  t.ok(read.get('2026')?.equals(key));
  t.same(read.get('__proto__')?.export(), long);
  t.notMatch(inspect(read, { depth: 9, showHidden: true }), SECRET.toString('base64').slice(0, 9));
  t.equal(readGroupKeys(save(`{"a": "${newGroupKey()}"}`, 0o400)).size, 1, 'JSON is YAML');
});

t.test('a key file that others can read is refused, and so is what is no plain file', async (t) => {
  const line = `a: ${SECRET.toString('base64')}\n`;
  for (const mode of [0o640, 0o604, 0o620, 0o660, 0o601]) {
    const path = save(line);
    chmodSync(path, mode);
    refused(t, path, new RegExp(`mode 0${mode.toString(8)}.*chmod 600`));
  }
  const link = join(folder, 'link.yaml');
  symlinkSync(save(line), link);
  t.equal(readGroupKeys(link).size, 1, 'a link to a file that nobody else can read will do');
  const inner = join(folder, 'folder');
  mkdirSync(inner, { mode: 0o700 });
  refused(t, inner, /is not a plain file/);
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', ['-m', '600', pipe]);
  refused(t, pipe, /is not a plain file/);
  refused(t, '/dev/null', /is not a plain file/);
  refused(t, join(folder, 'none'), /cannot be opened \(ENOENT\)/);
});

t.test('what is not a key file is refused without a word of its text', async (t) => {
  const good = SECRET.toString('base64');
  const texts: readonly [string, RegExp][] = [
    ['', /1 to 64 lines/],
    ['{}', /1 to 64 lines/],
    [`- ${good}`, /1 to 64 lines/],
    [good, /1 to 64 lines/],
    [`a: ${good}\na: ${good}\n`, /not YAML .*\(line 2\)/],
    [`a: SECRET: ${good}`, /not YAML .*\(line 1\)/],
    [`a: "SECRET\n`, /not YAML/],
    [`a: *SECRET\n`, /not YAML|1 to 64 lines/],
    [`a: &SECRET ${good}\nb: *SECRET\n`, /1 to 64 lines/],
    [`a b: ${good}`, /key id/],
    [`${'k'.repeat(33)}: ${good}`, /key id/],
    [`"": ${good}`, /key id/],
    [`[SECRET]: ${good}`, /key id/],
    ['a: SECRET', /base64 of 32 or more bytes as key a$/],
    ['a: {SECRET: 1}', /as key a$/],
    ['a:\n', /as key a$/],
    [`a: ${Buffer.alloc(31).toString('base64')}`, /as key a$/],
    [`a: ${good.replace('=', '')}`, /as key a$/],
    [`a: ${good.slice(0, 9)} ${good.slice(9)}`, /as key a$/],
    [`a: ${SECRET.toString('base64url')}SECRET__`, /as key a$/],
    [`a: ${SECRET.toString('hex')}!`, /as key a$/],
    [Array.from({ length: GROUP_KEYS_MAX + 1 }, (_, n) => `k${n}: ${good}`).join('\n'), /1 to 64/],
    [`a: ${good}\n#${'x'.repeat(65_536)}`, /has over 65536 bytes/],
  ];
  for (const [text, why] of texts) {
    refused(t, save(text), why);
    refused(t, save(text), why, good.slice(0, 12));
  }
});

t.test('a device key is an HMAC of its purpose and the device id, by the group key', async (t) => {
  const hmac = (text: string) => createHmac('sha256', SECRET).update(text).digest();

  t.same(deviceTokenKey(key, ID), hmac('owsla/token/1:door-17'));
  t.same(devicePskKey(key, ID), hmac('owsla/psk/1:door-17'));
  t.equal(keyIdentity('2026a', ID), '2026a.door-17');
});

t.test('a token is as written down, and proves its device until it ends', async (t) => {
  const deviceKey = createHmac('sha256', SECRET).update('owsla/token/1:door-17').digest();
  const sig = createHmac('sha256', deviceKey).update(`k1.2026a.${SOON}.door-17`).digest();
  const token = makeToken(key, '2026a', ID, SOON);

  t.equal(token, `k1.2026a.${SOON}.${sig.toString('base64url')}`);
  t.same(verifyToken(token, ID, keys, now), { expiresAt: SOON * 1_000 });
  t.same(verifyToken(token, ID, keys, now + 1), { reason: 'expired' });
  t.same(verifyToken(makeToken(key, '2026a', ID, 0), ID, keys, now), {});
  const longest = makeToken(key, 'k'.repeat(32), 'd'.repeat(64), TOKEN_EXPIRES_MAX);
  t.equal(longest.length, TOKEN_LENGTH_MAX);
  t.same(verifyToken(longest, 'd'.repeat(64), new Map([['k'.repeat(32), key]]), now), {
    expiresAt: TOKEN_EXPIRES_MAX * 1_000,
  });
});

t.test('a token proves nothing about another device, key, time or purpose', async (t) => {
  const token = makeToken(key, '2026a', ID, SOON);
  const [, , , sig = ''] = token.split('.');
  const other = createSecretKey(Buffer.alloc(32, 'other'));
  const psk = createHmac('sha256', devicePskKey(key, ID)).update(`k1.2026a.${SOON}.${ID}`).digest();
  const bad = { reason: 'bad-signature' };

  t.same(verifyToken(token, 'door-18', keys, now), bad);
  t.same(verifyToken(token, 'Door-17', keys, now), bad);
  t.same(verifyToken(token, ID, new Map([['2026a', other]]), now), bad);
  t.same(verifyToken(token, ID, new Map([['2026b', key]]), now), { reason: 'unknown-key' });
  t.same(verifyToken(token, ID, new Map(), now), { reason: 'unknown-key' });
  const both = new Map([...keys, ['2026b', key]]);
  t.same(verifyToken(token.replace('2026a', '2026b'), ID, both, now), bad);
  t.same(verifyToken(`k1.2026a.${SOON + 1}.${sig}`, ID, keys, now), bad);
  t.same(verifyToken(`k1.2026a.0.${sig}`, ID, keys, now), bad);
  t.same(verifyToken(`k1.2026a.${SOON}.${psk.toString('base64url')}`, ID, keys, now), bad);
  t.same(verifyToken(`k1.2026a.1.${sig}`, ID, keys, now), bad, 'not expired: it is not even ours');
});

t.test('a token in any other form is malformed, be its signature right', async (t) => {
  const token = makeToken(key, '2026a', ID, SOON);
  const never = makeToken(key, '2026a', ID, 0);
  const [, , , sig = ''] = token.split('.');
  const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const next = last[last.indexOf(sig.at(-1) ?? '') + 1] ?? '';
  const forms = [
    '',
    'k1',
    'k1...',
    `${token}.`,
    `.${token}`,
    `${token}\n`,
    ` ${token}`,
    `${token}=`,
    `${token}\0`,
    token.slice(0, -1),
    token.slice(0, -1) + next,
    token.replace('k1', 'k2'),
    token.replace('k1', 'K1'),
    token.replace(`.${SOON}.`, `.0${SOON}.`),
    token.replace(`.${SOON}.`, `.+${SOON}.`),
    token.replace(`.${SOON}.`, `.${SOON}.0.`),
    token.replace(`.${SOON}.`, '.1.8e9.'),
    token.replace(`.${SOON}.`, '..'),
    token.replace(`.${SOON}.`, '.'),
    token.replace('2026a', ''),
    token.replace('2026a', 'k'.repeat(33)),
    token.replace('2026a', '2026ä'),
    never.replace('.0.', '.00.'),
    never.replace('.0.', '.-0.'),
    never.replace('.0.', '.100000000000.'),
    `${'x'.repeat(1_000_000)}${token}`,
  ];
  for (const form of forms) {
    t.same(verifyToken(form, ID, keys, now), { reason: 'malformed' }, form.slice(0, 100));
  }
  for (const id of ['', 'd'.repeat(65), 'door 17', 'door-17\n', 'a.b']) {
    t.same(verifyToken(token, id, keys, now), { reason: 'malformed' }, JSON.stringify(id));
  }
});

t.test('no token is made that nobody would take', async (t) => {
  for (const expires of [-1, 0.5, Number.NaN, TOKEN_EXPIRES_MAX + 1]) {
    t.throws(() => makeToken(key, '2026a', ID, expires), RangeError);
  }
  t.throws(() => makeToken(key, '2026 a', ID, 0), RangeError);
  t.throws(() => makeToken(key, '2026a', 'door.17', 0), RangeError);
});
