/**
 * The wall clock of a real node, set by a test: loaded before everything else into each of its
 * processes, by NODE_OPTIONS; goes ahead by what the file says that OWSLA_TEST_WALL names.
 * From: a test, by `WallClock`.  To: Date.now; clocks that never go back are as they are.
 * Bound: without the file nothing is different. It is looked at every LOOK_MS.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const VARIABLE = 'OWSLA_TEST_WALL';
const LOOK_MS = 25;

/** A test's handle on the nodes that it starts with `env`. */
export class WallClock {
  readonly #folder = mkdtempSync(join(tmpdir(), 'owsla-wall-'));
  readonly #file = join(this.#folder, 'ahead');

  get env(): Record<string, string> {
    return { NODE_OPTIONS: `--import=${import.meta.url}`, [VARIABLE]: this.#file };
  }

  /** So far ahead of the true time, or behind. */
  set(aheadMs: number): void {
    writeFileSync(this.#file, String(aheadMs));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

function obey(file: string): void {
  const { now } = Date;
  let aheadMs = 0;
  const look = () => {
    try {
      aheadMs = Number(readFileSync(file, 'utf8'));
    } catch {
      // Not set yet.
    }
  };
  look();
  setInterval(look, LOOK_MS).unref();
  Date.now = () => now() + aheadMs;
}

const file = process.env[VARIABLE];
if (file !== undefined) obey(file);
