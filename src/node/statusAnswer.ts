/**
 * StatusAnswer: what the question `status` on control.sock is answered with.
 * From: the observer's nodeQuestions.ts.  To: the command line, as text or JSON.
 * Bound: one entry per process of the node.
 */
import type { RaisedAlarm } from './alarmNames.ts';
import type { ChildRole, ChildState, NodeMessage } from './ipc.ts';
import type { ReloadFacts } from './reloadFacts.ts';
import type { Degraded } from './report.ts';

/** `blocked`: the broker takes no publishes. */
export type BrokerState = 'up' | 'down' | 'blocked';

export interface ProcessStatus {
  readonly role: 'supervisor' | ChildRole;
  /** Acceptors: from 1 up. The others: 0. */
  readonly index: number;
  readonly state: ChildState | 'silent';
  /** Of a live process. */
  readonly pid?: number;
  readonly uptimeMs?: number;
  readonly incarnation?: string;
  /** Only if it answers. */
  readonly version?: string;
  readonly runtime?: string;
  readonly broker?: BrokerState;
  readonly links?: number;
  readonly linksMax?: number;
  /** Why it does not answer, or could not go on. */
  readonly why?: string;
  /** In a reload: beside the one that takes new links; it starts, or hands its links over. */
  readonly isBeside?: boolean;
}

/** Where devices connect. */
export interface ListenerFacts {
  readonly name: string;
  readonly address: string;
  readonly isTls: boolean;
  readonly auth: readonly string[];
}

export interface StatusAnswer {
  /** Names this start of the node. */
  readonly node: string;
  readonly state: 'ready' | 'degraded' | 'not-ready';
  /** As /health/ready has them. */
  readonly reasons: readonly { readonly acceptor?: number; readonly reason: string }[];
  readonly degraded: readonly (Degraded & { readonly acceptor?: number })[];
  readonly alarms: readonly RaisedAlarm[];
  /** Of the process that answers. */
  readonly version: string;
  readonly runtime: string;
  readonly uptimeMs: number;
  readonly listeners: readonly ListenerFacts[];
  readonly adminHost: string;
  readonly adminPort: number;
  readonly prefix: string;
  /** Addresses, without user and password. */
  readonly brokers: readonly string[];
  /** Of an acceptor that does not answer: as of its last report. */
  readonly links: number;
  readonly linksMax: number;
  readonly restarts: NodeMessage['restarts'];
  /** The last one of this node: under way, or how it ended. */
  readonly reload?: ReloadFacts;
  readonly processes: readonly ProcessStatus[];
}
