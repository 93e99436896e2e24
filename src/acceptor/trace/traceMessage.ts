/**
 * TraceMessage: the fields of a message that a trace may show. What is not named here is not shown;
 * a token never is. Pure.
 * From: deviceTap.ts.  To: a trace's entries.
 * Bound: WORDS_MAX characters of what a device may make as long as it likes.
 */
import type { TraceEntry } from '../../node/traceEntry.ts';
import type { Received } from '../../wire/protocol.ts';

type Shown = Pick<TraceEntry, 'id' | 'topic' | 'status' | 'reason' | 'facts'>;

/** Beside what is shown, the payload: it is shown only if asked for. */
export interface ShownMessage {
  readonly shown: Shown;
  readonly payload?: Buffer;
}

const WORDS_MAX = 200;
const HIDDEN = '***';
const NOTHING: ShownMessage = { shown: {} };

export function shownOf(message: Received): ShownMessage {
  switch (message.type) {
    case 'hello': {
      const { token, keepalive, frameBytesMax, will } = message;
      const proof = token === undefined ? {} : { token: HIDDEN };
      const willed = will && { will: will.topic, willDelay: will.delayMs };
      return { shown: known({ keepalive, frameBytesMax, ...willed }, proof) };
    }
    case 'welcome': {
      const { keepalive, frameBytesMax } = message;
      return { shown: known({ keepalive, frameBytesMax }) };
    }
    case 'event':
    case 'request': {
      const { id, topic, payload, meta } = message;
      return { shown: { id, topic, ...known({ seq: meta.seq, at: meta.at }) }, payload };
    }
    case 'ack':
      return { shown: { id: message.id } };
    case 'reply':
    case 'result': {
      const { id, status, payload } = message;
      return { shown: { id, status }, payload };
    }
    case 'command': {
      const { id, topic, payload, key, expiresIn } = message;
      const facts = known({ key: key?.toString('hex'), expiresIn });
      return { shown: { id, topic, ...facts }, payload };
    }
    case 'bye': {
      const { reason, retryAfter } = message;
      return { shown: { reason: reason.slice(0, WORDS_MAX), ...known({ retryAfter }) } };
    }
    case 'error': {
      const { code, message: sentence, id } = message;
      const about = id === undefined ? {} : { id };
      const facts = known({ message: sentence.slice(0, WORDS_MAX) });
      return { shown: { ...about, reason: code.slice(0, WORDS_MAX), ...facts } };
    }
    case 'aside':
      return { shown: { facts: { what: message.what } } };
    default:
      return NOTHING;
  }
}

type Fact = string | number | boolean | undefined;

function known(
  facts: Readonly<Record<string, Fact>>,
  more: Readonly<Record<string, string>> = {},
): Pick<Shown, 'facts'> {
  const there = Object.entries(facts).filter(([, value]) => value !== undefined);
  if (there.length === 0 && Object.keys(more).length === 0) return {};
  return { facts: { ...(Object.fromEntries(there) as Record<string, string>), ...more } };
}
