/** A link that floods is read at the permitted rate; nobody else notices, and nothing is lost. */
import { TYPE } from '../../src/wire/message.ts';
import { event } from '../helpers/device.ts';
import { onBoth, settle } from '../helpers/keeper.ts';

const limits = { linkMessagesPerSecond: 100, linkMessagesBurst: 20, inFlightMax: 65_536 };

onBoth('throttle: a flood is read at linkMessagesPerSecond', { limits }, async (t, served) => {
  const flooding = await served.open('flooding');
  flooding.send(...Array.from({ length: 500 }, (_, i) => event(i + 1)));
  await settle();
  const first = served.routes.handed.length;
  t.ok(first >= 19 && first <= 21, `${first} of the burst were handed on`);
  t.equal(served.counters.pausedLinks, 1);

  for (let tick = 0; tick < 20; tick += 1) {
    served.pass(50);
    await settle();
  }

  const after = served.routes.handed.length - first;
  t.ok(after >= 95 && after <= 105, `${after} more in a second`);
  t.ok(served.counters.throttled > 0);
});

const patient = { limits: { ...limits, stallMs: 3_600_000, keepaliveMs: 3_600_000 } };
onBoth(
  'throttle: no link freezes when the clock moves between two looks',
  patient,
  async (t, served) => {
    const { clock } = served;
    const now = clock.now.bind(clock);
    // As a real clock does at the worst moment, it moves on each time that it is read.
    clock.now = () => {
      clock.advance(1);
      return now();
    };
    const flooding = await served.open('flooding');
    flooding.send(...Array.from({ length: 2_000 }, () => ({ type: TYPE.PING }) as const));
    for (let pongs = 0; pongs < 2_000; ) {
      served.pass(50);
      await settle();
      while (flooding.waiting > 0) {
        await flooding.expect(TYPE.PONG);
        pongs += 1;
      }
    }
    t.pass('every PING was answered');
  },
);

onBoth('throttle: other links feel nothing of a flood', { limits }, async (t, served) => {
  const flooding = await served.open('flooding');
  const quiet = await served.open('quiet');
  flooding.send(...Array.from({ length: 500 }, (_, i) => event(i + 1)));
  await settle();

  quiet.send({ type: TYPE.PING });

  await quiet.expect(TYPE.PONG);
  t.equal(served.counters.pausedLinks, 1);
});

onBoth(
  'throttle: every message of a flood is handled in the end',
  { limits },
  async (t, served) => {
    const flooding = await served.open('flooding');
    flooding.send(...Array.from({ length: 200 }, (_, i) => event(i + 1)));
    while (served.routes.handed.length < 200) {
      served.pass(50);
      await settle();
    }

    served.pass(50);

    const ids = served.routes.ids();
    t.same(
      ids,
      Array.from({ length: 200 }, (_, i) => i + 1),
    );
    t.equal(served.counters.pausedLinks, 0);
  },
);
