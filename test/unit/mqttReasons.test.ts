/** Every end of a link has its code in MQTT 5, its code in CONNACK, its code in 3.1.1. */
import t from 'tap';
import { BYE_REASONS, CLOSE_REASONS, DEVICE_ENDS, ProtocolError } from '../../src/base/errors.ts';
import { END_CODES, endCodesOf, MqttError, REASON } from '../../src/wire/mqtt/reasons.ts';

/** What a server may say (MQTT 5, sections 3.2.2.2 and 3.14.2.1; MQTT 3.1.1, 3.2.2.3). */
const IN_CONNACK = [0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90];
const IN_CONNACK_TOO = [0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f];
const IN_DISCONNECT = [0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93];
const IN_DISCONNECT_TOO = [0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f];
const IN_DISCONNECT_LAST = [0xa0, 0xa1, 0xa2];

t.test('mqtt: every end but the device’s own has its codes, which a server may say', async (t) => {
  const ends = CLOSE_REASONS.filter((reason) => !DEVICE_ENDS.some((end) => end === reason));
  t.same(Object.keys(END_CODES).sort(), [...ends].sort());
  const connack = new Set([...IN_CONNACK, ...IN_CONNACK_TOO]);
  const disconnect = new Set([...IN_DISCONNECT, ...IN_DISCONNECT_TOO, ...IN_DISCONNECT_LAST]);
  for (const [reason, codes] of Object.entries(END_CODES)) {
    t.ok(connack.has(codes.connack), `${reason} in a CONNACK`);
    t.ok(disconnect.has(codes.disconnect), `${reason} in a DISCONNECT`);
    t.ok(codes.returnCode >= 1 && codes.returnCode <= 5, `${reason} in 3.1.1`);
  }
  t.ok(BYE_REASONS.length > 10);
});

t.test('mqtt: what a device did wrong may have a code of its own', async (t) => {
  const error = new MqttError('unexpected', REASON.qos, 'a PUBLISH of QoS 2');
  t.equal(endCodesOf('unexpected', error).disconnect, REASON.qos);
  t.equal(endCodesOf('draining', error).disconnect, REASON.shuttingDown);
  t.equal(endCodesOf('taken-over', undefined).disconnect, REASON.takenOver);
  const other = new ProtocolError('auth-failed', 'no proof');
  t.equal(endCodesOf('auth-failed', other).connack, REASON.notAuthorized);
});
