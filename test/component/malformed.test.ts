/** Malformed input on live endpoints: each case has its code, its counters, and costs one link. */
import t, { type Test } from 'tap';
import { ERROR_CODES, type FatalCode } from '../../src/base/errors.ts';
import { TYPE } from '../../src/wire/message.ts';
import { encode } from '../../src/wire/v1.ts';
import { type Device, event, hello } from '../helpers/fakes/device.ts';
import { Served } from '../helpers/worlds/endpoints.ts';

interface Malformed {
  readonly name: string;
  /** The frame without its length; `raw` has it included. */
  readonly payload?: string;
  readonly raw?: string;
  readonly code: FatalCode;
  /** A HELLO goes before it unless this says otherwise. */
  readonly isFirst?: true;
}

function first(name: string, payload: string, code: FatalCode): Malformed {
  return { name, payload, code, isFirst: true };
}
function then(name: string, payload: string, code: FatalCode): Malformed {
  return { name, payload, code };
}
function bytes(name: string, raw: string, code: FatalCode): Malformed[] {
  return [
    { name: `${name}, first`, raw, code, isFirst: true },
    { name: `${name}, after HELLO`, raw, code },
  ];
}

const A_65 = 'd941'.concat('41'.repeat(65));
const a_129 = 'd981'.concat('61'.repeat(129));
// A HELLO's array of 4 up to its options, and an EVENT's up to its payload or its meta.
const HELLO = '940101a164';
const EVENT = '940501a174';
const EVENT_META = '950501a174c40178';

const TABLE: readonly Malformed[] = [
  // Lengths.
  ...bytes('a frame of length 0', '00000000', 'bad-frame'),
  ...bytes('a length one above the limit', '00010001', 'frame-too-long'),
  ...bytes('the highest length', 'ffffffff', 'frame-too-long'),
  ...bytes('text of another protocol', Buffer.from('GET / HTTP').toString('hex'), 'frame-too-long'),
  // No MessagePack, or not one array.
  ...bytes('the byte c1', '00000001c1', 'bad-frame'),
  ...bytes('an empty array', '0000000190', 'bad-frame'),
  ...bytes('a number instead of an array', '0000000105', 'bad-frame'),
  ...bytes('a map instead of an array', '00000003810103', 'bad-frame'),
  ...bytes('nil instead of an array', '00000001c0', 'bad-frame'),
  ...bytes('an array of 2^32-1 elements', '00000006ddffffffff03', 'bad-frame'),
  ...bytes('a cut array header', '00000002dc00', 'bad-frame'),
  ...bytes('nested arrays without end', `00000040${'91'.repeat(64)}`, 'bad-frame'),
  then('two arrays in one frame', '91039103', 'bad-frame'),
  then('a byte behind the array', '910300', 'bad-frame'),
  then('an ext payload', `${EVENT}d40100`, 'bad-frame'),
  then('an ext element that would be ignored', '9203c7010500', 'bad-frame'),
  then('a timestamp ext in meta', `${EVENT_META}81a26174d6ff69558a00`, 'bad-frame'),
  then('the byte c1 as an element that would be ignored', '9203c1', 'bad-frame'),
  then('a level too many', `960501a174c4017880${'91'.repeat(3)}90`, 'bad-frame'),
  then('a level too many in meta', `${EVENT_META}81a16491919180`, 'bad-frame'),
  then('a map key that is no str, ignored map', `${EVENT_META}81a16481c4016b01`, 'bad-frame'),
  then('a str of 2^32-1 bytes', '940501dbffffffff74', 'bad-frame'),
  then('a bin of 2^32-1 bytes', `${EVENT}c6ffffffff78`, 'bad-frame'),
  // The type.
  first('a type that is a str', '92a13501', 'bad-frame'),
  then('a type that is nil', '91c0', 'bad-frame'),
  then('a type that is a fraction', '93cb401600000000000001a174', 'bad-frame'),
  first('the unknown type 0', '9100', 'unexpected'),
  then('the unknown type 13', '920d01', 'unexpected'),
  then('the unknown type -1', '91ff', 'unexpected'),
  then('the unknown type 2^64-1', '91cfffffffffffffffff', 'unexpected'),
  // HELLO missing, twice, or wrong.
  first('PING before HELLO', '9103', 'unexpected'),
  first('EVENT before HELLO', `${EVENT}c40178`, 'unexpected'),
  first('RESULT before HELLO', '930a0100', 'unexpected'),
  first('BYE before HELLO', '910b', 'unexpected'),
  then('a second HELLO', `${HELLO}80`, 'unexpected'),
  first('HELLO without a version', '9101', 'bad-frame'),
  first('a version that is a str', '9301a131a164', 'bad-frame'),
  first('version 2', '930102a164', 'version'),
  first('version 0', '930100a164', 'version'),
  first('version 2 of another shape', '92010281a164c0', 'version'),
  first('HELLO without a deviceId', '920101', 'bad-frame'),
  first('a nil deviceId', '930101c0', 'bad-frame'),
  first('a bin deviceId', '930101c40164', 'bad-frame'),
  first('an empty deviceId', '930101a0', 'bad-device-id'),
  first('a deviceId with a dot', '930101a3612e62', 'bad-device-id'),
  first('a deviceId with a line feed', '930101a2640a', 'bad-device-id'),
  first('a deviceId of 65 bytes', `930101${A_65}`, 'bad-device-id'),
  first('a deviceId in UTF-8', '930101a2c3bc', 'bad-device-id'),
  first('options that are an array', `${HELLO}90`, 'bad-frame'),
  first('an option key that is a number', `${HELLO}810101`, 'bad-frame'),
  first('a keepalive that is a str', `${HELLO}81a96b656570616c697665a23630`, 'bad-frame'),
  first('a negative keepalive', `${HELLO}81a96b656570616c697665ff`, 'bad-frame'),
  first('a token that is a number', `${HELLO}81a5746f6b656e01`, 'bad-frame'),
  first('a frameBytesMax of 0', `${HELLO}81ad6672616d6542797465734d617800`, 'bad-frame'),
  // Messages that only Owsla sends.
  then('WELCOME from a device', `9202c410${'00'.repeat(16)}`, 'unexpected'),
  then('REPLY from a device', '94080100c400', 'unexpected'),
  then('COMMAND from a device', '930901a174', 'unexpected'),
  then('ERROR from a device', '930ca178a179', 'unexpected'),
  // Ids.
  then('EVENT without an id', '9105', 'bad-frame'),
  then('a nil id', '9305c0a174', 'bad-frame'),
  then('an id that is a fraction', '9305cb3ff8000000000000a174', 'bad-frame'),
  then('an id that is no number', '9305cb7ff8000000000000a174', 'bad-frame'),
  then('a negative id', '9305ffa174', 'bad-id'),
  then('an id of 2^32', '9305cf0000000100000000a174', 'bad-id'),
  then('REQUEST with id 0', '930700a174', 'bad-id'),
  then('ACK with id 0', '920600', 'bad-id'),
  then('RESULT with id 0', '930a0000', 'bad-id'),
  // Topics, payloads, meta, status, reason.
  then('EVENT without a topic', '920501', 'bad-frame'),
  then('a bin topic', '930501c40174', 'bad-frame'),
  then('an empty topic', '930501a0', 'bad-topic'),
  then('a topic of 129 bytes', `930501${a_129}`, 'bad-topic'),
  then('a topic with a wildcard', '930701a3612e2a', 'bad-topic'),
  then('a topic with an empty word', '930501a4612e2e62', 'bad-topic'),
  then('a topic that ends in a dot', '930501a2612e', 'bad-topic'),
  then('a payload that is a number', `${EVENT}2a`, 'bad-frame'),
  then('a payload that is a map', `${EVENT}80`, 'bad-frame'),
  then('meta that is a bin', `${EVENT_META}c40179`, 'bad-frame'),
  then('a negative seq', `${EVENT_META}81a3736571ff`, 'bad-frame'),
  then('a seq of 2^53', `${EVENT_META}81a3736571cf0020000000000000`, 'bad-frame'),
  then('an at that is a str', `${EVENT_META}81a26174a46e6f6f6e`, 'bad-frame'),
  then('RESULT without a status', '920a01', 'bad-frame'),
  then('RESULT with status 65536', '930a01ce00010000', 'bad-frame'),
  then('a BYE reason that is a number', '920b01', 'bad-frame'),
  then('a negative retryAfter', '930ba178ff', 'bad-frame'),
];

