/** `owsla config` and `owsla limits`: what rules, where it came from, what a change takes. */
import type { Channel, Options } from 'amqplib';
import t from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { LIMIT_NAMES, LIMIT_SPECS, makeLimits, QUEUE_LIMITS } from '../../src/base/limits.ts';
import {
  declareCommands,
  declarePresence,
  declareUplink,
  names,
} from '../../src/broker/topology.ts';
import { configLines } from '../../src/cli/configTable.ts';
import type { SourceLayer } from '../../src/cli/layers.ts';
import { limitsJson } from '../../src/cli/limitsTable.ts';

const layers: SourceLayer[] = [
  {
    source: 'command line',
    options: { port: '7001', set: { prefetch: '7' } },
    nameOf: (name) => `--${name}`,
  },
  {
    source: 'environment',
    options: { port: '7002', amqp: 'amqp://owsla:s3cret@rabbit/doors' },
    nameOf: (name) => `OWSLA_${name.toUpperCase()}`,
  },
  {
    source: 'file',
    options: { 'on-crash': 'curl -H key:s3cret x', keepalive: '2m', set: { prefetch: 9 } },
    nameOf: (name) => `${name} in owsla.yaml`,
  },
];
const config = makeConfig(...layers);

t.test('each value says where it came from, and no secret is told', async (t) => {
  const json = configLines(config, layers, true);
  const rulings = json
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const of = (wanted: string) => rulings.find(({ name }) => name === wanted);

  t.match(of('port'), { value: '7001', source: 'command line', where: '--port' });
  const url = 'amqp://owsla:***@rabbit/doors';
  t.match(of('amqp'), { value: url, source: 'environment', where: 'OWSLA_AMQP' });
  t.match(of('on-crash'), { value: 'curl ***', source: 'file', where: 'on-crash in owsla.yaml' });
  t.match(of('prefix'), { value: 'owsla', source: 'default', where: '' });
  t.match(of('set prefetch'), { value: '7', source: 'command line' });
  t.match(of('set keepaliveMs'), { value: '2m', where: 'keepalive in owsla.yaml' });
  t.match(of('set backlog'), { value: '4096', source: 'default' });
  t.match(of('listener devices'), {
    value: '127.0.0.1:7001 plain auth none',
    ...{ source: 'command line', where: '--port' },
  });
  t.notMatch(json, 's3cret');
});

t.test('as a table: limits that are as they were are left out', async (t) => {
  const table = configLines(config, layers, false);
  t.match(table, /^port +7001 +--port$/m);
  t.match(table, /^data-dir +- +default$/m);
  t.match(table, /^set keepaliveMs +2m +keepalive in owsla.yaml$/m);
  t.notMatch(table, /^set backlog/m);
  t.notMatch(table, 's3cret');
});

t.test('what the file lists says so', async (t) => {
  const listeners = [{ name: 'doors', port: 7443, host: '127.0.0.1' }];
  const file: SourceLayer = {
    source: 'file',
    options: { listeners },
    nameOf: (name) => `${name} in f`,
  };
  const table = configLines(makeConfig(file), [file], false);
  t.match(table, /^listener doors +127\.0\.0\.1:7443 plain auth none +listeners in f$/m);
});

t.test('a listener that options make says which; of none that is given, the default', async (t) => {
  const of = (options: SourceLayer['options']) => {
    const file: SourceLayer = { source: 'file', options, nameOf: (name) => `${name} in f` };
    return configLines(makeConfig(file), [file], false);
  };
  const tls = { 'tls-cert': '/c', 'tls-key': '/k' };
  const both = of({ port: 7001, 'tls-port': 7443, unix: '/run/s', auth: 'none', ...tls });
  t.match(both, /^listener devices +127\.0\.0\.1:7001 .* port in f$/m);
  t.match(both, /^listener devices-tls +127\.0\.0\.1:7443 .* tls-port in f$/m);
  t.match(both, /^listener devices-unix +\/run\/s .* unix in f$/m);
  t.match(of({ host: '127.0.0.2' }), /^listener devices +127\.0\.0\.2:7000 .* host in f$/m);
  t.match(of({}), /^listener devices +127\.0\.0\.1:7000 plain auth none +default$/m);
});

/** All that is declared and outlives every process, with these limits. */
async function declared(overrides: Parameters<typeof makeLimits>[0]): Promise<string> {
  const queues: [string, Options.AssertQueue | undefined][] = [];
  const channel = {
    assertExchange: async () => {},
    bindQueue: async () => {},
    assertQueue: async (name: string, options?: Options.AssertQueue) =>
      queues.push([name, options]),
  } as unknown as Channel;
  const limits = makeLimits(overrides);
  for (const declare of [declareUplink, declarePresence, declareCommands]) {
    await declare(channel, names('owsla'), limits);
  }
  return JSON.stringify(queues);
}

t.test('a limit needs a new queue exactly where a queue is declared with it', async (t) => {
  const before = await declared({});
  for (const name of LIMIT_NAMES) {
    const changed = await declared({ [name]: LIMIT_SPECS[name].value + 1 });
    t.equal(name in QUEUE_LIMITS, changed !== before, name);
  }
  const lines = limitsJson()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(
    lines.find(({ name }) => name === 'unroutedMax'),
    { change: 'queue', queue: 'unrouted' },
  );
  t.match(
    lines.find(({ name }) => name === 'prefetch'),
    { change: 'reload', queue: null },
  );
});
