/**
 * ListenerFiles: the files that listeners need: certificates, revocation lists, keys.
 * From: the config's paths, at the start and whenever they are to be read again.
 * To: entrance.ts, for TLS; identities.ts, for proofs; preflight.ts, which only tries.
 * Bound: those of the readers. Files that cannot be used leave all before of their listener in use;
 * at the start that is what the supervisor has kept.
 */
import { type GroupKeys, readGroupKeys } from '../../base/deviceKeys.ts';
import { StartError } from '../../base/errors.ts';
import type { ListenerConfig } from '../../base/listeners.ts';
import type { Logger } from '../../base/log.ts';
import type { Counters } from '../../base/metrics.ts';
import type { Kept } from '../../base/privateFile.ts';
import type { Concern } from '../../node/alarmNames.ts';
import { type JwtKey, readJwtKeys } from '../identity/jwt.ts';
import { type ReadHow, readTlsFiles, type TlsFiles } from './tlsFiles.ts';

/** What one listener has read. Undefined: it needs none. */
export interface FilesRead {
  readonly tls: TlsFiles | undefined;
  readonly keys: GroupKeys | undefined;
  readonly jwtKeys: readonly JwtKey[] | undefined;
}

const MS_PER_SECOND = 1_000;
const NONE: FilesRead = { tls: undefined, keys: undefined, jwtKeys: undefined };

/** Throws a StartError for the first that cannot be used. `now`: ms since 1970. */
export function readFiles(listener: ListenerConfig, now: number, how: ReadHow = {}): FilesRead {
  const { tls, auth, keys, jwtKeys } = listener;
  const needsKeys = auth.includes('key') || auth.includes('psk');
  return {
    tls: tls && readTlsFiles(tls, now, how),
    keys: needsKeys ? readGroupKeys(keys, how.via) : undefined,
    jwtKeys: auth.includes('jwt') ? readJwtKeys(jwtKeys, how.via) : undefined,
  };
}

/** For people: what is read. */
export function pathsOf({ tls, keys, jwtKeys }: ListenerConfig): readonly string[] {
  const paths = [tls?.cert, tls?.key, tls?.clientCa, tls?.crl, keys, jwtKeys];
  return paths.flatMap((path) => path || []);
}

/** Read all again, and say in the log what came of it. */
export function renewFiles(
  listeners: readonly ListenerConfig[],
  files: ListenerFiles,
  log: Pick<Logger, 'info' | 'error'>,
  onRenewed: (listener: ListenerConfig) => void,
): void {
  for (const listener of listeners) {
    const paths = pathsOf(listener);
    if (paths.length === 0) continue;
    const { name } = listener;
    const reason = files.renew(listener);
    if (reason === undefined) {
      onRenewed(listener);
      log.info({ listener: name, files: paths }, 'files read again');
    } else log.error({ listener: name, reason }, 'files not read again: the old ones stay in use');
  }
}

export class ListenerFiles {
  readonly #wall: () => number;
  readonly #files: Map<ListenerConfig, FilesRead>;

  /** Why files of a listener are older than what is on disk, by its name. */
  readonly #faults = new Map<string, string>();

  /** Throws a StartError when a file cannot be used. `kept`: of listeners where that is known. */
  constructor(
    listeners: readonly ListenerConfig[],
    wall: () => number,
    kept: Readonly<Record<string, Kept>> = {},
  ) {
    this.#wall = wall;
    // By the supervisor, just now.
    const isProved = () => true;
    this.#files = new Map(
      listeners.map((one) => {
        const old = kept[one.name];
        if (old === undefined) return [one, readFiles(one, wall(), { isProved })];
        this.#faults.set(one.name, old.why);
        const via = (path: string) => old.texts[path] ?? '';
        return [one, readFiles(one, old.at, { via, isProved })];
      }),
    );
  }

  /** One sentence for each listener that does with older files than those on disk. */
  get faults(): readonly string[] {
    return [...this.#faults].map(([name, why]) => `listener ${name} has older files: ${why}`);
  }

  sayFaults(log: Pick<Logger, 'error'>): void {
    for (const reason of this.faults) log.error({ reason }, 'older files are in use');
  }

  /** What there is now, by listener. */
  all(): ReadonlyMap<ListenerConfig, FilesRead> {
    return new Map(this.#files);
  }

  /** What ends, and when. */
  concerns(): Concern[] {
    return [...this.#files].flatMap(([{ tls }, { tls: read }]) => {
      const about = 'certificate';
      const ends = [
        { about, name: tls?.cert ?? '', figure: read?.endsAt },
        { about, name: tls?.clientCa ?? '', figure: read?.caEndsAt },
        { about: 'revocations', name: tls?.crl ?? '', figure: read?.revoked?.nextUpdate },
      ] as const;
      return ends.flatMap(({ figure, ...one }) =>
        figure === undefined ? [] : [{ ...one, figure }],
      );
    });
  }

  /** The first end of a certificate, in s since 1970; 0: there is none. */
  count(counters: Pick<Counters, 'certificateEndSeconds'>): void {
    const ends = this.concerns().filter(({ about }) => about === 'certificate');
    const first = Math.min(...ends.map(({ figure }) => figure));
    counters.certificateEndSeconds = ends.length === 0 ? 0 : first / MS_PER_SECOND;
  }

  of(listener: ListenerConfig): FilesRead {
    return this.#files.get(listener) ?? NONE;
  }

  /** Read those of one listener again. Undefined when it was done; else why not. */
  renew(listener: ListenerConfig): string | undefined {
    try {
      this.#files.set(listener, readFiles(listener, this.#wall()));
      this.#faults.delete(listener.name);
      return undefined;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      this.#faults.set(listener.name, error.message);
      return error.message;
    }
  }
}