function framed({ payload = '', raw }: Malformed): Buffer {
  if (raw !== undefined) return Buffer.from(raw, 'hex');
  const body = Buffer.from(payload, 'hex');
  const header = Buffer.alloc(4);
  header.writeUInt32BE(body.length);
  return Buffer.concat([header, body]);
}

async function check(t: Test, served: Served, other: Device, malformed: Malformed) {
  const { code, isFirst } = malformed;
  const { counters, routes } = served;
  const before = {
    errors: { ...counters.errors },
    closes: { ...counters.closes },
    links: counters.links,
  };
  const device = await served.connect();
  const sent = isFirst ? [] : [encode(hello('broken'))];

  device.sendBytes(Buffer.concat([...sent, framed(malformed), encode(event(7))]));
  const answers = await device.rest();

  if (!isFirst) t.equal(answers.shift()?.type, TYPE.WELCOME);
  t.match(answers, [
    { type: TYPE.ERROR, code, message: /./ },
    { type: TYPE.BYE, reason: code, retryAfter: undefined },
  ]);
  before.errors[code] = (before.errors[code] ?? 0) + 1;
  before.closes[code] = (before.closes[code] ?? 0) + 1;
  t.same(counters.errors, before.errors, 'its ERROR is counted once, no other');
  t.same(counters.closes, before.closes, 'its close is counted once, no other');
  t.equal(counters.links, before.links, 'its link is over');
  t.same(routes.ids('broken'), [], 'what came behind it is not handled');
  other.send({ type: TYPE.PING });
  t.match(await other.next(), { type: TYPE.PONG }, 'another link answers PING, and gets no more');
}

for (const transport of ['TCP', 'pair'] as const) {
  t.test(`malformed: each input costs its own link only (${transport})`, async (t) => {
    const served = new Served(transport, {});
    await served.begin();
    const other = await served.open('other');
    for (const malformed of TABLE) {
      await t.test(`malformed: ${malformed.name} is ${malformed.code}`, (t) =>
        check(t, served, other, malformed),
      );
    }
    await served.end();
  });
}

t.test(
  'malformed: the table has at least 25 inputs and every code that input can cause',
  async (t) => {
    t.ok(TABLE.length >= 25, `${TABLE.length} inputs`);
    const caused = new Set(TABLE.map(({ code }) => code));
    const others = ERROR_CODES.filter((code) => !caused.has(code as FatalCode));
    // bad-id of an id that does not rise is in endpoint.test.ts; proofs: authenticating.test.ts.
    t.same(others, ['auth-failed', 'not-supported', 'not-allowed']);
  },
);
