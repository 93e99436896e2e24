/**
 * ModuleProtocol: one link that speaks what an operator's own module understands.
 * From: Endpoint; the module's link (moduleTypes.ts), whose every answer is checked.  To: the same.
 * Bound: the module's code is trusted, and may be wrong: what throws, or gives nonsense, costs its
 * link and never leaves here. Frames have `frameBytesMax` bytes, the first one `helloBytesMax`; a
 * frame says SAID_MAX things; PENDING answers and COMMANDS_OPEN_MAX commands are remembered. Time
 * that it takes, and memory that it keeps for itself, nobody can bound from here.
 *
 *   greeting --login--> open        either --a throw, or nonsense--> failed: it is asked no more
 */
import { ProtocolError, STATUS } from '../../base/errors.ts';
import { type CommandMessage, type Event, ID_MAX, type Request } from '../message.ts';
import type {
  CommandReadiness,
  FromDevice,
  Protocol,
  ProtocolLimits,
  ProtocolState,
  Received,
} from '../protocol.ts';
import { room } from '../room.ts';
import { Unread } from '../unread.ts';
import { faultOf, hushPromise, NonsenseError } from './fault.ts';
import type { Admitted, DeviceLink, DeviceProtocol } from './moduleTypes.ts';
import { NumberedCommands } from './numberedCommands.ts';
import { PendingAnswers } from './pendingAnswers.ts';
import { isNothing, ownBytes, payloadBytesOf, type SaidMessage, takeSaid } from './said.ts';
import { lengthOf, linkOf } from './shape.ts';

const EMPTY = Buffer.alloc(0);
const NONE: readonly SaidMessage[] = [];
/** Of its written form. Changed fields make another one. */
export const MODULE_FORM = 'module/1';
/** Of what a module saves of a link, as JSON. */
const SAVED_CHARS_MAX = 4_096;
/** A link that may be silent for long: as long as the limits allow. */
const NO_KEEPALIVE_SECONDS = 0xffff_ffff;
/** What a module gives to be written may be so many times as long as a frame. */
const OUT_FACTOR = 4;

/** A module that was loaded, and what holds for each of its links. */
export interface ModuleOfLinks {
  /** Absolute path. */
  readonly path: string;
  readonly protocol: DeviceProtocol;
}

type Sizes = Pick<ProtocolLimits, 'frameBytesMax' | 'helloBytesMax' | 'inFlightMax'>;

export class ModuleProtocol extends Unread implements Protocol {
  bytes = 0;
  elements = 0;
  readonly #module: ModuleOfLinks;
  readonly #frameBytesMax: number;
  readonly #helloBytesMax: number;
  /** Answers that are not due yet: as many as messages may be under way. */
  readonly #pendingMax: number;
  /** Undefined: nothing has come yet. `over`: it failed, or the link has ended. */
  #link: DeviceLink | 'over' | undefined;
  #failure: ProtocolError | undefined;
  /** Empty: it is greeting. */
  #deviceId = '';
  #admitted: Admitted | undefined;
  /** What the last frame said besides the message that is handled now. */
  #waiting: readonly SaidMessage[] = NONE;
  #waitingBytes = 0;
  #current: SaidMessage | undefined;
  /** Answers that are not due yet; undefined: there was none so far. */
  #pending: PendingAnswers | undefined;
  #commands: NumberedCommands | undefined;
  #lastNumber = 0;
  #lastId = 0;

  constructor(module: ModuleOfLinks, { frameBytesMax, helloBytesMax, inFlightMax }: Sizes) {
    super();
    this.#module = module;
    this.#frameBytesMax = frameBytesMax;
    this.#helloBytesMax = Math.min(frameBytesMax, helloBytesMax);
    this.#pendingMax = inFlightMax;
  }

  // From the device.

  override push(chunk: Buffer): void {
    if (this.#failure === undefined) super.push(chunk);
  }

  next(): Received | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    let [taken] = this.#waiting;
    if (taken === undefined) {
      const frame = this.#nextFrame();
      if (frame === undefined) return this.incomplete();
      this.bytes = frame.length;
      this.#waiting = this.#read(frame);
      taken = this.#waiting[0] as SaidMessage;
    } else this.bytes = 0;
    this.#waiting = this.#waiting.length > 1 ? this.#waiting.slice(1) : NONE;
    this.#waitingBytes = this.#waiting.reduce((sum, one) => sum + payloadBytesOf(one), 0);
    this.elements = 1;
    this.#current = this.#numbered(taken);
    return this.#current.message;
  }

