/**
 * DeviceCommands: from the registrar's stream to the socket of one device, and its answers back.
 * From: streamClient.ts, one COMMAND at a time; endpoints.ts, ACKs and RESULTs of links.
 * To: the endpoint that the connection id names; the registrar, with the result.
 * Bound: COMMANDS_OPEN_MAX of a link are known by their ids; beyond that the oldest is dropped, and
 * its answer is stray. A link whose outbox is above its soft bound gets no COMMAND. After a kept
 * one that found no room, no later one is sent either until that one has come again. What comes for
 * a link that is moving waits, as many as the registrar has open for a device.
 */
import type { Limits } from '../../base/limits.ts';
import { bump, type Counters } from '../../base/metrics.ts';
import type { Trace } from '../../base/trace.ts';
import { type TraceContext, traceBytesOf } from '../../base/traceContext.ts';
import type { FromLink, ToLink, Unsent } from '../../node/messages.ts';
import { type Ack, COMMANDS_OPEN_MAX, ID_MAX, type Result } from '../../wire/message.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Registry } from '../endpoint/registry.ts';
import type { TapStep } from '../endpoint/tap.ts';

/** As much of an endpoint as commands need. */
export type CommandLink = Pick<
  Endpoint,
  'id' | 'state' | 'outboxBytes' | 'commandBytesMax' | 'commandBytesNow' | 'command'
> &
  Partial<Pick<Endpoint, 'tap' | 'deviceId' | 'takesCommands'>>;

export interface DeviceCommandsOptions {
  readonly registry: Pick<Registry<CommandLink>, 'find'>;
  readonly limits: Limits;
  readonly counters: Counters;
  /** ms since 1970. */
  readonly wall: () => number;
  readonly trace: Trace;
  /** Another acceptor has this link now, as the registrar may not know yet. */
  readonly hasMoved?: (connection: string) => boolean;
  /** Reports this to the registrar. */
  readonly notify: (message: FromLink) => void;
}

interface Open {
  readonly key: string;
  isTaken: boolean;
}

export class DeviceCommands {
  readonly #options: DeviceCommandsOptions;
  /** COMMANDs without a RESULT, by id, in order; of links that have any. */
  readonly #links = new Map<CommandLink, Map<number, Open>>();
  /** The key of the last kept command of a link; of links that had any. */
  readonly #last = new Map<CommandLink, string>();
  /** What has come for links that are about to move, and may come back. */
  readonly #parked = new Map<CommandLink, ToLink[]>();
  #lastId = 0;
  #isSuspended = false;

  constructor(options: DeviceCommandsOptions) {
    this.#options = options;
  }

  /** Send no more: all links are about to end. */
  suspend(): void {
    this.#isSuspended = true;
  }

  onCommand(command: ToLink): void {
    const { registry, notify, trace } = this.#options;
    const [, device, connection, key, , , due, after] = command;
    const endpoint = registry.find(connection);
    const parked = endpoint && this.#parked.get(endpoint);
    if (parked !== undefined) {
      parked.push(command);
      return;
    }
    if (endpoint === undefined && this.#options.hasMoved?.(connection)) {
      this.#sayMoved(command);
      return;
    }
    if (endpoint?.state !== 'open' || this.#isSuspended) {
      trace('Commands!TakeCommand', { key, connection, as: 'gone' });
      notify(['unsent', key, device, 'gone', connection, due]);
      return;
    }
    const unsent = this.#send(endpoint, command);
    // It was sent, or never will be: the next one may be.
    const isLater = unsent === 'busy' || unsent === 'unready';
    if (after !== undefined && !isLater) this.#last.set(endpoint, key);
    if (unsent === undefined) return;
    // tla: to the registrar it is as one that has no room, but for when it is tried again.
    const as = unsent === 'unready' ? 'busy' : unsent;
    trace('Commands!TakeCommand', { key, connection, as });
    this.#say(endpoint, 'not sent', { reason: unsent, facts: { key } });
    notify(['unsent', key, device, unsent, connection, due]);
  }

  /** Why it was not sent; undefined: its device has it. */
  #send(endpoint: CommandLink, command: ToLink): Unsent | undefined {
    const { limits, notify, wall, trace } = this.#options;
    const [, , connection, key, topic, payload, due, after, traceparent, tracestate = ''] = command;
    const known = this.#find(endpoint, key);
    if (known) {
      // The registrar was restarted, or missed the report: the device has this COMMAND.
      trace('Commands!TakeCommand', { key, connection, as: 'known' });
      this.#say(endpoint, 'known', { facts: { key } });
      if (known.isTaken) notify(['taken', key]);
      return undefined;
    }
    const { takesCommands = 'ready' } = endpoint;
    // All of them wait until it says so.
    if (takesCommands === 'unready') return 'unready';
    // The one before it found no room, or was lost with a stream: it is sent again, and this too.
    if (after && after !== this.#last.get(endpoint)) return 'busy';
    // `due` is a time of day: delays in the stream or in a stopped process are counted.
    const expiresIn = due - wall();
    if (expiresIn <= 0) return 'expired';
    const { length } = payload;
    if (length > endpoint.commandBytesMax(topic)) return 'too-long';
    if (endpoint.outboxBytes >= limits.outboxSoftBytes) return 'busy';
    if (takesCommands === 'busy') return 'busy';
    if (length > endpoint.commandBytesNow(topic)) return 'busy';
    const id = this.#open(endpoint, key);
    const key16 = Buffer.from(key, 'hex');
    // tla: Commands!TakeCommand
    trace('Commands!TakeCommand', { key, connection, as: 'sent' });
    const room = endpoint.commandBytesNow(topic) - length;
    const context = traceparent === undefined ? undefined : { traceparent, tracestate };
    const meta = context && this.#contextWithin(room, context);
    endpoint.command({ type: 'command', id, topic, payload, key: key16, expiresIn, ...meta });
    return undefined;
  }

