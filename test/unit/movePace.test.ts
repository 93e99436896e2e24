/** Links move in bursts: how long the rest after each is. */
import t from 'tap';
import { MovePace } from '../../src/acceptor/move/movePace.ts';

t.test('pace: a rest is as long as its burst, up to a bound', async (t) => {
  const clock = { at: 100, now: () => clock.at };
  const rests: { ms: number; act: () => void }[] = [];
  const pace = new MovePace({ clock, after: (ms, act) => void rests.push({ ms, act }) });
  let times = 0;
  const goOn = () => {
    times += 1;
  };
  t.equal(pace.mayOffer, true);
  pace.answered(goOn);
  t.same(rests, [], 'the window was not full: there is nothing to rest from');

  pace.full(clock.at);
  t.equal(pace.mayOffer, false);
  clock.at += 7;
  pace.answered(goOn);
  pace.answered(goOn);
  t.equal(pace.mayOffer, false);
  t.equal(rests.length, 1);
  t.equal(rests[0]?.ms, 7);
  rests[0]?.act();
  t.equal(pace.mayOffer, true);
  t.equal(times, 1);

  pace.full(clock.at);
  clock.at += 5_000;
  pace.answered(goOn);
  t.equal(rests[1]?.ms, 20);
});
