/**
 * Files: how many files this process may have open, and so how many links.
 * From: /proc/self/limits, or process.report elsewhere.
 * To: preflight.ts and acceptor.ts; report.ts, with how many it has.
 * Bound: FILES_RESERVED stay free: beyond the limit the kernel closes new sockets unseen.
 */
import { readFileSync, statSync } from 'node:fs';
import type { Config } from '../base/config.ts';
import { FILES_RESERVED } from '../base/limits.ts';

/** The soft open-file limit. Node has already raised it to the hard one. */
export function openFilesMax(): number {
  const soft = fromProc() ?? fromReport();
  return soft ?? Number.POSITIVE_INFINITY;
}

/**
 * The files that this process has open. Linux 6.2 and later count them; to list them would take
 * longer the more there are. Undefined elsewhere.
 */
export function openFiles(): number | undefined {
  try {
    return statSync('/proc/self/fd').size || undefined;
  } catch {
    return undefined;
  }
}

/** The links that fit below an open-file limit; may be 0 or less. */
export function linksThatFit(filesMax: number): number {
  return filesMax - FILES_RESERVED;
}

/**
 * Links that acceptor `index` (1 to `acceptors`) takes: the least of `limits.linksMax`, its share
 * of `maxLinks`, and what fits below the open-file limit. The shares add up to `maxLinks` exactly.
 */
export function linksMaxOf(
  { limits, maxLinks, acceptors }: LinksConfig,
  index: number,
  filesMax: number = openFilesMax(),
): number {
  const extra = index <= maxLinks % acceptors ? 1 : 0;
  const share = maxLinks === 0 ? LINKS_MAX_UNLIMITED : Math.floor(maxLinks / acceptors) + extra;
  const own = limits.linksMax === 0 ? LINKS_MAX_UNLIMITED : limits.linksMax;
  return Math.min(share, own, linksThatFit(filesMax));
}

/** What of a config says how many links there may be. */
export type LinksConfig = Pick<Config, 'limits' | 'maxLinks' | 'acceptors'>;

/** Where the system sets no limit at all: the largest `linksMax` that can be asked for. */
const LINKS_MAX_UNLIMITED = 1_000_000;

function fromProc(): number | undefined {
  try {
    const line = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return line?.[1] === undefined ? undefined : asNumber(line[1]);
  } catch {
    return undefined;
  }
}

interface ReportLimits {
  readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } };
}

function fromReport(): number | undefined {
  const report = process.report?.getReport() as ReportLimits | undefined;
  const soft = report?.userLimits?.open_files?.soft;
  return soft === undefined ? undefined : asNumber(String(soft));
}

function asNumber(text: string): number {
  return text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
}
