/**
 * IPC: the messages between the supervisor and its children, and nothing else.
 * From: supervisor.ts and child.ts, over the channel that fork() makes.
 * To: each other. All of it is plain JSON, so it is the same from sources and compiled.
 * Bound: a side that does not read makes the other skip signs of life, never queue them.
 */
import { join } from 'node:path';
import type { Config } from '../base/config.ts';
import type { ExitCode } from '../base/errors.ts';
import type { Kept } from '../base/privateFile.ts';
import type { ReloadFacts } from './reloadFacts.ts';

export const CHILD_ROLES = ['acceptor', 'registrar', 'observer'] as const;
export type ChildRole = (typeof CHILD_ROLES)[number];

/** The observer's place in SocketMessage; no listener has this name. */
export const ADMIN_SOCKET = '/admin';

/** What every child is told once, before it does anything. */
export interface StartMessage {
  readonly type: 'start';
  readonly role: ChildRole;
  readonly config: Config;
  /** Acceptors: 1 to config.acceptors. The others: 0. */
  readonly index: number;
  readonly incarnation: string;
  /** Names this start of the node: the same for all its children, and never used again. */
  readonly node: string;
  /** Private folder (0700) of this node's Unix sockets. */
  readonly folder: string;
  /** Of TLS tickets: 48 bytes, base64. A secret; acceptors only. */
  readonly ticketKey: string;
  /** By listener: of those alone whose files cannot be used now. With secrets; acceptors only. */
  readonly kept: Readonly<Record<string, Kept>>;
  /** Of hashes of tokens: 32 bytes, base64, for as long as the node runs. Not the observer's. */
  readonly authSecret: string;
  /**
   * Acceptors: the incarnation whose successor this is. It is ready without listening: listening
   * handles and links come from that one, or by `gone` the news that none will.
   */
  readonly successorOf?: string;
  /** Acceptors: those that are there when one more comes; it asks them for listening sockets. */
  readonly joins?: readonly string[];
  /** Registrar and observer that replace another one: load, say so, and begin at `begin`. */
  readonly isWaiting?: boolean;
}

/** The links of `of` have moved to `by`, or do, or will. */
export interface Succession {
  readonly of: string;
  readonly by: string;
}

/** One child as the supervisor sees it. */
export interface ChildFacts {
  readonly role: ChildRole;
  readonly index: number;
  readonly state: ChildState;
  /** The live incarnation; absent while there is none. */
  readonly incarnation?: string;
  /** Of the live process. */
  readonly pid?: number;
  /** When that began, in ms since 1970: for people. */
  readonly startedAt?: number;
  /** Its last words, of one that could not go on and is tried again. */
  readonly why?: string;
  /** How often it was started again since the node's start; a reload does not count. */
  readonly restarts?: number;
  /** In a reload: an acceptor beside the one that new links come to, with the same index. */
  readonly isBeside?: boolean;
}

export type ChildState = 'pausing' | 'starting' | 'ready' | 'stopping' | 'killed' | 'ended';

/**
 * The whole state of the node, for observer and registrar; a sign of the supervisor's life. An
 * acceptor is in it before it begins, and its incarnation until its exit has been seen.
 */
export interface NodeMessage {
  readonly type: 'node';
  readonly isStopping: boolean;
  /** The supervisor's own; `startedAt` as above. */
  readonly pid: number;
  readonly startedAt: number;
  readonly children: readonly ChildFacts[];
  readonly restarts: Readonly<Record<ChildRole, number>>;
  /**
   * Named before the successor is told to start, and as long as any acceptor at the end of a chain
   * of them lives: rows of ended ones wait for what it says. In the order of their starts.
   */
  readonly successions?: readonly Succession[];
  /** The last reload of this node. */
  readonly reload?: ReloadFacts;
}

/** A process that there is now, by what it is asked by. */
export interface LiveChild {
  readonly index: number;
  readonly incarnation: string;
}

/** Those of one role. */
export function liveChildren(node: NodeMessage | undefined, role: ChildRole): LiveChild[] {
  return (node?.children ?? []).flatMap(({ role: own, index, incarnation }) =>
    own === role && incarnation !== undefined ? [{ index, incarnation }] : [],
  );
}

/**
 * The Unix socket of a listener comes with it: bound, not listened on. Before `start`. Or, to an
 * observer before `begin`, the listening socket of its predecessor, as ADMIN_SOCKET.
 */
export interface SocketMessage {
  readonly type: 'socket';
  readonly name: string;
}

/** To acceptors and observer: read certificates, revocation lists, keys and the token again. */
export interface RenewMessage {
  readonly type: 'renew';
  /** As in StartMessage. */
  readonly ticketKey: string;
}

/**
 * To an acceptor: let its listening handles and its links go to its successors: one, or all
 * acceptors that stay when there are to be fewer. Once.
 */
export interface MoveMessage {
  readonly type: 'move';
  /** Incarnations, which are ready. */
  readonly to: readonly string[];
  /** Offers under way at once. */
  readonly window: number;
  /** So long a link that is busy is read on, and waited for. */
  readonly quietMs: number;
  /** What has not moved after so long is drained. */
  readonly moveMs: number;
  /** Such a device comes back within so many ms. */
  readonly retryMs: number;
}

