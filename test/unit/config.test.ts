/** Config: layers of raw options become one frozen object, or one error with every fault. */
import t from 'tap';
import { type Layer, makeConfig, type Options } from '../../src/base/config.ts';
import { EXIT, StartError } from '../../src/base/errors.ts';

function faultOf(...layers: (Layer | Options)[]): string {
  try {
    makeConfig(...layers);
  } catch (error) {
    if (error instanceof StartError && error.exitCode === EXIT.usage) return error.message;
    throw error;
  }
  return '';
}

t.test('with no options it is the documented default', async (t) => {
  const config = makeConfig({});
  t.match(config, {
    listeners: [{ name: 'devices', host: '127.0.0.1', port: 7_000, auth: ['none'] }],
    amqp: ['amqp://guest:guest@127.0.0.1:5672'],
    onBrokerLoss: 'hold',
    eventDelivery: 'persistent',
    queueType: 'classic',
    prefix: 'owsla',
    adminHost: '127.0.0.1',
    adminPort: 9_700,
    waitForBroker: false,
    logLevel: 'info',
  });
  t.ok(config.acceptors >= 1);
  t.equal(config.limits.keepaliveMs, 60_000);
});

t.test('it is frozen and the same after JSON', async (t) => {
  const config = makeConfig({ port: 0, set: { linksMax: 5 } });
  t.ok(Object.isFrozen(config));
  t.ok(Object.isFrozen(config.limits));
  t.same(JSON.parse(JSON.stringify(config)), config);
});

t.test('the first layer that has an option wins, limit by limit', async (t) => {
  const flags = { port: '1', set: { linksMax: '1' } };
  const variables = { port: '2', prefix: 'two', set: { linksMax: '2', prefetch: '2' } };
  const file = { port: 3, prefix: 'three', acceptors: 3, set: { prefetch: 3, backlog: 3 } };
  const config = makeConfig(flags, variables, file);
  t.match(config, { listeners: [{ port: 1 }], prefix: 'two', acceptors: 3 });
  t.match(config.limits, { linksMax: 1, prefetch: 2, backlog: 3 });
});

t.test('keepalive is the limit keepaliveMs, in its own layer', async (t) => {
  t.equal(makeConfig({ keepalive: '90s' }).limits.keepaliveMs, 90_000);
  t.equal(
    makeConfig({ keepalive: '90s' }, { set: { keepaliveMs: '1m' } }).limits.keepaliveMs,
    90_000,
  );
  t.equal(
    makeConfig({ set: { keepaliveMs: '20s' } }, { keepalive: '90s' }).limits.keepaliveMs,
    20_000,
  );
  t.match(faultOf({ keepalive: '90s', set: { keepaliveMs: '90s' } }), /give one of them/);
  t.match(faultOf({ keepalive: '60' }), /keepalive must be a duration/);
});

t.test('limits take units of their kind and bare numbers', async (t) => {
  const { limits } = makeConfig({
    set: { frameBytesMax: '128KiB', greetingMs: '2.5s', requestMs: 700, inFlightMax: '12' },
  });
  t.match(limits, { frameBytesMax: 131_072, greetingMs: 2_500, requestMs: 700, inFlightMax: 12 });
  t.match(faultOf({ set: { frameBytesMax: '10s' } }), /frameBytesMax must be a size/);
  t.match(faultOf({ set: { greetingMs: '1MiB' } }), /greetingMs must be a duration/);
  t.match(faultOf({ set: { inFlightMax: '1s' } }), /inFlightMax must be a whole number/);
});

t.test('every fault is told at once, named as its writer knows it', async (t) => {
  const flags: Layer = {
    options: { port: '70000', set: { linkMax: '1' } },
    nameOf: (name) => `--${name}`,
  };
  const variables: Layer = {
    options: { 'log-level': 'inof', prefix: 'a b' },
    nameOf: (name) => name.toUpperCase(),
  };
  const fault = faultOf(flags, variables);
  t.match(fault, '--port must be a whole number from 0 to 65535, not "70000"');
  t.match(fault, 'there is no limit "linkMax"; did you mean linksMax?');
  t.match(fault, 'LOG-LEVEL must be one of');
  t.match(fault, 'did you mean info?');
  t.match(fault, 'PREFIX must be');
});

t.test('limits that contradict each other are refused', async (t) => {
  t.match(
    faultOf({ set: { keepaliveMinMs: '5m' } }),
    /keepaliveMinMs \(300000\) must not be above/,
  );
  t.match(faultOf({ set: { backlog: 0 } }), /backlog must be a whole number from 1/);
});

