/**
 * Fault: what is wrong with a protocol module, or with what it made of a device's bytes.
 * From: said.ts, shape.ts, moduleProtocol.ts.  To: a link's end, and a line of the log.
 * Bound: of fixed words, numbers, and a place in the author's source: a device's bytes, which an
 * author may have put into an error's text, reach no log by this.
 */
import { ProtocolError } from '../../base/errors.ts';

/** Of a line of a stack: a file's name, line and column. */
const PLACE = /^\s+at .*?([\w.-]{1,64}:\d{1,7}:\d{1,7})\)?$/m;
const NAME = /^[A-Za-z]{1,40}$/;

/** A module's function gave what cannot be used: `what` is of fixed words. */
export class NonsenseError extends Error {}

/** A link's end by its module's function `fn`. */
export class ModuleFault extends ProtocolError {
  readonly fn: string;
  /** It did not throw, but gave what cannot be used. */
  readonly isNonsense: boolean;

  constructor(fn: string, thrown: unknown) {
    const isNonsense = isOne(thrown, NonsenseError);
    const what = isNonsense ? thrown.message : `threw${placeOf(thrown)}`;
    super('bad-frame', `the protocol module’s ${fn} ${what}`);
    // One may be thrown, too.
    isHushed(thrown, 2);
    this.fn = fn;
    this.isNonsense = isNonsense;
    this.cause = thrown;
  }
}

/** Of some proxies not even that can be asked. */
function isOne<E extends Error>(thrown: unknown, kind: new (...given: never[]) => E): thrown is E {
  try {
    return thrown instanceof kind;
  } catch {
    return false;
  }
}

/** The error of a link whose module threw, or gave nonsense, in that function of its. */
export function faultOf(fn: string, thrown: unknown): ProtocolError {
  return isOne(thrown, ProtocolError) ? thrown : new ModuleFault(fn, thrown);
}

/** Whatever was thrown may throw again, when it is looked at. */
function placeOf(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return '';
    const { name, stack } = thrown;
    const [, place] = PLACE.exec(String(stack).slice(0, 4_096)) ?? [];
    const what = NAME.test(name) ? ` ${name}` : '';
    return place === undefined ? what : `${what} at ${place}`;
  } catch {
    return '';
  }
}

/**
 * An async function's promise may be rejected with nobody there to hear: that would end us. It is
 * heard here, and is nonsense; what is in the fields or the items of `value` is, too.
 */
export function hushPromise(value: unknown, depth = 0): void {
  if (isHushed(value, depth)) throw new NonsenseError('gave a promise: it must answer at once');
}

/** Whatever throws when it is looked at is no promise, and hides none of its neighbours. */
function isHushed(value: unknown, depth: number): boolean {
  try {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false;
    if ('then' in value && typeof value.then === 'function') {
      Promise.resolve(value).catch(() => {});
      return true;
    }
    return depth > 0 && areSomeHushed(value as Readonly<Record<string, unknown>>, depth - 1);
  } catch {
    return false;
  }
}

function areSomeHushed(values: Readonly<Record<string, unknown>>, depth: number): boolean {
  let isAny = false;
  for (const name of Object.keys(values)) {
    try {
      if (isHushed(values[name], depth)) isAny = true;
    } catch {
      // A getter: it has no value to hear.
    }
  }
  return isAny;
}
