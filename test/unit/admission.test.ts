/** Admission: how many links a storm may bring in, against a count kept by hand. */
import type { Socket } from 'node:net';
import t from 'tap';
import { Admission } from '../../src/acceptor/endpoint/admission.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makeCounters } from '../../src/base/metrics.ts';
import { MESSAGE_TYPES } from '../../src/wire/message.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';
import { waitFor } from '../helpers/waitFor.ts';

const LIMITS = {
  connectsPerSecond: 100,
  connectBurst: 10,
  connectQueueMax: 50,
  connectWaitMs: 10_000,
  greetingsMax: 30,
};

function build(overrides: Partial<typeof LIMITS> = {}, room = 1_000) {
  const clock = new FakeClock();
  const counters = makeCounters(MESSAGE_TYPES);
  const admitted: Socket[] = [];
  const refused: { socket: Socket; reason: string }[] = [];
  const admission = new Admission<Socket>({
    limits: makeLimits({ ...LIMITS, ...overrides }),
    counters,
    clock,
    room: () => room - admitted.length,
    admit: (socket) => {
      counters.greetings += 1;
      admitted.push(socket);
    },
    refuse: (socket, reason) => refused.push({ socket, reason }),
  });
  const arrive = (links: number) => {
    const sockets = Array.from({ length: links }, () => ({}) as Socket);
    for (const socket of sockets) admission.arrive(socket);
    return sockets;
  };
  return { admission, clock, counters, admitted, refused, arrive };
}

t.test('admission: a few links after a quiet time are let in at once', async (t) => {
  const { arrive, admitted, admission } = build();

  arrive(10);

  t.equal(admitted.length, 10);
  t.equal(admission.size, 0);
});

t.test(
  'admission: a storm is let in at connectsPerSecond, the longest waiting first',
  async (t) => {
    const { arrive, admitted, admission, clock, counters } = build({ greetingsMax: 1_000 });
    const sockets = arrive(60);
    t.equal(admitted.length, 10);
    t.equal(counters.connectsWaiting, 50);

    for (let tick = 0; tick < 20; tick += 1) {
      clock.advance(10);
      admission.tick();
    }

    t.equal(admitted.length, 30, '100 a second for 0.2 s, after the burst');
    t.ok(admitted.every((socket, i) => socket === sockets[i]));
    t.equal(counters.connectsWaiting, 30);
  },
);

t.test('admission: a new link does not overtake those that wait', async (t) => {
  const { arrive, admitted, admission, clock } = build({ greetingsMax: 1_000 });
  const sockets = arrive(12);
  clock.advance(10);

  const late = arrive(1);

  admission.tick();
  t.equal(admitted.length, 11);
  t.equal(admitted[10], sockets[10]);
  t.not(admitted[10], late[0]);
});

t.test('admission: nobody is let in while greetingsMax links have not said HELLO', async (t) => {
  const { arrive, admitted, admission, clock, counters } = build();
  arrive(60);
  for (let times = 0; times < 3; times += 1) {
    clock.advance(1_000);
    admission.tick();
  }
  t.equal(admitted.length, 30);

  counters.greetings -= 5;
  admission.tick();

  t.equal(admitted.length, 35);
});

t.test('admission: what does not fit the queue is refused, and with 0 everything', async (t) => {
  const { arrive, refused } = build();
  arrive(10 + 50 + 7);
  t.equal(refused.length, 7);

  const strict = build({ connectQueueMax: 0 });
  strict.arrive(25);

  t.equal(strict.admitted.length, 10);
  t.equal(strict.refused.length, 15);
});

t.test('admission: who could not be let in within connectWaitMs is refused at once', async (t) => {
  const { arrive, refused, admission } = build({ connectsPerSecond: 2, connectWaitMs: 10_000 });

  arrive(10 + 20 + 5);

  t.equal(admission.size, 20);
  t.equal(refused.length, 5);
  t.ok(refused.every(({ reason }) => reason === 'rate-limited'));
});

t.test('admission: who waited longer than connectWaitMs is refused, not let in late', async (t) => {
  const { arrive, admitted, refused, admission, clock, counters } = build();
  const stale = arrive(10 + 40).slice(10);
  counters.greetings = LIMITS.greetingsMax;
  clock.advance(9_000);
  const fresh = arrive(5);
  clock.advance(1_000);
  counters.greetings = 0;

  admission.tick();

  t.same(
    refused.map(({ socket }) => stale.indexOf(socket)),
    stale.map((_, index) => index),
  );
  t.ok(refused.every(({ reason }) => reason === 'rate-limited'));
  t.ok(admitted.includes(fresh[0] as Socket), 'the first that is still there');
});

t.test('admission: links and those that wait stay below linksMax together', async (t) => {
  const { arrive, admitted, refused, admission } = build({}, 25);

  arrive(40);

  t.equal(admitted.length, 10);
  t.equal(admission.size, 15);
  t.equal(refused.length, 15);
  t.ok(refused.every(({ reason }) => reason === 'server-full'));
});

t.test('admission: a storm that lasts leaves nothing behind of those let in', async (t) => {
  const { admission, clock } = build({ greetingsMax: 1_000_000 }, 1_000_000);
  for (let i = 0; i < 30; i += 1) admission.arrive({} as Socket);
  for (let tick = 0; tick < 500; tick += 1) {
    admission.arrive({} as Socket);
    clock.advance(10);
    admission.tick();
  }

  t.ok(admission.size > 0, 'it was never empty');
  t.ok(admission.size <= LIMITS.connectQueueMax, `${admission.size} sockets held`);
});

t.test('admission: a stop refuses those that wait', async (t) => {
  const { arrive, refused, admission, counters } = build();
  arrive(20);

  admission.close();

  t.equal(refused.length, 10);
  t.equal(admission.size, 0);
  t.equal(counters.connectsWaiting, 0);
});

t.test('admission: those that wait are let in by its own pace', async (t) => {
  const { arrive, admitted, admission, clock } = build();
  arrive(12);
  t.equal(admitted.length, 10);

  clock.advance(1_000);
  await waitFor('the others', () => admission.size === 0);

  t.equal(admitted.length, 12);
});