t.test('an address that others can reach needs auth to be said', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.168.1.5', 'gateway.example']) {
    t.match(faultOf({ host }), /say who may connect: --auth none/, host);
    t.equal(makeConfig({ host, auth: 'none' }).listeners[0]?.host, host);
  }
  for (const host of ['127.0.0.1', '127.3.2.1', '::1', 'localhost']) {
    t.equal(makeConfig({ host }).listeners[0]?.host, host);
  }
  t.match(faultOf({ auth: 'token' }), /auth must be a list of cert, psk, key, jwt, backend, none/);
});

t.test('a fault never shows the password of the AMQP URL', async (t) => {
  for (const amqp of ['http://u:secret@h', 'amqp://u:sec ret@', 'u:secret@h', '//u:secret@h']) {
    const fault = faultOf({ amqp });
    t.match(fault, /amqp must be an amqp:/, amqp);
    t.notMatch(fault, /sec/);
  }
  t.same(makeConfig({ amqp: 'amqps://u:p@h/v' }).amqp, ['amqps://u:p@h/v']);
});

t.test('several AMQP URLs are a list with commas; a fault in one shows none of them', async (t) => {
  const { amqp } = makeConfig({ amqp: 'amqp://u:p@a, amqps://u:a%2Cb@b:99/v' });
  t.same(amqp, ['amqp://u:p@a', 'amqps://u:a%2Cb@b:99/v']);
  for (const wrong of ['amqp://u:secret@a,', 'amqp://u:secr,et@a', 'http://u:secret@a,amqp://b']) {
    const fault = faultOf({ amqp: wrong });
    t.match(fault, /amqp must be an amqp:.* in each of its 2 comma-separated parts/, wrong);
    t.notMatch(fault, /secr/);
  }
});

t.test('outage policy, event delivery and queue type are words of closed lists', async (t) => {
  const chosen = {
    'on-broker-loss': 'refuse',
    'event-delivery': 'transient',
    'queue-type': 'quorum',
  } as const;
  t.match(makeConfig(chosen), {
    onBrokerLoss: 'refuse',
    eventDelivery: 'transient',
    queueType: 'quorum',
  });
  t.match(faultOf({ 'on-broker-loss': 'drop' }), /on-broker-loss must be one of hold, refuse/);
  t.match(faultOf({ 'event-delivery': '2' }), /event-delivery must be one of persistent, trans/);
  t.match(faultOf({ 'queue-type': 'stream' }), /queue-type must be one of classic, quorum/);
});

t.test('an AMQP URL that cannot be read is a fault that names the part', async (t) => {
  const encoding = /amqp has a % in its (user|password|vhost) that is not a percent-encoding/;
  for (const [part, amqp] of [
    ['user', 'amqp://%zz:secret@h'],
    ['password', 'amqp://u:secret%@h'],
    ['vhost', 'amqp://u:secret@h/50%'],
  ] as const) {
    const fault = faultOf({ amqp });
    t.equal(encoding.exec(fault)?.[1], part, fault);
    t.notMatch(fault, /secret/);
  }
  for (const heartbeat of ['', 'soon', '-1', '1.5', '65536']) {
    const fault = faultOf({ amqp: `amqp://u:secret@h?heartbeat=${heartbeat}` });
    t.match(fault, /amqp has a heartbeat that is not a whole number of seconds from 0 to 65535/);
  }
  t.equal(makeConfig({ amqp: 'amqp://u:50%25@[::1]/?heartbeat=0' }).adminPort, 9_700);
});

t.test('folders are absolute paths; none is none', async (t) => {
  t.match(makeConfig({}), { dataDir: '', traceDir: '' });
  t.equal(makeConfig({ 'data-dir': '/var/lib/owsla' }).dataDir, '/var/lib/owsla');
  t.equal(makeConfig({ 'data-dir': 'data' }).dataDir, `${process.cwd()}/data`);
});

t.test('other values of the wrong kind are refused', async (t) => {
  t.match(faultOf({ acceptors: 0 }), /acceptors must be a whole number from 1/);
  t.match(faultOf({ port: 1.5 }), /port must be a whole number/);
  t.match(faultOf({ 'wait-for-broker': 'yes' }), /wait-for-broker must be true or false/);
  t.match(faultOf({ prefix: 'amq.mine' }), /prefix must be/);
  t.match(faultOf({ host: '' }), /host must be/);
  t.match(faultOf({ port: 9_700 }), /port and admin-port are both 9700/);
});
