/**
 * Shared: what more than one part of an acceptor knows of.
 * From: acceptor.ts, which makes it first.  To: the files that put parts together.
 * Bound: none of its own.
 */
import type { Config } from '../base/config.ts';
import type { StartError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Counters } from '../base/metrics.ts';
import type { Trace } from '../base/trace.ts';
import type { StartMessage } from '../node/ipc.ts';
import type { Protocols } from '../wire/protocol.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import type { LinkWills } from './endpoint/linkWills.ts';
import type { BoundSocket } from './endpoint/listener.ts';
import type { Registry } from './endpoint/registry.ts';
import type { RoomSignal } from './endpoint/roomSignal.ts';
import type { BlockList } from './identity/blockList.ts';
import type { ToSupervisor } from './move/moveLine.ts';
import type { Operate } from './operate/operate.ts';
import type { OwnProtocols } from './ownProtocols.ts';

export interface AcceptorStart {
  readonly config: Config;
  /** 1 to the number of acceptors. */
  readonly index: number;
  /** Names this process's reply queue; never used again by another. */
  readonly incarnation: string;
  /** Private folder of this node's Unix sockets. */
  readonly folder: string;
  /** Of the Unix listeners, by name: bound handles. */
  readonly sockets: ReadonlyMap<string, BoundSocket>;
  /** 48 bytes, base64: of TLS tickets, the same in all acceptors. */
  readonly ticketKey: string;
  /** By listener: of files that cannot be used now. */
  readonly kept: StartMessage['kept'];
  /** 32 bytes, base64: of hashes of tokens, the same in all processes of the node. */
  readonly authSecret: string;
  /** The incarnation whose links come here. */
  readonly successorOf?: string;
  /** It is one more: of these it gets listening sockets. */
  readonly joins?: readonly string[];
  readonly toSupervisor: ToSupervisor;
  /** What listeners may speak, modules of the operator's own with it. */
  readonly own: OwnProtocols;
  readonly log: Logger;
  /** This process cannot continue: one sentence for the operator. */
  readonly onFatal: (error: StartError) => void;
}

/** The links there are, and word of room for their messages: what more than one way knows of. */
export interface Shared {
  readonly start: AcceptorStart;
  /** What links may speak. */
  readonly protocols: Protocols;
  readonly counters: Counters;
  readonly registry: Registry<Endpoint>;
  readonly room: RoomSignal;
  readonly blockList: BlockList;
  readonly wills: LinkWills;
  /** Steps of its protocols, for tests. */
  readonly trace: Trace;
}

/** Shared, and what people ask of the links and do to them. */
export interface Operated extends Shared {
  readonly operate: Operate;
}
