/**
 * ModuleSpeech: devices of a protocol module, by the `createDevice` that it exports.
 * From: device.ts; the module's simulated devices.  To: the same.
 * Bound: an object for each link, as the module's own end of it remembers things. What it throws
 * while it reads costs that link, as bytes that are wrong; what it throws before, the worker: a
 * plan's module has been tried (trial.ts).
 */
import { ProtocolError } from '../../src/base/errors.ts';
import type {
  Bytes as Given,
  SimulatedDevice,
  SimulatedDevices,
  ToldDevice,
} from '../../src/wire/module/moduleTypes.ts';
import { type Bytes, KIND, type Kind } from '../plan/payload.ts';
import { FRAME_BYTES_MAX } from '../plan/plan.ts';
import { wordsOf } from '../plan/units.ts';
import { KEY_BYTES } from './keys.ts';
import { LengthCutter } from './lengthCutter.ts';
import type { Commanded, Cutter, Heard, Speech, Template } from './speech.ts';

const NO_BYTES = Buffer.alloc(0);

export function bytesOf(given: Given | undefined): Buffer {
  return given === undefined ? NO_BYTES : Buffer.from(given as Uint8Array);
}

/** What of the module's devices a link needs to know. */
interface Manners {
  /** Seconds; 0: they need not show that they are there. */
  readonly keepaliveS: number;
  readonly isWelcomed: boolean;
  readonly acknowledges: boolean;
}

/** All links of a worker; what is said on one, `linkOf` has. */
export class ModuleSpeech implements Speech {
  readonly ping = NO_BYTES;
  readonly pong = NO_BYTES;
  readonly bye = NO_BYTES;
  readonly #devices: SimulatedDevices;
  readonly #manners: Manners;

  constructor(devices: SimulatedDevices, manners: Manners) {
    this.#devices = devices;
    this.#manners = manners;
  }

  linkOf(deviceId: string): ModuleLink {
    return new ModuleLink(this.#devices.connect(deviceId), this.#manners);
  }

  template(kind: Kind, _topic: string, bytes: Bytes): Template {
    return {
      ...{ kind, bytes },
      payloadAt: () => 0,
      make: (_id, _seq, length) => Buffer.alloc(length),
      wrap: (link, id, payload) => (link as ModuleLink).wrap(kind, id, payload),
    };
  }

  hello(deviceId: string, token: string | undefined): Buffer {
    return this.linkOf(deviceId).hello(deviceId, token);
  }

  answer(): Buffer {
    return NO_BYTES;
  }

  /** Nobody reads what comes before a link is there. */
  cutter(): Cutter {
    return new LengthCutter(() => undefined);
  }

  read(): Heard {
    return { is: 'aside' };
  }
}

export class ModuleLink implements Speech {
  readonly isSilentOnEvents: boolean;
  readonly unansweredKeepaliveS: number | undefined;
  readonly pong = NO_BYTES;
  readonly bye = NO_BYTES;
  readonly #device: SimulatedDevice;
  readonly #keepaliveS: number;

  constructor(device: SimulatedDevice, { keepaliveS, isWelcomed, acknowledges }: Manners) {
    this.#device = device;
    this.#keepaliveS = keepaliveS;
    this.isSilentOnEvents = !acknowledges;
    this.unansweredKeepaliveS = isWelcomed ? undefined : keepaliveS;
  }

  get ping(): Buffer {
    return bytesOf(this.#device.alive?.());
  }

  hello(_deviceId: string, token: string | undefined): Buffer {
    return bytesOf(this.#device.login(token));
  }

  wrap(kind: Kind, number: number, payload: Buffer): Buffer {
    const message = { number, payload };
    const device = this.#device;
    return bytesOf(kind === KIND.event ? device.event?.(message) : device.request?.(message));
  }

  answer({ id, payload }: Commanded): Buffer {
    return bytesOf(this.#device.result?.({ number: id === 0 ? undefined : id, payload }));
  }

  /** Of the fleet's speech. */
  template(): never {
    throw new TypeError('a link has no templates');
  }

  cutter(): Cutter {
    return new LengthCutter((bytes) => frameBytesOf(this.#device, bytes));
  }

  read(frame: Buffer): Heard {
    return heard(
      guarded('read', () => this.#device.read(frame)),
      this.#keepaliveS,
    );
  }
}

/** Throws ProtocolError for whatever the module throws. */
function guarded<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new ProtocolError('bad-frame', `the simulated device's ${what} threw: ${wordsOf(error)}`);
  }
}

function heard(told: ToldDevice | undefined, keepaliveS: number): Heard {
  switch (told?.type) {
    case 'welcome':
      return { is: 'welcome', keepaliveS };
    case 'ack':
      return { is: 'ack', id: told.number };
    case 'reply':
      return {
        ...{ is: 'reply', id: told.number, status: told.status },
        payload: bytesOf(told.payload),
      };
    case 'command': {
      const payload = bytesOf(told.payload);
      // Such a protocol has no key. The head of our own payload is as good: no two are alike.
      return { is: 'command', id: told.number ?? 0, key: payload.subarray(0, KEY_BYTES), payload };
    }
    case 'ping':
      return { is: 'ping', answer: bytesOf(told.answer) };
    case 'alive':
      return { is: 'pong' };
    default:
      return { is: 'aside' };
  }
}

/** The module's word for it, if it can be one. */
function frameBytesOf(device: SimulatedDevice, bytes: Buffer): number | undefined {
  const length = guarded('frame', () => device.frame(bytes));
  if (length === undefined && bytes.length <= FRAME_BYTES_MAX) return undefined;
  if (length === undefined || !Number.isSafeInteger(length) || length < 1) {
    throw new ProtocolError('bad-frame', `a frame of ${length ?? 'too many'} bytes`);
  }
  return length;
}
