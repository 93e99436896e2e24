/**
 * Moving: an acceptor's part in a reload, put together: before its endpoints, and after them.
 * From: acceptor.ts, with the parts that this needs.  To: the same.
 * Bound: none of its own.
 */
import { systemClock } from '../base/clock.ts';
import type { Trace } from '../base/trace.ts';
import { collect } from '../base/v8.ts';
import type { Endpoints } from './endpoint/endpoints.ts';
import type { Listeners } from './endpoint/listeners.ts';
import { spreadBy } from './endpoint/spread.ts';
import type { LinkChanges } from './linkChanges.ts';
import { Giver } from './move/giver.ts';
import { ListenerMove, type ListenerMoveOptions } from './move/listenerMove.ts';
import { MoveLine } from './move/moveLine.ts';
import { Moves } from './move/moves.ts';
import { Taker } from './move/taker.ts';
import type { DeviceCommands } from './route/deviceCommands.ts';
import type { Operated } from './shared.ts';
import type { StreamClient } from './streamClient.ts';

const spread = spreadBy(Math.random);
const after = (ms: number, act: () => void) => void setTimeout(act, ms).unref();

interface Reported {
  readonly changes: LinkChanges;
  readonly stream: StreamClient;
  readonly commands: DeviceCommands;
  readonly trace: Trace;
}

interface Out {
  readonly giver: Giver;
  readonly line: MoveLine;
}

/** Endpoints tell it of those that are to be closed while they move. */
export function giverOf({ start, counters, registry }: Operated, reported: Reported): Out {
  const { config, incarnation, successorOf: predecessor, joins, toSupervisor } = start;
  const { drainPaceMs, childReadyMs: recordMs } = config.limits;
  const { changes, stream, commands, trace } = reported;
  const line = new MoveLine(incarnation, { predecessor, joins }, toSupervisor);
  const giver = new Giver({
    ...{ registry, commands, changes, trace, drainPaceMs, recordMs, spread, clock: systemClock },
    after,
    wake: () => stream.wake(),
    mayCome: () => line.isListening || counters.connectsWaiting + counters.establishing > 0,
    send: line.pass,
    onMoved: (figures) => toSupervisor({ type: 'moved', figures }),
    collect: () => collect({ type: 'major', flavor: 'last-resort' }),
  });
  return { giver, line };
}

/** Listening sockets, in both directions. */
export function listenerMoveOf(
  { line }: Out,
  { start: { successorOf, joins } }: Pick<Operated, 'start'>,
  places: Listeners,
  listen: ListenerMoveOptions['listen'],
): ListenerMove {
  const suspend = () => {
    line.isListening = false;
    places.suspend();
  };
  return new ListenerMove({
    places: {
      handles: () => places.handles(),
      spare: (among) => places.spare(among),
      release: (handles) => places.release(handles),
      nameOf: (place, handle) => places.nameOf(place, handle),
      add: (given) => places.add(given),
      suspend,
    },
    ...{ after, send: line.pass },
    isListening: successorOf === undefined && joins === undefined,
    listen: async (given) => {
      line.isListening = true;
      await listen(given);
    },
  });
}

export function movesOf(
  { start, operate }: Operated,
  { changes, stream, trace }: Reported,
  { giver, line }: Out,
  endpoints: Endpoints,
): Moves {
  const taker = new Taker({
    ...{ endpoints, changes, trace, send: line.pass },
    wake: () => stream.wake(),
    retryAfter: () => spread(start.config.limits.drainRetryMs),
    onTaken: (endpoint) => operate.traces.onTaken(endpoint),
  });
  const onFollow = (predecessor: string) => changes.follows(predecessor);
  if (start.successorOf !== undefined) onFollow(start.successorOf);
  return new Moves({ giver, taker, line, log: start.log, onFollow });
}
