/** Payloads and frame templates: an echo proves itself, and every frame is what the codec says. */
import fc from 'fast-check';
import t from 'tap';
import { OwnTemplate } from '../../loadgen/fleet/ownSpeech.ts';
import { KIND, Payloads, readMark } from '../../loadgen/plan/payload.ts';
import { TYPE } from '../../src/wire/message.ts';
import { V1Reader } from '../../src/wire/v1.ts';

const RUN = 0xdeadbeef;
const BYTES = { min: 16, max: 400 };

function frameOf(payloads: Payloads, device: number, number: number, topic: string, seq = number) {
  const template = new OwnTemplate(KIND.request, topic, BYTES);
  const length = payloads.lengthOf(device, number, BYTES);
  const frame = template.make(7, seq, length);
  payloads.fill(frame, template.payloadAt(), length, { device, number, kind: KIND.request });
  return frame;
}

t.test('template: every frame decodes, by the codec, to what was asked for', async (t) => {
  const payloads = new Payloads(RUN, 3, BYTES.max);
  const words = fc.stringMatching(/^[A-Za-z0-9_-]{1,60}$/);
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 2 ** 31 }), words, (device, number, topic) => {
      const reader = new V1Reader(65_536);
      reader.push(frameOf(payloads, device, number, topic));
      const message = reader.next();
      return (
        message?.type === TYPE.REQUEST &&
        message.id === 7 &&
        message.topic === topic &&
        message.meta.seq === number &&
        payloads.isSame(message.payload, device, number, KIND.request, BYTES) &&
        reader.next() === undefined
      );
    }),
  );
  t.pass();
});

t.test('template: an EVENT is an EVENT', async (t) => {
  const template = new OwnTemplate(KIND.event, 'hvac.reading', BYTES);
  const reader = new V1Reader(65_536);

  reader.push(template.make(1, 2, 0));

  const message = reader.next();
  t.match(message, { type: TYPE.EVENT, id: 1, topic: 'hvac.reading', meta: { seq: 2 } });
});

t.test('payload: one flipped bit, another device, number or kind is not the same', async (t) => {
  const payloads = new Payloads(RUN, 3, BYTES.max);
  const frame = frameOf(payloads, 5, 9, 'x');
  const length = payloads.lengthOf(5, 9, BYTES);
  const at = new OwnTemplate(KIND.request, 'x', BYTES).payloadAt();
  const payload = frame.subarray(at, at + length);

  t.ok(payloads.isSame(payload, 5, 9, KIND.request, BYTES));
  t.notOk(payloads.isSame(payload, 6, 9, KIND.request, BYTES));
  t.notOk(payloads.isSame(payload, 5, 8, KIND.request, BYTES));
  t.notOk(payloads.isSame(payload, 5, 9, KIND.event, BYTES));
  t.notOk(payloads.isSame(payload.subarray(0, -1), 5, 9, KIND.request, BYTES));
  for (let bit = 0; bit < payload.length * 8; bit += 1) {
    payload[bit >> 3] = (payload[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    if (payloads.isSame(payload, 5, 9, KIND.request, BYTES))
      t.fail(`bit ${bit} made no difference`);
    payload[bit >> 3] = (payload[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  }
});

t.test('payload: its mark says whose it is; a short one has none', async (t) => {
  const payloads = new Payloads(RUN, 3, BYTES.max);
  const frame = frameOf(payloads, 5, 9, 'x');
  const mark = readMark(frame.subarray(new OwnTemplate(KIND.request, 'x', BYTES).payloadAt()));

  t.match(mark, { run: RUN, device: 5, number: 9, kind: KIND.request });
  t.ok(mark !== undefined && payloads.isOurs(mark));
  t.equal(readMark(Buffer.alloc(15)), undefined);
});
