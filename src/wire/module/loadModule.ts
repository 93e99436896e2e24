/**
 * LoadModule: a protocol module from disk: what it exports, its shape checked.
 * From: acceptors, at their start; the kit, in a thread of its own.
 * To: a LoadedModule, and of that a ProtocolFactory; or a ModuleError, one sentence with the file.
 * Bound: a module that does not return from its own first lines is for who waits to end.
 */
import { pathToFileURL } from 'node:url';
import type { Protocol, ProtocolFactory } from '../protocol.ts';
import { framing } from './framing.ts';
import { type ModuleOfLinks, ModuleProtocol } from './moduleProtocol.ts';
import type {
  Capabilities,
  DeviceLink,
  DeviceProtocol,
  ProtocolModule,
  Sample,
} from './moduleTypes.ts';

/** Why a module cannot be used. Its text may have the author's own words. */
export class ModuleError extends Error {
  constructor(path: string, what: string) {
    super(`the protocol module ${path} ${what}`);
    this.name = 'ModuleError';
  }
}

export interface LoadedModule extends ModuleOfLinks {
  /** Its own samples, not checked. */
  readonly samples: readonly Sample[];
}

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
const NUMBER_MAX = 0xffff_ffff;
const SECONDS_MAX = 86_400;
const COMMANDS: readonly unknown[] = ['none', 'unanswered', 'taken', 'results'];
const KEEPALIVES: readonly unknown[] = ['device', 'server', 'none'];

/** `path`: absolute. Rejects with a ModuleError. */
export async function loadModule(path: string, bytesMax: number): Promise<LoadedModule> {
  const { createProtocol, samples } = await imported(path);
  if (typeof createProtocol !== 'function') {
    throw new ModuleError(path, 'exports no function createProtocol');
  }
  const protocol = await created(path, () => createProtocol({ bytesMax, framing }));
  try {
    const fault = faultIn(protocol) ?? linkFaultIn(protocol);
    if (fault !== undefined) throw new ModuleError(path, fault);
  } catch (error) {
    if (error instanceof ModuleError) throw error;
    throw new ModuleError(path, `makes a protocol that fails: ${firstLine(error)}`);
  }
  return { path, protocol, samples: Array.isArray(samples) ? samples : [] };
}

/** What the links of a listener speak whose protocol this is. */
export function moduleFactory(module: ModuleOfLinks): ProtocolFactory {
  return {
    make: (limits): Protocol => new ModuleProtocol(module, limits),
    restore: (state, limits) => ModuleProtocol.restore(module, state, limits),
  };
}

async function imported(path: string): Promise<Partial<ProtocolModule>> {
  try {
    return (await import(pathToFileURL(path).href)) as Partial<ProtocolModule>;
  } catch (error) {
    throw new ModuleError(path, `cannot be loaded: ${firstLine(error)}`);
  }
}

async function created(path: string, create: () => unknown): Promise<DeviceProtocol> {
  try {
    return (await create()) as DeviceProtocol;
  } catch (error) {
    throw new ModuleError(path, `has a createProtocol that fails: ${firstLine(error)}`);
  }
}

/** Of an author's own error, for the author. */
export function firstLine(error: unknown): string {
  try {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return (text.split('\n')[0] ?? '').slice(0, 500);
  } catch {
    return 'an error that cannot be read';
  }
}

function faultIn(protocol: DeviceProtocol): string | undefined {
  if (typeof protocol !== 'object' || protocol === null) {
    return 'has a createProtocol that returns no object';
  }
  const { name, connect, payloadBytesMax, commandNumberMax } = protocol;
  if (typeof name !== 'string' || !NAME.test(name)) {
    return 'makes a protocol whose name is not 1 to 32 of a-z 0-9 -';
  }
  if (typeof connect !== 'function') return 'makes a protocol without connect';
  if (!isWholeOrNone(payloadBytesMax, 0)) return 'has a payloadBytesMax that is no whole number';
  if (!isWholeOrNone(commandNumberMax, 1)) return 'has a commandNumberMax that is no whole number';
  return capabilityFault(protocol.capabilities);
}

function capabilityFault(capabilities: Capabilities): string | undefined {
  if (typeof capabilities !== 'object' || capabilities === null) return 'says no capabilities';
  const { commands, keepalive, keepaliveSeconds } = capabilities;
  for (const word of ['events', 'acknowledgements', 'requests'] as const) {
    if (typeof capabilities[word] !== 'boolean') {
      return `must say capabilities.${word}: true or false`;
    }
  }
  if (!COMMANDS.includes(commands)) {
    return `must say capabilities.commands: one of ${COMMANDS.join(', ')}`;
  }
  if (!KEEPALIVES.includes(keepalive)) {
    return `must say capabilities.keepalive: one of ${KEEPALIVES.join(', ')}`;
  }
  const isTime = isWholeOrNone(keepaliveSeconds, 1) && (keepaliveSeconds ?? 1) <= SECONDS_MAX;
  return isTime ? undefined : 'has capabilities.keepaliveSeconds that are not 1 to 86400';
}

function isWholeOrNone(value: unknown, min: number): boolean {
  if (value === undefined) return true;
  return Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= NUMBER_MAX;
}

const OPTIONAL = ['welcome', 'command', 'ping', 'goodbye', 'save'] as const;

/** One link, made to look at it. */
function linkFaultIn(protocol: DeviceProtocol): string | undefined {
  const link: DeviceLink = protocol.connect();
  if (typeof link !== 'object' || link === null) return 'has a connect that returns no object';
  for (const word of ['frame', 'read'] as const) {
    if (typeof link[word] !== 'function') return `makes links without ${word}`;
  }
  for (const word of OPTIONAL) {
    const kind = typeof link[word];
    if (kind !== 'undefined' && kind !== 'function') return `has a ${word} that is no function`;
  }
  for (const word of ['frame', 'read', ...OPTIONAL] as const) {
    if (isAsync(link[word])) return `has an async ${word}: it must answer at once`;
  }
  const { commands, keepalive } = protocol.capabilities;
  if (commands !== 'none' && !link.command) {
    return `says commands ${commands}, and its links have no command`;
  }
  if (keepalive === 'server' && !link.ping) return 'says keepalive server, and its links no ping';
  return undefined;
}

function isAsync(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object AsyncFunction]';
}
