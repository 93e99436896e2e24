/**
 * BlockRows: what the store keeps of devices that an operator keeps out. Types only.
 * From: blockedDevices.ts.  To: sqliteBlocked.ts.
 * Bound: one row for each of them, at most `blockedMax`.
 */

export interface BlockedDevice {
  readonly device: string;
  /** When that was said, in ms since 1970. */
  readonly since: number;
  /** The operator's words; '' if there are none. */
  readonly note: string;
}

/** `already`: with the row that there was, which stays. `full`: nothing is written. */
export type Blocking =
  | { readonly outcome: 'blocked' | 'already'; readonly row: BlockedDevice }
  | { readonly outcome: 'full' };

export interface BlockStore {
  /** On disk when this resolves; never more than `max` rows. Rejects with a StoreError. */
  block(row: BlockedDevice, max: number): Promise<Blocking>;
  /** Likewise. Gives the row that there was. */
  unblock(device: string): Promise<BlockedDevice | undefined>;
  /** By device id behind `after`. */
  blocked(after: string, limit: number): Promise<BlockedDevice[]>;
}
