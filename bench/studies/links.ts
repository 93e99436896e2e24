/**
 * Links: does this machine hold that many links at once, 1 % of them talking, and at what cost?
 * `make bench-links LINKS=200000`. Prints what the connects, the links and the messages cost, and
 * whether each was answered. Idle devices yield to the rest: a dozen loadgen workers would starve
 * the one registrar and the one backend, which in life do not share a machine with them.
 * Exit 1 unless every link was open for the whole minute and every request was answered.
 * `node bench/studies/links.ts [--links 200000] [--seconds 60] [--connect-rate 2000] [--rate 500]
 *   [--acceptors N]`
 */
import { waitFor } from '../../test/helpers/waitFor.ts';
import { crowdOf, gather, kernelBytes, perAcceptor, type Span, startNode } from '../lib/fleet.ts';
import { options } from '../lib/options.ts';
import { sum } from '../lib/stats.ts';

const { links, seconds, connectRate, rate, ...sizes } = options({
  ...{ links: 200_000, seconds: 60, connectRate: 2_000, rate: 500, acceptors: 0 },
});
const crowd = crowdOf(links, sizes.acceptors);
const { acceptors, workers } = crowd;
const figure = (value: number, digits = 0) =>
  value.toLocaleString('en-US', { maximumFractionDigits: digits });
const say = (name: string, text: string) => console.log(`${name.padEnd(34)}${text}`);

const node = await startNode({ acceptors });
const { server } = node;
try {
  say('acceptors / loadgen workers', `${acceptors} / ${workers + 1}`);
  const rssEmpty = sum(await perAcceptor(server, 'rss_bytes'));
  const kernelEmpty = kernelBytes();
  const begin = performance.now();
  const { sleepers, talkers, failed } = await gather(node, crowd, { connectRate, rate });
  const connectSeconds = (performance.now() - begin) / 1_000;
  say('links open', figure(links));
  say('connected in', `${figure(connectSeconds, 1)} s, ${figure(links / connectSeconds)} a second`);

  const cpuBefore = 1_000 * sum(await perAcceptor(server, 'cpu_seconds_total'));
  const messagesBefore = await server.metric('owsla_deliveries_total', 'fate="sent"');
  const pingsBefore = await server.metric('owsla_messages_in_total', 'type="ping"');
  let fewest = links;
  const held: Span = [Date.now() / 1_000, Date.now() / 1_000 + seconds];
  const end = performance.now() + seconds * 1_000;
  await Promise.race([
    failed,
    waitFor(
      'the minute to pass',
      async () => {
        fewest = Math.min(fewest, await server.metric('owsla_links'));
        return performance.now() >= end;
      },
      seconds * 1_000 + 60_000,
    ),
  ]);
  const cpu = 1_000 * sum(await perAcceptor(server, 'cpu_seconds_total')) - cpuBefore;
  const rss = sum(await perAcceptor(server, 'rss_bytes'));
  const spreadOfLinks = await perAcceptor(server, 'links');
  const replies = (await server.metric('owsla_deliveries_total', 'fate="sent"')) - messagesBefore;
  const pings = (await server.metric('owsla_messages_in_total', 'type="ping"')) - pingsBefore;
  const kernel = kernelBytes();

  const [talked, slept] = await Promise.all([talkers.end(), sleepers.end()]);
  const times = talkers.roundTrips([held]);
  const ms = (q: number) => figure(times.getValueAtPercentile(q) / 1_000, 1);
  say('held for', `${seconds} s, never fewer than ${figure(fewest)} links`);
  say('RSS per link in the acceptors', `${figure((rss - rssEmpty) / links)} bytes`);
  say(
    'RSS of all acceptors',
    `${figure(rss / 1_048_576)} MiB, empty ${figure(rssEmpty / 1_048_576)}`,
  );
  const perLink = (kernel.objects - kernelEmpty.objects) / links;
  say('kernel memory per link, both ends', `${figure(perLink)} bytes`);
  const buffers = (kernel.buffers - kernelEmpty.buffers) / 1_048_576;
  say('  in socket buffers, all links', `${figure(buffers, 1)} MiB`);
  say('acceptors’ CPU', `${figure(cpu / seconds / 10, 1)} % of a core`);
  say(
    '  with',
    `${figure(replies / seconds)} round trips and ${figure(pings / seconds)} PINGs a second`,
  );
  say('round trip p50 / p99 / p99.9', `${ms(50)} / ${ms(99)} / ${ms(99.9)} ms`);
  say('links per acceptor', `${Math.min(...spreadOfLinks)} to ${Math.max(...spreadOfLinks)}`);
  say('requests / replies', `${figure(talked.counts.requests)} / ${figure(talked.counts.replies)}`);
  const found = Object.entries({ ...slept.violations, ...talked.violations }).filter(
    ([, n]) => n > 0,
  );
  say('violations', found.length === 0 ? 'none' : found.map(([k, n]) => `${k} ${n}`).join(', '));
  const isWhole = fewest === links && talked.counts.replies >= talked.counts.requests - 50;
  if (!isWhole) process.exitCode = 1;
} finally {
  await node.stop();
}
