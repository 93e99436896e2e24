/**
 * Monitoring, of one real node: its alarms wherever they are shown, the alert rules, and the
 * board's queries through a real Prometheus.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ALARMS } from '../../src/node/alarmNames.ts';
import type { StatusAnswer } from '../../src/node/statusAnswer.ts';
import { TYPE } from '../../src/wire/message.ts';
import { Commander } from '../helpers/fakes/commander.ts';
import { Device, event, request } from '../helpers/fakes/device.ts';
import { Authority } from '../helpers/processes/authority.ts';
import { runOwsla } from '../helpers/processes/cli.ts';
import { startNode } from '../helpers/processes/node.ts';
import { at, noOpenssl, noPrometheus, noPromtool } from '../helpers/processes/programs.ts';
import { Prometheus } from '../helpers/processes/prometheus.ts';
import { waitFor } from '../helpers/waitFor.ts';

const DEPLOY = at('examples/deploy');
const RULES = join(DEPLOY, 'prometheus/owsla.rules.yml');
/** No query may answer with more: a board of a hundred nodes would kill its reader. */
const SERIES_MAX = 400;
const LINKS = 6;
const DAY_MS = 86_400_000;

/** As openssl takes it. */
function dayIn(days: number): string {
  const text = new Date(Date.now() + days * DAY_MS).toISOString();
  return `${text.replaceAll(/[-:T]|\..*/g, '')}Z`;
}

t.test('the alert rules do what they say', { skip: noPromtool }, async (t) => {
  const folder = join(DEPLOY, 'prometheus');
  const test = spawnSync('promtool', ['test', 'rules', join(folder, 'owsla.rules.test.yml')]);
  t.equal(test.status, 0, String(test.stdout));
  const config = spawnSync('promtool', ['check', 'config', join(folder, 'prometheus.yml')]);
  t.equal(config.status, 0, String(config.stdout));
});

t.test('the alert rules: 8 to 12, each with what to do; each alarm is in one', async (t) => {
  const text = readFileSync(RULES, 'utf8');
  const rules = text.split('- alert: ').slice(1);
  t.ok(rules.length >= 8 && rules.length <= 12, `${rules.length} rules`);
  for (const rule of rules) {
    const [name = ''] = rule.split('\n');
    t.match(rule, /^ +todo: "[A-Za-z][^"]+\."$/m, name);
    t.match(
      rule,
      /^ +runbook: "docs\/runbook\.md(?:#alarm-[a-z-]+|#alarm-\{\{[^}]+\}\})?"$/m,
      name,
    );
    for (const [, alarm = ''] of rule.matchAll(/#alarm-([a-z-]+)/g)) {
      t.ok((ALARMS as readonly string[]).includes(alarm), `${name}: ${alarm}`);
    }
  }
  const tests = readFileSync(join(DEPLOY, 'prometheus/owsla.rules.test.yml'), 'utf8');
  for (const alarm of ALARMS) {
    const about = rules.filter((rule) => {
      const [, names = ''] = /owsla_alarm\{alarm=~?"([^"]+)"/.exec(rule) ?? [];
      return names.split('|').includes(alarm);
    });
    t.equal(about.length, 1, alarm);
    t.match(tests, `owsla_alarm{alarm="${alarm}"`, `${alarm} is tested`);
  }
});

