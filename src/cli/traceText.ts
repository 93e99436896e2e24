/**
 * TraceText: the entries of a trace as lines for people. Each has its time, what happened, and how
 * long after the message that it belongs to.
 * From: traceCommand.ts.  To: a terminal.
 * Bound: the times of SINCE_MAX messages are remembered, and a payload's line is one line.
 */
import { STATUS } from '../base/errors.ts';
import type { TraceEntry } from '../node/traceEntry.ts';
import { clockOf } from './statusWords.ts';

const SINCE_MAX = 1_000;
const SINCE_COLUMN = 76;
const TEXT_MAX = 200;
const ARROWS: Readonly<Record<string, string>> = { in: '->', out: '<-' };
/** What follows a message of the device, or of Owsla, names the same id. */
const FIRST = ['EVENT', 'REQUEST', 'COMMAND'];
const OF_COMMAND = ['COMMAND', 'RESULT', 'taken', 'answered', 'stray'];
const STATUS_WORDS = new Map<number, string>(
  Object.entries(STATUS).map(([word, status]) => [status, word]),
);

export class TraceText {
  /** When each message began, by whose it is and its id; the oldest first. */
  readonly #since = new Map<string, number>();
  #link = '';

  /** The lines of one entry. */
  linesOf(entry: TraceEntry): string[] {
    const { at, link, kind } = entry;
    const lines: string[] = [];
    if (link !== '' && link !== this.#link) {
      lines.push(`${exactClock(at)}  == link ${link}, acceptor ${entry.acceptor}`);
      this.#link = link;
    }
    const arrow = ARROWS[kind] ?? '  ';
    const head = `${exactClock(at)}  ${arrow} ${wordsOf(entry)}`;
    const since = this.#sinceOf(entry);
    lines.push(since === '' ? head : `${head.padEnd(SINCE_COLUMN)} ${since}`);
    if (entry.payload !== undefined) lines.push(`${' '.repeat(17)}= ${payloadOf(entry)}`);
    return lines.map((line) => line.replaceAll(/\p{Cc}/gu, '?'));
  }

  #sinceOf({ link, kind, what, id, ms }: TraceEntry): string {
    if (!id) return '';
    // An ACK of the device is about a COMMAND.
    const isCommand = OF_COMMAND.includes(what) || (kind === 'in' && what === 'ACK');
    const key = `${link} ${isCommand ? 'command' : 'device'} ${id}`;
    const began = this.#since.get(key);
    if (!FIRST.includes(what)) return began === undefined ? '' : `+${(ms - began).toFixed(1)} ms`;
    this.#since.set(key, ms);
    for (const oldest of this.#since.keys()) {
      if (this.#since.size <= SINCE_MAX) break;
      this.#since.delete(oldest);
    }
    return '';
  }
}

/** The time of day here, with ms. */
function exactClock(at: number): string {
  return `${clockOf(at)}.${String(new Date(at).getMilliseconds()).padStart(3, '0')}`;
}

function wordsOf(entry: TraceEntry): string {
  const { kind, what, facts = {} } = entry;
  if (kind === 'lost') {
    const where = entry.acceptor === 0 ? 'the observer' : `acceptor ${entry.acceptor}`;
    return `!! ${facts.lost} entries were lost here, in ${where}: they were not read in time`;
  }
  const of = kind === 'broker' || kind === 'command' ? `${kind}: ` : '';
  const id = entry.id === undefined ? '' : ` ${entry.id}`;
  const topic = entry.topic === undefined ? '' : ` ${entry.topic}`;
  const name = kind === 'link' ? LINK_WORDS[what] : `${of}${what}${id}${topic}`;
  return [name ?? what, ...sizesOf(entry), ...factsOf(facts)].join(', ');
}

const LINK_WORDS: Readonly<Record<string, string>> = {
  found: '== it is connected already',
  end: '== the link has ended',
};

function sizesOf({ kind, bytes, payloadBytes, status, reason }: TraceEntry): string[] {
  const isFrame = kind === 'in' || kind === 'out';
  const word = status === undefined ? undefined : STATUS_WORDS.get(status);
  const meaning = word === undefined ? '' : ` (${word})`;
  return [
    ...(status === undefined ? [] : [`status ${status}${meaning}`]),
    ...(reason === undefined ? [] : [reason]),
    ...(payloadBytes === undefined ? [] : [`${payloadBytes} bytes`]),
    ...(isFrame && bytes !== undefined && payloadBytes === undefined ? [`${bytes} bytes`] : []),
  ];
}

function factsOf(facts: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(facts).map(([name, value]) => (value === true ? name : `${name} ${value}`));
}

/** As text if it is some, or in hexadecimal. */
function payloadOf({ payload = '', payloadBytes = 0 }: TraceEntry): string {
  const bytes = Buffer.from(payload, 'base64');
  const text = bytes.toString('utf8');
  const isText = !/[\p{Cc}\uFFFD]/u.test(text.replaceAll(/[\t\r\n]/g, ' '));
  const shown = isText ? JSON.stringify(text) : bytes.toString('hex');
  const more = bytes.length < payloadBytes || shown.length > TEXT_MAX ? ' ...' : '';
  return `${shown.slice(0, TEXT_MAX)}${more}`;
}
