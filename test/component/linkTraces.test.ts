/** Traces in one acceptor: who is watched, what is said of it, what is dropped, and the end. */
import t, { type Test } from 'tap';
import { LinkWalk } from '../../src/acceptor/operate/linkWalk.ts';
import { LinkTraces } from '../../src/acceptor/trace/linkTraces.ts';
import type { LimitName } from '../../src/base/limits.ts';
import { TraceBuffer } from '../../src/node/traceBuffer.ts';
import type { AcceptorBatch, Armed, ArmedAnswer, TraceEntry } from '../../src/node/traceEntry.ts';
import { TYPE } from '../../src/wire/message.ts';
import { event, hello } from '../helpers/fakes/device.ts';
import { NOBODY_ASKS, whyOf } from '../helpers/noAnswer.ts';
import { Served, settle, until } from '../helpers/worlds/endpoints.ts';

interface World {
  readonly served: Served;
  readonly traces: LinkTraces;
  readonly batches: AcceptorBatch[];
  /** The observer does. */
  isRead: boolean;
  arm(...armed: Partial<Armed>[]): Promise<ArmedAnswer>;
  /** Entries of one trace that have left. */
  of(id?: number): TraceEntry[];
}

/** Endpoints with traces; what the observer was told. */
function traced(
  promise: string,
  limits: Partial<Record<LimitName, number>>,
  body: (t: Test, world: World) => Promise<void>,
): void {
  t.test(promise, async (t) => {
    let traces: LinkTraces | undefined;
    const served = new Served('pair', {
      limits,
      onGreeting: (endpoint, greeting) => traces?.onGreeting(endpoint, greeting),
    });
    await served.begin();
    const { registry, clock } = served;
    const walk = new LinkWalk({ lateMs: 1_000 });
    const options = { registry, limits: served.limits, clock, acceptor: 3, walk };
    traces = new LinkTraces(options);
    const world = worldOf(served, traces);
    try {
      await body(t, world);
    } finally {
      traces.onLost();
      await served.end();
    }
  });
}

function worldOf(served: Served, traces: LinkTraces): World {
  const batches: AcceptorBatch[] = [];
  const world: World = {
    ...{ served, traces, batches, isRead: true },
    arm: async (...armed) => {
      const all = armed.map((one, at) => {
        return { id: at + 1, device: 'door-17', payloads: false, forMs: 60_000, ...one };
      });
      return (await traces.answers.traces?.(all, NOBODY_ASKS)) as ArmedAnswer;
    },
    of: (id = 1) => {
      const own = batches.filter((batch) => batch.id === id).flatMap(({ entries }) => entries);
      return own.map((entry) => JSON.parse(entry) as TraceEntry);
    },
  };
  traces.attach((_, body) => {
    if (world.isRead) batches.push(body as AcceptorBatch);
    return world.isRead;
  });
  return world;
}

const told = ({ kind, what, id }: TraceEntry) =>
  `${kind} ${what}${id === undefined ? '' : ` ${id}`}`;

traced(
  'only an armed device is watched, before it connects and when it is there',
  {},
  async (t, world) => {
    const { served, traces } = world;
    const other = await served.open('other');
    t.same(await world.arm({}, { device: 'other' }), { connected: ['other'] });

    const device = await served.open('door-17');
    const silent = await served.open('silent');
    device.send(event(1, 'a.b', 'payload'));
    silent.send(event(1));
    other.send(event(5), { type: TYPE.PING });
    await other.expect(TYPE.PONG);
    await settle();
    traces.flush();

    t.same(world.of(1).map(told), ['in HELLO', 'out WELCOME', 'in EVENT 1']);
    t.same(world.of(2).map(told), ['link found', 'in EVENT 5', 'in PING', 'out PONG']);
    const [greeting, welcome, message] = world.of(1);
    t.match(greeting, { acceptor: 3, ms: 1, at: 1_700_000_000_001 });
    t.match(welcome, { facts: { keepalive: 60 } });
    t.match(message, { topic: 'a.b', payloadBytes: 7, payload: undefined });
    t.equal(served.endpoint('silent').tap, undefined, 'nobody looks at others');
  },
);

traced(
  'payloads if asked for, the beginning; two who look each get what they asked',
  { tracePayloadBytes: 4 },
  async (t, world) => {
    const { served, traces } = world;
    await world.arm({}, { payloads: true });
    const device = await served.open('door-17');

    device.send(event(1, 'a.b', 'payload'));
    await settle();
    traces.flush();

    t.equal(world.of(1)[2]?.payload, undefined);
    t.equal(world.of(2)[2]?.payload, Buffer.from('payl').toString('base64'));
    t.equal(world.of(2)[2]?.payloadBytes, 7);
  },
);

