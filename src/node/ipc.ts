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

export const CHILD_ROLES = ['acceptor', 'registrar', 'observer'] as const;
export type ChildRole = (typeof CHILD_ROLES)[number];

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

/** The Unix socket of a listener comes with it: bound, not listened on. Before `start`. */
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

export type ToChild =
  | StartMessage
  | NodeMessage
  | SocketMessage
  | RenewMessage
  | { readonly type: 'drain' };

export type FromChild =
  | { readonly type: 'ready' }
  | { readonly type: 'alive'; readonly figures: ChildFigures }
  | { readonly type: 'fatal'; readonly exitCode: ExitCode; readonly sentence: string }
  | CrashedMessage;

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
  /** Acceptors and observer. */
  onRenew?(message: RenewMessage): void;
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