/** What an acceptor and its successor say: docs/presence-spec.md, "Moves". */
export type MoveWord =
  /**
   * -> successor, with the handle: of a listener, by its number among that listener's sockets.
   * `host`: as its config has it; older ones do not say.
   */
  | {
      readonly what: 'listener';
      readonly name: string;
      readonly host?: string;
      readonly socket: number;
    }
  /** One that joins -> each that is there: listening sockets, please; they are so many then. */
  | { readonly what: 'share'; readonly among: number }
  /** -> successor: these were all listening handles. */
  | { readonly what: 'listeners-end' }
  /** Back: it listens on all of them, so the copies that are there may go. */
  | { readonly what: 'listening' }
  /** -> successor, with the handle. The snapshot is base64: snapshotBytes.ts. */
  | { readonly what: 'offer'; readonly connection: string; readonly snapshot: string }
  /** `ready`, `dropped` -> predecessor; `go`, `cancel` -> successor. */
  | { readonly what: 'ready' | 'go' | 'cancel' | 'dropped'; readonly connection: string };

/**
 * From an acceptor to another one. The supervisor passes it on as it is, with its handle, in order,
 * and closes its own copy of the handle when that has left; of what it cannot pass on, too. It does
 * not look into `word`.
 */
export interface PassMessage {
  readonly type: 'pass';
  readonly from: string;
  readonly to: string;
  readonly word: MoveWord;
}

/** To an acceptor that serves: links and listening handles of this one come here, too. */
export interface FollowMessage {
  readonly type: 'follow';
  readonly of: string;
}

/**
 * To the other one of a predecessor and its successor: the exit of this one was seen, and all that
 * came from it was passed on before.
 */
export interface GoneMessage {
  readonly type: 'gone';
  readonly acceptor: string;
}

/** From a predecessor, once: none of its links is left, and the registrar knows of all moves. */
export interface MovedMessage {
  readonly type: 'moved';
  readonly figures: MoveFigures;
}

/** How a move ended. It is answered by `drain`. */
export interface MoveFigures {
  /** Links that the successor has. */
  readonly moved: number;
  /** Links that ended by themselves meanwhile. */
  readonly left: number;
  /** Links that could not move: BYE `draining`. */
  readonly drained: number;
  readonly ms: number;
}

export type ToChild =
  | StartMessage
  | NodeMessage
  | SocketMessage
  | RenewMessage
  | MoveMessage
  | FollowMessage
  | PassMessage
  | GoneMessage
  /** To one that waits: its predecessor has ended. */
  | { readonly type: 'begin' }
  /** To an observer: its listening socket is wanted, for its successor. */
  | { readonly type: 'give' }
  | { readonly type: 'drain' };

export type FromChild =
  | { readonly type: 'ready' }
  | { readonly type: 'alive'; readonly figures: ChildFigures }
  | { readonly type: 'fatal'; readonly exitCode: ExitCode; readonly sentence: string }
  | CrashedMessage
  | PassMessage
  | MovedMessage
  /** Of one that waits for `begin`. */
  | { readonly type: 'loaded' }
  /** Of an acceptor that was full: its Unix sockets are wanted again. */
  | { readonly type: 'sockets' }
  /** The observer's answer to `give`, with the handle. */
  | { readonly type: 'given' }
  /** Of the observer: somebody asks for a reload. */
  | { readonly type: 'reload'; readonly by: string };

/** The last words of a child that an error ends. */
export interface CrashedMessage {
  readonly type: 'crashed';
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** The last ones of its log. */
  readonly lines: readonly string[];
}

/** A child's few last words, for the log line about its end. */
export type ChildFigures = Readonly<Record<string, number>>;

/** What each role gives child.ts, which runs it. */
export interface RunningChild {
  title(): string;
  figures(): ChildFigures;
  /** Resolves when it does its work, if it has to wait for others first. */
  isServing?(): Promise<void>;
  onNode(node: NodeMessage): void;
  /** The observer's listening socket, for its successor. */
  listeningHandle?(): unknown;
  /** Acceptors and observer. */
  onRenew?(message: RenewMessage): void;
  /** Acceptors: their part in a reload. */
  onSocket?(name: string, handle: unknown): void;
  onMove?(message: MoveMessage): void;
  onFollow?(message: FollowMessage): void;
  onPass?(message: PassMessage, handle: unknown): void;
  onGone?(acceptor: string): void;
  /** The supervisor is gone; `drain` follows. */
  onOrphaned?(): void;
  /** End gracefully; resolves when nothing is left to do. */
  drain(): Promise<void>;
}

/** The registrar's socket inside the node's folder. */
export function registrarSocket(folder: string): string {
  return join(folder, 'registrar.sock');
}

/** The observer's socket inside the node's folder. */
export function observerSocket(folder: string): string {
  return join(folder, 'observer.sock');
}

/** The socket for people, in --run-dir or inside the node's folder. */
export function controlSocket(folder: string): string {
  return join(folder, 'control.sock');
}
