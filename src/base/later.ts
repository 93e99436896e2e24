/**
 * Later: a library that few processes need is loaded by who needs it, and by nobody else.
 * From: the files that use one.  To: Node's loader.
 * Bound: each once. What a node may need while it runs is loaded at its start: what is on disk may
 * be another version later.
 */
import { createRequire } from 'node:module';

const load = createRequire(import.meta.url);

/** What gives the library `name`, loaded with the first call. */
export function later<Library>(name: string): () => Library {
  let library: Library | undefined;
  return () => {
    library ??= load(name) as Library;
    return library;
  };
}
