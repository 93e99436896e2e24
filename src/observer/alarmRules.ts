/**
 * AlarmRules: for each alarm, how bad it is now, by two marks. Pure.
 * From: alarmFacts.ts.  To: alarms.ts, which asks that it lasts.
 * Bound: each looks once at each process; a reason names NAMED_MAX at most.
 *
 * Of several that an alarm could be about, it is high when one is, and low when all are.
 */
import type { AlarmName, Concern } from '../node/alarmNames.ts';
import type { Degraded } from '../node/report.ts';
import type { AcceptorFacts, AlarmFacts, ProcessFacts } from './alarmFacts.ts';

/** `high`: it is to be raised; `low`: to be cleared; `between`: neither. */
export interface Level {
  readonly mark: 'high' | 'between' | 'low';
  readonly reason: string;
}

export interface AlarmRule {
  /** It has to last so many times `alarmRaiseMs`, and be over for as many `alarmClearMs`. */
  readonly slow: number;
  /** What is degraded meanwhile, if devices notice it. */
  readonly part?: Degraded['part'];
  readonly look: (facts: AlarmFacts) => Level;
}

const LOW: Level = { mark: 'low', reason: '' };
/** Things that a reason names; of others it has the number. */
const NAMED_MAX = 5;

// Marks, upper and lower.
const FULL = [0.95, 0.85] as const;
const FILES_LEFT = [64, 128] as const;
const MACHINE_FILES = [0.9, 0.8] as const;
const LINKS_MEMORY = [0.75, 0.5] as const;
const HEAP = [0.9, 0.75] as const;
const NODE_MEMORY = [0.9, 0.8] as const;
const MACHINE_MEMORY = [0.95, 0.9] as const;
const STORE_LOG = [0.75, 0.5] as const;
const LAG_SECONDS = [0.25, 0.1] as const;
/** The fullest acceptor over the mean, and so many links above it: less does not matter. */
const SKEW = [1.5, 1.25] as const;
const SKEW_LINKS = [2_000, 1_000] as const;
/** Ends of one child within RESTART_WINDOW_MS (alarmFacts.ts). */
const RESTARTS = [3, 1] as const;
const DAY_MS = 86_400_000;
/** Until it ends. A new certificate is for longer than the second. */
const CERTIFICATE_MS = [14 * DAY_MS, 15 * DAY_MS] as const;
/** Of revocation lists, which are renewed often. */
const REVOCATIONS_MS = [DAY_MS / 4, DAY_MS / 2] as const;

export const RULES: Readonly<Record<AlarmName, AlarmRule>> = {
  'broker-away': { slow: 1, look: away },
  'broker-blocking': { slow: 1, look: blocking },
  'prefix-taken': { slow: 1, look: (facts) => caused(facts, 'prefix-taken') },
  'store-degraded': { slow: 1, look: storeDegraded },
  'auth-away': { slow: 1, look: (facts) => caused(facts, 'auth-away') },
  'acceptor-full': { slow: 1, part: 'links', look: acceptorFull },
  'files-high': { slow: 1, part: 'links', look: filesHigh },
  'memory-high': { slow: 1, part: 'links', look: memoryHigh },
  'loop-lagging': { slow: 10, look: loopLagging },
  'links-skewed': { slow: 20, look: linksSkewed },
  'process-failing': { slow: 2, look: processFailing },
  'device-cloned': { slow: 1, look: (facts) => named(facts, 'cloned', cloned) },
  'device-flapping': { slow: 1, look: (facts) => named(facts, 'flapping', flapping) },
  'certificate-ending': { slow: 1, look: certificateEnding },
};

/** The worst, with the reason of those that are as bad. */
function worst(levels: readonly Level[]): Level {
  const mark = (['high', 'between'] as const).find((one) => levels.some((it) => it.mark === one));
  if (mark === undefined) return LOW;
  const reasons = levels.flatMap((level) => (level.mark === mark ? [level.reason] : []));
  const more = reasons.length > NAMED_MAX ? [`${reasons.length - NAMED_MAX} more`] : [];
  return { mark, reason: [...reasons.slice(0, NAMED_MAX), ...more].join('; ') };
}

/** At or above the upper mark: high; below the lower one: low. */
function above(figure: number, [upper, lower]: readonly [number, number], reason: string): Level {
  if (figure >= upper) return { mark: 'high', reason };
  return { mark: figure >= lower ? 'between' : 'low', reason };
}

/** The same of what is bad when there is little of it. */
function below(figure: number, [upper, lower]: readonly [number, number], reason: string): Level {
  return above(-figure, [-upper, -lower], reason);
}

function high(reason: string): Level {
  return { mark: 'high', reason };
}

/** What processes have told of themselves. */
function caused({ degraded }: AlarmFacts, cause: AlarmName): Level {
  return worst(
    degraded.flatMap((one) => {
      if (one.cause !== cause) return [];
      const whose = one.acceptor === undefined ? one.part : `acceptor ${one.acceptor}, ${one.part}`;
      return [high(`${whose}: ${one.reason}`)];
    }),
  );
}

function away(facts: AlarmFacts): Level {
  const links = facts.processes.filter(({ isBrokerAway }) => isBrokerAway);
  const told = links.map(({ name }) => high(`${name} has no broker connection`));
  return worst([...told, caused(facts, 'broker-away')]);
}