  /** A door opens without it too: where there is no room, it is left out. */
  #contextWithin(room: number, context: TraceContext): Partial<TraceContext> {
    if (traceBytesOf(context) > room) {
      bump(this.#options.counters.traceDrops, 'no-room');
      return {};
    }
    const { traceparent, tracestate } = context;
    return tracestate === '' ? { traceparent } : context;
  }

  // Moves.

  /** Send it no more for now: it is to move. */
  park(endpoint: CommandLink): void {
    if (!this.#parked.has(endpoint)) this.#parked.set(endpoint, []);
  }

  /** It stays; or it has left, and they are said to be unsent. */
  unpark(endpoint: CommandLink): void {
    const parked = this.#parked.get(endpoint) ?? [];
    this.#parked.delete(endpoint);
    for (const command of parked) this.onCommand(command);
  }

  #sayMoved(command: ToLink): void {
    const { notify, trace } = this.#options;
    const [, device, connection, key, , , due, after] = command;
    trace('Commands!TakeCommand', { key, connection, as: 'moved' });
    // A kept one is in the store, and is sent again from there.
    const again = after === undefined ? command : undefined;
    notify(['unsent', key, device, 'moved', connection, due, again]);
  }

  #find(endpoint: CommandLink, key: string): Open | undefined {
    for (const open of this.#links.get(endpoint)?.values() ?? []) {
      if (open.key === key) return open;
    }
    return undefined;
  }

  #open(endpoint: CommandLink, key: string): number {
    // One counter for all links: on each it rises, and no link has to keep one.
    this.#lastId = this.#lastId === ID_MAX ? 1 : this.#lastId + 1;
    let ofLink = this.#links.get(endpoint);
    if (ofLink === undefined) {
      ofLink = new Map();
      this.#links.set(endpoint, ofLink);
    }
    if (ofLink.size === COMMANDS_OPEN_MAX) {
      for (const oldest of ofLink.keys()) {
        ofLink.delete(oldest);
        break;
      }
    }
    ofLink.set(this.#lastId, { key, isTaken: false });
    return this.#lastId;
  }

  /** COMMANDs of one link that have no RESULT. */
  openOf(endpoint: Endpoint): number {
    return this.#links.get(endpoint)?.size ?? 0;
  }

  /** An ACK or a RESULT. One for no open COMMAND is only counted. */
  onAnswer(endpoint: CommandLink, message: Ack | Result): void {
    const { counters, notify, trace } = this.#options;
    const ofLink = this.#links.get(endpoint);
    const { id } = message;
    const open = ofLink?.get(id);
    if (message.type === 'result') {
      if (!ofLink || !open) {
        this.#say(endpoint, 'stray', { id });
        counters.strayResults += 1;
        return;
      }
      ofLink.delete(message.id);
      // tla: Commands!TakeAnswer
      trace('Commands!TakeAnswer', { key: open.key, what: 'RESULT' });
      if (ofLink.size === 0) this.#links.delete(endpoint);
      this.#say(endpoint, 'answered', { id, status: message.status, facts: { key: open.key } });
      notify(['result', open.key, message.status, message.payload]);
    } else if (open && !open.isTaken) {
      open.isTaken = true;
      trace('Commands!TakeAnswer', { key: open.key, what: 'ACK' });
      this.#say(endpoint, 'taken', { id, facts: { key: open.key } });
      notify(['taken', open.key]);
    } else {
      this.#say(endpoint, 'stray', { id });
      counters.strayAcks += 1;
    }
  }

  /** It takes COMMANDs now: those that are kept for it need not wait any longer. */
  onReady({ id, deviceId = '' }: CommandLink): void {
    this.#options.notify(['ready', deviceId, id]);
  }

  /** For who looks at this link. */
  #say(endpoint: CommandLink, what: string, told: Omit<TapStep, 'of' | 'what'>): void {
    endpoint.tap?.onStep(endpoint, { of: 'command', what, ...told });
  }

  /** The link has ended, which is reported to the registrar separately. */
  onEnd(endpoint: CommandLink): void {
    this.#links.delete(endpoint);
    this.#last.delete(endpoint);
    // It is found no more: they are said to be unsent.
    this.unpark(endpoint);
  }
}
