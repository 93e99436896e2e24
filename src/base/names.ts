/**
 * Names: the valid device ids and topics, for devices, backends and operators alike.
 * From: nothing; constants.  To: the protocols, commands.
 * Bound: 64 and 128 bytes, all of them ASCII: characters are bytes, and fit into a routing key. A
 * note may have any.
 */
export const DEVICE_ID = /^[A-Za-z0-9_-]{1,64}$/;
/** For who gave another one. */
export const DEVICE_ID_RULE = 'a device id is 1 to 64 of A-Z a-z 0-9 _ -';
export const TOPIC = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;
export const TOPIC_BYTES_MAX = 128;
/** An operator's note on a device that is blocked, in characters. */
export const NOTE_MAX = 200;

const TOPIC_PATTERN = /^(?:[A-Za-z0-9_-]+|\*|#)(?:\.(?:[A-Za-z0-9_-]+|\*|#))*$/;
const TOPIC_PATTERN_MAX = 255;

export function isTopic(text: string): boolean {
  return text.length <= TOPIC_BYTES_MAX && TOPIC.test(text);
}

/** An AMQP pattern of topics: `*` is one word, `#` none or more. */
export function isTopicPattern(text: string): boolean {
  return text.length <= TOPIC_PATTERN_MAX && TOPIC_PATTERN.test(text);
}
