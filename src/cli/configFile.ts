/**
 * ConfigFile: the YAML or JSON file that --config names, as raw options.
 * From: commandLine.ts.  To: config.ts, as one of its layers.
 * Bound: an unknown key, or a value of the wrong kind, is one sentence and exit code 64.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Options } from '../base/config.ts';
import { EXIT, StartError } from '../base/errors.ts';
import { later } from '../base/later.ts';
import { isModule } from '../base/listeners.ts';
import { OPTION_NAMES } from '../base/options.ts';
import { didYouMean } from '../base/units.ts';

const yaml = later<typeof import('yaml')>('yaml');

const FILE_KEYS = [...OPTION_NAMES, 'set', 'listeners'];
/** Takes several values: as a repeated flag, as a list in the file, or with commas in between. */
export const LISTS: readonly string[] = ['amqp', 'auth', 'allow-from', 'deny-from', 'admin-hosts'];

/** The file's options. Throws a StartError that names what is wrong. */
export function optionsOfFile(path: string): Options {
  const read = readConfigFile(path);
  for (const [key, value] of Object.entries(read)) {
    if (!(FILE_KEYS as readonly string[]).includes(key)) {
      const near = didYouMean(key, FILE_KEYS);
      throw new StartError(EXIT.usage, `${path} has the unknown key ${JSON.stringify(key)}${near}`);
    }
    if (key === 'listeners') {
      if (Array.isArray(value)) {
        read[key] = value.map((one) => withModule(one, dirname(path)));
        continue;
      }
      throw new StartError(EXIT.usage, `listeners in ${path} must be a list`);
    }
    if (LISTS.includes(key) && isListOfText(value)) read[key] = value.join();
    else if (key === 'set' ? !isMapOfScalars(value) : !isScalar(value)) {
      const rule = key === 'set' ? 'a map of limits' : 'one value';
      throw new StartError(EXIT.usage, `${key} in ${path} must be ${rule}`);
    }
  }
  return read;
}

/** A module's path is that of a file beside this one: both are installed together. */
function withModule(listener: unknown, folder: string): unknown {
  const { protocol } = (listener ?? {}) as { protocol?: unknown };
  if (typeof protocol !== 'string' || !isModule(protocol)) return listener;
  return { ...(listener as object), protocol: resolve(folder, protocol) };
}

function readConfigFile(path: string): Record<string, unknown> {
  try {
    // YAML 1.2 contains JSON.
    const read: unknown = yaml().parse(readFileSync(path, 'utf8')) ?? {};
    if (typeof read === 'object' && !Array.isArray(read)) return read as Record<string, unknown>;
  } catch (error) {
    const [firstLine] = String((error as Error).message).split('\n');
    throw new StartError(EXIT.usage, `cannot read the config file ${path}: ${firstLine}`);
  }
  throw new StartError(EXIT.usage, `${path} must hold a map of options, such as port: 7000`);
}

function isScalar(value: unknown): boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function isMapOfScalars(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every(isScalar);
}

function isListOfText(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
