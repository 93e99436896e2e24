/** The page of a real node, in a real browser: looked at, and used, as by a person. */
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { Device, event } from '../helpers/fakes/device.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { Browser, noBrowser } from '../helpers/processes/browser.ts';
import { startNode } from '../helpers/processes/node.ts';
import { waitFor } from '../helpers/waitFor.ts';

const TOKEN = 'a-token-of-more-than-22-letters';
const skip = noBrowser;

const broker = await findBroker();
t.teardown(() => broker.stop());
const proxy = await ToxicProxy.start(broker.port);
const { server } = await startNode(t, {
  ...{ broker, amqp: proxy.urlFor(broker.url), adminToken: TOKEN },
  limits: { childSilenceMs: 120_000, reconnectMaxMs: 200 },
});
t.teardown(() => proxy.stop());
const root = `http://127.0.0.1:${server.adminPort}/`;
const browser = skip === false ? await Browser.start() : undefined;
t.teardown(() => browser?.stop());

const evaluate = <T>(expression: string) => (browser as Browser).evaluate<T>(expression);
const text = (id: string) => evaluate<string>(`document.getElementById('${id}').innerText`);
const says = (id: string, pattern: RegExp) =>
  waitFor(`${pattern} in #${id}`, async () => pattern.test(await text(id)));

/** Presses the button with these words, as a person who sees it. */
const press = (words: string) =>
  evaluate(`[...document.querySelectorAll('button')]
    .find((one) => one.checkVisibility() && one.textContent === '${words}').click()`);

async function find(device: string): Promise<void> {
  await evaluate(`document.getElementById('find-device').value = ''`);
  await evaluate(`document.getElementById('find-device').focus()`);
  await browser?.type(device);
  await browser?.press('Enter');
}

let device: Device;

t.test('figures move; a device is found; its trace shows an EVENT', { skip }, async (t) => {
  await browser?.open(root, 1_280);
  await says('tiles', /Links\s+0\s/);
  await says('troubles', /^Nothing\.$/);

  device = await Device.open(server.port, 'door-17');
  await says('tiles', /Links\s+1\s/);
  await says('processes', /acceptor 2\s+ready\s+connected/);
  await find('door-17');
  await says('device', /door-17\s+connected[\s\S]*127\.0\.0\.1:\d+/);

  await press('Start');
  await says('question', /only to those who have the token/);
  await evaluate(`document.getElementById('question-secret').focus()`);
  await browser?.type(TOKEN);
  await browser?.press('Enter');
  await says('device', /link\s+found/);
  device.send(event(1, 'a.b', 'unseen'));
  await device.expect(TYPE.ACK);
  await says('device', /from it\s+EVENT\s+1\s+a\.b[\s\S]*confirmed[\s\S]*to it\s+ACK\s+1/);
  t.notMatch(await text('device'), 'unseen', 'payloads only if asked for');
  await press('Stop');
  await says('device', /Stopped\./);
  await evaluate(`document.querySelector('#device [type=checkbox]').click()`);
  await press('Start');
  await says('device', /Listening for 5 minutes/);
  device.send(event(2, 'a.b', 'seen <b>too</b>'));
  await device.expect(TYPE.ACK);
  await says('device', /seen <b>too<\/b>/);
  await press('Forget token');
});

