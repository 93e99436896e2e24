/**
 * Secrets are compared in constant time: a source check. What is named like a signature, a token or
 * a key may be compared with nothing but a constant; and what makes or checks one uses
 * `timingSafeEqual`, which has two places.
 */
import t from 'tap';
import { readSource, repositoryFiles } from '../helpers/sources.ts';

/** Names of what a stranger must not be able to guess byte by byte. */
const SECRET = /(?:^|[a-z])(?:sig|signature|h?mac|token|secret|psk|password|digest)$|^ours$/i;
const KEY = /(?:group|device|ticket|psk|token|signing|private)Key$/i;
/** `undefined`, a literal, or a name in capitals. */
const CONSTANT = /^(?:undefined|null|true|false|-?\d[\d_]*|['"`]|[A-Z][A-Z0-9_]*$)/;
const OPERAND = String.raw`(?:'[^']*'|[\w$#.?!()]+(?:\[[^\]]*\])?)`;
const COMPARED = new RegExp(`(${OPERAND})\\s*([!=]==?)\\s*(${OPERAND})`, 'g');
const BY_METHOD =
  /([\w$#.?!]+)\.(?:equals|compare|localeCompare|includes|indexOf|startsWith|endsWith)\(([^()]*)\)/g;
const CALLED = /\b(?:Buffer\.compare|Object\.is)\(([^()]*)\)/g;

/** Who may compare secrets, as their test proves that they do it well. */
const TRUSTED = /^src\/(?:base\/deviceKeys\.ts|acceptor\/identity\/|observer\/adminGuard\.ts)/;

/** The last name of an expression such as `this.#options.token`. */
const nameOf = (operand: string) =>
  operand
    .trim()
    .replace(/[()!?]/g, '')
    .split('.')
    .at(-1) ?? '';
const isSecret = (operand: string) => SECRET.test(nameOf(operand)) || KEY.test(nameOf(operand));
const isConstant = (operand: string) => CONSTANT.test(operand.trim());

/** Comparisons of secrets, as the source writes them. `code`: without comments. */
function breachesOf(code: string): string[] {
  const found: string[] = [];
  for (const [text, left = '', , right = ''] of code.matchAll(COMPARED)) {
    if (isConstant(left) || isConstant(right)) continue;
    if (isSecret(left) || isSecret(right)) found.push(text);
  }
  for (const [text, left = '', right = ''] of code.matchAll(BY_METHOD)) {
    if (!isConstant(right) && (isSecret(left) || isSecret(right))) found.push(text);
  }
  for (const [text, both = ''] of code.matchAll(CALLED)) {
    if (both.split(',').some(isSecret)) found.push(text);
  }
  return found;
}

const sources = repositoryFiles()
  .filter((path) => path.startsWith('src/') && path.endsWith('.ts'))
  .map(readSource);

t.test('secrets: nothing compares them byte by byte', async (t) => {
  const breaches = sources.flatMap(({ path, code }) =>
    breachesOf(code).map((text) => `${path}: ${text}`),
  );

  t.same(breaches, []);
});

t.test('secrets: timingSafeEqual has its places, and each that verifies uses it', async (t) => {
  const users = sources.filter(({ bare }) => /\btimingSafeEqual\(/.test(bare));

  t.same(
    users.map(({ path }) => path).filter((path) => !TRUSTED.test(path)),
    [],
  );
  const paths = users.map(({ path }) => path);
  t.same(paths, [
    'src/acceptor/identity/identity.ts',
    'src/base/deviceKeys.ts',
    'src/observer/adminGuard.ts',
  ]);
  const makers = sources.filter(({ bare }) => /\bcreateHmac\(/.test(bare)).map(({ path }) => path);
  t.same(
    makers.filter((path) => !paths.includes(path)),
    // It hashes what it remembers by: that is looked up, not verified.
    ['src/node/verdicts.ts'],
    'who makes a MAC checks it there, too',
  );
});

t.test('secrets: the check sees what it is for', async (t) => {
  const planted = [
    'if (ours === signature) return {};',
    'if (greeting.token === expected) return;',
    'return this.#options.token !== token;',
    'if (groupKey == other) {}',
    'return mac.equals(sent);',
    'return sent.equals(mac);',
    'return Buffer.compare(hmac, sent) === 0;',
    "return ours.toString('hex') === sent.signature;",
    'return password.startsWith(given);',
  ];
  for (const code of planted) t.not(breachesOf(code).length, 0, code);
  const good = [
    'if (token === undefined) return;',
    "if (password !== '') return;",
    'if (token.length > TOKEN_LENGTH_MAX) return;',
    "if (token?.startsWith('k1.')) return;",
    'if (!timingSafeEqual(ours, signature)) return;',
    'if (keyId === other) return;',
  ];
  for (const code of good) t.same(breachesOf(code), [], code);
});
