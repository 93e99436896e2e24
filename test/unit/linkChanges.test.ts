/** LinkChanges: state, then changes; one entry per link, however often links come and go. */
import t from 'tap';
import { type Link, LinkChanges } from '../../src/acceptor/linkChanges.ts';
import type { CloseReason } from '../../src/base/errors.ts';
import { SHARDS } from '../../src/base/limits.ts';
import { noTrace } from '../../src/base/trace.ts';
import type { ToRegistrar } from '../../src/node/messages.ts';
import { willHash } from '../../src/node/willWord.ts';
import { makeLinkWills } from '../helpers/fakes/linkWills.ts';

/** An acceptor's links, a shard each in turn. */
class Links {
  readonly open = new Map<string, Link>();
  readonly clock = { us: () => 5_000, wall: () => 1_700_000_000_000 };
  readonly bequests = makeLinkWills({ willEndsMax: 2 });
  readonly changes = new LinkChanges({
    links: (shard) => [...this.open.values()].filter(({ id }) => Number(id) % SHARDS === shard),
    clock: this.clock,
    trace: noTrace,
    ...this.bequests,
  });

  up(id: number): void {
    const link = { id: `${id}`, deviceId: `door-${id}`, acceptedUs: 3_000 };
    this.open.set(link.id, link);
    this.changes.onUp(link);
  }

  down(id: number, reason: CloseReason = 'peer-fin'): void {
    const link = this.open.get(`${id}`);
    this.open.delete(`${id}`);
    if (link) this.changes.onDown(link, reason);
    this.bequests.wills.forget(`${id}`);
  }

  all(max = 10): ToRegistrar[] {
    const told: ToRegistrar[] = [];
    while (!this.changes.isDone) told.push(...this.changes.take(max));
    return told;
  }
}

const kinds = (told: readonly ToRegistrar[]) => told.map(([kind, , id]) => [kind, id].join(' '));

t.test('a connect tells every open link between begin and end, and what changes', async (t) => {
  const links = new Links();
  for (const id of [1, 300, 2]) links.up(id);
  t.ok(links.changes.isDone, 'nobody listens: nothing is kept');

  links.changes.connected();
  const first = links.changes.take(2);
  links.up(4);
  links.down(2);
  const told = [...first, ...links.all()];

  const said = kinds(told);
  t.equal(said[0], 'begin ');
  t.same(said.toSorted(), ['begin ', 'down 2', 'end ', 'up 1', 'up 300', 'up 4']);
  t.ok(said.indexOf('end ') > said.indexOf('up 300'), 'the end comes behind all that was there');
  t.same(told[1], ['up', 'door-1', '1', 3_000, 1_699_999_999_998]);
});

t.test('a link that began and ended between two tellings is not told', async (t) => {
  const links = new Links();
  links.changes.connected();
  links.all();

  for (let id = 0; id < 10_000; id += 1) {
    links.up(id);
    links.down(id);
  }

  t.equal(links.changes.size, 0);
  t.ok(links.changes.isDone);
});

t.test(
  'a registrar that takes nothing costs one entry per link, never one per change',
  async (t) => {
    const links = new Links();
    for (let id = 0; id < 100; id += 1) links.up(id);
    links.changes.connected();
    links.all();

    for (let round = 0; round < 50; round += 1) {
      for (let id = 0; id < 100; id += 1) {
        links.down(round * 100 + id);
        links.up((round + 1) * 100 + id);
      }
    }

    t.equal(links.changes.size, 200, '100 that were told of ended, 100 others are there');
    const told = links.all();
    t.equal(told.filter(([kind]) => kind === 'down').length, 100);
    t.equal(told.filter(([kind]) => kind === 'up').length, 100);
  },
);

t.test('an end during the hand-over is told with its reason', async (t) => {
  const links = new Links();
  for (const id of [1, 2, 3]) links.up(id);
  links.changes.connected();
  links.changes.take(2);
  links.down(1);
  links.down(3);

  t.same(kinds(links.all()).toSorted(), ['down 1', 'down 3', 'end ', 'up 2'].toSorted());
});

t.test('a lost stream is forgotten: the next one begins from what there is', async (t) => {
  const links = new Links();
  links.changes.connected();
  links.all();
  links.up(1);
  links.changes.lost();
  t.ok(links.changes.isDone);
  links.up(2);

  links.changes.connected();

  t.same(kinds(links.all()), ['begin ', 'up 1', 'up 2', 'end ']);
});

t.test('links that have moved away: listed before the end, until that is on record', async (t) => {
  const links = new Links();
  for (const id of [1, 2, 3]) links.up(id);
  links.changes.connected();
  links.changes.take(2);
  for (const id of [2, 3]) {
    const link = links.open.get(`${id}`) as Link;
    links.open.delete(link.id);
    links.changes.onGiven(link, 'successor');
  }

  const told = links.all();
  const moved = told.find(([kind]) => kind === 'moved');
  t.same(moved?.[1]?.toString(), '2,3');
  t.ok(told.findIndex(([kind]) => kind === 'moved') < told.findIndex(([kind]) => kind === 'end'));
  t.notOk(told.some(([kind]) => kind === 'down'));
  links.changes.onRecorded(['2']);
  t.equal(links.changes.given, 1);

  links.changes.lost();
  links.changes.connected();
  t.same(links.all().find(([kind]) => kind === 'moved')?.[1], ['3']);
  links.changes.successorGone('another');
  t.equal(links.changes.given, 1);
  links.changes.successorGone('successor');
  t.same(kinds(links.all()), ['down 3'], 'what it had is over');
});

