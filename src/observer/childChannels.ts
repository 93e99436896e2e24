/**
 * ChildChannels: the observer's ends of the channels of acceptors and the registrar.
 * From: childChannel.ts of each, by a Unix socket in the node's folder.  To: `onReport`, a report
 * at a time; whoever asks a process, by its incarnation.
 * Bound: one per connection; channel.ts's for each. A connection with nonsense on it is closed.
 */
import type { Limits } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { Channel, ChannelError } from '../node/channel.ts';
import { LocalSocket } from '../node/localSocket.ts';
import type { ReportMessage } from '../node/report.ts';

export interface ChildChannelsOptions {
  readonly path: string;
  readonly limits: Limits;
  readonly log: Logger;
  readonly onReport: (report: ReportMessage) => void;
  /** The first report of a connection: this process is heard now. */
  readonly onUp?: (incarnation: string) => void;
  /** Entries of a trace: see nodeTraces.ts. */
  readonly onTrace?: (body: unknown, incarnation: string) => void;
}

/** A channel, and who speaks there: its reports say so. */
interface Child {
  readonly channel: Channel;
  incarnation: string | undefined;
}

export class ChildChannels {
  readonly #options: ChildChannelsOptions;
  readonly #server: LocalSocket;
  readonly #children = new Set<Child>();
  readonly #byIncarnation = new Map<string, Child>();

  constructor(options: ChildChannelsOptions) {
    const { path, limits } = options;
    this.#options = options;
    this.#server = new LocalSocket(path, (stream) => {
      const channel: Channel = new Channel(stream, {
        limits,
        notices: {
          report: (body) => this.#onReport(child, body),
          trace: (body) => this.#options.onTrace?.(body, child.incarnation ?? ''),
        },
        onBad: (error) => this.#onBad(error),
        onClose: () => this.#forget(child),
      });
      const child: Child = { channel, incarnation: undefined };
      this.#children.add(child);
    });
  }

  get size(): number {
    return this.#children.size;
  }

  listen(): Promise<void> {
    return this.#server.listen();
  }

  #onReport(child: Child, body: unknown): void {
    if (!isReport(body)) throw new ChannelError('bad', 'a report that is none');
    const isNew = child.incarnation !== body.incarnation;
    if (isNew) {
      this.#leave(child);
      child.incarnation = body.incarnation;
    }
    // The newest connection of a process is the one that it reads.
    this.#byIncarnation.set(body.incarnation, child);
    this.#options.onReport(body);
    if (isNew) this.#options.onUp?.(body.incarnation);
  }

  #onBad(err: unknown): void {
    this.#options.log.error({ err, reason: 'bad frame' }, 'closing a child’s channel');
  }

  #forget(child: Child): void {
    this.#children.delete(child);
    this.#leave(child);
  }

  #leave(child: Child): void {
    const { incarnation } = child;
    if (incarnation !== undefined && this.#byIncarnation.get(incarnation) === child) {
      this.#byIncarnation.delete(incarnation);
    }
  }

  /** Ask one process. Rejects with a ChannelError within `questionMs`, or at once if it is away. */
  async ask(incarnation: string, kind: string, body: unknown): Promise<unknown> {
    const child = this.#byIncarnation.get(incarnation);
    if (child === undefined) throw new ChannelError('closed', 'it is not connected');
    return child.channel.ask(kind, body);
  }

  async close(): Promise<void> {
    for (const { channel } of this.#children) channel.close();
    await this.#server.close();
  }
}

function isReport(body: unknown): body is ReportMessage {
  if (typeof body !== 'object' || body === null) return false;
  const { index, incarnation, degraded, snapshot } = body as Partial<ReportMessage>;
  const isNamed = Number.isInteger(index) && typeof incarnation === 'string';
  return isNamed && Array.isArray(degraded) && typeof snapshot === 'object' && snapshot !== null;
}