function blocking(facts: AlarmFacts): Level {
  const blocked = facts.acceptors.filter(({ isBrokerBlocked }) => isBrokerBlocked);
  const told = blocked.map(({ name }) => high(`${name}: the broker blocks publishes`));
  // An acceptor that is blocked says so of its parts as well.
  return told.length > 0 ? worst(told) : caused(facts, 'broker-blocking');
}

function storeDegraded(facts: AlarmFacts): Level {
  const { walBytes, storeWalBytesMax } = facts;
  const share = walBytes / storeWalBytesMax;
  const reason = `the store’s log has ${percent(share)} of storeWalBytesMax: a program reads the store`;
  return worst([caused(facts, 'store-degraded'), above(share, STORE_LOG, reason)]);
}

function acceptorFull({ acceptors }: AlarmFacts): Level {
  return worst(
    acceptors.map(({ name, links, linksMax }) =>
      above(links / Math.max(1, linksMax), FULL, `${name} has ${links} of ${linksMax} links`),
    ),
  );
}

function filesHigh({ processes, machine }: AlarmFacts): Level {
  const own = processes.flatMap(({ name, openFiles, openFilesMax }) => {
    if (openFiles === 0 || openFilesMax === 0) return [];
    const left = openFilesMax - openFiles;
    return [below(left, FILES_LEFT, `${name} has ${openFiles} of ${openFilesMax} files open`)];
  });
  const share = machine.filesShare;
  const all = above(share, MACHINE_FILES, `the machine has ${percent(share)} of fs.file-max open`);
  return worst([...own, all]);
}

function memoryHigh({ processes, acceptors, machine, linksBytesMax }: AlarmFacts): Level {
  const ofLinks = ({ name, heavyBytes }: AcceptorFacts) => {
    const share = heavyBytes / linksBytesMax;
    const reason = `${name}: links that do not read hold ${percent(share)} of linksBytesMax`;
    return above(share, LINKS_MEMORY, reason);
  };
  const ofHeap = ({ name, heapRatio }: ProcessFacts) =>
    above(heapRatio, HEAP, `${name} has ${percent(heapRatio)} of the heap that V8 allows it`);
  const bytes = processes.reduce((sum, { rssBytes }) => sum + rssBytes, 0);
  const share = machine.memoryMax === 0 ? 0 : bytes / machine.memoryMax;
  const used = machine.memoryShare;
  return worst([
    ...acceptors.map(ofLinks),
    ...processes.map(ofHeap),
    above(share, NODE_MEMORY, `the node has ${percent(share)} of the memory that it may have`),
    above(used, MACHINE_MEMORY, `the machine has ${percent(1 - used)} of its memory left`),
  ]);
}

function loopLagging({ processes }: AlarmFacts): Level {
  return worst(
    processes.map(({ name, lagSeconds }) => {
      const ms = Math.round(lagSeconds * 1_000);
      return above(lagSeconds, LAG_SECONDS, `${name}: 1 in 100 turns is ${ms} ms late`);
    }),
  );
}

/**
 * Only the number of links above the mean makes an acceptor fuller than others. In a reload it is
 * two processes.
 */
function linksSkewed({ acceptors }: AlarmFacts): Level {
  const linksOf = new Map<string, number>();
  for (const { name, links } of acceptors) linksOf.set(name, (linksOf.get(name) ?? 0) + links);
  const total = acceptors.reduce((sum, { links }) => sum + links, 0);
  const mean = total / Math.max(1, linksOf.size);
  return worst(
    [...linksOf].map(([name, links]) => {
      const reason = `${name} has ${links} links, the mean is ${Math.round(mean)}`;
      const levels = [above(links / Math.max(1, mean), SKEW, reason)];
      levels.push(above(links - mean, SKEW_LINKS, reason));
      if (levels.some(({ mark }) => mark === 'low')) return LOW;
      const isHigh = levels.every(({ mark }) => mark === 'high');
      return { mark: isHigh ? 'high' : 'between', reason };
    }),
  );
}

function processFailing({ children }: AlarmFacts): Level {
  return worst(
    children.map(({ name, fault, restarts }) => {
      if (fault !== undefined) return high(`${name}: ${fault}`);
      return above(
        restarts,
        RESTARTS,
        `${name} was started again ${restarts === 1 ? 'once' : `${restarts} times`} lately`,
      );
    }),
  );
}

function named({ concerns }: AlarmFacts, about: Concern['about'], look: (it: Concern) => Level) {
  return worst(concerns.filter((one) => one.about === about).map(look));
}

function cloned({ name, figure }: Concern): Level {
  return high(`${name}: ${figure} takeovers without a quiet time`);
}

/** `figure`: 1 at deviceFlapsMax. What has come down to half of it is not named any more. */
function flapping({ name, figure }: Concern): Level {
  const reason = `${name}: connects again and again`;
  return above(figure, [1, 0.5], reason);
}

function certificateEnding(facts: AlarmFacts): Level {
  const left = ({ figure }: Concern) => figure - facts.wall;
  const ends = (one: Concern) => `${one.name} ends at ${new Date(one.figure).toISOString()}`;
  return worst([
    named(facts, 'certificate', (one) => below(left(one), CERTIFICATE_MS, ends(one))),
    named(facts, 'revocations', (one) => below(left(one), REVOCATIONS_MS, ends(one))),
  ]);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
