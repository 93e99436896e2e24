/** Was the broker's loss noticed in time, by a node that the machine let run or did not? */
import { spawn } from 'node:child_process';
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { waitFor } from '../helpers/waitFor.ts';
import type { Span } from './books.ts';
import { detectionsOf, failuresOf, type Loss, type Word, wordsOf } from './detection.ts';
import { deniedMs, foreignShare, Machine, type Sample } from './machine.ts';
import { END, SPANS, samples, words } from './recorded.ts';
import { isSlow } from './recovery.ts';

const limits = makeLimits({ heartbeatMs: 1_000 });
const { brokerConnectMs, reconnectMaxMs } = limits;
/** Two looks after the one that still found something. */
const NOTICE_MS = 3_000;
const UP_MS = brokerConnectMs + reconnectMaxMs + 1_000;
/** The next fault's begin. */
const UNTIL = { stopped: SPANS.cut.from, cut: SPANS.closed.from, closed: END } as const;

/** What is found late, in the recorded run, of these words instead. */
function late(loss: 'stopped' | 'cut' | 'closed', said: readonly Word[] = words): string[] {
  const until = UNTIL[loss];
  const found = detectionsOf(loss, SPANS[loss], { words: said, samples, limits, until });
  return failuresOf(loss, found, 0);
}

/** A link that was up, and what it said then; on a machine that denied its node `share`. */
function link(
  loss: Loss,
  span: Span,
  said: readonly (readonly [number, 'up' | 'lost'])[],
  share = 0,
) {
  const until = 200_000;
  const said0 = [[0, 'up'], ...said] as const;
  const machine: Sample[] = [
    { from: 0, to: until, nodeDeniedMs: share * until, brokerDeniedMs: 0, foreignShare: share },
  ];
  const around = {
    words: said0.map(([at, what]) => ({ at, link: 'acceptor 1, publish', what })),
    ...{ samples: machine, limits, until },
  };
  return failuresOf('it', detectionsOf(loss, span, around), 0);
}

const SPAN = { from: 10_000, to: 40_000 };

t.test(
  'detection: on a busy machine a node that notices in time has kept its promise',
  async (t) => {
    t.same(late('cut'), []);
    t.same(late('closed'), []);
    t.same(late('stopped'), []);
    const share = foreignShare(samples, SPANS.cut.from, SPANS.cut.to + 30_000);
    t.ok(share > 0.5, `others had ${share} of it`);
    t.notOk(isSlow(34_750, share, 10_000), 'its full rate says nothing');
  },
);

t.test('detection: on a quiet machine the full rate is judged too', async (t) => {
  const quiet = samples.map((sample) => ({ ...sample, foreignShare: 0.03 }));

  t.ok(isSlow(11_750, foreignShare(quiet, SPANS.stopped.from, END), 10_000));
  t.notOk(isSlow(9_750, foreignShare(quiet, SPANS.stopped.from, END), 10_000));
  t.ok(isSlow(Number.POSITIVE_INFINITY, 0, 10_000));
});

t.test('detection: who notices too late breaks it, on a busy machine as well', async (t) => {
  // As if heartbeats were looked at half as often: more than all that the machine took of it.
  const { from } = SPANS.cut;
  const later = (word: Word) => ({ ...word, at: from + 2 * (word.at - from) });
  const slow = words.map((word) => (word.at > from && word.at < UNTIL.cut ? later(word) : word));

  t.equal(late('cut', slow).length, 5, 'of each link');
  t.match(late('cut', slow)[2], /acceptor 2, publish: noticed only after 5154 ms, .* made 594/);
  const silent = words.filter(({ at, what }) => what === 'up' || at <= from);
  const said = late('cut', silent);
  t.equal(said.length, 5, 'of each link');
  t.match(said[0], /noticed not even after \d+ ms/);
});

t.test(
  'detection: what the machine took is taken off, to the millisecond and no more',
  async (t) => {
    const half = (at: number) =>
      link(
        'cut',
        SPAN,
        [
          [at, 'lost'],
          [at + 1, 'up'],
        ],
        0.5,
      );

    t.same(half(SPAN.from + 2 * NOTICE_MS), [], 'half the time, half as fast');
    t.match(half(SPAN.from + 2 * NOTICE_MS + 100), [/noticed only after 6100 ms, .* made 3050/]);
  },
);

t.test('detection: a reset is noticed at once; silence by heartbeats, if it lasts', async (t) => {
  const at = SPAN.from + 2_000;

  t.match(
    link('closed', SPAN, [
      [at, 'lost'],
      [SPAN.to, 'up'],
    ]),
    [/only after 2000 .* 1000$/],
  );
  t.same(
    link('cut', SPAN, [
      [at, 'lost'],
      [SPAN.to, 'up'],
    ]),
    [],
  );
  t.equal(link('cut', SPAN, []).length, 1);
  t.equal(link('stopped', SPAN, []).length, 1, 'it lasted for thirty heartbeats');
  t.same(link('stopped', { ...SPAN, to: at }, []), [], 'there was nothing to notice');
});

t.test('detection: up again counts from when it could be, and ends with the run', async (t) => {
  const lost = [SPAN.from + 2_000, 'lost'] as const;
  const after = (ms: number) => link('cut', SPAN, [lost, [SPAN.to + ms, 'up']]);

  t.same(after(UP_MS), []);
  t.match(after(UP_MS + 100), [/up again only after 16100 ms/]);
  t.match(link('cut', SPAN, [lost]), [/up again not even after 160000 ms/]);
  t.equal(link('node', SPAN, [lost, [SPAN.to, 'up']]).length, 1, 'other nodes were there before');
  t.same(link('node', SPAN, [lost, [lost[0] + UP_MS, 'up']]), []);
  t.same(link('node', SPAN, []), [], 'it was linked to another');
});

t.test('detection: the words are those of the log, in order', async (t) => {
  const line = (time: string, msg: string, who: object) => ({ time, msg, link: 'publish', ...who });
  const log = [
    line('2026-01-01T00:00:02.000Z', 'broker link lost', { role: 'acceptor', acceptor: 2 }),
    line('2026-01-01T00:00:01.500Z', 'broker link up', { role: 'registrar' }),
    line('2026-01-01T00:00:01.000Z', 'ready', { role: 'supervisor' }),
  ];

  t.match(wordsOf(log), [
    { link: 'registrar, publish', what: 'up' },
    { link: 'acceptor 2, publish', what: 'lost', at: Date.UTC(2026, 0, 1, 0, 0, 2) },
  ]);
});

t.test('machine: two that want one core deny it each other', async (t) => {
  const spin = () => spawn('taskset', ['-c', '0', process.execPath, '-e', 'for (;;);']);
  const spinners = [spin(), spin()];
  t.teardown(() => {
    for (const spinner of spinners) spinner.kill('SIGKILL');
  });
  const node = spinners.map(({ pid }) => Number(pid));
  const machine = new Machine(() => ({ node, brokers: [] }));
  t.teardown(() => machine.stop());

  const denied = () => deniedMs(machine.samples, 0, Date.now(), 'node');
  await waitFor('them to be in each other’s way', () => denied() > 1_000);

  t.equal(deniedMs(machine.samples, 0, Date.now(), 'brokers'), 0);
  t.ok(machine.samples.every((sample) => sample.nodeDeniedMs <= sample.to - sample.from));
  t.ok(machine.samples.every((sample) => sample.foreignShare >= 0 && sample.foreignShare <= 1));
});
