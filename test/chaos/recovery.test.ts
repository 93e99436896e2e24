/** When was all well again after a fault: the first second in which all is answered promptly. */
import t from 'tap';
import type { Planned } from './books.ts';
import { backAfter } from './recovery.ts';

const END = 10_000;
const PROMPT_MS = 1_000;

/** Full rate was back so long after END, for a message each ms that is slow where this says so. */
function backIf(isSlow: (sinceMs: number) => boolean): number {
  const planned: Planned[] = [];
  for (let since = -500; since < 20_000; since += 1) {
    const at = END + since;
    planned.push({ at, okAt: at + (isSlow(since) ? 2 * PROMPT_MS : 3) });
  }
  return backAfter(planned, END, PROMPT_MS);
}

t.test('recovery: where nothing was wrong, it is back at once', async (t) => {
  t.equal(
    backIf(() => false),
    0,
  );
});

t.test('recovery: it is back where prompt answers begin to stay', async (t) => {
  const isFirst = (since: number) => since < 3_000;
  const isRelapse = (since: number) => since < 2_000 || (since >= 2_500 && since < 4_000);

  t.equal(backIf(isFirst), 3_000);
  t.equal(backIf(isRelapse), 4_000, 'half a good second is not enough');
});

t.test('recovery: one slow answer in a hundred is none, five are', async (t) => {
  const isOne = (since: number) => since % 125 === 0;
  const isFive = (since: number) => since % 20 === 0;

  t.equal(backIf(isOne), 0);
  t.equal(backIf(isFive), Number.POSITIVE_INFINITY);
});

t.test('recovery: no message due is not full rate', async (t) => {
  t.equal(backAfter([], END, PROMPT_MS), Number.POSITIVE_INFINITY);
});