  /** One that is published gets the link's next number. */
  #numbered(taken: SaidMessage): SaidMessage {
    const { message } = taken;
    if (message.type !== 'event' && message.type !== 'request') return taken;
    if (this.#lastId === ID_MAX)
      throw new ProtocolError('bad-id', 'the link’s numbers are used up');
    this.#lastId += 1;
    return { ...taken, message: { ...message, id: this.#lastId } };
  }

  /** A whole frame, in memory of its own: the module may keep it, or write to it. */
  #nextFrame(): Buffer | undefined {
    const available = this.pendingBytes;
    if (available === 0) return undefined;
    const length = this.#guard('frame', (link) => lengthOf(link.frame(this.#view)));
    const limit = this.#deviceId === '' ? this.#helloBytesMax : this.#frameBytesMax;
    if ((length ?? available) > limit) {
      const what = length === undefined ? 'no end of a frame' : `a frame of ${length} bytes`;
      const error = new ProtocolError('frame-too-long', `${what}; the limit is ${limit}`);
      throw this.#fail(error);
    }
    if (length === undefined || length > available) return undefined;
    const frame = room(length);
    this.unread.copy(frame, 0, this.start, this.start + length);
    this.start += length;
    // An idle link holds no bytes.
    if (this.start === this.end) super.drop();
    return frame;
  }

  get #view(): Buffer {
    return this.unread.subarray(this.start, this.end);
  }

