/**
 * Messages: what acceptors and the registrar say to each other, as MessagePack arrays.
 * From: streamClient.ts and streamServer.ts, each of them.
 * To: the other one, in frames (wire/frame.ts) that hold a list of them.
 * Bound: FRAME_MESSAGES_MAX per frame, FRAME_BYTES_MAX bytes; whoever breaks this is cut off.
 *
 *   acceptor                                  registrar
 *     hello, begin, up..., end  ---------------->       every link it holds, at each connect
 *     up, down  ------------------------------->        then changes, in order
 *     moved..., heir  ------------------------->        in a reload: whose its links are now
 *       <---------------------------------------  recorded: and that this is on record
 *       <---------------------------------------  takeover, command
 *       <---------------------------------------  wanted: wills;  gone: ends that are on record
 *     will  -------------------------------------->     one that was wanted
 *       <---------------------------------------  tell-all: a will is due unless its device is back
 *     all-told  ---------------------------------->     in order behind all links that there were
 *       <---------------------------------------  list-begin, block..., list-end, at each connect
 *       <---------------------------------------  then block, unblock: changes, also in between
 *       <---------------------------------------  mark: is all of that read?
 *     marked  ------------------------------------>     it is
 *     ask  --------------------------------------->     who is it? by `--auth backend`
 *       <---------------------------------------  said; and to all of them: verdict
 *     verdict...  <------------------------------>  all that either knows, at each connect
 *     taken, result, unsent  ------------------>        what became of a command
 *     ready              ---------------------->        a link takes commands
 */
import { pack, Unpackr } from 'msgpackr';
import type { PresenceReason } from '../base/errors.ts';
import { FrameReader, frameOf } from '../wire/frame.ts';
import type { Said, VerdictMessage } from './verdicts.ts';
import type { WillWord } from './willWord.ts';

export const FRAME_MESSAGES_MAX = 128;
/** A frame is closed when its payloads have so many bytes: it may have one payload more. */
const FRAME_BYTES = 256 * 1024;
/** The longest payload there can be, and a frame around it. */
export const FRAME_BYTES_MAX = 17 * 1024 * 1024;

/**
 * Why an acceptor did not send: no such link; no room in its outbox, or none for the one before it;
 * its device takes none yet, and `ready` says when it does; too long for its device; too late; the
 * link is the successor's now.
 */
export type Unsent = 'gone' | 'busy' | 'unready' | 'too-long' | 'expired' | 'moved';

export type ToRegistrar =
  | readonly ['hello', incarnation: string]
  | readonly ['begin']
  | readonly ['end']
  | readonly [
      'up',
      device: string,
      connection: string,
      acceptedUs: number,
      at: number,
      /** In a hand-over its hash: the registrar says if it wants the whole; ''; there is none. */
      will?: WillWord | string,
      /** What its device's earlier link left is due now, not cancelled. */
      isCleanStart?: boolean,
    ]
  | readonly [
      'down',
      device: string,
      connection: string,
      at: number,
      reason: PresenceReason,
      /** If it had one, `gone` is to be said when this is on record. True: after a goodbye. */
      will?: WillWord | true,
    ]
  /** One that was wanted. */
  | readonly ['will', device: string, connection: string, will: WillWord]
  /** All that there was of links when the registrar asked, it has been told. */
  | readonly ['all-told', mark: number]
  /** Before `end`: these are the successor's, and not over. */
  | readonly ['moved', connections: readonly string[]]
  /** This was all that there is of the predecessor, which has ended. */
  | readonly ['heir', of: string]
  | readonly ['taken', key: string]
  | readonly ['result', key: string, status: number, payload: Buffer]
  /** The link takes COMMANDs from now on. */
  | readonly ['ready', device: string, connection: string]
  | AskMessage
  | VerdictMessage
  | readonly ['marked', mark: number]
  | readonly [
      'unsent',
      key: string,
      device: string,
      why: Unsent,
      // Which sending of it, as the command said.
      connection: string,
      due: number,
      // `moved`, if it may be sent to no link twice: all of it, for the successor to send.
      command?: ToLink | undefined,
    ];

