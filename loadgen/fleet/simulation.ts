/**
 * Simulation: the devices of a protocol module, as a run wants them.
 * From: run.ts, before anything is started; worker.ts.  To: the Plan; speeches.ts.
 * Bound: a module is loaded once in each process. What a run wants and it cannot do is a
 * UsageError, of one sentence; what then cannot be checked is a sentence in the report.
 */
import { pathToFileURL } from 'node:url';
import { framing } from '../../src/wire/module/framing.ts';
import { loadModule, ModuleError } from '../../src/wire/module/loadModule.ts';
import type { ProtocolModule, SimulatedDevices } from '../../src/wire/module/moduleTypes.ts';
import { deviceId, type ModulePlan, type Plan } from '../plan/plan.ts';
import { UsageError, wordsOf } from '../plan/units.ts';
import { ModuleSpeech } from './moduleSpeech.ts';
import type { Speech } from './speech.ts';
import { type Found, LIMITS, type Simulation, type Sort, trialOf } from './trial.ts';

/** What Owsla asks of devices whose protocol says nothing of it. */
const KEEPALIVE_S = 60;
/** The default of `--device-prefix`: whoever gives another one wants it. */
const NO_PREFIX = 'lg-';

/** Both ends of a module. Throws UsageError. */
export async function loadSimulation(path: string): Promise<Simulation> {
  try {
    const module = await loadModule(path, LIMITS.frameBytesMax);
    const { createDevice } = (await import(pathToFileURL(path).href)) as Partial<ProtocolModule>;
    if (typeof createDevice !== 'function') {
      throw new UsageError(
        `--protocol: ${path} exports no function createDevice, which says how a device speaks`,
      );
    }
    const devices = createDevice({ bytesMax: LIMITS.frameBytesMax, framing });
    if (typeof devices?.connect !== 'function') {
      throw new UsageError(`--protocol: the createDevice of ${path} makes nothing with connect`);
    }
    return { module, devices };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (error instanceof ModuleError) throw new UsageError(`--protocol: ${error.message}`);
    throw new UsageError(`--protocol: the createDevice of ${path} fails: ${wordsOf(error)}`);
  }
}

/** The plan with its module tried; as it is, if it has none. Throws UsageError. */
export async function withModule(plan: Plan): Promise<Plan> {
  const { moduleFile } = plan;
  if (moduleFile === undefined) return plan;
  const { module, devices } = await loadSimulation(moduleFile);
  const { name, capabilities } = module.protocol;
  const ids = idsOf(plan, devices);
  const topic = devices.commandTopic ?? plan.commands.topic;
  const made: ModulePlan = {
    ...{ path: moduleFile, name, ids, keepaliveS: 0, isWelcomed: true },
    acknowledges: capabilities.acknowledgements,
    ...{ carriesEvents: false, carriesReplies: false },
  };
  let found: Found;
  try {
    found = trialOf(
      { module, devices },
      {
        deviceId: deviceId({ ...plan, module: made }, 0),
        ...{ payloadBytes: plan.bytes.max, commandTopic: topic },
      },
    );
  } catch (error) {
    throw new UsageError(`--protocol: ${moduleFile}: ${wordsOf(error)}`);
  }
  if (plan.willShare > 0) throw new UsageError(`--will: ${name} has no wills`);
  checkWanted(plan, name, found);
  const { isWelcomed, carriesEvents, carriesReplies, canShowLife } = found;
  const keepaliveS = canShowLife ? (capabilities.keepaliveSeconds ?? KEEPALIVE_S) : 0;
  return {
    ...plan,
    commands: { ...plan.commands, topic },
    module: { ...made, keepaliveS, isWelcomed, carriesEvents, carriesReplies },
  };
}

function idsOf({ devices, devicePrefix }: Plan, { ids }: SimulatedDevices): ModulePlan['ids'] {
  if (ids === undefined) return undefined;
  const prefix = devicePrefix === NO_PREFIX ? ids.prefix : devicePrefix;
  if (prefix.length + String(devices - 1).length > ids.length) {
    throw new UsageError(
      `--device-prefix: '${prefix}' leaves no place for ${devices} numbers in ${ids.length} characters`,
    );
  }
  return { prefix, length: ids.length };
}

/** What of its load a plan has. */
function wants({ rate, eventShare, profiles, commands }: Plan): ReadonlySet<Sort> {
  const wanted = new Set<Sort>();
  const isRate = rate.some(({ from, to }) => from > 0 || to > 0);
  if (isRate && eventShare > 0) wanted.add('event');
  if (isRate && eventShare < 1) wanted.add('request');
  for (const { sends } of profiles) wanted.add(sends);
  if (commands.isOn) wanted.add('command');
  return wanted;
}

const INSTEAD: Readonly<Record<Sort, string>> = {
  event: 'use --event-share 0%',
  request: 'use --event-share 100%',
  command: 'leave out --command-rate',
};

function checkWanted(plan: Plan, name: string, { faults, carriesReplies }: Found): void {
  const wanted = wants(plan);
  for (const sort of wanted) {
    const fault = faults[sort];
    if (fault === undefined) continue;
    throw new UsageError(`--protocol: no ${sort}s by ${name}: ${fault}; ${INSTEAD[sort]}`);
  }
  if (wanted.has('request') && plan.expect === 'echo' && !carriesReplies) {
    throw new UsageError(
      `--protocol: replies of ${name} do not bring the payload of their request back: use --expect ok`,
    );
  }
}

/** What of the checks its protocol does not allow, for the report. */
export function blindSpots(plan: Plan, isWatched: boolean): readonly string[] {
  const { module } = plan;
  if (module === undefined || !wants(plan).has('event')) return [];
  const { name, acknowledges, carriesEvents } = module;
  const said: string[] = [];
  if (!acknowledges) {
    said.push(`${name} acknowledges no events: whether one was lost is not checked`);
  }
  if (isWatched && !carriesEvents) {
    said.push(`events of ${name} carry no bytes of ours: what the broker has is not compared`);
  }
  return said;
}

/** What finds our own bytes in an event's payload, as a backend gets that. */
export async function contentOf({ path }: ModulePlan) {
  const { devices } = await loadSimulation(path);
  return (payload: Buffer): Buffer | undefined => {
    if (devices.carried === undefined) return payload;
    const bytes = devices.carried(payload);
    return bytes && Buffer.from(bytes);
  };
}

export async function speechOfModule(module: ModulePlan): Promise<Speech> {
  const { devices } = await loadSimulation(module.path);
  return new ModuleSpeech(devices, module);
}
