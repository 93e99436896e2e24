/**
 * StreamServer: the registrar's end of the acceptors' streams.
 * From: acceptors, by a Unix socket in the node's private folder.  To: recorder.ts, message by
 * message, and commands.ts; takeovers, COMMANDs and the block list back.
 * Bound: while the recorder is full no stream is read. An acceptor that does not read gets no
 * COMMAND above half of BACK_BYTES_MAX; at all of it its stream is closed: it connects again and
 * hands over all its links, which brings both up to date. A mark is open for MARK_SHARE of
 * `questionMs`.
 */
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Limits } from '../base/limits.ts';
import { OpenQuestions } from '../base/openQuestions.ts';
import { LocalSocket } from '../node/localSocket.ts';
import {
  type AskMessage,
  type BlockListMessage,
  encodeMessages,
  type FromLink,
  MessageReader,
  payloadBytes,
  type ToAcceptor,
  type ToRegistrar,
} from '../node/messages.ts';
import type { VerdictMessage } from '../node/verdicts.ts';
import type { Sent } from './command/effects.ts';
import { downOf, upOf, willOf } from './linkWords.ts';
import type { Recorder } from './presence/recorder.ts';

const BACK_BYTES_MAX = 1024 * 1024;
/** Blocked devices in one message: some 20 kB. */
const PIECE = 1_000;
/**
 * Acceptors have so long to say that they have read a change, of the time in which whoever asked
 * for it has to be answered: it is told then who was late.
 */
const MARK_SHARE = 1 / 2;

interface Stream {
  readonly socket: Socket;
  readonly reader: MessageReader<ToRegistrar>;
  /** The incarnation, after hello. */
  acceptor: string | undefined;
  /** COMMANDs that leave when the turn ends, and their payloads' bytes. */
  commands: ToAcceptor[];
  commandBytes: number;
}

/** About links of an acceptor. */
export type LinkNotice = Extract<
  ToAcceptor,
  readonly ['takeover' | 'recorded' | 'wanted' | 'gone' | 'tell-all', unknown]
>;

export interface StreamServerOptions {
  readonly recorder: Recorder;
  readonly limits: Pick<Limits, 'questionMs'>;
  readonly log: Logger;
  /** What became of a command. */
  readonly onAnswer: (message: FromLink, acceptor: string) => void;
  readonly onAsk: (acceptor: string, message: AskMessage) => void;
  readonly onVerdicts: (message: VerdictMessage) => void;
  /** What a new stream is told before anything else, piece by piece. */
  readonly greeting: () => Iterator<ToAcceptor>;
  /** It has a stream, which may be a new one. */
  readonly onStream: (acceptor: string) => void;
  /** Something was read: there is work. */
  readonly onMessages: () => void;
}

export class StreamServer {
  readonly #options: StreamServerOptions;
  #server: LocalSocket | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #streams = new Map<string, Stream>();
  /** Marks that acceptors have not said to have read. */
  readonly #marks = new OpenQuestions<number, readonly string[]>();
  #lastMark = 0;
  /** Whom the operator keeps out; undefined: that is not known yet. */
  #blocked: ReadonlySet<string> | undefined;

  constructor(options: StreamServerOptions) {
    this.#options = options;
  }

  /** Acceptors that have a stream. */
  get size(): number {
    return this.#streams.size;
  }

  /** Resolves when acceptors can connect. Rejects when there is no folder for the socket. */
  async listen(path: string): Promise<void> {
    this.#server = new LocalSocket(path, (socket) => this.#onStream(socket));
    await this.#server.listen();
  }