t.test('a node and its alarms', { skip: noOpenssl || noPrometheus }, async (t) => {
  const authority = new Authority();
  t.teardown(() => authority.remove());
  const soon = authority.issue('localhost', { san: 'DNS:localhost', to: dayIn(5) });
  const late = authority.issue('localhost', { san: 'DNS:localhost', to: dayIn(25) });
  const { broker, prefix, server, backend, runDir } = await startNode(t, {
    acceptors: 1,
    limits: {
      ...{ alarmRaiseMs: 200, alarmClearMs: 300, takeoversMax: 2, takeoverWindowMs: 1_500 },
      ...{ takeoverDampMs: 0, deviceFlapsMax: 4, deviceFlapWindowMs: 2_000 },
    },
    flags: [
      ...['--tls-port', '0', '--auth', 'none', '--max-links', String(LINKS)],
      ...['--tls-cert', soon.certFile, '--tls-key', soon.keyFile],
    ],
  });
  const port = server.portOf('devices');
  const prometheus = await startPrometheus();
  t.teardown(() => prometheus.stop());

  async function startPrometheus(): Promise<Prometheus> {
    const folder = join(authority.folder, 'prometheus');
    mkdirSync(folder);
    copyFileSync(RULES, join(folder, 'owsla.rules.yml'));
    const config = readFileSync(join(DEPLOY, 'prometheus/prometheus.yml'), 'utf8')
      .replaceAll('interval: 15s', 'interval: 250ms')
      .replace('scrape_interval', 'scrape_timeout: 250ms\n  scrape_interval')
      .replace('127.0.0.1:9700', `127.0.0.1:${server.adminPort}`);
    writeFileSync(join(folder, 'prometheus.yml'), config);
    return Prometheus.start(folder);
  }

  const isRaised = async (alarm: string) =>
    (await server.metric('owsla_alarm', `alarm="${alarm}"`)) === 1;
  const lines = (msg: string, alarm: string) =>
    server.log.filter((line) => line.msg === msg && line.alarm === alarm);
  async function status(): Promise<StatusAnswer> {
    const { text } = await runOwsla(['status', '--run-dir', runDir, '--json']);
    return JSON.parse(text) as StatusAnswer;
  }

  await t.test('a certificate that ends soon, until there is another', async (t) => {
    await waitFor('the alarm', () => isRaised('certificate-ending'));
    const name = 'owsla_alarm_raised_timestamp_seconds';
    const at = await server.metric(name, 'alarm="certificate-ending"');
    t.ok(Math.abs(at - Date.now() / 1_000) < 600, 'when it was raised');
    const { alarms, degraded } = await status();
    t.match(alarms, [{ alarm: 'certificate-ending', reason: soon.certFile }]);
    t.same(degraded, [], 'devices do not notice');
    t.match(lines('alarm raised', 'certificate-ending'), [
      { level: 'warn', reason: soon.certFile },
    ]);

    copyFileSync(late.certFile, soon.certFile);
    copyFileSync(late.keyFile, soon.keyFile);
    server.signal('SIGHUP');
    await server.untilSaid('reload done');
    await waitFor('health', async () => !(await server.page('/health/ready')).includes('degraded'));
    await waitFor('its end', async () => !(await isRaised('certificate-ending')));
    t.match(lines('alarm cleared', 'certificate-ending'), [{ level: 'info' }]);
    const ends = await server.metric('owsla_certificate_end_timestamp_seconds');
    t.ok(ends * 1_000 > Date.now() + 20 * DAY_MS);
  });

  await t.test('a full acceptor: degraded, until it has room', async (t) => {
    const devices = await Promise.all(
      Array.from({ length: LINKS }, (_, at) => Device.open(port, `door-${at}`)),
    );
    await waitFor('the alarm', () => isRaised('acceptor-full'));
    t.match(JSON.parse(await server.page('/health/ready')), {
      ready: true,
      degraded: [{ part: 'links', reason: 'acceptor 1 has 6 of 6 links', cause: 'acceptor-full' }],
    });
    t.match((await status()).state, 'degraded');
    const shown = await runOwsla(['status', '--run-dir', runDir]);
    t.equal(shown.code, 3);
    t.match(shown.text, /^alarms +acceptor-full, for \d+s: acceptor 1 has 6 of 6 links$/m);
    t.equal(await server.metric('owsla_presence_degraded'), 0, 'presence is recorded');
    for (const device of devices.slice(2)) device.close();
    await waitFor('its end', async () => !(await isRaised('acceptor-full')));
    t.notMatch(await server.page('/health/ready'), 'degraded');
    for (const device of devices) device.close();
  });

  await t.test('two devices with one id, and one that comes again and again', async (t) => {
    const guests: Device[] = [];
    await waitFor('the alarm', async () => {
      guests.push(await Device.open(port, 'twin'));
      guests.at(-2)?.close();
      return isRaised('device-cloned');
    });
    t.match(lines('alarm raised', 'device-cloned'), [{ reason: /^twin: \d+ takeovers/ }]);
    t.notMatch(await server.page('/metrics'), 'twin', 'no metric names it');
    for (const guest of guests) guest.close();

    const isOpen = async () => (await server.metric('owsla_links')) > 0;
    await waitFor('the other alarm', async () => {
      const restless = await Device.open(port, 'restless');
      restless.close();
      await restless.rest();
      await waitFor('its end', async () => !(await isOpen()));
      return isRaised('device-flapping');
    });
    t.match(lines('alarm raised', 'device-flapping').at(-1)?.reason, 'restless');
    await waitFor('their ends', async () => {
      return !(await isRaised('device-cloned')) && !(await isRaised('device-flapping'));
    });
  });

  await t.test('the board: every query has an answer, and none is long', async (t) => {
    await backend.on(`${prefix}.requests`, '#', ({ properties }, channel) => {
      const { replyTo, correlationId } = properties;
      channel.publish('', replyTo, Buffer.from('open'), { correlationId });
    });
    const commander = await Commander.connect(broker.url, prefix);
    const device = await Device.open(port, 'door-17');
    for (let id = 1; id <= 5; id += 2) {
      device.send(event(id), request(id + 1));
      t.same([(await device.next()) !== 'end', (await device.next()) !== 'end'], [true, true]);
    }
    const answered = commander.command('door-17');
    const { id } = await device.expect(TYPE.COMMAND);
    device.send({ type: TYPE.RESULT, id, status: 0, payload: Buffer.from('opened') });
    t.match(await answered, { type: 'result' });
    const board = JSON.parse(readFileSync(join(DEPLOY, 'grafana/owsla.json'), 'utf8')) as Board;
    const queries = board.panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({ title, expr })),
    );
    t.ok(queries.length > 40, `${queries.length} queries`);
    // Scrapes from before and after what just happened.
    for (const name of ['request', 'confirm', 'connect', 'command_transient']) {
      const query = `increase(owsla_${name}_seconds_count[1m])`;
      await waitFor(query, async () => {
        const [first] = await prometheus.query(query);
        return Number(first?.value[1]) > 0;
      });
    }
    for (const { title, expr } of queries) {
      const query = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*');
      const answer = await prometheus.query(query);
      t.ok(answer.length > 0 && answer.length <= SERIES_MAX, `${title}: ${answer.length} series`);
      const isNumber = answer.every(({ value }) => !Number.isNaN(Number(value[1])));
      t.ok(isNumber, `${title}: numbers`);
    }
    t.ok((await prometheus.query('{job="owsla"}')).length > 400, 'all was scraped');
    const { groups } = (await prometheus.ask('rules')) as { groups: RuleGroup[] };
    for (const { name, health, lastError } of groups.flatMap(({ rules }) => rules)) {
      t.equal(health, 'ok', `${name} ${lastError ?? ''}`);
    }
    device.close();
    await commander.close();
  });
});

interface Board {
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

interface RuleGroup {
  readonly rules: readonly {
    readonly name: string;
    readonly health: string;
    readonly lastError?: string;
  }[];
}
