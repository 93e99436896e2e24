/**
 * Version: which Owsla this process runs.
 * From: package.json, read once: what is installed later is another process's.
 * To: answers to `status`.
 * Bound: none: one word.
 */
import { createRequire } from 'node:module';

/** By the package's own name, so it is found from sources and compiled alike. */
const { version } = createRequire(import.meta.url)('owsla/package.json') as { version: string };

export const OWSLA_VERSION = version;