  #onStream(socket: Socket): void {
    const reader = new MessageReader<ToRegistrar>();
    const commands = { commands: [], commandBytes: 0 };
    const stream: Stream = { socket, reader, acceptor: undefined, ...commands };
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#onData(stream, chunk as Buffer));
    socket.on('close', () => {
      this.#sockets.delete(socket);
      const { acceptor } = stream;
      if (acceptor !== undefined && this.#streams.get(acceptor) === stream) {
        this.#streams.delete(acceptor);
      }
    });
  }

  #onData(stream: Stream, chunk: Buffer): void {
    try {
      for (const message of stream.reader.push(chunk)) this.#onMessage(stream, message);
    } catch (error) {
      this.#options.log.error({ err: error, reason: 'bad message' }, 'closing a presence stream');
      stream.socket.destroy();
    }
    if (this.#options.recorder.isFull()) stream.socket.pause();
    this.#options.onMessages();
  }

  #onMessage(stream: Stream, message: ToRegistrar): void {
    const { recorder } = this.#options;
    const { acceptor } = stream;
    if (message[0] === 'hello') {
      this.#onHello(stream, message[1]);
      return;
    }
    // An older stream of an acceptor that has a newer one, or one of an acceptor that has ended.
    if (acceptor === undefined || this.#streams.get(acceptor) !== stream) return;
    if (message[0] === 'begin') recorder.begin(acceptor);
    else if (message[0] === 'end') recorder.handedOver(acceptor);
    else if (message[0] === 'up') {
      recorder.up({ acceptor, ...upOf(message) });
    } else if (message[0] === 'down') {
      recorder.down(acceptor, downOf(message));
    } else if (message[0] === 'will') {
      const [, device, connection, word] = message;
      recorder.will(acceptor, { kind: 'will', device, connection, will: willOf(word) });
    } else if (message[0] === 'all-told') {
      recorder.will(acceptor, { kind: 'all-told', acceptor, mark: message[1] });
    } else if (message[0] === 'moved') {
      recorder.moved(acceptor, message[1]);
    } else if (message[0] === 'heir') {
      recorder.heir(acceptor, message[1]);
    } else if (message[0] === 'ask') {
      this.#options.onAsk(acceptor, message);
    } else if (message[0] === 'marked') {
      this.#marks.settle(message[1], []);
    } else if (message[0] === 'verdict') {
      this.#options.onVerdicts(message);
    } else {
      this.#options.onAnswer(message, acceptor);
    }
  }

  /** An acceptor that the supervisor has not named yet connects again a moment later. */
  #onHello(stream: Stream, acceptor: string): void {
    if (!this.#options.recorder.isLive(acceptor)) {
      stream.socket.destroy();
      return;
    }
    this.#streams.get(acceptor)?.socket.destroy();
    stream.acceptor = acceptor;
    this.#streams.set(acceptor, stream);
    this.#list(stream);
    pour(stream.socket, this.#options.greeting());
    this.#options.onStream(acceptor);
  }

  /** Continue reading after the recorder has made room, except from acceptors that have ended. */
  makeRoom(): void {
    const { recorder } = this.#options;
    for (const [acceptor, { socket }] of this.#streams) {
      if (!recorder.isLive(acceptor)) socket.destroy();
      else if (!recorder.isFull()) socket.resume();
    }
  }

  /** What it learns later where it has no stream now: at its hand-over, or when that is asked. */
  tellLinks(acceptor: string, message: LinkNotice): void {
    const stream = this.#streams.get(acceptor);
    if (stream) tell(stream, message);
  }

  /** Who is blocked is known now: those in `devices`, as long as this runs. */
  listBlocked(devices: ReadonlySet<string>): void {
    this.#blocked = devices;
    for (const stream of this.#streams.values()) this.#list(stream);
  }

  /**
   * A change of that. Without a stream an acceptor learns it with the whole list. Resolves with the
   * live acceptors that have not said in time that they have read it.
   */
  async tellBlocked(message: BlockListMessage): Promise<readonly string[]> {
    const { recorder, limits } = this.#options;
    const markMs = MARK_SHARE * limits.questionMs;
    const unheard = recorder.liveAcceptors.filter((acceptor) => !this.#streams.has(acceptor));
    const marks = [...this.#streams].map(([acceptor, stream]) => {
      this.#lastMark += 1;
      tell(stream, message);
      tell(stream, ['mark', this.#lastMark]);
      return this.#marks.ask(this.#lastMark, markMs, [acceptor]);
    });
    const late = [...unheard, ...(await Promise.all(marks)).flat()];
    return late.filter((acceptor) => recorder.isLive(acceptor));
  }

  /**
   * Everybody who is blocked, piece by piece as the acceptor reads. Changes are told meanwhile, and
   * a piece is as of its own moment: so the acceptor ends with what there is.
   */
  #list(stream: Stream): void {
    const devices = this.#blocked;
    if (devices !== undefined) pour(stream.socket, listOf(devices));
  }

  /** Tell it to all acceptors; one that does not read now learns it with its next stream. */
  sendAll(message: ToAcceptor): void {
    for (const acceptor of this.#streams.keys()) this.send(acceptor, message);
  }

  /** Hand a COMMAND to an acceptor; all of a turn go in one write. */
  send(acceptor: string, message: ToAcceptor): Sent {
    const stream = this.#streams.get(acceptor);
    if (!stream) return 'gone';
    const bytes = payloadBytes(message);
    // An empty stream takes a payload of any size.
    const waiting = stream.socket.writableLength + stream.commandBytes;
    if (waiting > 0 && waiting + bytes > BACK_BYTES_MAX / 2) return 'busy';
    if (stream.commands.length === 0) process.nextTick(() => this.#flush(stream));
    stream.commands.push(message);
    stream.commandBytes += bytes;
    return 'sent';
  }

  #flush(stream: Stream): void {
    const { commands, socket } = stream;
    stream.commands = [];
    stream.commandBytes = 0;
    if (!socket.destroyed) socket.write(encodeMessages(commands));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#marks.settleAll([]);
    await this.#server?.close();
  }
}

/** One that does not read gets no more: it comes again, and hears all of it. */
function tell({ socket }: Stream, message: ToAcceptor): void {
  if (socket.writableLength > BACK_BYTES_MAX) socket.destroy();
  else socket.write(encodeMessages([message]));
}

/** Write them as the other end reads them. */
function pour(socket: Socket, messages: Iterator<ToAcceptor>): void {
  for (let next = messages.next(); !next.done; next = messages.next()) {
    if (socket.write(encodeMessages([next.value]))) continue;
    socket.once('drain', () => pour(socket, messages));
    return;
  }
}

function* listOf(devices: Iterable<string>): Generator<ToAcceptor, void> {
  yield ['list-begin'];
  let piece: string[] = [];
  for (const device of devices) {
    piece.push(device);
    if (piece.length < PIECE) continue;
    yield ['block', piece];
    piece = [];
  }
  if (piece.length > 0) yield ['block', piece];
  yield ['list-end'];
}
