/**
 * Meta: what a PUBLISH says besides its topic and payload, where Owsla has a word for it.
 * From: publish.ts.  To: the `meta` of EVENT and REQUEST.
 * Bound: pure; TRACE_TEXT_BYTES_MAX of a text. User properties that have no meaning here, or a form
 * that is none, are left out: they cost nothing.
 */
import { TRACE_TEXT_BYTES_MAX } from '../../base/traceContext.ts';
import type { Meta } from '../message.ts';

const NO_META: Meta = {};
const RETAINED: Meta = { retain: true };
/** Below 2^53. */
const DIGITS = /^\d{1,15}$/;

/** User properties that have a meaning; '': what was there is no text. */
export interface UserTexts {
  seq?: string;
  at?: string;
  traceparent?: string;
  tracestate?: string;
}

export function metaOf(isRetained: boolean, user: UserTexts | undefined): Meta {
  if (user === undefined) return isRetained ? RETAINED : NO_META;
  const { seq, at, traceparent, tracestate } = user;
  return {
    ...(isRetained ? RETAINED : NO_META),
    ...numbered('seq', seq),
    ...numbered('at', at),
    ...traced('traceparent', traceparent),
    ...traced('tracestate', tracestate),
  };
}

function numbered(name: 'seq' | 'at', text: string | undefined): Meta {
  return text !== undefined && DIGITS.test(text) ? { [name]: Number(text) } : NO_META;
}

/** One that is too long is no text: the uplink counts it as such. */
function traced(name: 'traceparent' | 'tracestate', text: string | undefined): Meta {
  if (text === undefined) return NO_META;
  return { [name]: text.length <= TRACE_TEXT_BYTES_MAX ? text : '' };
}
