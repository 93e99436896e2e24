/** Spans that join: examples/tracing.ts with OpenTelemetry, a real node, a device and back. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { Device } from '../helpers/fakes/device.ts';
import { Command } from '../helpers/processes/command.ts';
import { startNode } from '../helpers/processes/node.ts';
import { at, noBunny } from '../helpers/processes/programs.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const DEVICE_SPAN = '00f067aa0ba902b7';
const EMPTY = Buffer.alloc(0);

const { broker, prefix, server } = await startNode(t);

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent?: string;
}

function spansOf({ output }: Command): Span[] {
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as Span);
}

t.test('one trace: device, backend, device, backend', async (t) => {
  const env = { OWSLA_AMQP: broker.url, OWSLA_PREFIX: prefix };
  const example = new Command([process.execPath, at('examples/tracing.ts')], env);
  t.teardown(() => example.end('SIGKILL'));
  await example.prints(/^ready/m);
  const device = await Device.open(server.port, 'door-17');
  t.teardown(() => device.close());
  const traceparent = `00-${TRACE}-${DEVICE_SPAN}-01`;
  const meta = { traceparent, tracestate: 'owsla=t61rcWkgMzE' };

  device.send({ type: TYPE.REQUEST, id: 1, topic: 'door.open', payload: EMPTY, meta });
  // By ways of their own: either may be the first.
  const came = [await device.next(), await device.next()] as Message[];
  t.same(came.map(({ type }) => type).toSorted(), [TYPE.COMMAND, TYPE.REPLY]);
  const command = came.find((one) => one.type === TYPE.COMMAND);
  if (command === undefined) return;
  device.send({ type: TYPE.RESULT, id: command.id, status: 0, payload: EMPTY });
  await example.prints(/outcome result/);

  const spans = spansOf(example);
  const [answer, light, outcome] = ['answer', 'light', 'outcome result'].map((name) =>
    spans.find((span) => span.name === name),
  );
  t.match([answer, light, outcome], [{ traceId: TRACE }, { traceId: TRACE }, { traceId: TRACE }]);
  t.equal(answer?.parent, DEVICE_SPAN, 'the backend continues the device’s span');
  t.equal(light?.parent, answer?.spanId);
  t.equal(command.traceparent, `00-${TRACE}-${light?.spanId}-01`, 'and the device the backend’s');
  t.equal(command.tracestate, meta.tracestate);
  t.equal(outcome?.parent, light?.spanId, 'and the outcome joins them');
});

t.test(
  'tracing.rb is Ruby; to run it needs libraries that Debian has not',
  { skip: noBunny },
  (t) => {
    const checked = spawnSync('ruby', ['-wc', at('examples/tracing.rb')], { encoding: 'utf8' });
    t.same([checked.status, checked.stderr, checked.stdout], [0, '', 'Syntax OK\n']);
    t.end();
  },
);

t.test('a malformed context costs nothing but itself, and is counted', async (t) => {
  const device = await Device.open(server.port, 'door-18');
  t.teardown(() => device.close());

  for (const [at, meta] of [
    { traceparent: 'no context' },
    { traceparent: `00-${TRACE}-${DEVICE_SPAN}-01`, tracestate: '=' },
    { traceparent: 'x'.repeat(10_000) },
  ].entries()) {
    device.send({ type: TYPE.EVENT, id: at + 1, topic: 't', payload: EMPTY, meta });
    t.match(await device.expect(TYPE.ACK), { id: at + 1 });
  }

  t.equal(await server.metricNow('owsla_trace_drops_total', 'reason="bad-traceparent"'), 2);
  t.equal(await server.metricNow('owsla_trace_drops_total', 'reason="bad-tracestate"'), 1);
});
