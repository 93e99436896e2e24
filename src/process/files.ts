/**
 * Files: how many files this process may have open, and so how many links.
 * From: /proc/self/limits, or process.report elsewhere.  To: preflight.ts and acceptor.ts.
 * Bound: FILES_RESERVED stay free: beyond the limit the kernel closes new sockets unseen.
 */
import { readFileSync } from 'node:fs';
import { FILES_RESERVED, type Limits } from '../limits.ts';

/** The soft open-file limit. Node has already raised it to the hard one. */
export function openFilesMax(): number {
  const soft = fromProc() ?? fromReport();
  return soft ?? Number.POSITIVE_INFINITY;
}

/** The links that fit below an open-file limit; may be 0 or less. */
export function linksThatFit(filesMax: number): number {
  return filesMax - FILES_RESERVED;
}

/** Links one acceptor takes: `limits.linksMax`, or with 0 what fits below the open-file limit. */
export function linksMaxOf(limits: Limits, filesMax: number = openFilesMax()): number {
  if (limits.linksMax !== 0) return limits.linksMax;
  return Math.min(linksThatFit(filesMax), LINKS_MAX_UNLIMITED);
}

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