export type ToAcceptor =
  | readonly ['takeover', connection: string]
  /** Another acceptor has told of them: the predecessor need not list them any more. */
  | readonly ['recorded', connections: readonly string[]]
  /** The wills of these links are not known. */
  | readonly ['wanted', links: readonly (readonly [device: string, connection: string])[]]
  /** It is on record that these, which had a will, have ended. */
  | readonly ['gone', connections: readonly string[]]
  /** Say `all-told` behind all that there is to tell of links now. */
  | readonly ['tell-all', mark: number]
  | readonly [
      'command',
      device: string,
      connection: string,
      key: string,
      topic: string,
      payload: Buffer,
      /** When it expires, in ms since 1970: both ends have the clock of one machine. */
      due: number,
      /** Kept: the key of the one that this link has to have had before; '': there is none. */
      after?: string | undefined,
      /** Of its sender's span; '': no tracestate. */
      traceparent?: string | undefined,
      tracestate?: string | undefined,
    ]
  | BlockListMessage
  | AuthMessage
  /** All before it has been read: say so by `marked`. */
  | readonly ['mark', mark: number];

/** Whom the operator keeps out. */
export type BlockListMessage =
  | readonly ['list-begin']
  | readonly ['block', devices: readonly string[]]
  | readonly ['unblock', device: string]
  | readonly ['list-end'];

/** A device is to be let in: does the backend know it? */
export type AskMessage = readonly [
  'ask',
  id: number,
  device: string,
  token: string,
  peer: string,
  listener: string,
];

export type AuthMessage =
  /** The answer to `ask`. */
  | readonly ['said', id: number, said: Said]
  /** To keep; all that are known when the stream opens, then each as it comes. */
  | VerdictMessage;

/** A command on its way to a link. */
export type ToLink = Extract<ToAcceptor, readonly ['command', ...unknown[]]>;
/** What became of one. */
export type FromLink = Extract<
  ToRegistrar,
  readonly ['taken' | 'result' | 'unsent' | 'ready', ...unknown[]]
>;

/** A list of messages as frames: usually one; more when they are many, or their payloads long. */
export function encodeMessages(messages: readonly (ToRegistrar | ToAcceptor)[]): Buffer {
  const frames: Buffer[] = [];
  let list: (ToRegistrar | ToAcceptor)[] = [];
  let bytes = 0;
  for (const message of messages) {
    list.push(message);
    bytes += payloadBytes(message);
    if (list.length < FRAME_MESSAGES_MAX && bytes < FRAME_BYTES) continue;
    frames.push(frameOf(pack(list)));
    list = [];
    bytes = 0;
  }
  if (list.length > 0 || frames.length === 0) frames.push(frameOf(pack(list)));
  return frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames);
}

/** The bytes in it that may be many. */
export function payloadBytes(message: ToRegistrar | ToAcceptor): number {
  if (message[0] === 'command') return message[5].length;
  if (message[0] === 'unsent') return message[6]?.[5].length ?? 0;
  if (message[0] === 'up' || message[0] === 'down') return willBytes(message[5]);
  return message[0] === 'result' || message[0] === 'will' ? willBytes(message[3]) : 0;
}

function willBytes(will: WillWord | Buffer | string | true | undefined): number {
  if (Buffer.isBuffer(will)) return will.length;
  return typeof will === 'object' ? will[1].length : 0;
}

// A RESULT's payload waits for the broker: as a view it would hold a frame of many others.
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true });

/** The messages in a stream's chunks, cut anywhere. Throws when they are no frames of lists. */
export class MessageReader<M extends ToRegistrar | ToAcceptor> {
  readonly #frames = new FrameReader(FRAME_BYTES_MAX);

  push(chunk: Buffer): M[] {
    this.#frames.push(chunk);
    const messages: M[] = [];
    for (let payload = this.#frames.next(); payload; payload = this.#frames.next()) {
      messages.push(...(unpackr.unpack(payload) as M[]));
    }
    return messages;
  }
}
