/**
 * Topics: those of MQTT and Owsla's, both ways: `a/b/c` is `a.b.c`. And the names below `$owsla/`,
 * by which devices of any version ask, are commanded and answer.
 * From: mqttProtocol.ts and its parts.  To: the same.
 * Bound: pure. Words of `[A-Za-z0-9_-]`, 1 to TOPIC_BYTES_MAX bytes in all: so each way is exact.
 */
import { STATUS_MAX } from '../../base/errors.ts';
import { TOPIC_BYTES_MAX } from '../../base/names.ts';

const OWN = '$owsla/';
const REQUEST = `${OWN}request/`;
const RESULT = `${OWN}result/`;
export const REPLY_PREFIX = `${OWN}reply/`;
export const COMMAND_PREFIX = `${OWN}command/`;

const NAME = /^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/;
const WORD = /^[A-Za-z0-9_-]{1,64}$/;
const KEY_HEX = /^[0-9a-f]{32}$/;
const STATUS_DIGITS = /^(?:0|[1-9]\d{0,4})$/;

/** What a PUBLISH of a device is, by its topic. */
export type Addressed =
  | { readonly as: 'event'; readonly topic: string }
  | { readonly as: 'request'; readonly topic: string; readonly replyTo: string }
  | { readonly as: 'result'; readonly key: string; readonly status: number };

/** `a.b.c`; undefined: it cannot be one of Owsla's. */
export function dotted(name: string): string | undefined {
  if (name.length > TOPIC_BYTES_MAX || !NAME.test(name)) return undefined;
  return name.includes('/') ? name.replaceAll('/', '.') : name;
}

/** Of Owsla's `a.b.c`. */
export function slashed(topic: string): string {
  return topic.includes('.') ? topic.replaceAll('.', '/') : topic;
}

/** Undefined: no topic that Owsla takes. */
export function addressedBy(name: string): Addressed | undefined {
  if (!name.startsWith('$')) {
    const topic = dotted(name);
    return topic === undefined ? undefined : { as: 'event', topic };
  }
  if (name.startsWith(REQUEST)) return requestBy(name.slice(REQUEST.length));
  if (name.startsWith(RESULT)) return resultBy(name.slice(RESULT.length));
  return undefined;
}

/** `<id>/<topic>`: the id is the device's own, and comes back with the answer. */
function requestBy(rest: string): Addressed | undefined {
  const at = rest.indexOf('/');
  const id = rest.slice(0, Math.max(0, at));
  const topic = dotted(rest.slice(at + 1));
  if (topic === undefined || !WORD.test(id)) return undefined;
  return { as: 'request', topic, replyTo: `${REPLY_PREFIX}${id}/` };
}

/** `<key>/<status>`. */
function resultBy(rest: string): Addressed | undefined {
  const at = rest.indexOf('/');
  const key = rest.slice(0, Math.max(0, at));
  const digits = rest.slice(at + 1);
  const status = Number(digits);
  if (!KEY_HEX.test(key) || !STATUS_DIGITS.test(digits) || status > STATUS_MAX) return undefined;
  return { as: 'result', key, status };
}

/** Filters that take all COMMANDs; each is a bit of what a link remembers. */
const COMMAND_FILTERS = [`${COMMAND_PREFIX}#`, `${COMMAND_PREFIX}+/#`, `${OWN}#`];
/** Filters that take all REPLYs: their bits follow. REPLYs come without them, too. */
const REPLY_FILTERS = [`${REPLY_PREFIX}#`, `${REPLY_PREFIX}+/#`, `${REPLY_PREFIX}+/+`];
const FILTERS = [...COMMAND_FILTERS, ...REPLY_FILTERS];
/** Any of these bits: COMMANDs may be sent. */
export const COMMAND_BITS = 2 ** COMMAND_FILTERS.length - 1;

/** A filter that Owsla grants: its bit, 0 for one that needs none; undefined: it does not. */
export function filterBit(filter: string): number | undefined {
  const index = FILTERS.indexOf(filter);
  if (index >= 0) return 2 ** index;
  // An answer to one's own request, wherever one asked it to go.
  return filter.startsWith(REPLY_PREFIX) && !/[+#]/.test(filter) ? 0 : undefined;
}

/** It may be the name of a topic: no wildcards, not empty. */
export function isName(text: string): boolean {
  return text.length > 0 && !/[+#]/.test(text);
}

/** A filter as both standards have them: `+` alone in its level, `#` too, and last. */
export function isFilter(text: string): boolean {
  if (text.length === 0) return false;
  const levels = text.split('/');
  return levels.every((level, at) => {
    if (level === '#') return at === levels.length - 1;
    return level === '+' || !/[+#]/.test(level);
  });
}

/** `$share/<name>/<filter>` (MQTT 5, section 4.8.2). */
export function isShared(filter: string): boolean {
  return filter.startsWith('$share/');
}