t.test('many moved links: a piece at a time, and the end behind the last', async (t) => {
  const links = new Links();
  for (let id = 0; id < 2_500; id += 1) {
    const link = { id: `${id}`, deviceId: `door-${id}`, acceptedUs: 0 };
    links.changes.onGiven(link, 'successor');
  }
  links.changes.connected();
  const told = links.all();
  t.same(
    told.map(([kind, ids]) => (kind === 'moved' ? ids.length : kind)),
    ['begin', 1_000, 1_000, 500, 'end'],
  );
});

t.test(
  'a link that has come and ended is told of whole, until its predecessor is gone',
  async (t) => {
    const links = new Links();
    links.changes.follows('predecessor');
    links.changes.connected();
    links.all();
    const link = { id: '1', deviceId: 'door-1', acceptedUs: 3_000, before: {} };
    links.changes.onTaken(link);
    links.changes.onDown(link, 'peer-fin');

    t.same(kinds(links.all()), ['up 1', 'down 1']);
    links.changes.lost();
    links.changes.connected();
    t.same(kinds(links.all()), ['begin ', 'up 1', 'down 1', 'end ']);

    links.up(2);
    links.changes.predecessorGone('predecessor');
    links.up(3);
    t.same(kinds(links.all()), ['up 2', 'up 3', 'heir '], 'heir comes behind all of it');
    links.changes.lost();
    links.changes.connected();
    t.same(kinds(links.all()), ['begin ', 'up 2', 'up 3', 'end ', 'heir ']);
  },
);

t.test('heir waits until what was given on is on record', async (t) => {
  const links = new Links();
  links.changes.follows('predecessor');
  links.changes.follows('another');
  links.changes.connected();
  links.all();
  const link = { id: '1', deviceId: 'door-1', acceptedUs: 3_000, before: {} };
  links.changes.onTaken(link);
  links.changes.onGiven(link, 'successor');
  links.changes.predecessorGone('predecessor');
  t.same(kinds(links.all()), [], 'nobody has told of it yet');
  links.changes.onRecorded(['1']);
  t.same(links.all(), [['heir', 'predecessor']]);

  links.changes.predecessorGone('another');
  t.same(links.all(), [['heir', 'another']], 'each once on a stream');
  links.changes.lost();
  links.changes.connected();
  t.same(kinds(links.all()), ['begin ', 'end ', 'heir ', 'heir ']);
});

const WILL = { topic: 'gone', payload: Buffer.from('will'), delayMs: 9 };
const WORD = ['gone', WILL.payload, 9, ''] as const;

/** A link with a will. */
function willed(links: Links, id: number): void {
  links.bequests.wills.keep(`${id}`, { will: WILL });
  links.up(id);
}

t.test('a new link is told with its will, a hand-over names it by a hash', async (t) => {
  const links = new Links();
  willed(links, 1);
  links.changes.connected();
  const [, owed] = links.all();
  willed(links, 2);
  const [begun] = links.all();

  t.equal(owed?.[5], willHash(WORD));
  t.same(begun?.[5], WORD);
  links.changes.onWanted([
    ['door-1', '1'],
    ['door-3', '3'],
  ]);
  t.same(links.all(), [['will', 'door-1', '1', WORD]], 'one that is not here told its own already');
});

t.test(
  'an end of one with a will is told first by each hand-over, until it is recorded',
  async (t) => {
    const links = new Links();
    for (const id of [1, 2, 3]) willed(links, id);
    links.up(4);
    links.changes.connected();
    links.all();
    links.down(4);
    links.down(1, 'peer-bye');
    links.down(2);
    const ends = [
      ['down', 'door-1', '1', links.clock.wall(), 'peer-bye', true],
      ['down', 'door-2', '2', links.clock.wall(), 'peer-fin', WORD],
    ];
    t.same(links.all().slice(1), ends);
    links.changes.lost();
    links.changes.connected();
    t.same(links.all().slice(0, 3), [['begin'], ...ends]);

    links.changes.onGone(['1']);
    links.changes.lost();
    links.down(3);
    links.changes.connected();
    t.same(kinds(links.all()), ['begin ', 'down 2', 'down 3', 'end ']);
    t.equal(links.bequests.counters.willEndDrops, 0);
    willed(links, 5);
    links.all();
    links.down(5);
    t.equal(links.bequests.counters.willEndDrops, 1, 'two are remembered here');
  },
);

t.test('begin is said once, however many ends stand before the links', async (t) => {
  const links = new Links();
  for (const id of [1, 2]) willed(links, id);
  for (const id of [1, 2]) links.down(id);
  links.up(3);
  links.changes.connected();
  t.same(kinds(links.all(1)), ['begin ', 'down 1', 'down 2', 'up 3', 'end ']);
});

t.test('all is told behind the hand-over, and what was there before it was asked', async (t) => {
  const links = new Links();
  links.up(1);
  links.changes.connected();
  links.changes.tellAll(7);
  t.same(kinds(links.all(1)), ['begin ', 'up 1', 'end ', 'all-told ']);
  links.up(2);
  links.changes.tellAll(8);
  links.changes.tellAll(9);
  links.up(3);
  t.same(
    links.all().map(([kind, of]) => [kind, of]),
    [
      ['up', 'door-2'],
      ['all-told', 9],
      ['up', 'door-3'],
    ],
  );
  links.changes.onGiven({ id: '3', deviceId: 'door-3', acceptedUs: 0 }, 'heir');
  links.changes.tellAll(10);
  t.same(links.all(), [], 'the successor may not have told of its link yet');
  links.changes.onRecorded(['3']);
  t.same(links.all(), [['all-told', 10]]);
});