t.test('disconnect and block: asked first, and only with the token', { skip }, async (t) => {
  const again = async () => {
    device = await Device.open(server.port, 'door-17');
    await says('device', /door-17\s+connected/);
  };
  await press('Disconnect …');
  await says('question', /Disconnect door-17\?/);
  await press('Leave it');
  await press('Disconnect …');
  await press('Disconnect');
  await says('question-error', /Enter the token first/);
  await evaluate(`document.getElementById('question-secret').value = 'a-wrong-one'`);
  await press('Disconnect');
  await says('question-error', /does not accept this token/);
  t.equal(device.waiting, 0, 'nothing was done so far');
  const problems = browser?.problems.splice(0) ?? [];
  t.ok(problems.length === 1 && problems[0]?.includes('401'), problems.join());

  await evaluate(`document.getElementById('question-secret').value = '${TOKEN}'`);
  await press('Disconnect');
  t.match(await device.expect(TYPE.BYE), { reason: 'disconnected' });
  await says('device', /door-17 was disconnected\./);
  await again();

  await press('Block …');
  await evaluate(`document.getElementById('question-note').value = 'stolen'`);
  await press('Block');
  t.match(await device.expect(TYPE.BYE), { reason: 'blocked' });
  await says('device', /Blocked since \S+: stolen/);
  await press('Show them');
  await says('blocked-list', /door-17\s+\S+\s+stolen/);
  await press('Unblock …');
  await press('Unblock');
  await says('device', /door-17 may connect again\./);
  await again();
  await says('ends', /disconnected by a person\s+disconnected\s+1/);
  await says('ends', /the device is blocked\s+blocked\s+1/);
  const audits = server.log.filter(({ msg, what }) => msg === 'audit' && what !== 'trace');
  t.same(
    audits.map(({ what }) => what),
    ['disconnect', 'block', 'unblock'],
  );
});

t.test('a keyboard reaches all of it, and what has the focus is seen', { skip }, async (t) => {
  const seen = new Set<string>();
  const wanted = await evaluate<string[]>(`[...document.querySelectorAll('button, input')]
    .filter((one) => one.checkVisibility() && !one.disabled)
    .map((one) => one.id || one.textContent)`);
  await evaluate('document.activeElement.blur()');
  await evaluate(`document.querySelector('.skip').focus()`);
  for (let at = 0; at < 2 * wanted.length + 20; at += 1) {
    await browser?.press('Tab');
    const [name, outline] = await evaluate<string[]>(`(() => {
      const one = document.activeElement;
      return [one.id || one.textContent, getComputedStyle(one).outlineStyle];
    })()`);
    if (name === undefined || outline === undefined) break;
    if (wanted.includes(name)) t.equal(outline, 'solid', `${name}: its outline`);
    seen.add(name);
  }
  t.same(
    wanted.filter((name) => !seen.has(name)),
    [],
  );
  const nameless = `[...document.querySelectorAll('button, input')].filter((one) =>
    one.textContent.trim() === '' && one.labels?.length !== 1 && one.checkVisibility()).length`;
  t.equal(await evaluate(nameless), 0, 'each has a name');
});

t.test('drained, an acceptor silent, the broker away: it says who', { skip }, async (t) => {
  await press('Drain …');
  await press('Drain');
  await says('drained', /is being drained/);
  await says('troubles', /acceptor 1: drained by an operator/);
  await press('Resume …');
  await press('Resume');
  await says('troubles', /^Nothing\.$/);

  const acceptor = server.childPid('acceptor 2');
  process.kill(acceptor, 'SIGSTOP');
  t.teardown(() => process.kill(acceptor, 'SIGCONT'));
  await says('troubles', /acceptor 2 does not answer/);
  process.kill(acceptor, 'SIGCONT');
  proxy.cut();
  proxy.reset();
  await says('broker', /Broker\s+away/);
  proxy.heal();
  await says('broker', /Broker\s+connected/);
  // What Chromium says of a device that is not connected, or may be in a silent acceptor.
  const problems = browser?.problems.filter((one) => !/ (?:404|503) .*links\/door-17$/.test(one));
  t.same(problems, []);
});

t.test('the node is gone: the page says that it shows what was', { skip }, async (t) => {
  t.same([...(browser?.hosts ?? [])], [new URL(root).host], 'no other host was asked');
  device.close();
  await server.stop();

  await says('lost', /The page has lost the node: .* What you see is of \d\d:\d\d:\d\d\./);
  t.equal(await text('line'), 'not connected');
});
