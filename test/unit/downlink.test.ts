/** Downlink: which replies reach a device, with which status, and what becomes of the others. */
import t from 'tap';
import { parseMessageId } from '../../src/acceptor/route/downlink.ts';
import { knownStatus } from '../../src/base/errors.ts';
import { REPLY_FATES, type ReplyFate } from '../../src/base/metrics.ts';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { Paths } from '../helpers/worlds/paths.ts';

/** How often each fate came, without the zeros. */
function fates(paths: Paths): Partial<Record<ReplyFate, number>> {
  return Object.fromEntries(
    REPLY_FATES.filter((fate) => paths.counters.deliveries[fate] !== 0).map((fate) => [
      fate,
      paths.counters.deliveries[fate],
    ]),
  );
}

t.test('downlink: a reply reaches its REQUEST, bytes untouched', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  const correlationId = paths.request(link, 7);

  paths.reply({ correlationId, body: Buffer.from([0, 255, 128]) });

  t.same(link.sent, [{ type: TYPE.REPLY, id: 7, status: 0, payload: Buffer.from([0, 255, 128]) }]);
  t.same(fates(paths), { sent: 1 });
  t.equal(link.inFlight, 0);
  t.equal(paths.requests.size, 0);
});

const ID = '00000001-1234-4abc-9def-0123456789ab';

t.test('downlink: garbage correlation ids are counted and dropped', async (t) => {
  const garbage: unknown[] = [
    undefined,
    null,
    '',
    ':',
    ':1',
    '1',
    7,
    true,
    {},
    Buffer.from(`${ID}:1`),
    ID,
    `${ID}:`,
    `${ID}: 1`,
    `${ID}:1 `,
    `${ID}:01`,
    `${ID}:+1`,
    `${ID}:-1`,
    `${ID}:0`,
    `${ID}:1.0`,
    `${ID}:1.5`,
    `${ID}:1e0`,
    `${ID}:0x1`,
    `${ID}:1:1`,
    `${ID}:NaN`,
    `${ID}:Infinity`,
    `${ID}:9007199254740992`,
    `${ID}:99999999999999999999`,
    `${ID};1`,
    ` ${ID}:1`,
    `${ID.slice(1)}:1`,
    '�'.repeat(36),
    'x'.repeat(100_000),
  ];
  const paths = new Paths();
  const link = paths.link();
  t.equal(paths.request(link, 1), `${ID}:1`);

  for (const correlationId of garbage) paths.reply({ correlationId: correlationId as string });

  t.same(fates(paths), { garbage: garbage.length });
  t.same(link.sent, []);
  t.equal(paths.requests.size, 1, 'the REQUEST still waits');
});

t.test('downlink: a well-formed id of no link here is no-link', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  paths.request(link, 1);

  paths.reply({ correlationId: `${ID.replace('1234', '1235')}:1` });
  paths.reply({ correlationId: `${ID.toUpperCase()}:1` });
  paths.reply({ correlationId: `${'z'.repeat(36)}:1` });

  t.same(fates(paths), { 'no-link': 3 });
  t.same(link.sent, []);
});

t.test('downlink: a reply for a link that is gone is no-link', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  const correlationId = paths.request(link, 1);
  paths.end(link);

  paths.reply({ correlationId });

  t.same(fates(paths), { 'no-link': 1 });
  t.equal(paths.requests.size, 0);
});

t.test('downlink: a reply never reaches another link that uses the same id', async (t) => {
  const paths = new Paths();
  const [one, two] = [paths.link(), paths.link()];
  const toOne = paths.request(one, 1);
  paths.request(two, 1);

  paths.reply({ correlationId: toOne, body: 'for one' });

  t.equal(one.sent.length, 1);
  t.same(two.sent, []);
  t.equal(paths.requests.size, 1);
});

t.test('downlink: a second reply, and one after the deadline, are late', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  const first = paths.request(link, 1);
  const second = paths.request(link, 2);

  paths.reply({ correlationId: first, body: 'a' });
  paths.reply({ correlationId: first, body: 'b' });
  paths.pass(10_000);
  paths.reply({ correlationId: second });
  paths.reply({ correlationId: `${ID}:3` });

  t.match(link.sent, [
    { id: 1, status: 0, payload: Buffer.from('a') },
    { id: 2, status: 1 },
  ]);
  t.equal(link.sent.length, 2);
  t.same(fates(paths), { sent: 1, late: 3 });
});

t.test('downlink: 0, 3, 5 and 100 to 65535 pass as status, anything else is 5', async (t) => {
  const passing = [0, 3, 5, 100, 101, 4_711, 65_535];
  const failing = [
    1,
    2,
    4,
    6,
    99,
    65_536,
    -1,
    100.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    0n,
    100n,
    '0',
    '200',
    'ok',
    '',
    null,
    true,
    false,
    {},
    { '!': 'decimal', value: { places: 0, digits: 200 } },
    [],
    [200],
    Buffer.from('200'),
  ];

  t.equal(knownStatus(undefined), 0, 'no header is ok');
  t.same(passing.map(knownStatus), passing);
  for (const header of failing) t.equal(knownStatus(header), 5, String(header));
});

t.test('downlink: the status header reaches the device', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  const headers = [{}, { status: 3 }, { status: 1 }, { status: 4_096 }, { status: '0' }];

  for (const [index, header] of headers.entries()) {
    paths.reply({ correlationId: paths.request(link, index + 1), headers: header });
  }

  t.same(
    link.sent.map((message) => 'status' in message && message.status),
    [0, 3, 5, 4_096, 5],
  );
});

t.test('downlink: a reply longer than the device takes becomes status 5', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  link.frameBytesMax = 256;

  const correlationId = paths.request(link, 1);
  paths.reply({ correlationId, body: Buffer.alloc(257), headers: { status: 200 } });

  t.match(link.sent, [{ type: TYPE.REPLY, id: 1, status: 5, payload: Buffer.alloc(0) }]);
  t.same(fates(paths), { 'too-long': 1 });
  t.equal(paths.counters.ownReplies.failed, 1, 'a REPLY that Owsla made itself is counted');
});

t.test('downlink: no REPLY frame is longer than the device takes', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  link.frameBytesMax = 300;

  for (let id = 4_294_967_000, bytes = 200; bytes <= 320; id += 1, bytes += 1) {
    const correlationId = paths.request(link, id);
    paths.reply({ correlationId, body: Buffer.alloc(bytes), headers: { status: 65_535 } });
  }

  for (const message of link.sent) t.ok(encode(message).length - 4 <= 300);
  const lost = fates(paths)['too-long'] ?? 0;
  t.ok(lost >= 20 && lost <= 40, `those near the limit pass: ${lost} of 121 did not`);
});

t.test('downlink: what comes back unroutable is answered 2, garbage is not', async (t) => {
  const paths = new Paths();
  const link = paths.link();
  const messageId = paths.request(link, 1);
  paths.request(link, 2);

  paths.downlink.onReturn(messageId);
  paths.downlink.onReturn(messageId);
  paths.downlink.onReturn('garbage');
  paths.downlink.onReturn(`${ID.replace('1234', '1235')}:2`);

  t.match(link.sent, [{ type: TYPE.REPLY, id: 1, status: 2 }]);
  t.equal(link.sent.length, 1);
  t.equal(paths.counters.ownReplies.unroutable, 1);
});

t.test('downlink: message ids parse back to what they were made of', async (t) => {
  t.same(parseMessageId(`${ID}:1`), { connectionId: ID, id: 1 });
  t.same(parseMessageId(`${ID}:4294967295`), { connectionId: ID, id: 4_294_967_295 });
});
