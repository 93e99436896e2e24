/** The key of TLS tickets: when there is a new one, and when not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { makeConfig } from '../../src/base/config.ts';
import { TICKET_KEY_MS, Tickets } from '../../src/supervisor/tickets.ts';

const folder = mkdtempSync(join(tmpdir(), 'owsla-tickets-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

function listenersOf(...crls: string[]) {
  const tls = { cert: '/c', key: '/k', 'client-ca': '/ca', 'client-cert': 'require' };
  const listeners = crls.map((crl, at) => ({
    ...{ name: `l${at}`, port: 0, auth: ['cert'] },
    tls: { ...tls, ...(crl === '' ? {} : { crl }) },
  }));
  return makeConfig({ listeners }).listeners;
}
function save(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

t.test('tickets: a key is 48 bytes by chance, and stays for a day', async (t) => {
  const tickets = new Tickets(listenersOf(''), 5);
  const { key } = tickets;
  t.equal(Buffer.from(key, 'base64').length, 48);
  t.not(new Tickets(listenersOf(''), 5).key, key);
  tickets.renew(5 + TICKET_KEY_MS - 1);
  t.equal(tickets.key, key);
  t.notOk(tickets.isOld(5 + TICKET_KEY_MS - 1));
  t.ok(tickets.isOld(5 + TICKET_KEY_MS));
  tickets.renew(5 + TICKET_KEY_MS);
  t.not(tickets.key, key);
  t.notOk(tickets.isOld(5 + TICKET_KEY_MS));
});

t.test('tickets: a revocation list that changed brings a new key, once', async (t) => {
  const [one, two] = [save('one.pem', '1'), save('two.pem', '2')];
  const tickets = new Tickets(listenersOf(one, '', two), 0);
  const keys = [tickets.key];
  const renewed = () => {
    tickets.renew(1);
    if (keys.at(-1) !== tickets.key) keys.push(tickets.key);
    return keys.length;
  };
  t.equal(renewed(), 1, 'the same');
  save('two.pem', '3');
  t.equal(renewed(), 2);
  t.equal(renewed(), 2);
  rmSync(one);
  t.equal(renewed(), 3, 'one that cannot be read is another');
  t.equal(renewed(), 3);
  save('one.pem', '1');
  t.equal(renewed(), 4);
  t.equal(new Set(keys).size, 4, 'no key comes back');
});

t.test('tickets: what moves from one list to the other is a change', async (t) => {
  const [one, two] = [save('one.pem', 'ab'), save('two.pem', 'c')];
  const tickets = new Tickets(listenersOf(one, two), 0);
  const { key } = tickets;
  save('one.pem', 'a');
  save('two.pem', 'bc');
  tickets.renew(1);
  t.not(tickets.key, key);
});
