/**
 * Watch: which function of a module is running, seen from another thread; and how long each took.
 * From: the module's functions, wrapped.  To: kit.ts, by shared memory; the checks.
 * Bound: INPUT_BYTES of what the function was given.
 */
import type { ModuleOfLinks } from '../wire/module/moduleProtocol.ts';
import type { DeviceLink, DeviceProtocol } from '../wire/module/moduleTypes.ts';

const INPUT_BYTES = 64;
/** Calls so far; which one runs, from 1 on; bytes that it was given. */
const [CALLS, RUNNING, LENGTH, NUMBERS] = [0, 1, 2, 3];
const FUNCTIONS = 'connect frame read welcome command ping goodbye save'.split(
  ' ',
) as readonly FunctionName[];
type FunctionName = 'connect' | keyof DeviceLink;
const OPTIONAL = ['welcome', 'command', 'ping', 'goodbye', 'save'] as const;

export function makeWatchMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(NUMBERS * 4 + INPUT_BYTES);
}

/** For the thread that looks. */
export interface Running {
  readonly call: number;
  readonly fn: string;
  readonly length: number;
  readonly input: Buffer;
}

export function runningIn(memory: SharedArrayBuffer): Running | undefined {
  const numbers = new Int32Array(memory, 0, NUMBERS);
  const running = Atomics.load(numbers, RUNNING);
  if (running === 0) return undefined;
  const length = Atomics.load(numbers, LENGTH);
  const input = Buffer.from(new Uint8Array(memory, NUMBERS * 4).slice(0, length));
  const fn = FUNCTIONS[running - 1] ?? '';
  return { call: Atomics.load(numbers, CALLS), fn, length, input };
}

const US_PER_MS = 1_000;

/** Time that this thread has run: a busy machine does not count. */
function ownMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / US_PER_MS;
}

/** For the thread that runs it. */
export class Watch {
  longestMs = 0;
  longestFn = '';
  readonly #numbers: Int32Array;
  readonly #input: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    this.#numbers = new Int32Array(memory, 0, NUMBERS);
    this.#input = new Uint8Array(memory, NUMBERS * 4);
  }

  /** The module, each function of it seen. */
  over(module: ModuleOfLinks): ModuleOfLinks {
    const { protocol } = module;
    const connect = (saved?: unknown) =>
      this.#link(this.#call('connect', undefined, () => protocol.connect(saved)));
    const watched: DeviceProtocol = Object.assign(Object.create(protocol), { connect });
    return { ...module, protocol: watched };
  }

  #link(link: DeviceLink): DeviceLink {
    const watched: Record<string, unknown> = {
      frame: (bytes: Buffer) => this.#call('frame', bytes, () => link.frame(bytes)),
      read: (frame: Buffer) => this.#call('read', frame, () => link.read(frame)),
    };
    for (const fn of OPTIONAL) {
      const own = link[fn] as ((...given: unknown[]) => unknown) | undefined;
      if (own === undefined) continue;
      watched[fn] = (...given: unknown[]) =>
        this.#call(fn, undefined, () => own.apply(link, given));
    }
    return watched as unknown as DeviceLink;
  }

  #call<T>(fn: FunctionName, input: Buffer | undefined, call: () => T): T {
    const numbers = this.#numbers;
    if (input !== undefined) this.#input.set(input.subarray(0, INPUT_BYTES));
    Atomics.store(numbers, LENGTH, input?.length ?? 0);
    Atomics.add(numbers, CALLS, 1);
    Atomics.store(numbers, RUNNING, FUNCTIONS.indexOf(fn) + 1);
    const from = ownMs();
    try {
      return call();
    } finally {
      const ms = ownMs() - from;
      if (ms > this.longestMs) {
        this.longestMs = ms;
        this.longestFn = fn;
      }
      Atomics.store(numbers, RUNNING, 0);
    }
  }
}
