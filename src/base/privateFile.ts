/**
 * PrivateFile: reads a file with secrets, if nobody else may read it.
 * From: the paths of --keys and --admin-token-file.  To: who needs what is in it.
 * Bound: PRIVATE_BYTES_MAX. No sentence has a word of the content.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import type { StartError } from './errors.ts';

const PRIVATE_BYTES_MAX = 65_536;
const OTHERS = 0o077;

/** What the files of a listener held when they could last be used. */
export interface Kept {
  /** By path. */
  readonly texts: Readonly<Record<string, string>>;
  /** When, in ms since 1970. */
  readonly at: number;
  /** Why what is on disk cannot be used. */
  readonly why: string;
}

/** How the text at a path is had: `read` gives that of the file. */
export type ReadVia = (path: string, read: () => string) => string;
export const readNow: ReadVia = (_, read) => read();

/**
 * What is checked is what is read, whatever happens to the name meanwhile. Throws what `fail` makes
 * of a reason.
 */
export function readPrivate(path: string, fail: (why: string) => StartError): string {
  let file: number;
  try {
    // Opening a named pipe would wait for whoever writes into it.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw fail(`cannot be opened (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw fail('is not a plain file');
    if ((stat.mode & OTHERS) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw fail(`has mode ${mode}, so that others can use the keys: chmod 600 it`);
    }
    if (stat.size > PRIVATE_BYTES_MAX) throw fail(`has over ${PRIVATE_BYTES_MAX} bytes`);
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}
