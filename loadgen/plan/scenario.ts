/**
 * Scenario: a run's options in a YAML or JSON file, shipped or one's own.
 * From: `--scenario NAME|FILE`.  To: settings.ts, below the command line's own flags.
 * Bound: an unknown key or profile field is refused by name, before the run.
 *
 *   description: text              what it shows
 *   options:  {devices: 2000}      names as the flags, in camel or kebab case
 *   profiles: {door: {...}}        sorts of devices for options.mix, over the shipped ones
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse, YAMLParseError } from 'yaml';
import { type Given, OPTION_NAMES, type OptionValue } from './options.ts';
import { PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN } from './payload.ts';
import type { Profile } from './plan.ts';
import { PROFILES } from './profiles.ts';
import { duration, UsageError, wholes } from './units.ts';

export interface Scenario {
  readonly description: string;
  readonly options: Given;
  readonly profiles: readonly Profile[];
}

/** Shipped scenarios lie beside the source; a compiled tree finds them in the package. */
const FOLDERS = ['../scenarios/', '../../../loadgen/scenarios/'];
const PROFILE_FIELDS = ['sends', 'topic', 'bytes', 'every', 'when'];

function find(wanted: string): string {
  if (/^[a-z][a-z-]*$/.test(wanted)) {
    for (const folder of FOLDERS) {
      const path = fileURLToPath(new URL(`${folder}${wanted}.yaml`, import.meta.url));
      if (existsSync(path)) return path;
    }
  }
  if (!existsSync(wanted)) {
    throw new UsageError(
      `--scenario: there is no file '${wanted}'; shipped: stampede, steady-day, door-rush, deploy`,
    );
  }
  return wanted;
}

type Fields = Record<string, unknown>;

function asMap(what: string, value: unknown): Fields {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new UsageError(`${what} is not a map`);
  }
  return value as Fields;
}

function refuseOthers(what: string, fields: Fields, known: readonly string[]): void {
  const unknown = Object.keys(fields).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new UsageError(`${what}: no such key '${unknown}'; there are ${known.join(', ')}`);
}

function camel(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function optionValue(file: string, name: string, value: unknown): OptionValue {
  if (Array.isArray(value)) return value.map(String);
  if (['string', 'number', 'boolean'].includes(typeof value)) return String(value);
  throw new UsageError(`${file}: options.${name} is neither text, number, flag nor list`);
}

function options(file: string, fields: Fields): Given {
  const given: Given = {};
  for (const [key, value] of Object.entries(fields)) {
    const name = OPTION_NAMES.find((option) => option === camel(key));
    if (name === undefined || name === 'scenario') {
      throw new UsageError(`${file}: no such option '${key}'; see owsla-loadgen run --help`);
    }
    given[name] = optionValue(file, key, value);
  }
  return given;
}

function profile(file: string, name: string, fields: Fields): Profile {
  const what = `${file}: profiles.${name}`;
  refuseOthers(what, fields, PROFILE_FIELDS);
  if (!/^[A-Za-z0-9_-]{1,16}$/.test(name)) throw new UsageError(`${what}: not a name for devices`);
  const base = PROFILES.find((known) => known.name === name) ?? (PROFILES[0] as Profile);
  const { sends = base.sends, when = base.when, topic = base.topic, bytes, every } = fields;
  if (sends !== 'event' && sends !== 'request') {
    throw new UsageError(`${what}: sends is event or request`);
  }
  if (when !== 'interval' && when !== 'random' && when !== 'think') {
    throw new UsageError(`${what}: when is interval, random or think`);
  }
  const size = bytes === undefined ? base.bytes : String(bytes);
  return {
    name,
    weight: 1,
    sends,
    when,
    topic: String(topic),
    bytes:
      typeof size === 'string' ? wholes(what, size, PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX) : size,
    everyMs: every === undefined ? base.everyMs : duration(what, String(every)),
  };
}

/** A scenario by its shipped name or file. Throws UsageError with the file and the key. */
export function readScenario(wanted: string): Scenario {
  const file = find(wanted);
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw new UsageError(`${file}: ${error.message.split('\n')[0]}`);
  }
  const top = asMap(file, content);
  refuseOthers(file, top, ['description', 'options', 'profiles']);
  return {
    description: String(top.description ?? ''),
    options: options(file, asMap(`${file}: options`, top.options)),
    profiles: Object.entries(asMap(`${file}: profiles`, top.profiles)).map(([name, fields]) =>
      profile(file, name, asMap(`${file}: profiles.${name}`, fields)),
    ),
  };
}
