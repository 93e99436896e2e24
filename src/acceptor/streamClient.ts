/**
 * StreamClient: an acceptor's end of its stream to the registrar.
 * From: linkChanges.ts, which knows what is not yet reported; answers to COMMANDs; questions of
 * authClient.ts.
 * To: the registrar's Unix socket; takeovers, COMMANDs, the block list and verdicts back to the
 * acceptor.
 * Bound: `presenceStreamBytes` are on their way; beyond that linkChanges.ts keeps state, not
 * changes, so a registrar that is stopped costs no device anything.
 *
 *   away --connect--> up --close, error--> away, RECONNECT_MS later again
 */
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { Limits } from '../base/limits.ts';
import {
  type AuthMessage,
  type BlockListMessage,
  encodeMessages,
  FRAME_MESSAGES_MAX,
  MessageReader,
  payloadBytes,
  type ToAcceptor,
  type ToLink,
  type ToRegistrar,
} from '../node/messages.ts';
import type { LinkChanges } from './linkChanges.ts';

const RECONNECT_MS = 100;
/** Payload bytes of answers in flight; if the registrar does not read them, reconnect. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const ANSWERS_MAX = 10_000;
/** Frames written in one turn of the event loop, at most: some milliseconds' work. */
const FRAMES_PER_TURN = 8;

export interface StreamClientOptions {
  /** The registrar's Unix socket. */
  readonly path: string;
  readonly incarnation: string;
  readonly limits: Limits;
  readonly changes: LinkChanges;
}

/** Who is told what the registrar says. */
export interface StreamHandlers {
  /** This link's device has a newer one: close it. */
  readonly onTakeover: (connection: string) => void;
  readonly onCommand: (command: ToLink) => void;
  readonly onBlockList: (message: BlockListMessage) => void;
  readonly onAuth: (message: AuthMessage) => void;
  readonly onLost: () => void;
  /** What a registrar that may be new is told behind all links, as it reads. */
  readonly told: () => Iterator<ToRegistrar>;
}

export class StreamClient {
  readonly #options: StreamClientOptions;
  #socket: Socket | undefined;
  #isUp = false;
  /** Results of commands: sent before anything else, and dropped with the stream. */
  #answers: ToRegistrar[] = [];
  #answerBytes = 0;
  #told: Iterator<ToRegistrar> | undefined;
  #next: NodeJS.Immediate | undefined;
  #again: NodeJS.Timeout | undefined;
  #isClosed = false;
  #onDone: (() => void) | undefined;

  constructor(options: StreamClientOptions) {
    this.#options = options;
  }

  /** The registrar listens. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Begin to connect, for ever. Nothing is heard before. */
  start(handlers: StreamHandlers): void {
    const { path, incarnation, limits, changes } = this.#options;
    const reader = new MessageReader<ToAcceptor>();
    const options = { path, highWaterMark: limits.presenceStreamBytes };
    const socket = connect(options as NetConnectOpts);
    this.#socket = socket;
    socket.on('connect', () => {
      socket.write(encodeMessages([['hello', incarnation]]));
      changes.connected();
      this.#told = handlers.told();
      this.#isUp = true;
      this.wake();
    });
    socket.on('data', (chunk) => {
      this.#onData(reader, chunk as Buffer, socket, handlers);
    });
    socket.on('drain', () => this.wake());
    // 'close' always follows.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isUp = false;
      this.#answers = [];
      this.#answerBytes = 0;
      this.#told = undefined;
      changes.lost();
      handlers.onLost();
      this.#onDone?.();
      if (!this.#isClosed) this.#again = setTimeout(() => this.start(handlers), RECONNECT_MS);
    });
  }

  #onData(
    reader: MessageReader<ToAcceptor>,
    chunk: Buffer,
    socket: Socket,
    handlers: StreamHandlers,
  ): void {
    try {
      for (const message of reader.push(chunk)) {
        if (message[0] === 'mark') this.answer(['marked', message[1]]);
        else if (!this.#onChangesWord(message)) hear(message, handlers);
      }
    } catch {
      socket.destroy();
    }
  }

  /** What there is to report may be another after it. False: this is no such word. */
  #onChangesWord(message: ToAcceptor): boolean {
    const { changes } = this.#options;
    if (message[0] === 'recorded') changes.onRecorded(message[1]);
    else if (message[0] === 'wanted') changes.onWanted(message[1]);
    else if (message[0] === 'gone') changes.onGone(message[1]);
    else if (message[0] === 'tell-all') changes.tellAll(message[1]);
    else return false;
    this.wake();
    return true;
  }

  /**
   * Report the result of a command. It is lost while the registrar is away: then commands that
   * matter are sent again after the next hand-over. The same holds when it does not read.
   */
  answer(message: ToRegistrar): void {
    if (!this.#isUp) return;
    this.#answers.push(message);
    this.#answerBytes += payloadBytes(message);
    if (this.#answers.length > ANSWERS_MAX || this.#answerBytes > ANSWER_BYTES_MAX) {
      this.#socket?.destroy();
    }
    this.wake();
  }

  /** There is something to send: it leaves when the turn ends, with all else of the turn. */
  wake(): void {
    if (!this.#isUp) return;
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.#write();
    });
  }

  #write(): void {
    const { changes } = this.#options;
    const socket = this.#socket;
    if (!socket || !this.#isUp || socket.destroyed) return;
    if (this.#answers.length > 0 && !socket.writableNeedDrain) {
      socket.write(encodeMessages(this.#answers));
      this.#answers = [];
      this.#answerBytes = 0;
    }
    for (let frames = 0; !changes.isDone; frames += 1) {
      // Continues at its 'drain'.
      if (socket.writableNeedDrain) return;
      if (frames === FRAMES_PER_TURN) {
        this.wake();
        return;
      }
      socket.write(encodeMessages(changes.take(FRAME_MESSAGES_MAX)));
    }
    this.#tell(socket);
    if (socket.writableLength === 0) this.#onDone?.();
  }

  #tell(socket: Socket): void {
    while (this.#told !== undefined && !socket.writableNeedDrain) {
      const { value, done } = this.#told.next();
      if (done) this.#told = undefined;
      else socket.write(encodeMessages([value]));
    }
  }

  /** Send what is left, for at most `ms`, and end. */
  async close(ms: number): Promise<void> {
    if (this.#isUp && !(this.#options.changes.isDone && this.#socket?.writableLength === 0)) {
      await new Promise<void>((resolve) => {
        this.#onDone = resolve;
        setTimeout(resolve, ms);
        this.wake();
      });
    }
    this.#isClosed = true;
    clearTimeout(this.#again);
    this.#socket?.destroySoon();
  }
}

function hear(message: ToAcceptor, handlers: StreamHandlers): void {
  const [kind] = message;
  if (kind === 'takeover') handlers.onTakeover(message[1]);
  else if (kind === 'command') handlers.onCommand(message);
  else if (kind === 'said' || kind === 'verdict') handlers.onAuth(message);
  else if (kind.startsWith('list') || kind.endsWith('block')) {
    handlers.onBlockList(message as BlockListMessage);
  }
}
