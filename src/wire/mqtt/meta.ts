/**
 * Meta: what a PUBLISH says besides its topic and payload, where Owsla has a word for it.
 * From: mqttProtocol.ts, with a packet that was checked.  To: the `meta` of EVENT and REQUEST.
 * Bound: pure; TRACE_TEXT_BYTES_MAX of a text. User properties that have no meaning here, or a form
 * that is none, are left out: they cost nothing.
 */
import type { IPublishPacket } from 'mqtt-packet';
import { TRACE_TEXT_BYTES_MAX } from '../../base/traceContext.ts';
import type { Meta } from '../message.ts';

const NO_META: Meta = {};
const RETAINED: Meta = { retain: true };
/** Below 2^53. */
const DIGITS = /^\d{1,15}$/;

export function metaOf({ retain, properties }: IPublishPacket): Meta {
  const user = properties?.userProperties;
  if (user === undefined) return retain ? RETAINED : NO_META;
  const { seq, at, traceparent, tracestate } = user;
  return {
    ...(retain ? RETAINED : NO_META),
    ...numbered('seq', seq),
    ...numbered('at', at),
    ...traced('traceparent', traceparent),
    ...traced('tracestate', tracestate),
  };
}

type Text = string | string[] | undefined;

function numbered(name: 'seq' | 'at', text: Text): Meta {
  return typeof text === 'string' && DIGITS.test(text) ? { [name]: Number(text) } : NO_META;
}

/** One that is there twice, or too long, is no text: the uplink counts it as such. */
function traced(name: 'traceparent' | 'tracestate', text: Text): Meta {
  if (text === undefined) return NO_META;
  const isText = typeof text === 'string' && text.length <= TRACE_TEXT_BYTES_MAX;
  return { [name]: isText ? text : '' };
}
