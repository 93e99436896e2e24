/** Log: lines name their origin and hold no password and no token. */
import t from 'tap';
import { makeLoggerTo } from '../../src/base/log.ts';
import { redact } from '../../src/base/redact.ts';

function recorder() {
  const lines: string[] = [];
  return { lines, stream: { write: (line: string) => void lines.push(line) } };
}

t.test('a line has its level by name, the time, and who speaks', async (t) => {
  const { lines, stream } = recorder();
  makeLoggerTo(stream, 'info', { role: 'acceptor', acceptor: 3, incarnation: 'i' }).info('hello');
  t.match(JSON.parse(lines[0] ?? ''), {
    level: 'info',
    time: /^\d{4}-\d\d-\d\dT/,
    pid: process.pid,
    role: 'acceptor',
    acceptor: 3,
    incarnation: 'i',
    msg: 'hello',
  });
});

t.test('the level below which nothing is written is the one given', async (t) => {
  const { lines, stream } = recorder();
  const log = makeLoggerTo(stream, 'warn', { role: 'supervisor' });
  log.info('no');
  log.warn('yes');
  t.equal(lines.length, 1);
});

t.test('AMQP passwords and tokens are taken out, wherever in the line they are', async (t) => {
  const { lines, stream } = recorder();
  const log = makeLoggerTo(stream, 'info', { role: 'supervisor' });
  const url = 'amqp://door:s3cret@10.0.0.1/v';
  log.info({ amqp: url, token: 's3cret', deep: { er: { token: 's3cr"s3cret' } } }, `to ${url}`);
  log.child({ token: 's3cret' }).error({ err: new Error(`no way to ${url}`) }, 'failed');
  t.notMatch(lines.join(''), /s3cr/);
  t.match(lines[0], 'amqp://door:***@10.0.0.1/v');
  for (const line of lines) t.doesNotThrow(() => JSON.parse(line), 'still JSON');
});

t.test('redact: passwords with an @, without a user, in several URLs', async (t) => {
  t.equal(redact('amqp://u:p@ss@h/v'), 'amqp://u:***@h/v');
  t.equal(redact('amqps://:p@h and AMQP://a:b@c.'), 'amqps://:***@h and AMQP://a:***@c.');
  t.equal(redact('{"a":"amqp://u:p@h","b":"x@y"}'), '{"a":"amqp://u:***@h","b":"x@y"}');
  t.equal(redact('amqp://h:5672/v, mail a@b'), 'amqp://h:5672/v, mail a@b');
  t.equal(redact('{"token": "a\\"b", "Password":"c"}'), '{"token": "***", "Password":"***"}');
});
