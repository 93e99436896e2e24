/**
 * Editions: an installation as an operator has it: a folder for each version, and a link to one of
 * them; so that a reload finds code that has really changed.
 * From: our sources, and what is wrong with those of a version.  To: `owsla serve` and its reload.
 * Bound: what was installed goes with the folder.
 */
import { cpSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../../..');

/** In a file of src: this text becomes that one. */
export interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export class Editions {
  readonly #folder: string;
  #count = 0;

  constructor(folder: string) {
    this.#folder = folder;
    this.install();
  }

  /** By the link. */
  get cli(): string {
    return join(this.#folder, 'owsla/src/cli/cli.ts');
  }

  /** Another version takes the place of the one before it. */
  install(...changes: readonly Change[]): void {
    this.#count += 1;
    const folder = join(this.#folder, `v${this.#count}`);
    cpSync(join(ROOT, 'src'), join(folder, 'src'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    for (const { file, from, to } of changes) {
      const path = join(folder, 'src', file);
      const text = readFileSync(path, 'utf8');
      if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
      writeFileSync(path, text.replace(from, to));
    }
    // As `ln -sfn` does it not: at once.
    const link = join(this.#folder, 'owsla.next');
    symlinkSync(folder, link);
    renameSync(link, join(this.#folder, 'owsla'));
  }
}
