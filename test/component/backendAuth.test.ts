/** Questions about devices, from an acceptor to the backend and back, with fakes at both ends. */
import t from 'tap';
import { AuthClient } from '../../src/acceptor/identity/authClient.ts';
import { makeLimits } from '../../src/base/limits.ts';
import type { AskMessage } from '../../src/node/messages.ts';
import { type AuthQuestion, type Said, Verdicts, verdictKey } from '../../src/node/verdicts.ts';
import { type Asked, Authenticator } from '../../src/registrar/auth/authenticator.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';

const YES = { isAllowed: true, expiresAt: 0 };
const NO = { isAllowed: false, expiresAt: 0 };
const secret = Buffer.alloc(32, 7);

function question(device: string, token = 'secret'): AuthQuestion {
  return { device, token, peer: '127.0.0.1:1', listener: 'devices' };
}

function build(questionsMax = 2) {
  const clock = new FakeClock();
  const limits = makeLimits({ authCacheMs: 1_000, authStaleMs: 10_000, authAskMs: 50 });
  const time = { limits, now: () => clock.now(), wall: () => clock.wall() };
  const verdicts = new Verdicts(time);
  const sent: { question: AuthQuestion; answer: (asked: Asked) => void }[] = [];
  const counts: string[] = [];
  const told: string[] = [];
  const authenticator = new Authenticator({
    ...{ verdicts, now: time.now, secret, questionsMax },
    send: (one) => {
      const { promise, resolve } = Promise.withResolvers<Asked>();
      sent.push({ question: one, answer: resolve });
      return promise;
    },
    onVerdict: (key) => told.push(key),
    count: (fate) => counts.push(fate),
    onStale: () => counts.push('stale'),
  });
  const answer = (asked: Asked) => sent.shift()?.answer(asked);
  return { clock, time, verdicts, authenticator, sent, counts, told, answer };
}

t.test('one question for all who ask the same; then none while it is fresh', async (t) => {
  const { clock, authenticator, sent, counts, told, answer } = build();
  const both = [authenticator.ask(question('a')), authenticator.ask(question('a'))];
  t.equal(sent.length, 1);
  t.equal(authenticator.asking, 1);
  answer(YES);
  t.same(await Promise.all(both), [YES, YES]);
  t.same(await authenticator.ask({ ...question('a'), peer: 'other' }), YES);
  t.same([sent.length, counts, told.length], [0, ['allowed'], 1]);

  const other = authenticator.ask(question('a', 'guess'));
  answer(NO);
  t.same(await other, NO);
  t.same(await authenticator.ask(question('a', 'guess')), NO, 'a no is kept as well');
  t.same(await authenticator.ask(question('a')), YES, 'and costs nobody else anything');

  clock.advance(1_000);
  const again = authenticator.ask(question('a'));
  answer(NO);
  t.same(await again, NO, 'the backend has changed its mind');
});

for (const fate of ['malformed', 'unroutable', 'unanswered', 'unsent'] as const) {
  t.test(`${fate}: what was said before counts, or nothing`, async (t) => {
    const { clock, authenticator, counts, answer } = build();
    const first = authenticator.ask(question('a'));
    answer(YES);
    await first;
    t.notOk(authenticator.isSilent);
    clock.advance(1_000);
    const [known, unknown] = [authenticator.ask(question('a')), authenticator.ask(question('b'))];
    answer(fate);
    answer(fate);
    t.same(await Promise.all([known, unknown]), [YES, 'silent']);
    t.same(counts, ['allowed', fate, fate, 'stale']);
    t.ok(authenticator.isSilent);
    clock.advance(10_000);
    t.notOk(authenticator.isSilent, 'nobody has asked lately');
    const late = authenticator.ask(question('a'));
    answer(fate);
    t.equal(await late, 'silent', 'not for ever');
  });
}

t.test('too many: unknown, known or not, unless the backend is silent', async (t) => {
  const { clock, authenticator, sent, answer } = build(2);
  const first = authenticator.ask(question('a'));
  answer(YES);
  await first;
  clock.advance(1_000);
  const two = [authenticator.ask(question('b')), authenticator.ask(question('c'))];
  t.equal(await authenticator.ask(question('a')), 'crowded');
  t.equal(sent.length, 2);
  answer('unanswered');
  await two[0];
  const three = authenticator.ask(question('d'));
  t.same(await authenticator.ask(question('a')), YES);
  answer(YES);
  answer(YES);
  await Promise.all([two[1], three]);
  t.equal(authenticator.asking, 0);
});

// The acceptor.

function client(said: (message: AskMessage) => Said | undefined, isUp = true) {
  const { clock, time, verdicts } = build();
  const asked: AskMessage[] = [];
  const auth: AuthClient = new AuthClient({
    ...{ ...time, secret },
    send: (message) => {
      asked.push(message);
      const answer = said(message);
      if (answer !== undefined) queueMicrotask(() => auth.onMessage(['said', message[1], answer]));
      return isUp;
    },
  });
  const tell = (device: string, isAllowed: boolean) => {
    verdicts.put(verdictKey(secret, question(device)), { isAllowed, expiresAt: 0 });
    for (const message of verdicts.told()) auth.onMessage(message);
  };
  return { clock, auth, asked, tell };
}

t.test('acceptor: asks the registrar, but for what it was told lately', async (t) => {
  const { clock, auth, asked, tell } = client(() => NO);
  t.same(await auth.ask(question('a')), NO);
  t.match(asked, [['ask', 1, 'a', 'secret', '127.0.0.1:1', 'devices']]);
  tell('a', true);
  t.same(await auth.ask(question('a')), YES);
  clock.advance(1_000);
  t.same(await auth.ask(question('a')), NO);
  t.equal(asked.length, 2);
});

t.test('acceptor: the registrar is away, silent, or has too many others', async (t) => {
  const away = client(() => undefined, false);
  away.tell('a', true);
  away.clock.advance(1_000);
  t.same(await away.auth.ask(question('a')), YES);
  t.equal(await away.auth.ask(question('b')), undefined);

  const silent = client(() => 'silent');
  silent.tell('a', true);
  silent.clock.advance(1_000);
  t.same(await silent.auth.ask(question('a')), YES);

  const crowded = client(() => 'crowded');
  crowded.tell('a', true);
  crowded.clock.advance(1_000);
  t.equal(await crowded.auth.ask(question('a')), undefined);

  const lost = client(() => undefined);
  lost.tell('a', false);
  lost.clock.advance(1_000);
  const both = [lost.auth.ask(question('a')), lost.auth.ask(question('b'))];
  lost.auth.onLost();
  t.same(await Promise.all(both), [NO, undefined], 'a no counts as well');

  const late = client(() => undefined);
  t.equal(await late.auth.ask(question('a')), undefined, 'no word comes at all');
});
