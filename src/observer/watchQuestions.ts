/**
 * WatchQuestions: `trace` and `live`, as people ask them at control.sock.
 * From: control.ts.  To: nodeTraces.ts, whose entries follow as notices; live.ts.
 * Bound: theirs. A trace ends with its asker's connection.
 */
import type { AnswersByKind, Asker } from '../node/channel.ts';
import type { TraceEnd } from '../node/traceEntry.ts';
import type { Live } from './live.ts';
import type { NodeTraces } from './nodeTraces.ts';

export interface Watches {
  readonly traces: Pick<NodeTraces, 'begin'>;
  readonly live: Pick<Live, 'read'>;
}

/** All asked by the same one. */
export function watchQuestions({ traces, live }: Watches, who: string): AnswersByKind {
  return {
    live: () => live.read(),
    trace: async (body: unknown, asker: Asker) => {
      const ended = Promise.withResolvers<void>();
      const sink = {
        take: (entries: readonly string[]) => asker.notify('trace', { entries }),
        end: (end: TraceEnd) => {
          asker.say('traced', end);
          ended.resolve();
        },
      };
      const [answer, leave] = await traces.begin(body, sink, who);
      // It may have ended before all acceptors were told.
      void ended.promise.then(asker.whenClosed(leave));
      return answer;
    },
  };
}
