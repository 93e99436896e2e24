/** A real node of another checkout, which may be older than this one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from '../../test/helpers/processes/server.ts';

/** Where the class is, and where it was before. */
const PLACES = ['test/helpers/processes/server.ts', 'test/helpers/server.ts'];

export async function serverOf(tree: string): Promise<typeof Server> {
  const file = PLACES.map((place) => join(tree, place)).find((path) => existsSync(path));
  if (file === undefined) throw new Error(`${tree} has no ${PLACES[0]}`);
  return (await import(file)).Server;
}
