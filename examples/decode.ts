/**
 * decode.ts - what Owsla sends to a device: msgpackr's MessagePack, checked as the protocol asks.
 *
 * docs/protocol.md has the types and the kinds of their elements; test/unit/vectors.test.ts checks
 * this file against the test vectors at that page's end.
 * Bound: one frame in, one message out; a broken one throws, and costs the link.
 */
import { Packr } from 'msgpackr';

export const [HELLO, WELCOME, PING, PONG, EVENT, ACK, REQUEST, REPLY, COMMAND, RESULT, BYE, ERROR] =
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] as const;

/** What of a WELCOME's or a COMMAND's map this device knows. */
export interface Known {
  readonly keepalive?: number;
  readonly frameBytesMax?: number;
  readonly time?: number;
  readonly expiresIn?: number;
  readonly key?: Uint8Array;
}

/** Kinds of the elements behind the type: uint, str, bin, map; capital letters: required. */
const SHAPES: Readonly<Record<number, string>> = {
  [WELCOME]: 'Bm',
  [ACK]: 'U',
  [REPLY]: 'UUb',
  [COMMAND]: 'USbm',
  [BYE]: 'su',
  [ERROR]: 'ssuu',
};
const UINT_KEYS: readonly unknown[] = ['keepalive', 'frameBytesMax', 'time', 'expiresIn'];

const packr = new Packr({ useRecords: false, int64AsType: 'number', mapsAsObjects: false });

const isUint = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 0;

const IS: Readonly<Record<string, (value: unknown) => boolean>> = {
  u: isUint,
  s: (value) => typeof value === 'string',
  b: (value) => value instanceof Uint8Array,
  m: (value) => value instanceof Map,
};

/** No ext type, and all map keys are str: also where a later version added it. */
function isPlain(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isPlain);
  if (!(value instanceof Map)) {
    const isItem = ['number', 'bigint', 'string', 'boolean'].includes(typeof value);
    return isItem || value === null || value instanceof Uint8Array;
  }
  return [...value].every(([key, item]) => typeof key === 'string' && isPlain(item));
}

function checkElement(kind: string, value: unknown): void {
  const isRequired = kind !== kind.toLowerCase();
  if (value === undefined && !isRequired) return;
  if (!IS[kind.toLowerCase()]?.(value)) throw new Error('an element is missing or of a wrong kind');
}

/** Nil is as missing, and so is a key that is no bin: such a COMMAND is refused, not broken. */
function known(map: Map<string, unknown>): Known {
  for (const [name, value] of map) {
    const isBroken = UINT_KEYS.includes(name) && value !== null && !isUint(value);
    if (isBroken) throw new Error(`${name} is not a uint`);
    if (value === null || (name === 'key' && !IS.b?.(value))) map.delete(name);
  }
  return Object.fromEntries(map);
}

/** A frame without its length, as its type and its elements; what is nil is undefined. */
export function decode(payload: Buffer): [type: number, ...elements: unknown[]] {
  const fields: unknown = packr.unpack(payload);
  if (!Array.isArray(fields) || !isPlain(fields)) throw new Error('not what the protocol has');
  const [type, ...elements] = fields.map((value) => value ?? undefined);
  if (!isUint(type)) throw new Error('no type');
  const shape = SHAPES[type] ?? '';
  for (const [at, kind] of [...shape].entries()) checkElement(kind, elements[at]);
  return [type, ...elements.map((value) => (value instanceof Map ? known(value) : value))];
}