  #read(frame: Buffer): readonly SaidMessage[] {
    const { keepalive, keepaliveSeconds } = this.#module.protocol.capabilities;
    const sizes = {
      bytesMax: this.#frameBytesMax,
      keepalive: keepalive === 'none' ? NO_KEEPALIVE_SECONDS : keepaliveSeconds,
    };
    return this.#guard('read', (link) => takeSaid(link.read(frame), sizes));
  }

  accept(message: Received): FromDevice {
    const taken = this.#current;
    this.#current = undefined;
    const answer = taken?.message === message ? taken : { message };
    switch (message.type) {
      case 'hello':
        return this.#greet(message);
      case 'aside':
      case 'bye':
        return message;
    }
    if (this.#deviceId === '') {
      throw new ProtocolError('unexpected', 'the first message must be a login');
    }
    switch (message.type) {
      case 'event':
      case 'request':
        this.#await(message.id, answer);
        return message;
      case 'ack':
        return { type: 'ack', id: this.#commands?.taken(message.id) ?? 0 };
      case 'result':
        return { ...message, id: this.#commands?.ended(message.id) ?? 0 };
      default:
        throw new ProtocolError('unexpected', 'this is not for devices to send');
    }
  }

  /** Many devices log in again on the same link, and want to be told so again. */
  #greet(message: Extract<Received, { type: 'hello' }>): FromDevice {
    const { deviceId } = message;
    if (this.#deviceId === '') {
      this.#deviceId = deviceId;
      return message;
    }
    if (deviceId !== this.#deviceId) {
      throw new ProtocolError('unexpected', 'a second login, of another device');
    }
    const admitted = this.#admitted;
    const answer = admitted && this.#write('welcome', (link) => link.welcome?.(admitted));
    return { type: 'aside', what: 'login again', answer };
  }

  #await(id: number, { answer, reply }: Pick<SaidMessage, 'answer' | 'reply'>): void {
    const pending = answer ?? reply;
    if (pending === undefined) return;
    this.#pending ??= new PendingAnswers(this.#pendingMax);
    this.#pending.add(id, pending);
  }

  get isHolding(): boolean {
    return this.#waiting.length > 0;
  }

  override get heldBytes(): number {
    return super.heldBytes + this.#waitingBytes + (this.#pending?.bytes ?? 0);
  }

  get failure(): ProtocolError | undefined {
    return this.#failure;
  }

  get pingsIdle(): boolean {
    return this.#module.protocol.capabilities.keepalive === 'server';
  }

  override drop(): void {
    super.drop();
    this.#link = 'over';
    this.#waiting = NONE;
    this.#waitingBytes = 0;
    this.#pending = undefined;
    this.#commands = undefined;
  }

  // The module's own functions.

  /** Throws ProtocolError, and nothing else: then the module is not asked again. */
  #guard<T>(fn: string, ask: (link: DeviceLink) => T): T {
    try {
      return ask(this.#linked());
    } catch (thrown) {
      throw this.#fail(faultOf(fn, thrown));
    }
  }

  #linked(): DeviceLink {
    if (this.#link === 'over') throw new NonsenseError('is not there any more');
    this.#link ??= linkOf(this.#module.protocol.connect());
    return this.#link;
  }

  #fail(error: ProtocolError): ProtocolError {
    this.drop();
    this.#failure = error;
    return error;
  }

  /** Nothing is written where that fails; `failure` says so then. */
  #write(fn: string, ask: (link: DeviceLink) => unknown): Buffer | undefined {
    if (this.#link === 'over') return undefined;
    try {
      return this.#guard(fn, (link) => {
        const said = ask(link);
        if (isNothing(said)) return undefined;
        const bytes = ownBytes(said, this.#frameBytesMax * OUT_FACTOR);
        return bytes.length === 0 ? undefined : bytes;
      });
    } catch {
      return undefined;
    }
  }

  // To the device.

  welcome(connection: string, keepaliveMs: number, time: number): Buffer | undefined {
    const admitted = { connection, deviceId: this.#deviceId, keepaliveMs, time };
    this.#admitted = admitted;
    return this.#write('welcome', (link) => link.welcome?.(admitted));
  }

  acknowledge(id: number): Buffer | undefined {
    const answer = this.#pending?.take(id);
    return Buffer.isBuffer(answer) ? answer : undefined;
  }

  reply(id: number, status: number, payload: Buffer): Buffer | undefined {
    const answer = this.#pending?.take(id);
    if (typeof answer !== 'function') return undefined;
    // The payload is a backend's, and others may read it.
    return this.#write('reply', () => answer(status, Buffer.from(payload)));
  }

  command({ id, topic, payload, key, expiresIn }: CommandMessage): Buffer | undefined {
    const { capabilities, commandNumberMax } = this.#module.protocol;
    if (capabilities.commands === 'none') return undefined;
    this.#commands ??= new NumberedCommands(commandNumberMax);
    const number = this.#commands.open(id, this.#lastNumber);
    this.#lastNumber = number;
    const ours = { number, topic, payload: Buffer.from(payload), key, expiresInMs: expiresIn };
    const frame = this.#write('command', (link) => link.command?.(ours));
    if (frame === undefined) this.#commands?.ended(number);
    return frame;
  }

  ping(): Buffer | undefined {
    return this.#write('ping', (link) => link.ping?.());
  }

  pong(): undefined {}

  error(_error: ProtocolError): undefined {}

  notAllowed({ type, id }: Event | Request): Buffer | undefined {
    if (type === 'request') return this.reply(id, STATUS.refused, EMPTY);
    this.#pending?.take(id);
    return undefined;
  }

  goodbye(reason: string, retryAfter: number | undefined): Buffer | undefined {
    return this.#write('goodbye', (link) => link.goodbye?.(reason, retryAfter));
  }

  get takesCommands(): CommandReadiness {
    return 'ready';
  }

  describe(_frame: Buffer): undefined {}

  replyBytesMax(bytes: number): number {
    return Math.min(bytes, this.#payloadBytesMax);
  }

  commandBytesMax(_topic: string, bytes: number): number {
    return Math.min(bytes, this.#payloadBytesMax);
  }

  get #payloadBytesMax(): number {
    return this.#module.protocol.payloadBytesMax ?? this.#frameBytesMax;
  }

  // To another process.

  /** It has a `save`: another process can go on with it. */
  get canMove(): boolean {
    return typeof this.#link === 'object' && typeof this.#link.save === 'function';
  }

  /** In a form that nobody knows, where its module does not say what is needed. */
  state(): ProtocolState {
    const saved = this.#saved();
    const { connection = '', keepaliveMs = 0, time = 0 } = this.#admitted ?? {};
    const remembered = {
      ...{ name: this.#module.protocol.name, saved: saved ?? '' },
      ...{ deviceId: this.#deviceId, connection, keepaliveMs, time },
      ...{ lastId: this.#lastId, lastNumber: this.#lastNumber },
      frameBytesMax: this.#frameBytesMax,
    };
    return { form: saved === undefined ? '' : MODULE_FORM, remembered, unread: this.rest() };
  }

  #saved(): string | undefined {
    try {
      return this.#guard('save', (link) => {
        const saved = link.save?.();
        hushPromise(saved);
        const text: unknown = JSON.stringify(saved ?? null);
        const isText = typeof text === 'string' && text.length <= SAVED_CHARS_MAX;
        if (isText && link.save) return text;
        throw new NonsenseError(`gave what is no JSON of at most ${SAVED_CHARS_MAX} characters`);
      });
    } catch {
      return undefined;
    }
  }

  /** Throws nothing: what is in no form of ours, or of the module's, is `undefined`. */
  static restore(
    module: ModuleOfLinks,
    { form, remembered, unread }: ProtocolState,
    sizes: Sizes,
  ): ModuleProtocol | undefined {
    const { name, saved, deviceId, connection } = remembered;
    const { keepaliveMs, time, lastId, lastNumber, frameBytesMax } = remembered;
    const isOurs = form === MODULE_FORM && name === module.protocol.name;
    const numbers = [keepaliveMs, time, lastId, lastNumber, frameBytesMax];
    if (!isOurs || !numbers.every(Number.isSafeInteger)) return undefined;
    const made = new ModuleProtocol(module, { ...sizes, frameBytesMax: Number(frameBytesMax) });
    try {
      made.#link = linkOf(module.protocol.connect(JSON.parse(String(saved))));
    } catch {
      return undefined;
    }
    made.#deviceId = String(deviceId);
    const times = { keepaliveMs: Number(keepaliveMs), time: Number(time) };
    made.#admitted = { connection: String(connection), deviceId: made.#deviceId, ...times };
    made.#lastId = Number(lastId);
    made.#lastNumber = Number(lastNumber);
    if (unread.length > 0) made.push(unread);
    return made;
  }
}
