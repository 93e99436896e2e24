/**
 * KeptFiles: what the files of listeners held when they could last be used, so that an acceptor
 * starts also while one of them is broken, missing or over.
 * From: the files, at the start, when they are to be read again, and before each acceptor's start.
 * To: an acceptor that starts, by its channel only, and of those listeners only that need it.
 * Bound: one text a file, as long as their readers take; in memory, never on disk.
 */
import { readFiles } from '../acceptor/establish/listenerFiles.ts';
import { StartError } from '../base/errors.ts';
import type { ListenerConfig } from '../base/listeners.ts';
import type { Kept } from '../base/privateFile.ts';
import type { StartMessage } from '../node/ipc.ts';

export class KeptFiles {
  readonly #listeners: readonly ListenerConfig[];
  readonly #wall: () => number;
  /** By listener. */
  readonly #good = new Map<string, Omit<Kept, 'why'>>();

  /** `wall`: ms since 1970. */
  constructor(listeners: readonly ListenerConfig[], wall: () => number) {
    this.#listeners = listeners;
    this.#wall = wall;
    this.look();
  }

  /** Keep what can be used now. Of the other listeners: what could be, and why not now. */
  look(): StartMessage['kept'] {
    return Object.fromEntries(
      this.#listeners.flatMap((listener) => {
        const why = this.#keep(listener);
        const good = this.#good.get(listener.name);
        return why === undefined || good === undefined ? [] : [[listener.name, { ...good, why }]];
      }),
    );
  }

  #keep(listener: ListenerConfig): string | undefined {
    const now = this.#wall();
    const before = this.#good.get(listener.name)?.texts;
    const texts: Record<string, string> = {};
    let isKnown = before !== undefined;
    const remember = (path: string, read: () => string): string => {
      const text = read();
      texts[path] = text;
      isKnown &&= before?.[path] === text;
      return text;
    };
    try {
      readFiles(listener, now, { via: remember, isProved: () => isKnown });
    } catch (error) {
      if (error instanceof StartError) return error.message;
      throw error;
    }
    this.#good.set(listener.name, { texts, at: now });
    return undefined;
  }
}
