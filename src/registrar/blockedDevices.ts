/**
 * BlockedDevices: whom the operator keeps out: who says so is answered when it is on disk and told.
 * From: the observer's questions; the store, once it is open.  To: the store; streamServer.ts,
 * which tells acceptors all of it when they come, and each change; the log, a line for each change.
 * Bound: `blockedMax` device ids here, PAGE rows or half of `questionBytesMax` in one answer.
 */
import type { Limits } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { DEVICE_ID, NOTE_MAX } from '../base/names.ts';
import { type AnswersByKind, ChannelError } from '../node/channel.ts';
import type { BlockListMessage } from '../node/messages.ts';
import type { BlockedDevice, BlockStore } from './store/blockRows.ts';

const PAGE = 1_000;
/** Of a row, besides its texts. */
const ROW_BYTES = 64;
/** A character's, in UTF-8. */
const CHAR_BYTES = 3;

export type BlockAnswer =
  | {
      readonly outcome: 'blocked' | 'already';
      readonly row: BlockedDevice;
      /** Acceptors that have not said in time that they know it. */
      readonly late: readonly string[];
    }
  | { readonly outcome: 'full'; readonly blockedMax: number };
export type UnblockAnswer =
  | { readonly outcome: 'unblocked'; readonly row: BlockedDevice }
  | { readonly outcome: 'not-blocked' };

export interface BlockedAnswer {
  readonly rows: readonly BlockedDevice[];
  /** There are more behind the last row. */
  readonly isMore: boolean;
}

export interface BlockedDevicesOptions {
  readonly store: BlockStore;
  readonly limits: Pick<Limits, 'blockedMax' | 'questionBytesMax'>;
  /** ms since 1970. */
  readonly wall: () => number;
  readonly log: Pick<Logger, 'info'>;
  /** The set goes on to be what there is. */
  readonly onKnown: (devices: ReadonlySet<string>) => void;
  /** Resolves with the acceptors that have not said in time that they know it. */
  readonly onChange: (message: BlockListMessage) => Promise<readonly string[]>;
}

export class BlockedDevices {
  readonly #options: BlockedDevicesOptions;
  #devices: Set<string> | undefined;
  #loading: Promise<void> | undefined;

  constructor(options: BlockedDevicesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#devices?.size ?? 0;
  }

  /** Read it, if that is still to be done. Rejects with a StoreError, and may be tried again. */
  async load(): Promise<void> {
    if (this.#devices !== undefined) return;
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    await this.#loading;
  }

  async #load(): Promise<void> {
    const { store, onKnown } = this.#options;
    const devices = new Set<string>();
    for (let after: string | undefined = ''; after !== undefined; ) {
      const rows: BlockedDevice[] = await store.blocked(after, PAGE);
      for (const { device } of rows) devices.add(device);
      after = rows.at(-1)?.device;
    }
    this.#devices = devices;
    onKnown(devices);
  }

  /** The questions, by kind. `who` in them is whoever asks, for the log. */
  answers(): AnswersByKind {
    return {
      block: (body) => this.#block(body),
      unblock: (body) => this.#unblock(body),
      blocked: (body) => this.#page(body),
    };
  }

  async #block(body: unknown): Promise<BlockAnswer> {
    const { store, limits, wall, log, onChange } = this.#options;
    const { device, who, note } = askedIn(body);
    const devices = this.#known();
    const { blockedMax } = limits;
    const blocking = await store.block({ device, since: wall(), note }, blockedMax);
    if (blocking.outcome === 'full') return { outcome: 'full', blockedMax };
    // Told again also if it was in it already: that costs nothing, and repairs what was missed.
    devices.add(device);
    const told = onChange(['block', [device]]);
    if (blocking.outcome === 'blocked') log.info({ who, what: 'block', device, note }, AUDIT);
    return { ...blocking, late: await told };
  }

  async #unblock(body: unknown): Promise<UnblockAnswer> {
    const { store, log, onChange } = this.#options;
    const { device, who } = askedIn(body);
    const devices = this.#known();
    const row = await store.unblock(device);
    if (row === undefined) return { outcome: 'not-blocked' };
    devices.delete(device);
    void onChange(['unblock', device]);
    log.info({ who, what: 'unblock', device }, AUDIT);
    return { outcome: 'unblocked', row };
  }

  async #page(body: unknown): Promise<BlockedAnswer> {
    const { store, limits } = this.#options;
    const { after } = (body ?? {}) as { readonly after?: unknown };
    if (typeof after !== 'string') throw new ChannelError('bad', 'after is a device id, or empty');
    const found = await store.blocked(after, PAGE);
    let bytes = 0;
    const rows = found.filter(({ device, note }, at) => {
      bytes += ROW_BYTES + device.length + CHAR_BYTES * note.length;
      return at === 0 || bytes < limits.questionBytesMax / 2;
    });
    return { rows, isMore: rows.length < found.length || found.length === PAGE };
  }

  #known(): Set<string> {
    if (this.#devices !== undefined) return this.#devices;
    throw new ChannelError('failed', 'the block list could not be read from the store yet');
  }
}

const AUDIT = 'audit';

interface Asked {
  readonly device: string;
  readonly note: string;
  readonly who: string;
}

function askedIn(body: unknown): Asked {
  const { device, note = '', who = '' } = (body ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof device !== 'string' || !DEVICE_ID.test(device)) {
    throw new ChannelError('bad', 'device is no device id');
  }
  if (typeof note !== 'string' || note.length > NOTE_MAX) {
    throw new ChannelError('bad', `a note is a text of at most ${NOTE_MAX} characters`);
  }
  return { device, note, who: String(who) };
}
