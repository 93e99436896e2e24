/** W3C Trace Context: which forms pass, and what is left out of which reason. */
import t from 'tap';
import { type TraceDrop, traceBytesOf, traceContextOf } from '../../src/base/traceContext.ts';

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

function read(traceparent: unknown, tracestate?: unknown) {
  const drops: TraceDrop[] = [];
  const context = traceContextOf(traceparent, tracestate, (why) => drops.push(why));
  return { context, drops };
}

t.test('a context passes as it came', async (t) => {
  const states = ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'a=b, 1x@sys=c ,,d=e', ''];
  for (const tracestate of states) {
    t.strictSame(read(PARENT, tracestate), {
      context: { traceparent: PARENT, tracestate },
      drops: [],
    });
  }
  t.equal(read(PARENT.replace('00-', '7a-')).drops.length, 0, 'a later version');
  t.strictSame(read(undefined), { context: undefined, drops: [] });
});

t.test('anything else in traceparent leaves out both', async (t) => {
  const zeros = '0'.repeat(32);
  const bad = [
    '',
    'x',
    PARENT.toUpperCase(),
    PARENT.replace('00-', 'ff-'),
    PARENT.replace('4bf92f3577b34da6a3ce929d0e0e4736', zeros),
    PARENT.replace('00f067aa0ba902b7', zeros.slice(16)),
    `${PARENT}-`,
    `${PARENT}\n`,
    17,
    null,
    true,
  ];
  for (const one of bad) {
    t.strictSame(read(one, 'a=b'), { context: undefined, drops: ['bad-traceparent'] }, String(one));
  }
  t.strictSame(read(undefined, 'a=b'), { context: undefined, drops: ['bad-traceparent'] });
});

t.test('a bad tracestate is left out alone', async (t) => {
  const context = { traceparent: PARENT, tracestate: '' };
  const members = Array.from({ length: 33 }, (_, at) => `k${at}=1`).join();
  const long = `a=${'b'.repeat(254)},c=${'d'.repeat(256)}`;
  for (const bad of [
    '=',
    'a',
    'A=b',
    'a=b=c',
    'a=\u00e9',
    'a= ',
    7,
    members,
    long,
    ' '.repeat(513),
  ]) {
    t.strictSame(read(PARENT, bad), { context, drops: ['bad-tracestate'] }, String(bad));
  }
});

t.test('its bytes are known before it is written', async (t) => {
  t.equal(traceBytesOf({ traceparent: PARENT, tracestate: 'a=b' }), 86);
});
