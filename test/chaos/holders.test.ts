/** Who may lose a link in a reload: the judge of kills, on traces that are written by hand. */
import t from 'tap';
import { holdersIn, wronglyLost } from './holders.ts';

let us = 0;
const said = (process: string, ...actions: string[]) =>
  actions.map((action) => ({ us: us++, process, action, connection: 'c' }));
const lost = (killed: string, ...lines: ReturnType<typeof said>[]) =>
  wronglyLost(holdersIn(lines.flat()), 'c', new Set([killed]));
const OURS = undefined;
const OTHERS = (who: string) => `${who} had it, and was not killed`;

t.test('its predecessor is killed', async (t) => {
  const [accepted, offered] = [said('old', 'Accept'), said('old', 'Offer')];
  t.equal(lost('old', accepted), OURS, 'before it was offered');
  t.equal(lost('old', accepted, offered), OURS, 'and the offer did not leave it');
  const ready = [accepted, offered, said('new', 'Adopt')];
  t.equal(lost('old', ...ready), OTHERS('new'), 'the successor is ready');
  const gone = [...ready, said('old', 'Go')];
  t.equal(lost('old', ...gone), OTHERS('new'), 'it was given');
  t.equal(lost('old', ...ready, said('old', 'Cancel'), said('new', 'Drop')), OURS, 'cancelled');
});

t.test('its successor is killed', async (t) => {
  const ready = [said('old', 'Accept', 'Offer'), said('new', 'Adopt')];
  t.equal(lost('new', ...ready), OTHERS('old'));
  t.equal(lost('new', ...ready, said('old', 'Go')), OURS);
  t.equal(lost('new', ...ready, said('old', 'Go'), said('new', 'TakeGo')), OURS);
});

t.test('somebody else is killed, or it was closed', async (t) => {
  t.equal(lost('registrar', said('old', 'Accept')), OTHERS('old'));
  t.equal(lost('old', said('old', 'Accept', 'End')), 'nobody had it: it was closed');
  t.equal(lost('old'), 'nobody had it: it was closed');
});
