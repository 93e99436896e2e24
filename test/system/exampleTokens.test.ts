/**
 * How the example devices prove who they are: token.h against FIPS 180-4 and RFC 4231, and the
 * token that both devices send against the one that `owsla key token` prints.
 */
import { execFileSync } from 'node:child_process';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeToken as makeTokenTs } from '../../examples/token.ts';
import { deviceTokenKey, makeToken, readGroupKeys } from '../../src/base/deviceKeys.ts';
import { TYPE } from '../../src/wire/message.ts';
import { encode, V1Reader } from '../../src/wire/v1.ts';
import { Cli } from '../helpers/processes/cli.ts';
import { Command } from '../helpers/processes/command.ts';
import { at, noCompiler } from '../helpers/processes/programs.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-tokens-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const keysFile = join(folder, 'keys.yaml');
writeFileSync(keysFile, `2026a: ${randomBytes(48).toString('base64')}\n`, { mode: 0o600 });
const groupKey = readGroupKeys(keysFile).get('2026a');
if (groupKey === undefined) throw new Error('no key');

/** What `owsla key` prints. */
async function printed(...args: string[]): Promise<string> {
  const cli = new Cli(['key', ...args]);
  await cli.exited;
  return String(cli.lines[0]?.msg);
}

const ID = 'door-17';
const [line, token] = await Promise.all([
  printed('derive', '--keys', keysFile, ID),
  printed('token', '--keys', keysFile, ID),
]);
const keyFile = join(folder, 'device.key');
writeFileSync(keyFile, `${line}\n`, { mode: 0o600 });

const STRICT = ['-std=c99', '-Wall', '-Wextra', '-Werror', '-pedantic', '-I', at('examples')];
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** Reads lines: `sha HEX`, `hmac KEY TEXT`, `token KEY KEY_ID DEVICE_ID EXPIRES`; `-`: no bytes. */
const ASKED = `
#include "token.h"
#include <stdlib.h>

static size_t bytes_of(const char *hex, uint8_t *to)
{
    size_t length = 0;
    for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2) to[length++] = (uint8_t)byte;
    return length;
}

int main(void)
{
    static char line[8192], word[4][4096], token[TOKEN_SIZE];
    static uint8_t one[2048], two[2048], digest[SHA256_BYTES];
    unsigned long long expires;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "sha %4095s", word[0]) == 1) {
            struct sha256 sha;
            sha256_begin(&sha), sha256_add(&sha, one, bytes_of(word[0], one));
            sha256_end(&sha, digest);
        } else if (sscanf(line, "hmac %4095s %4095s", word[0], word[1]) == 2) {
            size_t length = bytes_of(word[0], one);
            hmac_sha256(one, length, two, bytes_of(word[1], two), digest);
        } else if (sscanf(line, "token %4095s %4095s %4095s %llu", word[0], word[1], word[2],
                          &expires) == 4) {
            bytes_of(word[0], one);
            make_token(token, one, word[1], word[2], expires);
            puts(token);
            continue;
        }
        for (unsigned i = 0; i < SHA256_BYTES; i++) printf("%02x", digest[i]);
        putchar('\\n');
    }
    return 0;
}
`;

function compile(name: string, source: string): string {
  const program = join(folder, name);
  const args = [...STRICT, ...SANITIZERS, '-o', program, source];
  if (!noCompiler) execFileSync('cc', args, { stdio: 'inherit' });
  return program;
}

function answers(lines: readonly string[]): string[] {
  const source = join(folder, 'asked.c');
  writeFileSync(source, ASKED);
  const input = lines.map((line) => `${line}\n`).join('');
  const output = execFileSync(compile('asked', source), { input, encoding: 'utf8' });
  return output.trimEnd().split('\n');
}

const hex = (text: string) => Buffer.from(text).toString('hex') || '-';
const rep = (byte: string, count: number) => byte.repeat(count);

