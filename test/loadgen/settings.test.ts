/** Settings, scenarios, thresholds and the preflight: what is refused, and in which words. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { judge, parseThreshold } from '../../loadgen/measure/thresholds.ts';
import type { Given } from '../../loadgen/plan/options.ts';
import { deviceId, type Plan, profileOf } from '../../loadgen/plan/plan.ts';
import { type Machine, preflight } from '../../loadgen/plan/preflight.ts';
import { readScenario } from '../../loadgen/plan/scenario.ts';
import { makeOutput, makePlan } from '../../loadgen/plan/settings.ts';

const TARGET = { target: '127.0.0.1:7000' };

function plan(given: Given = {}): Plan {
  return makePlan({ ...TARGET, ...given }, [], 1);
}

t.test('settings: a plan has the defaults, and what was given instead', async (t) => {
  const made = plan({ devices: '300', rate: '50', duration: '1.5m', storm: true });

  t.match(made, { host: '127.0.0.1', port: 7_000, devices: 300, connectRate: 0 });
  t.equal(made.durationMs, 90_000);
  t.same(made.rate, [{ durationMs: 90_000, from: 50, to: 50 }]);
  t.match(made.reconnect, { isOn: true, minMs: 1_000, maxMs: 120_000, takenOverMs: 60_000 });
});

t.test('settings: stages are rates, ramps and speeds, and make the duration', async (t) => {
  const made = plan({ rate: '5', stage: ['30s@1000', '1m@0-500', '10s@x3'] });

  t.equal(made.durationMs, 100_000);
  t.same(made.rate, [
    { durationMs: 30_000, from: 1_000, to: 1_000 },
    { durationMs: 60_000, from: 0, to: 500 },
    { durationMs: 10_000, from: 5, to: 5 },
  ]);
  t.same(made.speed.at(-1), { durationMs: 10_000, from: 3, to: 3 });
});

t.test('settings: sources are ranges and lists of addresses', async (t) => {
  const { sources } = plan({ source: '127.0.0.254-127.0.1.1,127.9.9.9' });

  t.same(sources, ['127.0.0.254', '127.0.0.255', '127.0.1.0', '127.0.1.1', '127.9.9.9']);
});

const REFUSED: [Given, RegExp][] = [
  [{ target: 'nowhere' }, /--target: 'nowhere' is not HOST:PORT/],
  [{ target: '' }, /--target HOST:PORT is needed/],
  [{ devices: '0' }, /--devices: '0'/],
  [{ devices: '1.5' }, /--devices: '1.5'/],
  [{ rate: '-1' }, /--rate: '-1'/],
  [{ duration: '5 parsecs' }, /--duration: '5 parsecs' is no duration/],
  [{ duration: '5s', stage: ['5s@1'] }, /--duration and --stage/],
  [{ stage: ['5s'] }, /--stage: '5s' is not/],
  [{ bytes: '8' }, /--bytes: '8'/],
  [{ bytes: '64-32' }, /--bytes: '64-32'/],
  [{ eventShare: '1.2' }, /--event-share: '1.2' is no share/],
  [{ mix: 'toaster=1' }, /--mix: 'toaster=1' is not NAME=WEIGHT with one of thermostat/],
  [{ expect: 'magic' }, /--expect: 'magic' is not echo, ok, any/],
  [{ source: '127.0.0.9-127.0.0.2' }, /--source: '127.0.0.9-127.0.0.2'/],
  [{ halfOpen: '0.6', garbage: '0.6' }, /at most 1/],
  [{ asleep: '20%@0s' }, /--asleep: '20%@0s' is not SHARE or SHARE@FROM-TO/],
  [{ asleep: '20%@' }, /--asleep: '' is no duration/],
  [{ asleep: '100%' }, /--asleep: some devices have to stay awake/],
  [{ commandTo: 'nobody' }, /--command-to: 'nobody' is not all, awake, asleep/],
  [{ reloads: '3' }, /--reloads: it needs --run-dir DIR, or --reload COMMAND/],
  [{ newcomers: '3' }, /--newcomers: it needs --run-dir DIR/],
  [{ reload: 'true', runDir: '/run/owsla' }, /--reload and --run-dir: one of them/],
  [{ reload: 'true', stage: ['5s@1'] }, /go with --duration, not with --stage/],
  [{ reload: 'true', duration: '0' }, /--duration: with a reload/],
  [{ reload: 'true', reloads: '0' }, /--reloads: '0' is no number of at least 1/],
  [{ reboot: '10%' }, /--reboot: '10%' is not SHARE@INTERVAL/],
  [{ devicePrefix: 'a b' }, /--device-prefix/],
  [{ keepalive: '1500ms' }, /--keepalive: whole seconds/],
  [{ unix: '/run/x.sock' }, /--target and --unix: devices connect to one of them/],
  [{ target: '', unix: '/run/x.sock', source: '127.0.0.2' }, /--source and --unix/],
  [{ proxy: 'v3' }, /--proxy: 'v3' is not v1, v2/],
  [{ tlsCa: 'ca.pem' }, /--tls-ca: it needs --tls/],
  [{ tls: true, tlsVersion: '1.1' }, /--tls-version: '1.1' is not 1.2, 1.3/],
  [{ tls: true, tlsKey: 'a.key' }, /--tls-key: it belongs to a --tls-cert/],
  [{ tls: true, tlsCert: 'a.pem' }, /--tls-cert: it needs its --tls-key/],
  [{ tls: true, tlsCert: '/', tlsKey: 'a.key' }, /two files, or two folders/],
  [{ tls: true, tlsPsk: true }, /--tls-psk: the keys come from --keys FILE/],
  [{ tls: true, tlsPsk: true, keys: 'k', tlsCert: '/' }, /--tls-psk and --tls-cert/],
  [{ tls: true, tlsPsk: true, keys: 'k', tlsResume: '50%' }, /--tls-resume: what PSK has proved/],
  [{ tls: true, tlsResume: '1' }, /--tls-resume: '1' may be 1% or 100%/],
  [{ keyId: '2026a' }, /--key-id: it is one of the keys in --keys FILE/],
];

t.test('settings: each mistake is refused with a sentence that names the flag', async (t) => {
  for (const [given, sentence] of REFUSED) t.throws(() => plan(given), { message: sentence });
  t.throws(() => makeOutput({ allow: 'sloth' }), /--allow: 'sloth' is not lost/);
  t.throws(() => makeOutput({ failIf: ['rt_p98 > 3ms'] }), /no figure 'rt_p98'/);
  t.throws(() => makeOutput({ failIf: ['lost is bad'] }), /is not FIGURE > LIMIT/);
});

t.test('thresholds: a limit that could be read in two ways is refused', async (t) => {
  const refused: [string, RegExp][] = [
    ['late_sends > 1', /'late_sends' wants a share in percent, from 0% to 100%; not '1'/],
    ['late_sends > 0.01', /a share in percent/],
    ['late_sends > 101%', /a share in percent/],
    ['late_sends > 5ms', /a share in percent/],
    ['rt_p99 > 3', /'rt_p99' wants a time with its unit: 20ms, 1.5s; not '3'/],
    ['rt_p99 > 3%', /a time with its unit/],
    ['lost > 1%', /'lost' wants a count, a whole number without a unit; not '1%'/],
    ['lost > 0.01', /a count/],
    ['reply_rate < 95%', /'reply_rate' wants a number a second: 2000 or 2000\/s; not '95%'/],
    ['connect_rate < 2000/m', /a number a second/],
  ];
  for (const [text, sentence] of refused) t.throws(() => parseThreshold(text), sentence, text);

  const limits = ['late_sends > 1%', 'rt_p99 > 1.5s', 'lost > 0', 'ack_rate < 20.5/s'];
  t.same(
    limits.map((text) => parseThreshold(text).limit),
    [0.01, 1_500, 0, 20.5],
  );
});

t.test('settings: a share of 1 is 1% or 100%, and has to say which', async (t) => {
  for (const name of ['eventShare', 'garbage', 'commandKept'] as const) {
    t.throws(() => plan({ [name]: '1' }), /'1' may be 1% or 100%: write which/, name);
  }
  t.throws(() => plan({ asleep: '1@10s' }), /'1' may be 1% or 100%/);
  t.equal(plan({ eventShare: '100%' }).eventShare, 1);
  t.equal(plan({ eventShare: '1.0' }).eventShare, 1);
  t.equal(plan({ eventShare: '1%' }).eventShare, 0.01);
});

t.test('thresholds: crossed, not crossed, and no value, which counts as crossed', async (t) => {
  const figures: Record<string, number> = { rt_p99: 20.5, lost: 0, late_sends: 0.02 };
  const judged = judge(
    ['rt_p99 > 20ms', 'rt_p99 > 0.021s', 'lost > 0', 'late_sends >= 2%', 'event_p50 > 1s'].map(
      parseThreshold,
    ),
    (figure) => figures[figure],
  );

  t.same(
    judged.map(({ crossed }) => crossed),
    [true, false, false, true, true],
  );
  t.same(
    judged.map(({ shown }) => shown),
    ['20.5 ms', '20.5 ms', '0', '2 %', 'no value'],
  );
});

t.test('plan: a mix gives each profile its share of the devices, by name', async (t) => {
  const made = plan({ mix: 'thermostat=80,door=20', devices: '1000' });
  const doors = Array.from({ length: 1_000 }, (_, index) => profileOf(made, index));

  t.equal(doors.filter((at) => at === 1).length, 200);
  t.equal(deviceId(made, 3), 'lg-thermostat-000003');
  t.equal(deviceId(made, 999), 'lg-door-000999');
});

t.test('scenario: the three shipped ones are read and make plans', async (t) => {
  for (const name of ['stampede', 'steady-day', 'door-rush']) {
    const { options, profiles, description } = readScenario(name);
    const made = makePlan({ ...options, ...TARGET }, profiles, 1);

    t.ok(description.length > 40, name);
    t.ok(made.durationMs > 0);
    t.ok(makeOutput(options).thresholds.length > 0);
  }
});

t.test('scenario: an own file in YAML or JSON; its mistakes are named', async (t) => {
  const folder = t.testdir();
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const good = file(
    'good.json',
    '{"options":{"connect-rate":50,"mix":"lift=1"},"profiles":{"lift":{"every":"2s"}}}',
  );

  const { options, profiles } = readScenario(good);

  t.same(options, { connectRate: '50', mix: 'lift=1' });
  t.match(profiles, [{ name: 'lift', everyMs: 2_000 }]);
  t.throws(() => readScenario('nothing-like-it'), /there is no file 'nothing-like-it'; shipped/);
  t.throws(() => readScenario(file('a.yaml', 'optoins: {}')), /no such key 'optoins'/);
  t.throws(() => readScenario(file('b.yaml', 'options: {wheels: 4}')), /no such option 'wheels'/);
  t.throws(() => readScenario(file('c.yaml', 'profiles: {x: {sends: fax}}')), /event or request/);
  t.throws(() => readScenario(file('d.yaml', 'options: [1')), /d\.yaml: /);
});

const MACHINE: Machine = {
  openFilesMax: 20_000,
  ports: 28_232,
  somaxconn: 4_096,
  conntrackMax: undefined,
  freeBytes: 2 ** 34,
  cores: 4,
  addresses: new Set(['10.0.0.5']),
};

t.test('preflight: too many links per source address are warned of', async (t) => {
  const settings = { devices: '10000', workers: '2' };

  t.match(preflight(plan({ ...settings, source: '127.0.0.2-127.0.0.3' }), MACHINE).warnings, [
    /^5000 links per --source address.*use 4$/,
  ]);
  t.same(preflight(plan({ ...settings, source: '127.0.0.2-127.0.0.9' }), MACHINE).warnings, []);
  t.same(preflight(plan(settings), MACHINE).warnings, [], 'the kernel picks ports at the connect');
});

t.test('preflight: what cannot work is refused, with what to change', async (t) => {
  const judgeOf = (given: Given) => preflight(plan(given), MACHINE);

  t.same(judgeOf({ devices: '1000' }), { faults: [], warnings: [] });
  t.match(judgeOf({ devices: '30000', workers: '1', source: '127.0.0.2-127.0.0.3' }).faults, [
    /use --workers 2/,
  ]);
  t.match(judgeOf({ devices: '60000', workers: '4' }).faults, [/--source 127.0.0.2-127.0.0.4/]);
  t.match(judgeOf({ source: '10.0.0.5,10.0.0.6' }).faults, [/10.0.0.6 is no address/]);
  t.match(judgeOf({ devices: '9000', storm: true }).warnings, [/somaxconn/]);
  t.match(judgeOf({ devices: '100', workers: '4' }).warnings, [/leave none/]);
});

t.test('settings: the way to the server', async (t) => {
  t.match(plan(), { unix: undefined, proxy: undefined, tls: undefined });
  const given = { tls: true, tlsCa: 'ca.pem', tlsCert: '/', tlsResume: '80%' } as const;
  t.match(plan({ ...given, target: 'owsla.example:7443' }).tls, {
    servername: 'owsla.example',
    caFile: join(process.cwd(), 'ca.pem'),
    ...{ certPath: '/', keyPath: '/', isPsk: false, resumeShare: 0.8, version: undefined },
  });
  t.equal(plan({ tls: true }).tls?.servername, '', 'an address is no name');
  t.match(plan({ target: '', unix: 'a.sock', proxy: 'v2' }), {
    ...{ unix: join(process.cwd(), 'a.sock'), host: '', proxy: 'v2' },
  });
});

t.test('settings: commands and sleepers', async (t) => {
  const ways = { commandRate: '200', commandTime: '30s', commandKept: '25%', commandTo: 'asleep' };
  const { commands, sleep } = plan({ ...ways, duration: '60s', asleep: '20%@30s-40s' });

  t.match(commands, { isOn: true, keptShare: 0.25, deadlineMs: 10_000, to: 'asleep' });
  t.same(commands.rate, [{ durationMs: 30_000, from: 200, to: 200 }]);
  t.same(sleep, { share: 0.2, wakeFromMs: 30_000, wakeToMs: 40_000 });
});

t.test('settings: a name of every object is no option, profile, figure or violation', async (t) => {
  const folder = t.testdir();
  const file = join(folder, 'scenario.yaml');
  for (const name of ['__proto__', 'constructor', 'toString']) {
    for (const text of [`${name}: {}`, `options: {${name}: 1}`, `profiles: {a: {${name}: 1}}`]) {
      writeFileSync(file, text);
      t.throws(() => readScenario(file), new RegExp(`no such (key|option) '${name}'`), text);
    }
    t.throws(() => plan({ mix: `${name}=1` }), /--mix: /);
    t.throws(() => parseThreshold(`${name} > 1`), /--fail-if: /);
    t.throws(() => makeOutput({ allow: name }), /--allow: /);
    t.throws(() => plan({ timeout: `1${name}` }), /--timeout: /);
  }
});

t.test('settings: with a reload the load has no end of its own', async (t) => {
  const { deploy, durationMs, rate } = plan({ reload: 'true', duration: '20s', rate: '7' });

  t.same(deploy, {
    ...{ runDir: undefined, command: 'true', times: 1, aroundMs: 20_000, newcomers: 20 },
  });
  t.equal(durationMs, 0, 'the manager ends it');
  t.match(rate, [{ from: 7, to: 7 }]);
  t.equal(plan({ runDir: 'run' }).deploy?.runDir, join(process.cwd(), 'run'));
  const machine = { ...MACHINE, openFilesMax: 1_000 };
  t.match(preflight(plan({ devices: '600' }), machine).faults, []);
  t.match(preflight(plan({ devices: '600', reload: 'x' }), machine).faults, [
    /600 links per worker/,
  ]);
});
