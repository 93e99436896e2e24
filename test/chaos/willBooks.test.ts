/** The judge of wills: it finds what is planted, and nothing else. */
import t from 'tap';
import type { Tongue } from '../helpers/fakes/speech.ts';
import type { Entry } from './ledger.ts';
import { WillBooks } from './willBooks.ts';

const open = (at: number, of: string, delayMs = 0, tongue: Tongue = 'owsla'): Entry => {
  const will = { of, delayMs, triedAt: at };
  return { what: 'open', device: 1, link: 1, at, connection: of, tongue, will };
};
const end = (at: number, reason = ''): Entry => ({ what: 'end', device: 1, link: 1, at, reason });
const will = (of: string, reason = 'peer-fin', at = 0): Entry => {
  return { what: 'will', of, reason, id: `${of}:will`, at };
};

function found(...entries: Entry[]): string[] {
  const books = new WillBooks(entries);
  books.close({ outages: [{ from: 90_000, to: 99_000 }], endedAt: 200_000 });
  return [...books.findings].map(([finding]) => finding);
}

t.test('chaos: wills that should have come, or should not', async (t) => {
  const later = open(20_000, 'b');
  t.same(found(open(0, 'a'), end(5_000), will('a'), will('a'), later), []);
  t.same(found(open(0, 'a'), end(5_000), later), ['lost']);
  t.same(found(open(0, 'a'), end(5_000), will('a'), will('a', 'missed'), later), ['different']);
  t.same(found(open(0, 'a'), end(5_000, 'ours'), will('a'), later), ['polite']);
  t.same(found(open(0, 'a'), end(5_000, 'ours'), later), []);
  t.same(found(open(0, 'a', 3_000), end(5_000), open(6_000, 'b'), will('a')), ['back']);
  t.same(found(open(0, 'a', 3_000), end(5_000), open(6_000, 'b')), []);
  t.same(
    found(open(80_000, 'a'), end(95_000), open(150_000, 'b')),
    [],
    'a fault may have hidden it',
  );
});

t.test('chaos: to MQTT a device that is back at once has not cancelled its will', async (t) => {
  const back = (tongue: Tongue, delayMs = 0) => {
    return [open(0, 'a', delayMs, tongue), end(5_000), open(5_100, 'b', delayMs, tongue)];
  };
  t.same(found(...back('owsla')), []);
  t.same(found(...back('mqtt-3.1.1')), ['lost']);
  t.same(found(...back('mqtt-5'), will('a', 'taken-over')), []);
  t.same(found(...back('mqtt-5', 2_000)), []);
  t.same(found(...back('mqtt-5', 2_000), will('a', 'taken-over')), ['back']);
});

t.test('chaos: while others wait for their wills, who is back then had none to come', async (t) => {
  const other = (lateMs: number): Entry[] => [
    { ...open(0, 'x'), device: 2 } as Entry,
    { ...end(5_500), device: 2 } as Entry,
    will('x', 'peer-fin', 5_500 + lateMs),
  ];
  const back = [open(0, 'a', 1_500), end(5_000), open(8_000, 'b')];
  t.same(found(...back, ...other(200)), ['lost']);
  t.same(found(...back, ...other(2_000)), []);
});