/** FIPS 180-4, in NIST's examples of it: one block, two blocks, nothing. */
const SHA: readonly [string, string][] = [
  [hex('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    hex('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'),
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  ['-', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
];

/** RFC 4231, cases 1 to 4, 6 and 7 (5 is about a MAC that is cut). */
const HMAC: readonly [key: string, text: string, mac: string][] = [
  [
    rep('0b', 20),
    hex('Hi There'),
    'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
  ],
  [
    hex('Jefe'),
    hex('what do ya want for nothing?'),
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  [
    rep('aa', 20),
    rep('dd', 50),
    '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
  ],
  [
    '0102030405060708090a0b0c0d0e0f10111213141516171819',
    rep('cd', 50),
    '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  ],
  [
    rep('aa', 131),
    hex('Test Using Larger Than Block-Size Key - Hash Key First'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
  [
    rep('aa', 131),
    hex(
      'This is a test using a larger than block-size key and a larger than block-size data. ' +
        'The key needs to be hashed before being used by the HMAC algorithm.',
    ),
    '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  ],
];

t.test('token.h: SHA-256 and HMAC are those of the standards', { skip: noCompiler }, async (t) => {
  const shas = answers(SHA.map(([text]) => `sha ${text}`));
  const macs = answers(HMAC.map(([key, text]) => `hmac ${key} ${text}`));

  t.same(
    shas,
    SHA.map(([, digest]) => digest),
  );
  t.same(
    macs,
    HMAC.map(([, , mac]) => mac),
  );
});

t.test(
  'token.h: the same as Node for every length around a block',
  { skip: noCompiler },
  async (t) => {
    const texts = Array.from({ length: 260 }, (_, length) => randomBytes(length));
    const keys = texts.map((_, length) => randomBytes(length % 150));
    const asked = texts.flatMap((text, index) => [
      `sha ${text.toString('hex') || '-'}`,
      `hmac ${keys[index]?.toString('hex') || '-'} ${text.toString('hex') || '-'}`,
    ]);
    const expected = texts.flatMap((text, index) => [
      createHash('sha256').update(text).digest('hex'),
      createHmac('sha256', keys[index] ?? '')
        .update(text)
        .digest('hex'),
    ]);

    t.same(answers(asked), expected);
  },
);

t.test('token.h and token.ts make the tokens that Owsla makes', { skip: noCompiler }, async (t) => {
  const wishes = Array.from({ length: 100 }, (_, index) => {
    const keyId = 'k'.repeat(1 + (index % 32));
    const id = `${randomBytes(48).toString('base64url')}`.slice(0, 1 + (index % 64));
    return { keyId, id, expires: index === 0 ? 0 : 2 ** (index % 36) };
  });
  const asked = wishes.map(({ keyId, id, expires }) => {
    const key = deviceTokenKey(groupKey, id).toString('hex');
    return `token ${key} ${keyId} ${id} ${expires}`;
  });
  const expected = wishes.map(({ keyId, id, expires }) => makeToken(groupKey, keyId, id, expires));

  t.same(answers(asked), expected);
  t.same(
    wishes.map(({ keyId, id, expires }) =>
      makeTokenTs(deviceTokenKey(groupKey, id), keyId, id, expires),
    ),
    expected,
  );
});

const devices = [
  { name: 'device.c', skip: noCompiler, command: [compile('device', at('examples/device.c'))] },
  { name: 'device.ts', skip: false, command: [process.execPath, at('examples/device.ts')] },
];

/** The token in the HELLO of a device that is started so, what it printed, and what ps shows. */
async function helloOf(command: readonly string[], args: string[], env = {}) {
  const server = createServer({ noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const device = new Command([...command, '127.0.0.1', String(port), ID, ...args], env);
  const [socket] = await once(server, 'connection');
  const reader = new V1Reader(65_536);
  let hello = reader.next();
  while (hello === undefined) {
    const [chunk] = await once(socket, 'data');
    reader.push(chunk);
    hello = reader.next();
  }
  const shown = readFileSync(`/proc/${device.pid}/cmdline`, 'latin1');
  socket.end(encode({ type: TYPE.BYE, reason: 'auth-failed', retryAfter: 60_000 }));
  await device.prints(/bye auth-failed/);
  await device.end('SIGKILL');
  server.close();
  const given = hello.type === TYPE.HELLO ? hello.token : 'no HELLO';
  return { token: given, output: device.output, shown };
}

for (const { name, skip, command } of devices) {
  t.test(`${name}: sends its token, given or made, and shows none`, { skip }, async (t) => {
    const long = 'x.y'.repeat(1_000);
    const ways: readonly [string[], object, string | undefined][] = [
      [[], {}, undefined],
      [[], { DEVICE_TOKEN: token }, token],
      [['--token', token], {}, token],
      [['--token', long], {}, long],
      [['--device-key-file', keyFile], {}, token],
      [['--device-key-file', keyFile], { DEVICE_TOKEN: 'other' }, token],
    ];
    for (const [args, env, expected] of ways) {
      const hello = await helloOf(command, args, env);
      t.equal(hello.token, expected, args.join(' ').slice(0, 40));
      const secrets = [token, token.slice(-20), line.slice(-20), long.slice(0, 20)];
      for (const secret of secrets) t.notOk((hello.output + hello.shown).includes(secret));
    }
  });

  t.test(`${name}: a key file that is not its own is refused`, { skip }, async (t) => {
    const bad = join(folder, `bad-${name}`);
    const texts = [
      '',
      '\n',
      line.slice(0, -1),
      `${line}0`,
      line.replace(ID, 'door-18'),
      line.replace('2026a', ''),
      line.replace('2026a', 'k'.repeat(33)),
      line.replace(/[\da-f]{2}$/, ' 1'),
      line.replace(/:.*/, `:${'x'.repeat(64)}`),
      'x'.repeat(10_000),
    ];
    const refused = async (why: RegExp, ...args: string[]) => {
      const quiet = ['/bin/sh', '-c', 'exec "$0" "$@" 2>&1', ...command];
      const device = new Command([...quiet, '127.0.0.1', '1', ID, ...args]);
      t.equal(await device.exit, 64);
      t.match(device.output, why);
      t.notOk(device.output.includes(line.slice(-20, -2)));
    };
    for (const text of texts) {
      writeFileSync(bad, text);
      await refused(/has no key of door-17/, '--device-key-file', bad);
    }
    await refused(/has no key of door-17/, '--device-key-file', `${bad}.none`);
    await refused(/the token is too long/, '--token', 'x'.repeat(3_841));
  });
}
