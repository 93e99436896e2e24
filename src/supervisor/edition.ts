/**
 * Edition: what a child runs: code on disk, a config, and what that config's files held.
 * From: supervisor.ts, at the start; reload.ts, of what a fresh process has proved.
 * To: children.ts, for each process that it forks: who ends is followed by one of its own edition.
 * Bound: two at once, while one replaces the other.
 */
import type { Config } from '../base/config.ts';
import { KeptFiles } from './keptFiles.ts';

/** childMain.ts beside this file, or childMain.js where this is compiled. */
export const CHILD_ENTRY = import.meta.filename.replace(/edition(?=\.[jt]s$)/, 'childMain');

export interface Edition {
  /** childMain of the installation, by its real path. */
  readonly entry: string;
  readonly config: Config;
  readonly kept: KeptFiles;
}

export function makeEdition(entry: string, config: Config): Edition {
  return { entry, config, kept: new KeptFiles(config.listeners, Date.now) };
}