traced(
  'a reader that is slow loses what comes then; how much is said where it was',
  { traceBufferBytes: 32_768 },
  async (t, world) => {
    const { served, traces } = world;
    await world.arm({});
    const device = await served.open('door-17');
    world.isRead = false;
    for (let id = 1; id <= 600; id += 1) {
      device.send(event(id));
      await until(() => served.routes.ids().length === id);
      served.clock.advance(50);
      served.routes.release(50);
    }
    traces.flush();
    world.isRead = true;
    for (let flushes = 0; flushes < 5; flushes += 1) traces.flush();
    device.send(event(601));
    await until(() => served.routes.ids().length === 601);
    traces.flush();

    // An entry that is shorter may have found room again: each gap says how many it stands for.
    let last = 0;
    let gaps = 0;
    for (const { kind, what, id = 0, facts } of world.of(1)) {
      if (kind === 'lost') {
        gaps += 1;
        last += Number(facts?.lost);
      } else if (what === 'EVENT') {
        last += 1;
        t.equal(id, last);
      }
    }
    t.ok(gaps > 0);
    t.equal(last, 601);
  },
);

traced(
  'disarmed, overdue, or without an observer: no tap is left, and no timer',
  {},
  async (t, world) => {
    const { served, traces } = world;
    await served.open('door-17');
    for (const end of [
      () => world.arm(),
      async () => traces.onLost(),
      async () => {
        served.clock.advance(60_001);
        traces.flush();
      },
    ]) {
      await world.arm({}, {});
      t.ok(served.endpoint().tap);
      t.equal(traces.size, 2);

      await end();

      t.equal(served.endpoint().tap, undefined);
      t.equal(traces.size, 0);
    }
    await world.arm({}, {});
    await world.arm({});
    t.ok(served.endpoint().tap, 'one of two still looks');
  },
);

traced(
  'what is asked wrongly is refused, and changes nothing',
  { tracesMax: 2 },
  async (t, world) => {
    const ask = async (body: unknown) =>
      whyOf((async () => world.traces.answers.traces?.(body, NOBODY_ASKS))());
    const fine = { id: 1, device: 'door-17', payloads: false, forMs: 1 };
    for (const body of [
      ...[null, {}, 'door', [null], [7], [{}], [{ ...fine, id: 'x' }], [{ ...fine, forMs: -1 }]],
      ...[[{ ...fine, device: 'no door' }], [{ ...fine, payloads: 1 }]],
    ]) {
      t.equal(await ask(body), 'bad', JSON.stringify(body));
    }
    t.equal(await ask([fine, { ...fine, id: 2 }, { ...fine, id: 3 }]), 'busy');
    t.equal(world.traces.size, 0);
  },
);

traced(
  'a second HELLO, and one that is refused: shown, without its token',
  {},
  async (t, world) => {
    const { served, traces } = world;
    await world.arm({});
    const device = await served.open('door-17', { token: 'a-secret' });

    device.send(hello('door-17', { token: 'b-secret' }));
    await device.rest();
    traces.flush();

    t.same(world.of().map(told), [
      'in HELLO',
      'out WELCOME',
      'in HELLO',
      'out ERROR',
      'out BYE',
      'link end',
    ]);
    t.equal(world.of()[0]?.facts?.token, '***');
    t.equal(world.of()[2]?.facts?.token, '***');
    t.equal(world.of()[5]?.reason, 'unexpected');
    t.notMatch(JSON.stringify(world.batches), /secret/);
  },
);

t.test('a buffer: in order, its bound, what is lost between what', async (t) => {
  const buffer = new TraceBuffer(20, (lost) => `lost ${lost}`);
  for (const entry of ['12345678', '22345678', '3', 'x'.repeat(9)]) buffer.push(entry);
  buffer.push('5');
  t.same(buffer.next(12), ['12345678'], 'as many as fit');
  t.equal(buffer.chars <= 20 + 'lost 1'.length, true);
  buffer.taken(1);
  for (let count = 0; count < 3; count += 1) buffer.push('y'.repeat(30));

  t.same(buffer.next(1_000, 2), ['22345678', '3']);
  t.same(buffer.next(1_000), ['22345678', '3', 'lost 1', '5', 'lost 3']);
  t.equal(buffer.lost, 4);
  buffer.taken(5);
  t.ok(buffer.isEmpty);
  t.equal(buffer.chars, 0);
  t.same(new TraceBuffer(1, () => '').next(10), []);
});
