/** The percentiles of a server that freezes are those that can be calculated. */
import t from 'tap';
import { ScriptedServer } from './scriptedServer.ts';
import { runToEnd } from './spawn.ts';

const RATE = 200;
const DURATION_MS = 5_000;
const FREEZE_MS = 1_000;
const TOLERANCE = 0.02;
/** What a machine that runs other tests beside this one may add; `make soak` runs it alone. */
const SLACK_MS = process.env.OWSLA_SOAK === undefined ? 150 : 0;

/** A server that stands still for FREEZE_MS once, and says how long it really did. */
function freezing() {
  const frozen = { untilFirstMs: 0, untilLastMs: 0 };
  let startMs = 0;
  let since = 0;
  const server = new ScriptedServer({
    onRequest: (_, { id }) => {
      if (startMs === 0 && id < 20) return false;
      if (startMs === 0) {
        startMs = performance.now();
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FREEZE_MS);
        frozen.untilFirstMs = performance.now() - startMs;
      }
      // What came in meanwhile is answered one after the other: that takes its time, too.
      since += 1;
      if (since <= (RATE * FREEZE_MS) / 1_000) frozen.untilLastMs = performance.now() - startMs;
      return false;
    },
  });
  return { server, frozen };
}

t.test('run: percentiles show a freeze of the server, as calculated within 2 %', async (t) => {
  const { server, frozen } = freezing();
  const port = await server.listen();

  const { report } = await runToEnd([
    ...['--target', `127.0.0.1:${port}`, '--quiet', '--devices', '20'],
    ...['--rate', String(RATE), '--duration', `${DURATION_MS}ms`],
  ]);
  await server.close();

  // Planned moments lie evenly: the share x of all messages waits for more than freeze - x * run.
  const calculated = (percentile: number, freezeMs: number) =>
    freezeMs - (1 - percentile / 100) * DURATION_MS;
  const isBetween = (measured: number, low: number, high: number) =>
    measured > low * (1 - TOLERANCE) && measured < high * (1 + TOLERANCE) + SLACK_MS;
  const curve = new Map(report?.curves.request);
  for (const percentile of [95, 97, 98, 99, 99.5]) {
    const low = calculated(percentile, frozen.untilFirstMs);
    const high = calculated(percentile, frozen.untilLastMs);
    const measured = curve.get(percentile) ?? 0;
    const isRight = isBetween(measured, low, high);
    t.ok(isRight, `p${percentile}: ${measured} ms; calculated ${low | 0} to ${high | 0} ms`);
  }
  const { p50 = 0, max = 0 } = report?.times.request ?? {};
  t.ok(isBetween(max, frozen.untilFirstMs, frozen.untilLastMs), `max: ${max} ms`);
  t.ok(p50 < FREEZE_MS / 4, 'the others are as fast as ever');
});
