/** Refusal log: who errs is found in the log, and a storm of them costs some lines. */
import t from 'tap';
import { RefusalLog } from '../../src/acceptor/refusalLog.ts';
import { ProtocolError } from '../../src/base/errors.ts';
import { makeLimits } from '../../src/base/limits.ts';
import { makeLoggerTo } from '../../src/base/log.ts';
import { CODE } from '../../src/wire/v1Types.ts';
import { FakeClock } from '../helpers/fakes/clock.ts';

const link = { deviceId: 'door-17', peer: '192.0.2.7:4711' };
const stranger = { deviceId: '', peer: '' };

function make(refusalLinesMax: number) {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = makeLoggerTo(stream, 'info', { role: 'acceptor' });
  const clock = new FakeClock();
  const limits = makeLimits({ refusalLinesMax, refusalLinesMs: 60_000 });
  const refusals = new RefusalLog({ log, limits, clock });
  const pass = (ms: number) => {
    clock.advance(ms);
    refusals.tick(clock.now());
  };
  return { lines, refusals, pass };
}

t.test(
  'refusal log: a line has the reason, the device, its address and what it named',
  async (t) => {
    const { lines, refusals } = make(2);

    refusals.onRefusal(
      link,
      'bad-topic',
      new ProtocolError('bad-topic', 'why').about(CODE.event, 9),
    );
    refusals.onRefusal(stranger, 'server-full');

    const who = { device: 'door-17', peer: '192.0.2.7:4711' };
    t.match(lines[0], { level: 'warn', reason: 'bad-topic', ...who, why: 'why', type: 5, id: 9 });
    t.match(lines[1], { level: 'warn', reason: 'server-full', msg: 'device refused' });
    for (const name of ['device', 'peer', 'why', 'id', 'type']) t.notOk(name in (lines[1] ?? {}));
  },
);

t.test('refusal log: so many lines for each reason, then one with how many more', async (t) => {
  const { lines, refusals, pass } = make(2);

  for (let i = 0; i < 5; i += 1) refusals.onRefusal(link, 'rate-limited');
  refusals.onRefusal(link, 'bad-id');
  pass(59_999);
  t.same(
    lines.map(({ reason }) => reason),
    ['rate-limited', 'rate-limited', 'bad-id'],
  );
  pass(1);
  t.equal(lines.length, 4);
  t.match(lines[3], { reason: 'rate-limited', leftOut: 3, msg: 'more devices refused' });
  pass(60_000);
  t.equal(lines.length, 4, 'told once');
  refusals.onRefusal(link, 'rate-limited');
  t.match(lines[4], { reason: 'rate-limited', peer: link.peer }, 'the next interval has its lines');
});

t.test('refusal log: those left out are told at the end of the process too', async (t) => {
  const { lines, refusals } = make(0);
  refusals.onRefusal(link, 'bad-frame');
  refusals.onRefusal(link, 'draining');

  refusals.tick(Number.POSITIVE_INFINITY);

  t.match(lines, [
    { reason: 'bad-frame', leftOut: 1 },
    { reason: 'draining', leftOut: 1 },
  ]);
});

t.test('refusal log: an address is looked up for those lines only', async (t) => {
  const { refusals } = make(1);
  let asked = 0;
  const counting = {
    deviceId: '',
    get peer() {
      asked += 1;
      return '';
    },
  };
  for (let i = 0; i < 1_000; i += 1) refusals.onRefusal(counting, 'rate-limited');

  t.equal(asked, 1);
});
