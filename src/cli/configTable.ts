/**
 * ConfigTable: what `owsla config` prints: each option and limit that rules, and its source.
 * From: commandLine.ts: the layers, and the config that they make.  To: text, or lines of JSON.
 * Bound: a line for each option, listener and limit. No password is in it.
 */
import type { Config } from '../base/config.ts';
import { LIMIT_NAMES, type LimitName } from '../base/limits.ts';
import { addressOf, type ListenerConfig } from '../base/listeners.ts';
import { OPTION_NAMES, OPTION_SPECS, type OptionName, type OptionSpec } from '../base/options.ts';
import { redact } from '../base/redact.ts';
import type { SourceLayer } from './layers.ts';
import { writeLimit } from './limitsTable.ts';
import { tableOf } from './table.ts';

interface Ruling {
  readonly name: string;
  /** '': none, and none is needed. */
  readonly value: string;
  readonly source: SourceLayer['source'] | 'default';
  /** As its writer knows it: `--port`, `OWSLA_PORT`, `port in FILE`; '' for a default. */
  readonly where: string;
}

/** As a table without the limits that are as they were; or as JSON, with all. */
export function configLines(
  config: Config,
  layers: readonly SourceLayer[],
  isJson: boolean,
): string {
  const options = OPTION_NAMES.map((name) => optionOf(name, config, layers));
  const listeners = config.listeners.map((listener) => listenerOf(listener, layers));
  const limits = LIMIT_NAMES.map((name) => limitOf(name, config, layers));
  const all = [...options, ...listeners, ...limits];
  if (isJson) return all.map((ruling) => `${JSON.stringify(ruling)}\n`).join('');
  const shown = all.filter(({ name, source }) => !name.startsWith('set ') || source !== 'default');
  const rows = shown.map(({ name, value, source, where }) => [name, value || '-', where || source]);
  return tableOf([['option', 'value', 'from'], ...rows]);
}

const DEFAULT = { source: 'default', where: '' } as const;

function optionOf(name: OptionName, config: Config, layers: readonly SourceLayer[]): Ruling {
  for (const { options, source, nameOf } of layers) {
    const raw = options[name];
    if (raw === undefined) continue;
    return { name, value: openly(name, String(raw)), source, where: nameOf(name) };
  }
  const { default: value = '' }: OptionSpec = OPTION_SPECS[name];
  // Of this machine.
  return { name, value: name === 'acceptors' ? String(config.acceptors) : value, ...DEFAULT };
}

/** Without passwords: a command line may hold the key of a tracker, in any form. */
function openly(name: OptionName, value: string): string {
  if (name !== 'on-crash') return redact(value);
  const [program = '', ...rest] = value.trim().split(/\s+/);
  return rest.length === 0 ? redact(program) : `${redact(program)} ***`;
}

/** Where it is, and who may connect there; listed in the file, or made from options. */
function listenerOf(listener: ListenerConfig, layers: readonly SourceLayer[]): Ruling {
  const { name, auth, tls, proxyProtocol } = listener;
  const words = [addressOf(listener), tls ? 'tls' : 'plain', `auth ${auth.join() || 'none'}`];
  if (proxyProtocol === 'require') words.push('proxy-protocol');
  const value = words.join(' ');
  const listed = layers.find(({ options }) => options.listeners !== undefined);
  const isListed = listed?.options.listeners?.some((one) => nameIn(one) === name) ?? false;
  const ruling = { name: `listener ${name}`, value };
  if (isListed && listed !== undefined) return { ...ruling, ...placed(listed, 'listeners') };
  return { ...ruling, ...madeFrom(MADE_FROM[name] ?? [], layers) };
}

/** What makes the listeners that are not listed, by their names: the first one that is given. */
const MADE_FROM: Readonly<Record<string, readonly OptionName[]>> = {
  devices: ['port', 'host'],
  'devices-tls': ['tls-port'],
  'devices-unix': ['unix'],
  mqtt: ['mqtt-port'],
  'mqtt-tls': ['mqtt-tls-port'],
};

function madeFrom(names: readonly OptionName[], layers: readonly SourceLayer[]) {
  for (const name of names) {
    const layer = layers.find(({ options }) => options[name] !== undefined);
    if (layer !== undefined) return placed(layer, name);
  }
  return DEFAULT;
}

function placed({ source, nameOf }: SourceLayer, name: string): Pick<Ruling, 'source' | 'where'> {
  return { source, where: nameOf(name) };
}

function nameIn(one: unknown): unknown {
  return typeof one === 'object' && one !== null && 'name' in one ? one.name : undefined;
}

function limitOf(name: LimitName, config: Config, layers: readonly SourceLayer[]): Ruling {
  const ruling = { name: `set ${name}`, value: writeLimit(name, config.limits[name]) };
  for (const { options, source, nameOf } of layers) {
    if (options.set?.[name] !== undefined) return { ...ruling, source, where: nameOf('set') };
    const isShort = name === 'keepaliveMs' && options.keepalive !== undefined;
    if (isShort) return { ...ruling, source, where: nameOf('keepalive') };
  }
  return { ...ruling, ...DEFAULT };
}
