/**
 * Loaded: what a process has loaded when a file of src/ is: a Node of its own, which says so.
 * From: paths in src/, and Node's flags.  To: libraries by name, Node's own modules as `node:http`,
 * and the tag by which V8 tells whose compiled code it may take.
 */
import { join } from 'node:path';
import { NODE, runPlain } from './plain.ts';

const SRC = join(import.meta.dirname, '../../../src');
/** Of a path in node_modules, the library that it is in. */
const LIBRARY = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//;

export interface Loaded {
  readonly libraries: readonly string[];
  readonly builtIns: readonly string[];
  readonly v8Tag: number;
}

const SCRIPT = `
  const { registerHooks } = process.getBuiltinModule('node:module');
  const urls = [];
  registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) });
  for (const path of process.argv.slice(1)) await import(path);
  const own = process.moduleLoadList.filter((one) => one.startsWith('NativeModule '));
  const v8Tag = process.getBuiltinModule('node:v8').cachedDataVersionTag();
  console.log(JSON.stringify({ urls, own, v8Tag }));
  process.exit();`;

export function loadedBy(paths: readonly string[], flags: readonly string[] = []): Loaded {
  const files = paths.map((path) => join(SRC, path));
  const command = [...NODE, ...flags, '--input-type=module', '-e', SCRIPT, ...files];
  const { stdout, stderr } = runPlain(SRC, ...command);
  if (stdout === '') throw new Error(stderr);
  const { urls, own, v8Tag } = JSON.parse(stdout) as {
    readonly urls: readonly string[];
    readonly own: readonly string[];
    readonly v8Tag: number;
  };
  const libraries = new Set(urls.flatMap((url) => LIBRARY.exec(url)?.[1] ?? []));
  return {
    libraries: [...libraries].sort(),
    builtIns: own.map((one) => one.replace('NativeModule ', 'node:')),
    v8Tag,
  };
}
