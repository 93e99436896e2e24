/**
 * Vectors: the test vectors at the end of docs/protocol.md, as frames and messages.
 * From: the block fenced as `vectors` there, the one file that the C example and these tests read.
 * To: tests of codecs.
 * Bound: strict; a line that is not as the page says, or a name used twice, is an Error.
 */
import { readFileSync } from 'node:fs';
import { type Message, TYPE } from '../../src/wire/message.ts';
import { CODE } from '../../src/wire/v1Types.ts';

export const PROTOCOL_PAGE = new URL('../../docs/protocol.md', import.meta.url);

/** What a line says its frame means: the fields by their names in the page's tables. */
export interface Meaning {
  readonly [field: string]: unknown;
}

export interface Vector {
  readonly name: string;
  /** `up`: from a device. `down`: to a device. */
  readonly direction: 'up' | 'down';
  /** `exact`: what an encoder gives. `also`: a decoder takes it. `error`: it is refused. */
  readonly form: 'exact' | 'also' | 'error';
  /** The whole frame, length included. */
  readonly frame: Buffer;
  readonly meaning: Meaning;
}

function isOneOf<Word extends string>(word: string, words: readonly Word[]): word is Word {
  return words.some((known) => known === word);
}

function parseLine(line: string): Vector {
  const [name = '', direction = '', form = '', hex = '', json, ...rest] = line.split(' | ');
  const digits = hex.replaceAll(' ', '');
  if (
    !/^[a-z0-9-]+$/.test(name) ||
    !isOneOf(direction, ['up', 'down']) ||
    !isOneOf(form, ['exact', 'also', 'error']) ||
    !/^(?:[0-9a-f]{2})+$/.test(digits) ||
    json === undefined ||
    rest.length > 0
  ) {
    throw new Error(`not a test vector: ${line}`);
  }
  const meaning = JSON.parse(json) as Meaning;
  return { name, direction, form, frame: Buffer.from(digits, 'hex'), meaning };
}

/** All vectors of a page, in its order. */
export function parseVectors(page: string): Vector[] {
  const block = /^```vectors\n(.*?)^```$/ms.exec(page)?.[1];
  if (block === undefined) throw new Error('the page has no block of test vectors');
  const lines = block.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const vectors = lines.map(parseLine);
  const names = new Set(vectors.map((vector) => vector.name));
  if (names.size !== vectors.length) throw new Error('a name of a test vector is used twice');
  return vectors;
}

/** The vectors of docs/protocol.md. */
export function loadVectors(): Vector[] {
  return parseVectors(readFileSync(PROTOCOL_PAGE, 'utf8'));
}

/** The JSON fields that hold bytes, in hex. */
const BYTES = ['connectionId', 'payload', 'key'];

/** Bytes from hex, nil as undefined. */
function plain(fields: Meaning): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (BYTES.includes(name)) return [name, Buffer.from(String(value), 'hex')];
      return [name, value ?? undefined];
    }),
  );
}

/** The page has numbers. */
function typeOf(code: unknown): string | undefined {
  return Object.entries(CODE).find(([, known]) => known === code)?.[0];
}

/** The will of a HELLO, if its options have one. */
function willIn(options: unknown): { will?: Record<string, unknown> } {
  const { will } = (options ?? {}) as { readonly will?: Meaning };
  if (will === undefined) return {};
  const { delay = 0, ...rest } = plain(will);
  return { will: { ...rest, delayMs: delay } };
}

/** What the line's frame means, as src/wire/message.ts has it. */
export function messageOf(vector: Vector): Message {
  const { options, meta, ...rest } = vector.meaning;
  const fields = plain({ ...rest, type: typeOf(rest.type) });
  const inner = plain((options ?? meta ?? {}) as Meaning);
  switch (fields.type) {
    case TYPE.HELLO:
      Object.assign(fields, { token: undefined, keepalive: undefined, frameBytesMax: undefined });
      return Object.assign(fields, inner, willIn(options)) as unknown as Message;
    case TYPE.WELCOME:
      return Object.assign(fields, inner) as unknown as Message;
    case TYPE.COMMAND:
      Object.assign(fields, { key: undefined, expiresIn: undefined });
      return Object.assign(fields, inner) as unknown as Message;
    case TYPE.EVENT:
    case TYPE.REQUEST:
      return Object.assign(fields, { meta: inner }) as unknown as Message;
    default:
      return fields as unknown as Message;
  }
}

/** Types of what Owsla sends. */
const DOWN: readonly unknown[] = [
  CODE.welcome,
  CODE.ping,
  CODE.pong,
  CODE.ack,
  CODE.reply,
  CODE.command,
  CODE.bye,
  CODE.error,
];

/** A whole frame that is not for a device to get: it passes over it. Owsla never sends such. */
export function isPassedOver({ direction, form, meaning }: Vector): boolean {
  return direction === 'down' && form !== 'error' && !DOWN.includes(meaning.type);
}

/** The code of ERROR that an `error` line ends in. */
export function errorOf(vector: Vector): string {
  const { error } = vector.meaning;
  if (typeof error !== 'string') throw new Error(`${vector.name} names no error`);
  return error;
}
