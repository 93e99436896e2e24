/**
 * Answer: what a backend says of a device, read with care. Pure.
 * From: authBroker.ts, bytes of anybody who may write to the queue.
 * To: authenticator.ts.
 * Bound: ANSWER_BYTES_MAX, PATTERNS_MAX. What is not exactly an answer is none: nothing here
 * guesses what a backend may have meant, least of all yes.
 */
import { isTopicPattern } from '../../base/names.ts';
import type { BackendVerdict } from '../../node/verdicts.ts';

const ANSWER_BYTES_MAX = 16_384;
/** Of topics, and of tags. */
const PATTERNS_MAX = 64;
const TAG_LENGTH_MAX = 255;
/** Later than this, in s since 1970, it is a time in ms. */
const SECONDS_MAX = 100_000_000_000;

/** The verdict; or, as a string of fixed words, what is wrong with it. */
export function readAnswer(content: Buffer): BackendVerdict | string {
  if (content.length > ANSWER_BYTES_MAX) return `longer than ${ANSWER_BYTES_MAX} bytes`;
  let given: unknown;
  try {
    given = JSON.parse(content.toString());
  } catch {
    return 'no JSON';
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return 'no JSON object';
  const { allow, expires = null, topics = null, tags = null } = given as Record<string, unknown>;
  if (typeof allow !== 'boolean') return 'allow is not true or false';
  if (expires !== null && !isSeconds(expires)) return 'expires is no time in seconds since 1970';
  if (topics !== null && !isListOf(topics, isTopicPattern)) return 'topics is no list of patterns';
  if (tags !== null && !isListOf(tags, isTag)) return 'tags is no list of strings';
  const expiresAt = expires === null ? 0 : expires * 1_000;
  return { isAllowed: allow, expiresAt, ...(topics === null ? {} : { topics }) };
}

function isSeconds(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < SECONDS_MAX;
}

function isTag(text: string): boolean {
  return text.length <= TAG_LENGTH_MAX;
}

function isListOf(value: unknown, is: (text: string) => boolean): value is string[] {
  if (!Array.isArray(value) || value.length > PATTERNS_MAX) return false;
  return value.every((one) => typeof one === 'string' && is(one));
}
